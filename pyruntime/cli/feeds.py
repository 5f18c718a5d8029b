"""Inputs of `pyruntime run`: arrays from .npy and .npz files, or random ones, and the sizes of symbols."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.cli.sizes import symbols_of, value_of
from pyruntime.errors import InputError, MemoryLimitError
from pyruntime.ir.dtypes import DType
from pyruntime.ops.definition import complete, definition

if TYPE_CHECKING:
    from pyruntime.runtime.tensors import TensorSpec

Array = NDArray[Any]
_MOST = 2**32  # bytes of an input: what a device can address at most
_INPUT = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<file>.+?\.np[yz])(?::(?P<key>.+))?", flags=re.DOTALL)


def read_inputs(arguments: Iterable[str], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """The arrays that `--input` names.

    An argument is NAME=FILE.npy, NAME=FILE.npz:KEY, FILE.npz (each array feeds the input of its name), or
    FILE.npy for a model with one input.

    Raises:
        InputError: an argument or file that is none of these, or that names an input twice or in vain.
        OSError: a file cannot be read.
    """
    feeds: dict[str, Array] = {}
    for argument in arguments:
        found = _INPUT.fullmatch(argument)
        if found is None:
            raise InputError(f"--input {argument}: expected NAME=FILE.npy, NAME=FILE.npz:KEY or FILE.npz")
        read = _named(argument, found["name"], _load(Path(found["file"]), found["key"]), specs)
        for name, array in read.items():
            if name not in {s.name for s in specs}:
                raise InputError(f"--input {argument}: no input is called {name!r}; {_listed(specs)}")
            if name in feeds:
                raise InputError(f"--input {argument}: {name!r} was already given")
            feeds[name] = array
    return feeds


def _named(
    argument: str, name: str | None, read: Array | dict[str, Array], specs: Sequence[TensorSpec]
) -> dict[str, Array]:
    """What was read, by input name."""
    if isinstance(read, dict):
        if name is None:
            return read
        if len(read) > 1:
            raise InputError(f"--input {argument}: which array of {', '.join(read)}? Append :KEY")
        (read,) = read.values()
    if name is None:
        if len(specs) != 1:
            raise InputError(f"--input {argument}: for which input? Write NAME={argument}; {_listed(specs)}")
        name = specs[0].name
    return {name: read}


def _load(file: Path, key: str | None) -> Array | dict[str, Array]:
    """The array of a .npy file or of one key, or all of a .npz file."""
    try:
        with file.open("rb") as stream:  # np.load itself leaves damaged archives open
            content = np.load(stream, allow_pickle=False)
            if isinstance(content, np.ndarray):
                if key is None:
                    return content
                raise InputError(f"{file}: holds one array, so :{key} means nothing")
            if key is None:
                return dict(content)
            if key not in content:
                raise InputError(f"{file}: holds no {key!r}, only {', '.join(content)}")
            picked: Array = content[key]
            return picked
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{file}: not a NumPy file that can be read: {error}") from None


def _listed(specs: Sequence[TensorSpec]) -> str:
    return f"the inputs are {', '.join(s.name for s in specs)}"


def parse_pairs(arguments: Iterable[str]) -> dict[str, str]:
    """What `--state INPUT=OUTPUT` says. Raises InputError for anything else."""
    pairs: dict[str, str] = {}
    for argument in arguments:
        name, found, other = (part.strip() for part in argument.partition("="))
        if not (name and found and other):
            raise InputError(f"--state {argument}: expected INPUT=OUTPUT, as in state=stateN")
        pairs[name] = other
    return pairs


def parse_sizes(arguments: Iterable[str], option: str = "symbol") -> dict[str, int]:
    """What `--symbol NAME=SIZE`, or another option, says. Raises InputError for anything else."""
    sizes: dict[str, int] = {}
    for argument in arguments:
        found = re.fullmatch(r"\s*(\w+)\s*=\s*(\d+)\s*", argument)
        if found is None:
            raise InputError(f"--{option} {argument}: expected NAME=SIZE, as in batch=4")
        sizes[found[1]] = int(found[2])
    return sizes


def parse_json(arguments: Iterable[str], option: str) -> dict[str, Any]:
    """What an option NAME=JSON says. Raises InputError for anything else."""
    found: dict[str, Any] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            raise InputError(f"--{option} {argument}: expected NAME=JSON, as in x=3 or x=[1,2]") from None
    return found


def flat(outputs: Mapping[str, Any]) -> dict[str, Array]:
    """The tensors among outputs: those of the list `y` are y[0], y[1] and so on."""
    made: dict[str, Array] = {}
    for name, value in outputs.items():
        if isinstance(value, list):
            made |= {f"{name}[{i}]": element for i, element in enumerate(value)}
        elif value is not None:
            made[name] = value
    return made


def bind_symbols(
    specs: Sequence[TensorSpec],
    feeds: Mapping[str, Array],
    asked: Mapping[str, int],
    kept: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The size of every symbol: as states have it, from the arrays given, else as asked for, else 1.

    Raises InputError where an asked size contradicts an array, or its symbol is not in the model.
    """
    known = {name for spec in specs for dim in spec.shape for name in symbols_of(dim)}
    for name in sorted(asked.keys() - known):
        there = f"the symbols are {', '.join(sorted(known))}" if known else "it has none"
        raise InputError(f"--symbol {name}: the model has no such symbol; {there}")
    sizes = dict(asked)
    for spec in specs:
        if spec.name not in feeds:
            continue
        for dim, size in zip(spec.shape, feeds[spec.name].shape, strict=False):
            for name in symbols_of(dim) & {str(dim)}:  # the dim is this symbol alone
                if asked.get(name, size) != size:
                    raise InputError(f"--symbol {name}={asked[name]}: {spec.name!r} says that it is {size}")
                sizes[name] = size
    sizes |= kept or {}
    return {name: sizes.get(name, 1) for name in sorted(known)}


