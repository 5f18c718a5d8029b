"""What convolutions and pools compute, with NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from pyruntime.ir.kernel import (
    Conv,
    Pool,
    Window,
)
from pyruntime.ops.iteration import Array, Run, Sizes, identity, narrow, wide
from pyruntime.ops.layouts import panel_elements, quad_elements, unpack_panels, unpack_tap_quads


def _taps(x: Array, window: Window, before: Sizes, out: Sizes, fill: Any) -> Callable[[int, int], Array]:
    """Gives a function of a tap (i, j): the elements [n, oh, ow, c] it meets in x [n, h, w, c], or fill."""
    needed = [
        (o - 1) * s + (k - 1) * d + 1
        for o, k, s, d in zip(out, window.kernel, window.strides, window.dilations, strict=True)
    ]
    padded = np.full((x.shape[0], *(max(n, 0) for n in needed), x.shape[3]), fill, x.dtype)
    # x's part of the padded input; negative padding crops
    spans = [(max(p, 0), min(p + size, n)) for p, size, n in zip(before, x.shape[1:3], needed, strict=True)]
    if all(a < b for a, b in spans):
        target = tuple(slice(a, b) for a, b in spans)
        source = tuple(slice(a - p, b - p) for (a, b), p in zip(spans, before, strict=True))
        padded[(slice(None), *target)] = x[(slice(None), *source)]

    def tap(i: int, j: int) -> Array:
        starts = [t * d for t, d in zip((i, j), window.dilations, strict=True)]
        cut = tuple(
            slice(a, a + (o - 1) * s + 1, s) if o else slice(0, 0)
            for a, o, s in zip(starts, out, window.strides, strict=True)
        )
        return padded[(slice(None), *cut)]

    return tap


def conv(run: Run, call: Conv) -> None:
    """A convolution over images, with a filter for each channel or for all of a group."""
    n, out, before = run.dim(call.n), run.dims(call.out_size), run.dims(call.window.pads)
    x = run.multiplied(call.x, call.prologue, (n, *run.dims(call.in_size), call.in_channels))
    kh, kw = call.window.kernel
    flat = run.memory[call.weight.tensor][run.dim(call.weight.offset) :]
    tap = _taps(wide(x), call.window, before, out, call.x.fill)
    acc = np.zeros((n, *out, call.out_channels), wide(x).dtype)
    with np.errstate(all="ignore"):
        if call.depthwise:
            assert call.groups == call.in_channels == call.out_channels, call.name
            weight = wide(flat[: kh * kw * call.in_channels]).reshape(kh, kw, -1)
            for i, j in np.ndindex(kh, kw):
                acc += tap(i, j) * weight[i, j]
        else:
            c, oc = call.in_channels // call.groups, call.out_channels // call.groups
            taps = kh * kw
            elements = (
                quad_elements(taps, c, oc, call.panels)
                if call.exact
                else panel_elements(taps * c, oc, call.panels)
            )
            for g in range(call.groups):
                block = (
                    unpack_tap_quads(flat[g * elements :], taps, c, oc, call.panels)
                    if call.exact
                    else unpack_panels(flat[g * elements :], taps * c, oc, call.panels)
                )
                matrices = wide(block).reshape(kh, kw, c, oc)
                for i, j in np.ndindex(kh, kw):
                    acc[..., g * oc : (g + 1) * oc] += tap(i, j)[..., g * c : (g + 1) * c] @ matrices[i, j]
    run.finish(call.body, acc.shape, [narrow(acc, x.dtype)])
    run.tell(call.extremes, acc.shape)


def pool(run: Run, call: Pool) -> None:
    """The largest or the mean element of each window."""
    n, channels, out = run.dim(call.n), run.dim(call.channels), run.dims(call.out_size)
    in_size, before = run.dims(call.in_size), run.dims(call.window.pads)
    x = run.load(call.x, (n, *in_size, channels))
    pairs = list(np.ndindex(*call.window.kernel))
    if call.mode == "max":
        tap = _taps(x, call.window, before, out, identity("max", x.dtype))
        acc = functools.reduce(np.maximum, (tap(i, j) for i, j in pairs))
    else:
        tap = _taps(wide(x), call.window, before, out, 0)
        total = functools.reduce(np.add, (tap(i, j) for i, j in pairs))
        limits = (
            [(-p, s - p) for p, s in zip(before, run.dims(call.padded), strict=True)]
            if call.count_include_pad
            else [(0, s) for s in in_size]
        )
        height, width = (_inside(call.window, before, axis, out[axis], limits[axis]) for axis in (0, 1))
        count = np.maximum(height[:, None] * width, 1)
        with np.errstate(all="ignore"):
            acc = narrow(total / count[None, :, :, None], x.dtype)
    run.finish(call.body, (n, *out, channels), [acc])


def _inside(window: Window, before: Sizes, axis: int, out: int, limits: tuple[int, int]) -> Array:
    """For each output position along an axis, how many of the window's taps lie inside the limits."""
    taps = np.arange(window.kernel[axis]) * window.dilations[axis]
    position = np.arange(out)[:, None] * window.strides[axis] - before[axis] + taps
    return np.asarray(((position >= limits[0]) & (position < limits[1])).sum(axis=1))
