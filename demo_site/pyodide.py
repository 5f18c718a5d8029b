"""Lays out what a page needs to run Python: Pyodide, as npm has it, and this project's wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from demo_site.demo import DemoError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "js_bindings" / "node_modules" / "pyodide"
FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")


def copy_pyodide(to: Path) -> str:
    """Write Pyodide and the wheel to a folder; gives the wheel's name.

    Raises:
        DemoError: the npm package is not installed, or the wheel cannot be built.
    """
    missing = [name for name in FILES if not (PACKAGE / name).is_file()]
    if missing:
        raise DemoError(f"{PACKAGE / missing[0]} is missing: make setup")
    to.mkdir(parents=True)
    for name in FILES:
        shutil.copy(PACKAGE / name, to)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(to)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wheels = list(to.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise DemoError(f"the wheel cannot be built: {done.stderr.strip()}")
    return wheels[0].name
