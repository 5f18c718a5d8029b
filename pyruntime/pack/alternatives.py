"""Files of packs with other shaders for some dispatches: candidates to try, or what is best on a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

from pyruntime.errors import PackError
from pyruntime.pack import fields
from pyruntime.pack.decode import Invalid, array, choice, encode, integer, item, positional, record
from pyruntime.pack.expressions import Expression
from pyruntime.pack.schema import Manifest
from pyruntime.pack.targets import Dispatch, GpuVariant, Shader, WebGpu
from pyruntime.pack.validate_webgpu import gpu_variant


@dataclass(frozen=True)
class Code:
    """A WGSL module with entry point `main`; `result` is the type of what it writes to its last binding."""

    name: str = item(fields.LABEL)
    code: str = item(fields.LABEL)
    bindings: Sequence[Literal["read", "read_write"]] = item(array(choice("read", "read_write"), least=1))
    words: int = item(integer(1, 16384))
    result: str = item(fields.GPU_DTYPE)


@dataclass(frozen=True)
class Alternative:
    """Dispatch `command` of an entry by shader `shader` of the file; positional in JSON.

    Name, bindings and what is written are those of the command.
    """

    POSITIONAL: ClassVar[bool] = True
    command: int = item(fields.COUNT)
    shader: int = item(fields.COUNT)
    words: Sequence[Expression] = item(array(fields.expression, least=1))
    workgroups: Sequence[Expression] = item(array(fields.expression, exactly=3))


@dataclass(frozen=True)
class Alternatives:
    """Shaders, and for each entry of each variant of the WebGPU target what they may take the place of."""

    shaders: Sequence[Code] = item(array(record(Code)))
    variants: Sequence[Sequence[Sequence[Alternative]]] = item(array(array(array(positional(Alternative)))))

    def of(self, variant: int, entry: int) -> Mapping[int, Sequence[Alternative]]:
        """Those of an entry, by the command's number."""
        found: dict[int, list[Alternative]] = {}
        for each in self.variants[variant][entry]:
            found.setdefault(each.command, []).append(each)
        return found

    def only(self, picked: Mapping[tuple[int, int], Iterable[Alternative]]) -> Alternatives:
        """These of the entries (variant, entry) alone, and the shaders that they need."""
        numbers: dict[int, int] = {}
        variants = [
            [
                [
                    replace(each, shader=numbers.setdefault(each.shader, len(numbers)))
                    for each in picked.get((v, e), ())
                ]
                for e in range(len(entries))
            ]
            for v, entries in enumerate(self.variants)
        ]
        return Alternatives([self.shaders[number] for number in numbers], variants)


class Extended(NamedTuple):
    """A WebGPU target with a variant's alternatives in it, and the bytes in which all its shaders lie."""

    target: WebGpu
    code: bytes


def decode_alternatives(data: bytes, file: str) -> Alternatives:
    """The content of a file. Raises PackError, naming the file and the path, for anything malformed."""
    try:
        return record(Alternatives)(json.loads(data))
    except (Invalid, ValueError, RecursionError) as error:
        raise PackError(f"{file}: {error}") from None


def encode_alternatives(alternatives: Alternatives) -> bytes:
    """A file's bytes, the same for equal alternatives."""
    return json.dumps(encode(alternatives), separators=(",", ":"), allow_nan=False).encode()


def extended(
    manifest: Manifest,
    number: int,
    code: bytes,
    alternatives: Alternatives,
    file: str,
    picked: Mapping[int, Mapping[int, Alternative]] | None = None,
) -> Extended:
    """Variant `number` with all shaders of a file behind its own, and alternatives in their places.

    Args:
        manifest: the pack's.
        number: of the variant.
        code: the content of the variant's file.
        alternatives: the file's content.
        file: its name.
        picked: by entry and command what takes its place; by default the first for each command.

    Raises:
        PackError: the file contradicts the pack.
    """
    target = manifest.targets.webgpu
    assert target is not None
    made = target.variants[number]
    shapes = [len(v.entries) for v in target.variants]
    if [len(entries) for entries in alternatives.variants] != shapes:
        raise PackError(f"{file}: variants: not those of the pack")
    shaders, text = list(made.shaders), bytearray(code)
    for shader in alternatives.shaders:
        data = shader.code.encode()
        name = f"{shader.name} of {file}"
        shaders.append(Shader(name, len(text), len(data), shader.bindings, shader.words))
        text += data
    entries = []
    for e, entry in enumerate(made.entries):
        commands = list(entry.commands)
        chosen = {c: first for c, (first, *_) in alternatives.of(number, e).items()}
        for command, each in (chosen if picked is None else picked.get(e, {})).items():
            old = commands[command] if command < len(commands) else None
            if not isinstance(old, Dispatch):
                raise PackError(f"{file}: variants[{number}][{e}]: command {command} is no dispatch")
            number_of = len(made.shaders) + each.shader
            commands[command] = replace(old, shader=number_of, words=each.words, workgroups=each.workgroups)
        entries.append(replace(entry, commands=commands))
    variant = replace(made, bytes=len(text), shaders=shaders, entries=entries)
    variants = [variant if i == number else v for i, v in enumerate(target.variants)]
    whole = replace(target, variants=variants)
    gpu_variant(whole, number, manifest, f"{file}: variants[{number}]")
    return Extended(whole, bytes(text))


def dispatches(variant: GpuVariant, entry: int) -> Iterator[tuple[int, Dispatch]]:
    """The dispatches of an entry, with the commands' numbers."""
    for number, command in enumerate(variant.entries[entry].commands):
        if isinstance(command, Dispatch):
            yield number, command
