"""Which convolutions include/winograd.h computes, and in which blocks.

An output's error is at most about 1e-5 of the largest output of its tile, twice that of a plain sum over 512
channels. A NaN or an infinity reaches all outputs of the tiles of 4x4 whose inputs it is among.
"""

from __future__ import annotations

from dataclasses import replace

from pyruntime.ir.dims import Dim, ceildiv, floordiv, maximum, minimum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime_wasm.kernels import Share
from pyruntime_wasm.kernels._blocks import SLACK
from pyruntime_wasm.kernels._share import best_cut, typical
from pyruntime_wasm.kernels._window import Cuts

COLUMNS = 16  # output channels at a time
DEPTH = 128  # input channels at a time: their transformed filters stay in L2
GAP = 16  # floats, a line of a cache
_POINTS, _PATCH, _OUTPUTS = 36, 36, 16
_TILES = 48
WHOLE = 12  # whole tiles of gemm.h, of 4 rows or of 6
_INPUT = 1 << 20  # bytes of a block's transformed input
_FEWEST = 16  # channels, in and out, and outputs along an axis, that pay for the transformations


def pays(call: Conv) -> bool:
    """Whether a convolution is computed this way: 3x3, stride 1, and enough of everything."""
    window = call.window
    plain = (window.kernel, window.strides, window.dilations) == ((3, 3), (1, 1), (1, 1))
    return (
        plain
        and call.x.tensor.dtype is DType.F32
        and (call.panels, call.groups) == (8, 1)
        and call.x.strides[-1] == 1
        and call.in_channels % 4 == 0
        and min(call.in_channels, call.out_channels) >= _FEWEST
        and min(map(typical, call.out_size)) > 4
    )


def tiles(call: Conv) -> int:
    """The most tiles in a block."""
    fit = _INPUT // (_POINTS * 4 * call.in_channels)
    return max(min(_TILES, fit // WHOLE * WHOLE), WHOLE)


def scratch(call: Conv) -> Dim:
    """Bytes for the transformed input and filters, the sums, a tile of outputs, and a patch of the input."""
    count = minimum(_all_tiles(call), tiles(call))
    each = count * call.in_channels + min(call.in_channels, DEPTH) * COLUMNS + count * COLUMNS + 3 * GAP
    return (each * _POINTS + _OUTPUTS * COLUMNS + _PATCH * call.in_channels) * 4 + SLACK


def cut(call: Conv) -> Share:
    """Between images, tiles or output channels.

    Threads that have channels of their own transform each block's input together, in a phase before that
    of its products; each transforms its own filters.
    """
    blocks = ceildiv(_all_tiles(call), tiles(call))
    axes = [
        (Cuts.IMAGES, call.n),
        (Cuts.ROWS, ceildiv(_all_tiles(call), WHOLE)),
        (Cuts.CHANNELS, ceildiv(call.out_channels, COLUMNS)),
    ]
    share = best_cut(axes, floordiv(call.operations, 8))
    by_channels = floordiv(share.axis, Cuts.CHANNELS)  # the last of the axes: 1, or 0 for others
    return replace(share, phases=1 + by_channels * (2 * call.n * blocks - 1))


def _all_tiles(call: Conv) -> Dim:
    height, width = call.out_size
    return maximum(ceildiv(height, 4) * ceildiv(width, 4), 1)
