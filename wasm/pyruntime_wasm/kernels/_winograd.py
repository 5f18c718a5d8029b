"""Which convolutions include/winograd.h and winograd8.h compute, and in which blocks.

An output's error is at most about 1e-5 of the largest output of its tile, twice that of a plain sum over 512
channels. A NaN or an infinity reaches all outputs of the tiles of 4x4 whose inputs it is among.

Bytes are exact, while outputs have 6 bits less than int32: they are known times 64, modulo 2^32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pyruntime.ir.dims import Dim, ceildiv, floordiv, maximum, minimum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime_wasm.kernels import Share
from pyruntime_wasm.kernels._blocks import SLACK
from pyruntime_wasm.kernels._gemm8 import by_bytes
from pyruntime_wasm.kernels._operands import Parameters
from pyruntime_wasm.kernels._share import best_cut, typical
from pyruntime_wasm.kernels._window import Cuts

COLUMNS = 16  # output channels at a time
DEPTH = 128  # input channels at a time: their transformed filters stay in L2
GAP = 64  # bytes, a line of a cache
_POINTS, _PATCH, _OUTPUTS = 36, 36, 16
_TILES = 48
WHOLE = 12  # whole tiles of gemm.h, of 4 rows or of 6
_INPUT = 1 << 20  # bytes of a block's transformed input
_LARGEST = 1 << 25  # outputs of bytes, before what they begin with: less than this
_FEWEST = 16  # channels, in and out, and outputs along an axis, that pay for the transformations


@dataclass(frozen=True)
class Form:
    """What winograd.c.j2 has to know beside the call's signature.

    Attributes:
        call: of floats, which winograd.h convolves, or of bytes, which winograd8.h does.
        function: the name of the C function.
        parameters: its parameters.
    """

    call: Conv
    function: str
    parameters: Parameters
    whole: ClassVar[int] = WHOLE  # tiles of a part's unit
    columns: ClassVar[int] = COLUMNS  # channels of one
    depth: ClassVar[int] = DEPTH

    @property
    def exact(self) -> bool:
        """Whether bytes are convolved."""
        return self.call.exact

    @property
    def arguments(self) -> str:
        """What passes the parameters on to the function."""
        return ", ".join(self.parameters.names)

    @property
    def tiles(self) -> int:
        """The most in a block."""
        return tiles(self.call)

    @property
    def shift(self) -> int:
        """What makes bytes signed."""
        return -128 if self.call.x.tensor.dtype.is_unsigned else 0

    @property
    def stem(self) -> str:
        """What names of winograd.h or winograd8.h begin with."""
        return "winograd8" if self.exact else "winograd"

    @property
    def element(self) -> str:
        """The C type of what is transformed."""
        return "int16_t" if self.exact else "float"

    @property
    def sum(self) -> str:
        """The C type of sums."""
        return "int32_t" if self.exact else "float"

    @property
    def gap(self) -> int:
        """Elements between points, so that the 36 do not fall on the same lines of a cache."""
        return GAP // _element(self.call)


def pays(call: Conv) -> bool:
    """Whether a convolution is computed this way: 3x3, stride 1, and enough of everything."""
    window = call.window
    plain = (window.kernel, window.strides, window.dilations) == ((3, 3), (1, 1), (1, 1))
    return (
        plain
        and (call.panels, call.groups) == (8, 1)
        and call.x.strides[-1] == 1
        and call.in_channels % (8 if call.exact else 4) == 0
        and min(call.in_channels, call.out_channels) >= _FEWEST
        and min(map(typical, call.out_size)) > 4
        and (_fits(call) if call.exact else call.x.tensor.dtype is DType.F32)
    )


def _fits(call: Conv) -> bool:
    """Whether the input is of bytes, and outputs are small enough whatever it holds."""
    weight = call.weight.tensor
    if not by_bytes(call.x.tensor, weight):
        return False
    most = 9 * call.in_channels * 128 if weight.magnitude is None else weight.magnitude
    return 128 * most < _LARGEST


def tiles(call: Conv) -> int:
    """The most tiles in a block."""
    fit = _INPUT // (_POINTS * _element(call) * call.in_channels)
    return max(min(_TILES, fit // WHOLE * WHOLE), WHOLE)


def scratch(call: Conv) -> Dim:
    """Bytes for the transformed input and filters, the sums, a tile of outputs, and a patch of the input."""
    count = minimum(_all_tiles(call), tiles(call))
    transformed = count * call.in_channels + min(call.in_channels, DEPTH) * COLUMNS
    points = (transformed * _element(call) + count * COLUMNS * 4 + 4 * GAP) * _POINTS
    return points + (_OUTPUTS + 1) * COLUMNS * 4 + _PATCH * call.in_channels * 4 + SLACK


def _element(call: Conv) -> int:
    """Bytes of what is transformed."""
    return 2 if call.exact else 4


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
