"""The project's Python dependencies: write the lock file, or try everything with the newest versions.

python scripts/dependencies.py lock      resolve pyproject.toml anew and write requirements/dev.lock
python scripts/dependencies.py newest    run the tests in a throw-away environment of newest versions
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "dev.lock"
HEADER = """\
# Every Python package that set-up installs, resolved from pyproject.toml. Do not edit: make lock
"""


def requirements() -> list[str]:
    """What pyproject.toml asks for: the core, every extra except `all`, and the group `dev`."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        tables = tomllib.load(file)
    extras: dict[str, list[str]] = tables["project"]["optional-dependencies"]
    lines: list[str] = list(tables["project"]["dependencies"])
    for name, extra in extras.items():
        if name != "all":
            lines += extra
    lines += tables["dependency-groups"]["dev"]
    return lines


def canonical(name: str) -> str:
    """A package's name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock() -> None:
    """Let pip resolve the requirements as if nothing were installed, and pin the result."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--dry-run", "--ignore-installed", "--report", str(report)]
        subprocess.run([*pip, *options, *requirements()], check=True)
        chosen = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    pins = sorted(f"{canonical(package['name'])}=={package['version']}" for package in chosen)
    LOCK.write_text(HEADER + "\n".join(pins) + "\n")
    print(f"{LOCK.relative_to(ROOT)}: {len(pins)} packages")


def newest() -> None:
    """Install the newest versions beside this tree's own environment, type-check and test with them."""
    with tempfile.TemporaryDirectory(prefix="newest-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        programs = f"{folder}/bin"
        python = f"{programs}/python"
        env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *requirements()], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
        subprocess.run([python, "-m", "pip", "freeze", "--exclude-editable"], check=True)
        for tool in ("mypy", "pytest"):
            subprocess.run([python, "-m", tool], check=True, cwd=ROOT, env=env)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lock"]:
            lock()
        case ["newest"]:
            newest()
        case _:
            sys.exit(__doc__)
