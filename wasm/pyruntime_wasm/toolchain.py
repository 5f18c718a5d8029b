"""C to Wasm: finds a compiler (emcc, clang, zig), compiles units in parallel through a cache, links.

All three are LLVM and are used alike: each unit is compiled with -c, once for variants that differ in linking
alone, and wasm-ld links the objects, so that the modules have the same imports and exports whichever compiler
made them. The same sources, variant and compiler give the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pyruntime.errors import CompilerError
from pyruntime_wasm.cache import Objects

WEIGHTS_BASE = 131072
STACK_BYTES = 65536
REMEDY = "Install one with `pip install pyruntime[compiler]`, or name one in PYRUNTIME_CC."
INCLUDE = Path(__file__).parent / "include"
OLDEST_LLVM, OLDEST_EMCC = 19, 4
SECONDS = 300.0


@dataclass(frozen=True)
class Variant:
    """How a module is made: words of the compile command, and whether it is linked for a shared memory."""

    flags: tuple[str, ...] = ()
    shared: bool = False


_RELAXED = ("-mrelaxed-simd",)
VARIANTS: Mapping[str, Variant] = {
    "simd": Variant(),
    "relaxed": Variant(_RELAXED),
    "simd-threads": Variant(shared=True),
    "relaxed-threads": Variant(_RELAXED, shared=True),
}

_FEATURES = (
    *("-mmutable-globals", "-msign-ext", "-mbulk-memory", "-mnontrapping-fptoint", "-msimd128"),
    "-matomics",  # they run on any memory, and let the same objects be linked for a shared one
)
_FLAGS = (
    *("-std=c11", "-O3", "-mllvm", "-disable-lsr", "-ffreestanding", "-nostdlib", "-fvisibility=hidden"),
    # integers wrap, floats round after each operation, memory is reused under other types
    *("-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-math-errno"),
    *("-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-unused-function"),
)
_LINK = (
    *("--no-entry", "--import-memory", "--strip-all", "--gc-sections", "--stack-first"),
    *("-z", f"stack-size={STACK_BYTES}", f"--initial-memory={WEIGHTS_BASE}"),
)
_LINK_SHARED = ("--shared-memory", f"--max-memory={1 << 32}")


@dataclass(frozen=True)
class Compiler:
    """A usable compiler: the words that its compile and link commands begin with.

    Attributes:
        name: "emcc", "clang" or "zig".
        version: what it says of itself; part of the cache's keys.
    """

    name: str
    version: str
    compile: tuple[str, ...]
    link: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)


class _UnusableError(Exception):
    """Why a candidate cannot be used."""


def _ask(*words: str) -> str:
    """What a command prints. Raises _UnusableError when it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _UnusableError(f"{words[0]}: {error}") from None
    if done.returncode:
        raise _UnusableError(f"{' '.join(words)}: {_first_lines(done.stderr)}")
    return done.stdout


def _first_lines(text: str, count: int = 12) -> str:
    lines = text.strip().splitlines()
    return "\n".join(lines[:count]) + ("\n..." if len(lines) > count else "")


def _major(version: str) -> int:
    """The first number of a version in a text; 0 where there is none."""
    found = re.search(r"(\d+)\.\d+", version)
    return int(found[1]) if found else 0


def _clang(path: str) -> Compiler:
    version = _ask(path, "--version").splitlines()[0]
    major = _major(version)
    if major < OLDEST_LLVM:
        raise _UnusableError(f"{path} is version {major}, older than {OLDEST_LLVM}")
    if "wasm32" not in _ask(path, "-print-targets"):
        raise _UnusableError(f"{path} was built without the target wasm32")
    beside = Path(path).parent
    linkers = [str(beside / f"wasm-ld-{major}"), _ask(path, "-print-prog-name=wasm-ld").strip()]
    for linker in [*linkers, f"wasm-ld-{major}", "wasm-ld"]:
        found = shutil.which(linker)
        if found and _major(_ask(found, "--version")) == major:
            target = ("--target=wasm32-unknown-unknown", "-mcpu=mvp", *_FEATURES)
            return Compiler("clang", version, (path, *target), (found,))
    raise _UnusableError(f"{path} {major} has no wasm-ld of its own version beside it (Debian: lld-{major})")


