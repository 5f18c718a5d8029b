"""Packs that tell what is best on a GPU, without one that was asked."""

from __future__ import annotations

from pathlib import Path

from pyruntime.pack.alternatives import decode_alternatives
from pyruntime.pack.amend import set_tuned
from pyruntime.pack.reader import Pack


def tune_first(path: Path, vendor: str, architecture: str, device: str = "") -> str:
    """Let the first candidate of a pack's first command be best on a GPU; the name of its shader."""
    with Pack(path) as pack:
        target = pack.manifest.targets.webgpu
        assert target is not None
        assert target.candidates is not None
        found = decode_alternatives(pack.read(target.candidates), target.candidates.file)
    best = found.variants[0][0][0]
    set_tuned(path, vendor, architecture, device, found.only({(0, 0): [best]}))
    return found.shaders[best.shader].name
