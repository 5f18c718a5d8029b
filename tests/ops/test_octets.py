"""Layouts of 8-bit weights, and the sums of adjacent quads, against plain loops."""

import itertools

import numpy as np
import pytest

from pyruntime.ops.layouts import pack_conv_quads, pack_quads, pack_tap_quads, quad_elements, unpack_tap_quads
from pyruntime.ops.octets import LANE, limit_octets, octet_range

GENERATOR = np.random.default_rng(5)
SHAPES = [(1, 1, 1), (1, 4, 8), (1, 37, 11), (3, 3, 16), (6, 5, 9), (9, 8, 3), (1, 0, 4), (2, 7, 0)]


def weights(shape: tuple[int, ...], low: int = -128, high: int = 127) -> np.ndarray:
    return GENERATOR.integers(low, high, shape, endpoint=True).astype(np.int8)


def lanes(matrices: np.ndarray, run: int) -> list[np.ndarray]:
    """What meets in a lane of 16 bits, column by column, by the definition."""
    found = []
    taps, k, n = matrices.shape
    for first, column in itertools.product(range(0, taps, run), range(n)):
        quads = []
        for tap in range(first, first + run):
            values = [*matrices[tap, :, column], *[0] * (-k % 4)]
            quads += [values[i : i + 4] for i in range(0, len(values), 4)]
        for first_quad in range(0, len(quads), 2):
            for half in (slice(0, 2), slice(2, 4)):
                met = [x for quad in quads[first_quad : first_quad + 2] for x in quad[half]]
                found.append(np.array(met, np.int32))
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_quads(shape: tuple[int, int, int]) -> None:
    taps, k, n = shape
    matrices = weights(shape)
    packed = pack_tap_quads(matrices, 8)
    assert packed.size == quad_elements(taps, k, n, 8)
    np.testing.assert_array_equal(unpack_tap_quads(packed, taps, k, n, 8), matrices)
    sums = packed[packed.size + -n // 8 * 8 * 4 :].view("<i4")
    np.testing.assert_array_equal(sums[:n], matrices.astype(np.int32).sum(axis=(0, 1)))
    quads = -(-k // 4)
    for tap, row, column in itertools.islice(np.ndindex(*shape), 50):
        place = (((column // 8 * taps + tap) * quads + row // 4) * 8 + column % 8) * 4 + row % 4
        assert packed[place] == matrices[tap, row, column]
    if taps == 1:
        np.testing.assert_array_equal(pack_quads(matrices[0], 8), packed)


def test_quads_of_groups() -> None:
    filters = weights((10, 3, 3, 2))
    packed = pack_conv_quads(filters, 2, 8)
    each = quad_elements(6, 3, 5, 8)
    assert packed.size == 2 * each
    for group in (0, 1):
        found = unpack_tap_quads(packed[group * each :], 6, 3, 5, 8).reshape(3, 2, 3, 5)
        np.testing.assert_array_equal(found.transpose(3, 2, 0, 1), filters[group * 5 : group * 5 + 5])


@pytest.mark.parametrize(("shape", "run"), [(s, r) for s in SHAPES for r in (1, s[0])])
def test_octets(shape: tuple[int, int, int], run: int) -> None:
    matrices = weights(shape, -64, 63)
    found = lanes(matrices, run)
    low = min((int(np.minimum(x, 0).sum()) for x in found), default=0)
    high = max((int(np.maximum(x, 0).sum()) for x in found), default=0)
    assert octet_range(matrices, run) == (low, high)
    limited = limit_octets(matrices, run)
    assert limited.shape == shape
    assert limited.dtype == np.int8
    low, high = octet_range(limited, run)
    assert -LANE <= low <= high <= LANE
    assert (np.abs(limited.astype(int)) <= np.abs(matrices.astype(int))).all()
    small = matrices // 2
    np.testing.assert_array_equal(limit_octets(small, run), small)


def test_lanes_hold_products_with_bytes() -> None:
    """Four weights of one sign and the largest byte; two weights of 7 bits never leave a lane."""
    assert -LANE * 255 >= -(2**15)
    assert LANE * 255 < 2**15
    assert octet_range(np.full((1, 4, 8), -64, np.int8), 1) == (-LANE, 0)
