"""Packs of the models with state, for the conftest.py of the folders that use them."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyruntime
from tests.state.streams import STREAMS, Stream


@pytest.fixture(scope="session")
def stateful(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Stream, Path]]:
    """Each model with state, and its pack, by name."""
    folder = tmp_path_factory.mktemp("state")
    packs = {}
    for make in STREAMS:
        stream = make()
        path = folder / stream.name
        pyruntime.convert(stream.save(folder), path, state=stream.state, **stream.options)
        packs[stream.name] = (stream, path)
    return packs
