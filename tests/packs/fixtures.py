"""Fixtures over the hand-made packs, for the conftest.py of the folders that use them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.packs import handmade
from tests.packs.maker import compiler_missing

Edit = Callable[[Any], object]


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of hand-made packs; not to be changed."""
    reason = compiler_missing()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("handmade")
    handmade.write(folder)
    return folder


@pytest.fixture
def damaged(packs: Path, tmp_path: Path) -> Callable[..., Path]:
    """damaged(edit, name): a copy of a pack whose pack.json `edit` has changed."""

    def make(edit: Edit, name: str = "affine") -> Path:
        copy = tmp_path / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(packs / name, copy)
        path = copy / "pack.json"
        manifest = json.loads(path.read_text())
        edit(manifest)
        path.write_text(json.dumps(manifest))
        return copy

    return make
