"""What convolutions of floats and of short integers have in common: their parameters and blocks of pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyruntime.ir.dims import Dim, floordiv, maximum, minimum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime_wasm.kernels._blocks import ROWS
from pyruntime_wasm.kernels._epilogue import Epilogue
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._window import declare_sizes, declare_window

_ROW_AXIS = 2  # of (n, oh, ow, oc)


@dataclass
class Signature:
    """A call's parameters, with the operands that they declare."""

    parameters: Parameters
    x: Operand
    window: dict[str, str]
    epilogue: Epilogue


def declare(call: Conv, sums: DType, *, static_columns: bool) -> Signature:
    """Sizes, window, input, filter, output and operands; scratch and share are the caller's."""
    for view in (call.x, call.weight):
        require_plain(call, view)
    parameters = Parameters()
    declare_sizes(parameters, call.n, call.in_size, call.out_size)
    if call.depthwise:
        parameters.dim("columns", call.out_channels)
    else:
        parameters.dim("channels", call.in_channels // call.groups)
        parameters.dim("out_channels", call.out_channels // call.groups)
        parameters.dim("groups", call.groups)
    window = declare_window(parameters, call.window, static_columns=static_columns)
    x = parameters.view("x", call.x)
    parameters.view("weight", replace(call.weight, strides=()))
    epilogue = Epilogue(call, call.body, parameters, 4, _ROW_AXIS, sums)
    return Signature(parameters, x, dict(window), epilogue)


def block(call: Conv) -> tuple[Dim, Dim]:
    """Rows and columns of output pixels that are computed together, at the most."""
    width = maximum(minimum(call.out_size[1], ROWS), 1)
    return floordiv(ROWS, width), width
