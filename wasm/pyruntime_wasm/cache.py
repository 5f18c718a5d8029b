"""The cache of compiled objects: files in the user's cache folder; what is long unused makes room."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

MOST = 512 * 2**20  # bytes that stay; a large model has one or two MiB of objects
PAUSE = 3600.0  # seconds from one look at all files to the next
MARK = ".trimmed"  # when that was


def cache_folder() -> Path | None:
    """Where files are kept between builds, None where none can be written. PYRUNTIME_CACHE overrides."""
    named = os.environ.get("PYRUNTIME_CACHE")
    if named:
        folder = Path(named)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")) / "pyruntime"
    elif sys.platform == "darwin":
        folder = Path("~/Library/Caches/pyruntime")
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pyruntime"
    try:
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


class Objects:
    """Compiled objects by their keys, which are hashes. A cache that cannot be used is no error: it is empty.

    Args:
        folder: where they lie; None for a cache that keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def of_user(cls) -> Objects:
        """Those of `cache_folder`."""
        folder = cache_folder()
        return cls(folder and folder / "objects")

    def get(self, key: str) -> bytes | None:
        """An object, if it is there; from now on it counts as used."""
        if self._folder is None:
            return None
        path = self._folder / f"{key}.o"
        try:
            data = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep an object; the file is there whole or not at all."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                Path(name).replace(self._folder / f"{key}.o")
            except OSError:
                Path(name).unlink(missing_ok=True)

    def trim(self, most: int = MOST, pause: float = PAUSE) -> None:
        """Remove what is unused for longest, down to `most` bytes; nothing if it did so within `pause`."""
        if self._folder is None:
            return
        mark = self._folder / MARK
        with contextlib.suppress(OSError):
            if mark.exists() and abs(time.time() - mark.stat().st_mtime) < pause:
                return
            mark.touch()
            told: list[tuple[float, int, Path]] = []
            for path in self._folder.iterdir():
                with contextlib.suppress(OSError):  # another process was faster
                    found = path.stat()
                    told += [(found.st_mtime, found.st_size, path)] if path != mark else []
            left = sum(size for _, size, _ in told)
            for _, size, path in sorted(told):
                if left <= most:
                    break
                left -= size
                with contextlib.suppress(OSError):
                    path.unlink()
