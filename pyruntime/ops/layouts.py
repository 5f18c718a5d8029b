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


def pack_depthwise(weight: Array) -> Array:
    """A filter [C, 1, KH, KW] with one output per channel as [KH * KW][C], flat."""
    c, one, kh, kw = weight.shape
    assert one == 1, weight.shape
    return np.ascontiguousarray(weight.reshape(c, kh * kw).T).ravel()
