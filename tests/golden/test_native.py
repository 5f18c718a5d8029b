"""The golden packs on both native devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pyruntime_shaders.storage import FEATURE

import pyruntime
from pyruntime.pack.reader import Pack
from pyruntime.pack.sections import features_of
from pyruntime.pack.targets import Dispatch
from pyruntime.runtime.gpu_device import device
from tests.browser.golden import decode_all
from tests.converter.compare import assert_close
from tests.golden.build import GAPS, format_gaps, webgpu_gaps

DEVICES = [
    pytest.param("wasm", marks=pytest.mark.wasm),
    pytest.param("webgpu", marks=pytest.mark.webgpu),
]
SAMPLE = 10  # cases for each of the device's features, and without any


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


def _variants(pack: Path, has: frozenset[str]) -> dict[str, set[frozenset[str]]]:
    """By entry, the sets of features that choose its code: none of what the device `has`, and each alone."""
    found: dict[str, set[frozenset[str]]] = {}
    with Pack(pack) as opened:
        target = opened.manifest.targets.webgpu
        assert target is not None
        for variant in target.variants:
            text = opened.read(variant)
            codes = [text[s.offset : s.offset + s.bytes].decode() for s in variant.shaders]
            for entry, program in zip(opened.manifest.entries, variant.entries, strict=True):
                used = "".join({codes[c.shader] for c in program.commands if isinstance(c, Dispatch)})
                features = has & {*features_of(used), *([FEATURE] if "enable f16;" in used else [])}
                sets = found.setdefault(entry.name, set())
                sets |= {frozenset[str](), *(frozenset({f}) for f in features)} if features else set()
    return found


@pytest.mark.webgpu
def test_variants_agree(golden_packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs on the device's features: without any, and with each alone, for cases spread over all."""
    gpu = device()
    has = gpu.features
    forced: dict[frozenset[str], list[tuple[Path, dict[str, Any]]]] = {}
    for listing in sorted(golden_packs.glob("*.cases.json")):
        pack = listing.with_name(listing.name.removesuffix(".cases.json"))
        if not pack.name.endswith("-wasm"):
            variants = _variants(pack, has)
            for case in json.loads(listing.read_text()):
                for features in variants[case["entry"]]:
                    forced.setdefault(features, []).append((pack, case))
    assert set(forced) == {frozenset(), *(frozenset({f}) for f in has)}
    failures: list[str] = []
    for features, cases in forced.items():
        monkeypatch.setattr(gpu, "features", features)
        for pack, case in cases[:: -(-len(cases) // SAMPLE)]:
            run = case["runs"][0]
            with pyruntime.load(pack, device="webgpu", entry=case["entry"]) as session:
                assert set(session.report.variant) <= features
                results = session.run(decode_all(run["feeds"]))
            try:
                for name, expected in decode_all(run["outputs"]).items():
                    assert_close(results[name], expected, case["tolerance"])
            except AssertionError as error:
                failures.append(f"{case['case']} with {sorted(features)}: {error}")
    assert not failures, "\n".join(failures)


def test_list_of_gaps_is_current() -> None:
    """tests/golden/webgpu_gaps.txt names exactly the cases that WebGPU refuses, with the reasons."""
    assert GAPS.read_text() == format_gaps(webgpu_gaps())