def _emcc(path: str) -> Compiler:
    version = _ask(path, "--version").splitlines()[0]
    if _major(version) < OLDEST_EMCC:
        raise _UnusableError(f"{path} is version {version}, older than {OLDEST_EMCC}")
    version = re.sub(r"\s*\(.*?\)\s*", " ", version).strip()  # without what it says of itself
    config = shutil.which("em-config", path=os.pathsep.join([str(Path(path).parent), os.environ["PATH"]]))
    if config is None:
        raise _UnusableError(f"{path} has no em-config beside it")
    folder = _ask(config, "LLVM_ROOT").strip()
    linker = shutil.which("wasm-ld", path=folder)
    if linker is None:
        raise _UnusableError(f"no wasm-ld in {folder}, the LLVM of {path}")
    return Compiler("emcc", version, (path, "-mcpu=mvp", *_FEATURES), (linker,))


def _zig(path: str) -> Compiler:
    version = _ask(path, "version").strip()
    features = "+".join(("mvp", *(f.removeprefix("-m").replace("-", "_") for f in _FEATURES)))
    target = ("-target", "wasm32-freestanding", f"-mcpu={features}", "-fno-sanitize=all", "-g0")
    # zig keeps all that it compiled for ever: let that be in the folder of a build, which goes
    caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), "zig-cache")
    return Compiler("zig", f"zig {version}", (path, "cc", *target), (path, "wasm-ld"), caches)


_KINDS = {"emcc": _emcc, "clang": _clang, "zig": _zig}


def _zig_path() -> str | None:
    spec = importlib.util.find_spec("ziglang")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return next((found for f in folders if (found := shutil.which("zig", path=f))), shutil.which("zig"))


def _candidates(choice: str | None) -> Iterator[tuple[str, str | None]]:
    """Kinds of compilers and where they are, None where they are not, in order of preference."""
    if choice is None or choice == "emcc":
        yield "emcc", shutil.which("emcc")
    if choice is None or choice == "clang":
        names = [*(f"clang-{n}" for n in range(40, OLDEST_LLVM - 1, -1)), "clang"]
        found = [path for name in names if (path := shutil.which(name)) is not None]
        for path in found:
            yield "clang", path
        if not found:
            yield "clang", None
    if choice is None or choice in ("zig", "ziglang"):
        yield "zig", _zig_path()
    if choice not in (None, "emcc", "clang", "zig", "ziglang"):
        kind = next((k for k in ("emcc", "zig") if k in Path(choice).name), "clang")
        yield kind, shutil.which(choice)


@functools.lru_cache(maxsize=16)
def _found(choice: str | None, _path: str) -> tuple[tuple[Compiler, ...], tuple[str, ...]]:
    """Usable compilers in order of preference, and why the others are not; per choice and PATH."""
    usable: list[Compiler] = []
    refused: list[str] = []
    for kind, path in _candidates(choice):
        if path is None:
            refused.append(f"{choice if choice and choice not in _KINDS else kind}: not found")
            continue
        try:
            usable.append(_KINDS[kind](path))
        except _UnusableError as reason:
            refused.append(f"{kind}: {reason}")
    return tuple(usable), tuple(refused)


def find_compiler(choice: str | None = None) -> Compiler:
    """The compiler to use.

    Args:
        choice: "emcc", "clang", "zig", or a command or path of one; by default PYRUNTIME_CC says which, and
            without it the first usable one of emcc, clang and the pip package ziglang is taken.

    Raises:
        CompilerError: none is usable; the message lists what was tried.
    """
    choice = choice or os.environ.get("PYRUNTIME_CC") or None
    usable, refused = _found(choice, os.environ.get("PATH", ""))
    if not usable:
        tried = "".join(f"\n  {line}" for line in refused)
        raise CompilerError(f"No C compiler for Wasm was found. Tried:{tried}\n{REMEDY}")
    return usable[0]


