"""The committed packs on both native devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

import pyruntime
from pyruntime.cli.inspection.gather import inspect, to_dict
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import FORMAT, KNOWN_REQUIREMENTS
from tests.browser import golden
from tests.converter.compare import assert_close
from tests.formats.fixtures import ARCHIVES

DEVICES = [pytest.param(d, marks=getattr(pytest.mark, d)) for d in ("wasm", "webgpu")]


def test_there_is_an_archive_of_every_format() -> None:
    assert [p.name for p in ARCHIVES] == [f"format-{n}.tar.xz" for n in range(FORMAT + 1)]
    assert sum(p.stat().st_size for p in ARCHIVES) < 100_000


@pytest.mark.parametrize("device", DEVICES)
def test_packs(formats: Path, device: Literal["wasm", "webgpu"]) -> None:
    for folder in formats.iterdir():
        for name in golden.names(folder):
            for case in golden.cases(folder, name):
                with pyruntime.load(folder / name, device=device, entry=case.entry) as session:
                    for feeds, expected in case.runs:
                        made = session.run(feeds)
                        assert made.keys() == expected.keys()
                        for key, array in expected.items():
                            assert_close(made[key], array, case.tolerance)


def test_they_need_every_feature_that_packs_can(formats: Path) -> None:
    """But lists, whose tensors are packs' as any: the cases here feed tensors alone."""
    needed: set[str] = set()
    for path in formats.glob("*/*/pack.json"):
        manifest = json.loads(path.read_text())
        assert manifest["format"] <= FORMAT
        needed |= set(manifest["requires"])
    assert needed == KNOWN_REQUIREMENTS - {"lists"}


def test_inspect_tells_which_it_reads(formats: Path) -> None:
    for path in formats.glob("*/*/pack.json"):
        with Pack(path.parent) as pack:
            told = to_dict(inspect(pack, {}))
        assert told["reads"] == {"format": FORMAT, "features": sorted(KNOWN_REQUIREMENTS)}
