"""What `pyruntime inspect` finds in a pack (`gather`, `programs`, `memory`), and shows (`show`, `page`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyruntime.cli.execution import made_pack
from pyruntime.pack.reader import Pack


@contextmanager
def opened(path: Path) -> Iterator[Pack]:
    """The pack at a path, or that of a model there, which lasts as long as the context. Errors as `Pack`."""
    with made_pack(path, "auto") as (place, _), Pack(place) as pack:
        yield pack