def random_inputs(
    specs: Sequence[TensorSpec], given: Mapping[str, Array], sizes: Mapping[str, int], seed: int
) -> dict[str, Array]:
    """Arrays for the inputs not given: floats in [0, 1), integers 0 and 1 (valid as any index), bools, words.

    Inputs that need not be fed are left out.
    Equal seeds give equal arrays, whichever inputs are given.

    Raises MemoryLimitError where one is larger than any device can hold.
    """
    made: dict[str, Array] = {}
    for i, spec in enumerate(specs):
        if spec.name in given or spec.default is not None:
            continue
        random = np.random.default_rng((seed, i))
        shape = tuple(value_of(dim, sizes) for dim in spec.shape)
        dtype = DType(spec.dtype)
        needed = math.prod(shape) * dtype.bytes
        if needed > _MOST:
            raise MemoryLimitError(
                f"input {spec.name!r} of shape {shape} takes {needed:,} bytes, more than the {_MOST:,} that a"
                " device can address"
            )
        drawn = np.asarray(random.random(shape) if dtype.is_float else random.integers(0, 2, shape))
        if dtype is DType.STRING:
            made[spec.name] = np.asarray(np.array(["a", "b"], object)[drawn], object)
            continue
        made[spec.name] = _codes(drawn, dtype) if dtype.code else drawn.astype(dtype.value)
    return made


def with_random(
    specs: Sequence[TensorSpec], given: Mapping[str, Array], sizes: Mapping[str, int], seed: int
) -> dict[str, Array]:
    """What is given, and `random_inputs` for the rest, in the model's order. Raises as these."""
    feeds = {**given, **random_inputs(specs, given, sizes, seed)}
    return {spec.name: feeds[spec.name] for spec in specs if spec.name in feeds}


def _codes(numbers: Array, dtype: DType) -> Array:
    """The integers that stand for numbers in packs where NumPy has no such type."""
    plain = numbers.astype(np.float32 if dtype.is_float else np.int32)
    (codes,) = definition("Encode").reference([plain], complete("Encode", {"dtype": dtype}))
    return codes


def save_outputs(file: Path, outputs: Mapping[str, Array]) -> None:
    """Write a .npz file with an array for each output, whatever its name. Raises OSError."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in outputs.items():  # np.savez cannot take an output called "file"
            plain = array.astype(np.str_) if array.dtype == object else np.asanyarray(array)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, allow_pickle=False)
