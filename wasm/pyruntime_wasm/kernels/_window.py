"""The parameters of kernels that slide a window: sizes, then a pair (h, w) for each part of the window."""

from __future__ import annotations

from pyruntime.ir.dims import Dim
from pyruntime.ir.kernel import Window
from pyruntime_wasm.kernels._operands import Parameters

AXES = ("h", "w")


class Cuts:
    """Axes that are cut for threads: images, rows of output pixels, groups, output channels of a group."""

    IMAGES, ROWS, GROUPS, CHANNELS = range(4)
    WIDTH = 8  # channels of a unit


def declare_sizes(
    parameters: Parameters, n: Dim, in_size: tuple[Dim, Dim], out_size: tuple[Dim, Dim]
) -> None:
    """Declare n, in_h, in_w, out_h, out_w."""
    parameters.dim("n", n)
    for kind, pair in (("in", in_size), ("out", out_size)):
        for axis, size in zip(AXES, pair, strict=True):
            parameters.dim(f"{kind}_{axis}", size)


def declare_window(parameters: Parameters, window: Window, *, static_columns: bool = False) -> dict[str, str]:
    """Declare the window; with `static_columns` its kernel, stride and dilation along w are literals.

    Returns:
        C expressions for kernel_h, kernel_w, stride_h, ... pad_w, by these names.
    """
    parts: dict[str, tuple[Dim, Dim]] = {
        "kernel": window.kernel,
        "stride": window.strides,
        "dilation": window.dilations,
        "pad": window.pads,
    }
    return {
        f"{part}_{axis}": str(value)
        if static_columns and axis == "w" and part != "pad"
        else parameters.dim(f"{part}_{axis}", value)
        for part, pair in parts.items()
        for axis, value in zip(AXES, pair, strict=True)
    }
