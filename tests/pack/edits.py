"""Edits of the manifests of whole packs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Edit = Callable[[Json], object]


def variant(manifest: Json) -> Json:
    """The WebGPU variant."""
    made: Json = manifest["targets"]["webgpu"]["variants"][0]
    return made


def command(manifest: Json, entry: int, index: int) -> Json:
    """A command of the WebGPU variant."""
    made: Json = variant(manifest)["entries"][entry]["commands"][index]
    return made


def added(manifest: Json, new: Json) -> object:
    """A command after all others of the first entry."""
    return variant(manifest)["entries"][0]["commands"].append(new)


def edited(packs: Path, edit: Edit, name: str = "affine") -> bytes:
    manifest = json.loads((packs / name / "pack.json").read_text())
    edit(manifest)
    return json.dumps(manifest).encode()
