"""Packs of the models with state, converted once."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyruntime
from tests.packs.fixtures import packs
from tests.state.streams import STREAMS, Stream

__all__ = ["packs", "stateful"]


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
