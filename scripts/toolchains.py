"""Builds one program with emcc, clang and ziglang, and compares the modules: `make toolchains`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pyruntime_wasm.toolchain import find_compiler  # noqa: E402 - after the path is set

from pyruntime.errors import CompilerError  # noqa: E402
from scripts.emscripten import EmscriptenMissingError, provide  # noqa: E402
from tests.wasm import toolchains  # noqa: E402

COMPILERS = ("emcc", "clang", "zig")


def main() -> int:
    """The exit status: 0 when all three agree and are right."""
    console = Console()
    trouble: list[str] = []
    try:
        with console.status("emcc: unpacking"):
            os.environ["PATH"] = f"{provide()}{os.pathsep}{os.environ['PATH']}"
    except EmscriptenMissingError as error:
        trouble.append(f"emcc: {error}")
    cases = toolchains.program()
    table = Table(title=f"one program of {len(cases)} kernels, four variants", title_justify="left")
    for heading in ("compiler", "seconds", "bytes", "imports", "exports", "results"):
        table.add_column(heading, justify="right" if heading in ("seconds", "bytes") else "left")
    seen: dict[str, set[toolchains.Interface]] = {}
    for name in COMPILERS:
        try:
            version = find_compiler(name).version
            with console.status(name):
                modules, seconds = toolchains.build(cases, name)
                wrong = toolchains.errors(cases, modules)
        except CompilerError as error:
            trouble.append(f"{name}: {error}")
            continue
        seen[name] = {toolchains.interface(module) for module in modules.values()}
        first = min(seen[name], key=str)
        sizes = " + ".join(f"{len(module):,}" for module in modules.values())
        imports = ", ".join(i.split(":")[0] for i in first.imports)
        exports = " ".join(e.split(":")[0] for e in first.exports)
        table.add_row(version, f"{seconds:.1f}", sizes, imports, exports, "wrong" if wrong else "right")
        trouble += [f"{name}: {line}" for line in wrong[:3]]
    console.print(table)
    if len(set(map(frozenset, seen.values()))) > 1:
        trouble.append(f"imports or exports differ: {seen}")
    for line in trouble:
        console.print(f"[red]no[/red] {line}", highlight=False)
    if not trouble:
        console.print("[green]ok[/green] equal imports and exports, right results, by all three")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
