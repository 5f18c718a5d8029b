"""Rearranges weights into the layouts that kernels read (see `ir.kernel`), and back for the executor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def pack_panels(weight: Array, panels: int) -> Array:
    """A matrix [K, N] as panels of columns [N / panels rounded up][K][panels], flat, zero-filled."""
    k, n = weight.shape
    whole, rest = divmod(n, panels)
    packed = np.zeros((-(-n // panels), k, panels), weight.dtype)
    packed[:whole] = weight[:, : n - rest].reshape(k, whole, panels).transpose(1, 0, 2)
    if rest:
        packed[whole, :, :rest] = weight[:, n - rest :]
    return packed.ravel()


def unpack_panels(flat: Array, k: int, n: int, panels: int) -> Array:
    """The matrix [K, N] that `pack_panels` was given; flat may be longer than its panels."""
    count = -(-n // panels)
    blocks = flat[: count * k * panels].reshape(count, k, panels)
    return blocks.transpose(1, 0, 2).reshape(k, count * panels)[:, :n]


def panel_elements(k: int, n: int, panels: int) -> int:
    """Elements that a matrix [K, N] takes as panels."""
    return -(-n // panels) * panels * k


def pack_quads(weight: Array, panels: int) -> Array:
    """A matrix [K, N] of 8-bit integers as `pack_tap_quads` with one tap."""
    return pack_tap_quads(weight[None], panels)


def pack_tap_quads(weight: Array, panels: int) -> Array:
    """Matrices [T, K, N] of 8-bit integers as [N / panels rounded up][T][K / 4 rounded up][panels][4].

    Zero-filled; then, for each column, its sum over all T and K as little-endian int32.
    """
    taps, k, n = weight.shape
    whole = np.zeros((taps, -(-k // 4) * 4, -(-n // panels) * panels), weight.dtype)
    whole[:, :k, :n] = weight
    quads = whole.reshape(taps, whole.shape[1] // 4, 4, whole.shape[2] // panels, panels)
    sums = whole.astype(np.int32).sum(axis=(0, 1), dtype="<i4")
    return np.concatenate([quads.transpose(3, 0, 1, 4, 2).ravel(), sums.view(weight.dtype)])


def unpack_tap_quads(flat: Array, taps: int, k: int, n: int, panels: int) -> Array:
    """The matrices [T, K, N] that `pack_tap_quads` was given; flat may be longer."""
    count, quads = -(-n // panels), -(-k // 4)
    blocks = flat[: count * panels * taps * quads * 4].reshape(count, taps, quads, panels, 4)
    return blocks.transpose(1, 2, 4, 0, 3).reshape(taps, quads * 4, count * panels)[:, :k, :n]


def quad_elements(taps: int, k: int, n: int, panels: int) -> int:
    """Elements that matrices [T, K, N] take in quads, with the sums of their columns."""
    return -(-n // panels) * panels * (taps * -(-k // 4) * 4 + 4)


def pack_levels(levels: Array, bits: int, panels: int = 8) -> Array:
    """A matrix [K, N] of levels of 4 or 8 bits as [N / 8 rounded up][K][bits / 4] words of uint32, flat.

    A panel's 8 columns follow each other from the lowest bits on. Zero-filled.
    """
    assert panels == 8, panels
    rows = pack_panels(levels.astype(np.uint8), panels).reshape(-1, panels)
    octets = rows if bits == 8 else rows[:, ::2] | rows[:, 1::2] << np.uint8(4)
    return np.ascontiguousarray(octets).view("<u4").ravel()


def unpack_levels(flat: Array, bits: int, k: int, n: int, panels: int = 8) -> Array:
    """The matrix [K, N] of uint8 that `pack_levels` was given; flat may be longer than its panels."""
    count = level_words(k, n, bits, panels)
    octets = np.ascontiguousarray(flat[:count], "<u4").view(np.uint8)
    if bits == 4:
        octets = np.stack([octets & 15, octets >> 4], axis=-1).ravel()
    return unpack_panels(octets, k, n, panels)


def level_words(k: int, n: int, bits: int, panels: int = 8) -> int:
    """Words that a matrix [K, N] of levels takes."""
    return panel_elements(k, n, panels) * bits // 32


def pack_gates(weight: Array, panels: int) -> Array:
    """Recurrent weights [D, gates, units, K] as, per direction, panels of the matrix [K * gates, units]."""
    d, gates, units, k = weight.shape
    matrices = weight.transpose(0, 3, 1, 2).reshape(d, k * gates, units)
    return np.concatenate([pack_panels(m, panels) for m in matrices])


def pack_conv(weight: Array, groups: int, panels: int) -> Array:
    """A filter [OC, C/groups, KH, KW] as, per group, panels of the matrix [KH*KW*C/groups, OC/groups]."""
    oc, c, kh, kw = weight.shape
    per_group = weight.reshape(groups, oc // groups, c, kh, kw).transpose(0, 3, 4, 2, 1)
    return np.concatenate([pack_panels(g.reshape(kh * kw * c, oc // groups), panels) for g in per_group])


def pack_conv_quads(weight: Array, groups: int, panels: int) -> Array:
    """A filter [OC, C/groups, KH, KW] as, per group, quads of [C/groups, OC/groups] for each tap."""
    oc, c, kh, kw = weight.shape
    per_group = weight.reshape(groups, oc // groups, c, kh, kw).transpose(0, 3, 4, 2, 1)
    return np.concatenate([pack_tap_quads(g.reshape(kh * kw, c, oc // groups), panels) for g in per_group])


def pack_depthwise(weight: Array) -> Array:
    """A filter [C, 1, KH, KW] with one output per channel as [KH * KW][C], flat."""
    c, one, kh, kw = weight.shape
    assert one == 1, weight.shape
    return np.ascontiguousarray(weight.reshape(c, kh * kw).T).ravel()
