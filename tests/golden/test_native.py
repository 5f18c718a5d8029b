"""The golden packs on both native devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

import pyruntime
from tests.browser.golden import decode_all
from tests.converter.compare import assert_close
from tests.golden.build import GAPS, format_gaps, webgpu_gaps

DEVICES = [
    pytest.param("wasm", marks=pytest.mark.wasm),
    pytest.param("webgpu", marks=pytest.mark.webgpu),
]


@pytest.mark.parametrize("device", DEVICES)
def test_golden_packs(golden_packs: Path, device: Literal["webgpu", "wasm"]) -> None:
    """Every case of every pack, at every size; failures are gathered, so that one run shows them all."""
    failures: list[str] = []
    count = 0
    for listing in sorted(golden_packs.glob("*.cases.json")):
        pack = listing.with_name(listing.name.removesuffix(".cases.json"))
        if device == "webgpu" and pack.name.endswith("-wasm"):
            continue
        for case in json.loads(listing.read_text()):
            with pyruntime.load(pack, device=device, entry=case["entry"]) as session:
                for number, run in enumerate(case["runs"]):
                    count += 1
                    try:
                        results = session.run(decode_all(run["feeds"]))
                        for name, expected in decode_all(run["outputs"]).items():
                            assert_close(results[name], expected, case["tolerance"])
                    except (AssertionError, pyruntime.PyRuntimeError) as error:
                        failures.append(f"{case['case']} run {number}: {type(error).__name__}: {error}")
    assert count > 500
    assert not failures, f"{len(failures)} of {count}:\n" + "\n".join(failures)


def test_list_of_gaps_is_current() -> None:
    """tests/golden/webgpu_gaps.txt names exactly the cases that WebGPU refuses, with the reasons."""
    assert GAPS.read_text() == format_gaps(webgpu_gaps())
