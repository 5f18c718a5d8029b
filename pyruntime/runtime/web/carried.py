"""Where the copy of the JavaScript runtime is that the wheel carries."""

from __future__ import annotations

from pathlib import Path

from pyruntime.errors import DeviceError

CARRIED = Path(__file__).with_name("js")  # pyruntime.js and worker.js, put there when the wheel is built
_BUILT = (
    Path(__file__).parents[3] / "js_bindings" / "dist" / "standalone"
)  # in a checkout: where they come from
NAMES = ("pyruntime.js", "worker.js")


def carried_runtime() -> dict[str, Path]:
    """The files by name; in a checkout those that were built last. Raises DeviceError if there are none."""
    for folder in (CARRIED, _BUILT):
        files = {name: folder / name for name in NAMES}
        if all(file.is_file() for file in files.values()):
            return files
    raise DeviceError(
        "this wheel was built without the JavaScript runtime, which pages need; in a checkout"
        " `npm --prefix js_bindings run build` makes it"
    )