def all_compilers() -> list[Compiler]:
    """The first usable compiler of each kind that this machine has."""
    by_name: dict[str, Compiler] = {}
    for compiler in _found(None, os.environ.get("PATH", ""))[0]:
        by_name.setdefault(compiler.name, compiler)
    return list(by_name.values())


# ---- compile and link


@functools.cache
def _headers() -> bytes:
    return b"\0".join(p.name.encode() + b"\0" + p.read_bytes() for p in sorted(INCLUDE.glob("*.h")))


def _object_key(compiler: Compiler, flags: Sequence[str], source: str) -> str:
    digest = hashlib.sha256()
    # the version and not the path: a compiler that moved is the same compiler
    for part in (compiler.name, compiler.version, *compiler.compile[1:], *flags, source):
        digest.update(part.encode() + b"\0")
    digest.update(_headers())
    return digest.hexdigest()


def _run(compiler: Compiler, words: Sequence[str], what: str, folder: Path) -> None:
    environment = {**compiler.environment, **os.environ}
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            cwd=folder,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CompilerError(f"{compiler.version} took more than {SECONDS:.0f} s to {what}") from None
    except OSError as error:
        raise CompilerError(f"{words[0]} cannot be started: {error}. {REMEDY}") from None
    if done.returncode:
        raise CompilerError(f"{compiler.version} failed to {what}:\n{_first_lines(done.stderr)}")


def _compile(
    compiler: Compiler, name: str, source: str, extra: Sequence[str], folder: Path, cache: Objects
) -> Path:
    """The object of one unit, from the cache or made anew."""
    flags = (*_FLAGS, *extra)
    key = _object_key(compiler, flags, source)
    target = folder / f"{name}{''.join(extra)}.o"
    if (stored := cache.get(key)) is not None:
        target.write_bytes(stored)
        return target
    text = target.with_suffix(".c")
    text.write_text(source, encoding="utf-8")
    words = (*compiler.compile, *flags, "-I", str(INCLUDE), "-c", "-o", target.name, text.name)
    _run(compiler, words, f"compile {' '.join((f'{name}.c', *extra))}", folder)
    cache.put(key, target.read_bytes())
    return target


def build(
    sources: Mapping[str, str], variants: Sequence[str] = tuple(VARIANTS), compiler: Compiler | None = None
) -> dict[str, bytes]:
    """Compile C units and link them to one module per variant.

    Args:
        sources: C text by unit name; functions with an export_name attribute become exports.
        variants: names of VARIANTS.
        compiler: as `find_compiler` gives it.

    Raises:
        CompilerError: no compiler, or it failed, or stack and static data exceed WEIGHTS_BASE.
    """
    compiler, cache = compiler or find_compiler(), Objects.of_user()
    with (
        tempfile.TemporaryDirectory(prefix="pyruntime-") as name,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        folder = Path(name)
        objects = {
            flags: [
                pool.submit(_compile, compiler, unit, text, flags, folder, cache)
                for unit, text in sources.items()
            ]
            for flags in dict.fromkeys(VARIANTS[v].flags for v in variants)
        }

        def link(variant: str) -> bytes:
            names = [f.result().name for f in objects[VARIANTS[variant].flags]]
            output = folder / f"{variant}.wasm"
            options = (*_LINK, *_LINK_SHARED) if VARIANTS[variant].shared else _LINK
            _run(compiler, (*compiler.link, *options, "-o", output.name, *names), f"link {variant}", folder)
            return output.read_bytes()

        modules = dict(zip(variants, pool.map(link, variants), strict=True))
    cache.trim()
    return modules
