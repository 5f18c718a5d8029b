"""What is left after many sessions: nothing on the device, and no growing process."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import pyruntime

CYCLES, WARM_UP = 200, 40
GROWTH = 16 << 20  # bytes: allocators keep some; so many sessions have more than twice that on Wasm

PAGE = 4096


def resident() -> int:
    """Bytes of this process that are in memory. Skips where the system does not tell."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("there is no /proc here")
    gc.collect()
    return int(statm.read_text().split()[1]) * PAGE


def nothing() -> dict[str, int]:
    """Objects of a device that has none to count."""
    return {}


def on_gpu() -> dict[str, int]:
    """Objects that wgpu-native keeps, by kind."""
    import wgpu

    gc.collect()
    told: dict[str, Any] = wgpu.diagnostics.object_counts.get_dict()
    return {kind: counts["count"] for kind, counts in told.items() if kind != "total"}


@pytest.mark.parametrize(
    ("device", "objects"),
    [
        pytest.param("wasm", nothing, marks=pytest.mark.wasm),
        pytest.param("webgpu", on_gpu, marks=pytest.mark.webgpu),
    ],
)
def test_two_hundred_sessions_leave_nothing(
    packs: Path, device: Literal["wasm", "webgpu"], objects: Callable[[], dict[str, int]]
) -> None:
    x = {"x": np.ones((1000, 4), np.float32)}

    def cycles(count: int) -> None:
        for _ in range(count):
            with pyruntime.load(packs / "affine", device=device) as session:
                assert session.run(x)["y"].shape == (1000, 3)

    cycles(WARM_UP)
    before, held = resident(), objects()
    cycles(CYCLES - WARM_UP)
    after = resident()
    print(
        f"{device}: {before / 1e6:.1f} MB after {WARM_UP} sessions, {after / 1e6:.1f} after {CYCLES}; {held}"
    )
    assert objects() == held
    assert after < before + GROWTH
