"""Patches of products without workgroup memory: which sizes have one, and that they keep a GPU busy."""

from __future__ import annotations

import math

import pytest
from pyruntime_shaders.direct import LARGE, choose, large
from pyruntime_shaders.tiling import BUSY

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.symbols import evaluate
from tests.shaders.test_tiling import SHAPES


@pytest.mark.parametrize(("m", "n", "k"), [*SHAPES, (80, 64, 256), (20, 256, 64)])
def test_products_of_known_models_keep_a_gpu_busy(m: int, n: int, k: int) -> None:
    patch = choose(m, n, k, 1)
    assert -(-m // patch.height) * -(-n // patch.width) >= BUSY


def test_large_products_have_tiles_in_workgroup_memory() -> None:
    assert large(1024, 1024, LARGE >> 20, 1) == large(256, 256, 256, 16) == 1
    assert large(1024, 1024, (LARGE >> 20) - 1, 1) == large(0, 1024, LARGE, 1) == 0


@pytest.mark.parametrize("known", [(384, 1536, 1), (1000, 77, 3), (LARGE, 1, 1)])
def test_how_large_symbols_make_a_product_is_known_when_they_are(known: tuple[int, int, int]) -> None:
    batch, length = symbol("batch"), symbol("length")
    size = large(batch * length, *known)
    least = -(-LARGE // math.prod(known))
    for rows in {1, least - 1, least, least + 1, 100 * least} - {0}:
        assert evaluate(size, {"batch": 1, "length": rows}) == (rows >= least)
        assert evaluate(size, {"batch": rows, "length": 2}) == (2 * rows >= least)


def test_a_bound_of_symbols_may_tell_that_a_product_is_never_large() -> None:
    assert large(symbol("few", (1, 16)), 1024, 1024, 1) == 0
    assert large(symbol("many", (1024, None)), 1024, 1024, 1) == 1


def test_rows_that_a_symbol_tells_are_taken_for_a_sentence() -> None:
    rows: Dim = symbol("rows")
    assert choose(rows, 384, 384, 1) == choose(128, 384, 384, 1)
    assert choose(rows * 3136, 64, 64, 1) == choose(3136, 64, 64, 1)


@pytest.mark.parametrize("m", [1, 5, 50, 300, 2000])
@pytest.mark.parametrize("n", [1, 17, 33, 100])
@pytest.mark.parametrize("k", [1, 64, 128, 1000])
def test_patches_are_workgroups_of_64_threads(m: int, n: int, k: int) -> None:
    patch = choose(m, n, k, 1)
    assert patch.threads == 64
    # each slice adds up one row, and none is without a part of k
    assert patch.slices == 1 or patch.rows <= patch.slices <= k // 8
