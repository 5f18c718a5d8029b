"""What `pyruntime inspect` finds in a pack (`gather`, `programs`, `memory`), and shows (`show`, `page`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyruntime.cli.execution import made_pack
from pyruntime.errors import InputError
from pyruntime.pack.account import targets_of
from pyruntime.pack.reader import Pack
from pyruntime.runtime.session import Device


@contextmanager
def opened(path: Path, device: Device) -> Iterator[Pack]:
    """The pack at a path, or that of a model there, which lasts as long as the context.

    Raises:
        InputError: the pack there is not for `device`.
        PackError: it is missing or damaged.
    """
    with made_pack(path, device) as (place, _), Pack(place) as pack:
        there = targets_of(pack.manifest)
        if device not in ("auto", *there):
            raise InputError(f"--device {device}: {path} is for {' and '.join(there)} alone")
        yield pack
