"""Tiles of products: small ones keep a GPU busy, large ones are large, and all fit workgroup memory."""

from __future__ import annotations

import pytest
from pyruntime_shaders.tiling import BUSY, Lanes, Tile, choose, few_row_options, few_rows

from pyruntime.ir.dims import Dim, symbol

# rows, columns, k: products of MobileNetV2, ResNet50 and MiniLM on 128 tokens with over 1 % of the operations
SHAPES = (
    *((49, 160, 576), (49, 160, 960), (49, 320, 960), (49, 960, 160), (49, 1280, 320), (196, 64, 384)),
    *((196, 96, 576), (196, 384, 64), (196, 576, 96), (784, 144, 32), (49, 512, 4608), (196, 256, 2304)),
    *((196, 256, 1024), (196, 1024, 256), (49, 512, 2048), (49, 2048, 512), (12544, 64, 147)),
    *((128, 384, 384), (128, 384, 1536), (128, 1152, 384), (128, 1536, 384)),
)
# the same of 8-bit integers, with k in words
SHORT = ((784, 32, 36), (196, 64, 96), (49, 960, 40))


def groups(tile: Tile, m: int, n: int) -> int:
    return -(-m // tile.height) * -(-n // tile.width)


@pytest.mark.parametrize(("m", "n", "k"), [*SHAPES, *SHORT])
def test_products_of_known_models_keep_a_gpu_busy(m: int, n: int, k: int) -> None:
    tile = choose(m, n, k, 1)
    assert groups(tile, m, n) >= BUSY
    assert tile.depth <= k


@pytest.mark.parametrize(("n", "k"), [(288, 288), (288, 768), (257, 128), (864, 288), (32000, 288)])
def test_rows_of_known_models_keep_a_gpu_busy(n: int, k: int) -> None:
    assert -(-n // few_rows(n, k, 1).width) >= BUSY


def test_few_rows_read_whole_panels_where_these_are_many() -> None:
    assert few_rows(512, 512, 1) == few_rows(256, 512, 2) == few_rows(symbol("n"), 512, 1) == Lanes(2, 64)
    assert few_rows(256, 512, 1) == Lanes(1, 64)
    assert few_rows(256, 4096, 1) == Lanes(1, 128)


def test_options_for_few_rows_fit_every_device() -> None:
    found = few_row_options(symbol("n"), symbol("k"))
    assert len(set(found)) == len(found) > 10
    assert all(32 <= lanes.threads <= 256 for lanes in found)
    assert {lanes.width for lanes in few_row_options(8, 40)} == {4, 8, 16}
    assert max(lanes.lanes for lanes in few_row_options(8, 40)) == 64


def test_large_products_have_large_tiles() -> None:
    assert choose(4096, 4096, 4096, 1) == Tile(16, 16, 8)
    assert choose(1024, 1024, 4096, 1) == Tile(16, 16, 4)
    assert choose(1024, 1024, 1024, 4) == Tile(16, 16, 8)
    assert choose(128, 128, 64, 16) == Tile(16, 16, 4)


def test_rows_that_a_symbol_tells_are_taken_for_a_sentence() -> None:
    rows: Dim = symbol("rows")
    assert choose(rows, 384, 384, 1) == choose(128, 384, 384, 1)
    assert choose(rows * 3136, 64, 64, 1) == choose(3136, 64, 64, 1)


@pytest.mark.parametrize("m", [1, 5, 50, 300, 2000])
@pytest.mark.parametrize("n", [1, 17, 33, 1000])
@pytest.mark.parametrize("k", [1, 64, 128, 1000])
def test_tiles_fit_a_workgroup(m: int, n: int, k: int) -> None:
    tile = choose(m, n, k, 1)
    assert tile.threads in (128, 256)
    assert 16 * tile.vectors <= 16384  # bytes, by default at most
