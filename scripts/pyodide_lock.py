"""Makes dist/pyodide-lock.json: Pyodide's own lock file with the wheel in dist/ added, by pyodide-build.

    python scripts/pyodide_lock.py [URL]

URL is the folder from which the wheel will be served; without one, it is to lie beside the lock file. With
`loadPyodide({lockFileURL})` a page then needs no URL of the wheel: `await pyodide.loadPackage("pyruntime")`.

pyodide-build needs Python 3.12 or later: PYODIDE_BUILD_PYTHON, else the newest on PATH, else one of pyenv's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
PYODIDE = ROOT / "js_bindings" / "node_modules" / "pyodide"
TOOLS = (
    "pyodide-build==0.39.2",
    "pkginfo==2.0",
)  # pkginfo: imported by pyodide-build's dependency, not asked for
OLDEST = (3, 12)
# loads the wheel by the lock file, as a page would
CHECK = """
const { loadPyodide } = await import(process.argv[1]);
const pyodide = await loadPyodide({ lockFileURL: process.argv[2] });
await pyodide.loadPackage("pyruntime", { messageCallback: () => {} });
console.log("Pyodide imports pyruntime", pyodide.runPython("import pyruntime; pyruntime.__version__"));
"""


def candidates() -> list[str]:
    """Interpreters to try, best first."""
    asked = os.environ.get("PYODIDE_BUILD_PYTHON")
    names = [f"python3.{minor}" for minor in range(20, OLDEST[1] - 1, -1)]
    folders = os.get_exec_path()
    found = [path for name in names for folder in folders if (path := shutil.which(name, path=folder))]
    pyenv = sorted(map(str, Path.home().glob(".pyenv/versions/3.*/bin/python")), reverse=True)
    return [asked] if asked else [sys.executable, *found, *pyenv]


def serves(python: str) -> bool:
    """Whether an interpreter starts, is new enough and can make environments."""
    code = f"import ensurepip, sys, venv; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def find_python() -> str:
    """The interpreter for pyodide-build; ends the program, saying what to do, where there is none."""
    for python in candidates():
        if serves(python):
            return python
    version = ".".join(map(str, OLDEST))
    sys.exit(
        f"no lock file: pyodide-build needs Python {version} or later, and there is none here; install one,"
        " or set PYODIDE_BUILD_PYTHON. Pages can do without: pyodide.loadPackage(URL of the wheel)"
    )


def environment(python: str) -> Path:
    """The programs of an environment with pyodide-build, made where it is missing or of other versions."""
    folder = ROOT / "build" / "pyodide-build"
    stamp = folder / "stamp"
    made_of = "\n".join([python, *TOOLS])
    if not stamp.is_file() or stamp.read_text() != made_of:
        print(f"pip install {' '.join(TOOLS)} for {python}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *TOOLS], check=True)
        stamp.write_text(made_of)
    return folder / "bin"


def main(url: str | None) -> None:
    """Write the lock file, and let Pyodide load the wheel by it unless it lies elsewhere."""
    wheels = sorted(DIST.glob("pyruntime-*.whl"))
    if len(wheels) != 1:
        sys.exit(f"no lock file: {DIST} should hold one wheel and holds {len(wheels)}: make wheel")
    lock = DIST / "pyodide-lock.json"
    command = [str(environment(find_python()) / "pyodide"), "lockfile", "add-wheels", str(wheels[0])]
    command += [
        "--input",
        str(PYODIDE / "pyodide-lock.json"),
        "--output",
        str(lock),
        "--base-path",
        str(DIST),
    ]
    subprocess.run([*command, *(["--wheel-url", url] if url else [])], check=True)
    print(f"{lock.relative_to(ROOT)}: {lock.stat().st_size:,} bytes")
    if not url:
        node = ["node", "--input-type=module", "--eval", CHECK]
        subprocess.run([*node, (PYODIDE / "pyodide.mjs").as_uri(), str(lock)], check=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
