"""Brings emcc into .cache/emscripten without installing it: Debian sid's package, unpacked, beside LLVM 22.

Nothing outside that folder changes. Debian's release names the mirror; apt checks its signatures.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".cache" / "emscripten"
LLVM = Path("/usr/lib/llvm-22/bin")
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("llvm-ar", "llvm-nm", "llvm-ranlib")  # emcc asks for them, compiling needs none


class EmscriptenMissingError(Exception):
    """Why emcc cannot be had here, and what to do."""


def provide() -> Path:
    """The folder that holds emcc; brought there when it is not there yet.

    Raises:
        EmscriptenMissingError: no apt, no LLVM 22, no mirror, or a download failed.
    """
    folder = HOME / "root" / "usr" / "share" / "emscripten"
    if not (HOME / "done").is_file():
        if shutil.which("apt-get") is None or not KEYS.is_file():
            raise EmscriptenMissingError(
                "this needs Debian's apt; elsewhere install emsdk and put emcc on PATH"
            )
        if not (LLVM / "clang").exists():
            raise EmscriptenMissingError(
                f"no clang in {LLVM}: make setup, or apt-get install clang-22 lld-22"
            )
        shutil.rmtree(HOME, ignore_errors=True)
        (HOME / "archives" / "partial").mkdir(parents=True)
        (HOME / "lists" / "partial").mkdir(parents=True)
        _unpack(_download("emscripten", "sid"), HOME / "root")
        _unpack(_download("llvm-22", ""), HOME / "llvm")
        _configure()
        (HOME / "done").touch()
    os.environ["EM_CONFIG"] = str(HOME / "em.config")
    return folder


def _mirror() -> str:
    """The address of the Debian mirror that this machine's own sources name."""
    sources = [
        Path("/etc/apt/sources.list"),
        *sorted(Path("/etc/apt/sources.list.d").glob("debian*.sources")),
    ]
    for source in sources:
        text = source.read_text() if source.is_file() else ""
        found = re.search(r"^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S+/debian/?)\s*", text, re.MULTILINE)
        if found:
            return found[1]
    raise EmscriptenMissingError("no Debian mirror stands in /etc/apt")


def _download(package: str, release: str) -> Path:
    """A package's file; from this release, through a list of its own, or as this machine would install it."""
    options = ["-q", "-o", "APT::Sandbox::User=root"]
    if release:
        listing = HOME / "sources.list"
        listing.write_text(f"deb [signed-by={KEYS}] {_mirror()} {release} main\n")
        for name, place in (
            ("Etc::sourcelist", listing),
            ("Etc::sourceparts", Path("/dev/null")),
            ("State::lists", HOME / "lists"),
            ("Cache", HOME),
        ):
            options += ["-o", f"Dir::{name}={place}"]
        _run(["apt-get", *options, "update"])
    _run(["apt-get", *options, "download", package])
    found = sorted(HOME.glob(f"{package}_*.deb"))
    if not found:
        raise EmscriptenMissingError(f"apt-get download {package} left no file")
    return found[-1]


def _unpack(archive: Path, folder: Path) -> None:
    _run(["dpkg", "-x", str(archive), str(folder)])
    archive.unlink()


def _configure() -> None:
    """LLVM's folder with the tools that Debian keeps in another package, and the file that names it."""
    tools = HOME / "bin"
    tools.mkdir()
    for tool in LLVM.iterdir():
        (tools / tool.name).symlink_to(tool)
    for name in TOOLS:
        (tools / name).unlink(missing_ok=True)
        (tools / name).symlink_to(HOME / "llvm" / "usr" / "lib" / "llvm-22" / "bin" / name)
    node = shutil.which("node")
    if node is None:
        raise EmscriptenMissingError("no node on PATH: make setup")
    settings = {
        "LLVM_ROOT": tools,
        "BINARYEN_ROOT": HOME / "none",  # only links and optimises, which wasm-ld and clang do here
        "NODE_JS": node,
        "CACHE": HOME / "cache",
    }
    (HOME / "em.config").write_text("".join(f"{k} = {str(v)!r}\n" for k, v in settings.items()))


def _run(words: list[str]) -> None:
    done = subprocess.run(words, cwd=HOME, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmscriptenMissingError(f"{' '.join(words[:1])} failed: {done.stderr.strip()[-400:]}")


if __name__ == "__main__":
    sys.exit("run by scripts/toolchains.py")
