"""Patches of products without workgroup memory: which sizes have one, and that they keep a GPU busy."""

from __future__ import annotations

import pytest
from pyruntime_shaders.direct import LARGE, choose
from pyruntime_shaders.tiling import BUSY, Patch

from pyruntime.ir.dims import Dim, symbol
from tests.shaders.test_tiling import SHAPES


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_products_of_known_models_keep_a_gpu_busy(m: int, n: int, k: int) -> None:
    patch = choose(m, n, k, 1)
    assert patch is not None
    assert -(-m // patch.height) * -(-n // patch.width) >= BUSY


def test_large_products_have_tiles_in_workgroup_memory() -> None:
    assert choose(1024, 1024, LARGE >> 20, 1) is None
    assert choose(1024, 1024, (LARGE >> 20) - 1, 1) == Patch(16, 4, 4)
    assert choose(256, 256, 256, 16) is None


def test_rows_that_a_symbol_tells_are_taken_for_a_sentence() -> None:
    rows: Dim = symbol("rows")
    assert choose(rows, 384, 384, 1) == choose(128, 384, 384, 1)
    assert choose(rows * 3136, 64, 64, 1) == choose(3136, 64, 64, 1)


@pytest.mark.parametrize("m", [1, 5, 50, 300, 2000])
@pytest.mark.parametrize("n", [1, 17, 33, 100])
@pytest.mark.parametrize("k", [1, 64, 128, 1000])
def test_patches_are_workgroups_of_64_threads(m: int, n: int, k: int) -> None:
    patch = choose(m, n, k, 1)
    assert patch is not None
    assert patch.threads == 64
    # each slice adds up one row, and none is without a part of k
    assert patch.slices == 1 or patch.rows <= patch.slices <= k // 8
