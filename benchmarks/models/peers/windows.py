"""Padding of windows as TensorFlow names it."""

from __future__ import annotations

from collections.abc import Sequence

Pads = Sequence[tuple[int, int]]


def padding(
    inner: Sequence[int], outer: Sequence[int], size: Sequence[int], strides: Sequence[int], pads: Pads
) -> str:
    """VALID: none; SAME: what TensorFlow computes from the sizes; EXPLICIT: something else.

    Args:
        inner: height and width of the input; outer: of the output; size: of the window.
        strides: of the window. pads: (above, below), (left, right).
    """
    if all(p == (0, 0) for p in pads):
        return "VALID"
    for axis in range(2):
        whole = max((outer[axis] - 1) * strides[axis] + size[axis] - inner[axis], 0)
        if outer[axis] != -(-inner[axis] // strides[axis]) or pads[axis] != (whole // 2, whole - whole // 2):
            return "EXPLICIT"
    return "SAME"
