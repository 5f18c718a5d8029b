"""What `pyruntime inspect` finds in a pack (`gather`, `programs`, `memory`), and shows (`show`, `page`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyruntime.cli.execution import made_pack
from pyruntime.errors import InputError
from pyruntime.pack.reader import Pack
from pyruntime.runtime.session import Device


@contextmanager
def opened(path: Path, device: Device) -> Iterator[Pack]:
    """The pack at a path, or that of a model there, which lasts as long as the context.

    Raises:
        InputError: the pack there tells nothing of `device` alone.
        PackError: it is missing or damaged.
    """
    with made_pack(path, device) as (place, made_in), Pack(place) as pack:
        if made_in is None and device not in ("auto", *alone(pack)):
            raise InputError(
                f"--device {device}: {path} does not tell the steps of {device} alone; give the model,"
                f" or a pack made by `pyruntime convert --target {device}`"
            )
        yield pack


def alone(pack: Pack) -> tuple[str, ...]:
    """The target whose steps a pack tells, where it has no other one."""
    targets = [t for t in ("webgpu", "wasm") if getattr(pack.manifest.targets, t) is not None]
    return tuple(targets) if len(targets) == 1 else ()
