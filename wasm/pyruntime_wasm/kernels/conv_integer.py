"""Convolutions of short integers, summed in int32: tiles of gemm8.h, windows per channel where depthwise."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyruntime.ir.dims import Dim, align, ceildiv, floordiv, maximum, minimum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime_wasm.kernels import Argument, Share, render_template
from pyruntime_wasm.kernels._blocks import COLUMNS, ROWS
from pyruntime_wasm.kernels._epilogue import Epilogue
from pyruntime_wasm.kernels._gemm8 import SLACK, gemm8_form
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._share import VECTOR_WORK, best_cut
from pyruntime_wasm.kernels._window import Cuts, declare_sizes, declare_window
from pyruntime_wasm.printer import SCALAR

_ROW_AXIS = 2  # of (n, oh, ow, oc)


@dataclass
class _Signature:
    """A call's parameters, with the operands that they declare."""

    parameters: Parameters
    x: Operand
    window: Mapping[str, str]
    epilogue: Epilogue


def _signature(call: Conv) -> _Signature:
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
    window = declare_window(parameters, call.window)
    x = parameters.view("x", call.x)
    parameters.view("weight", replace(call.weight, strides=()))
    epilogue = Epilogue(call, call.body, parameters, 4, _ROW_AXIS, DType.I32)
    parameters.scratch()
    parameters.share(_cut(call))
    return _Signature(parameters, x, window, epilogue)


def _cut(call: Conv) -> Share:
    rows = call.out_size[0] if call.depthwise else ceildiv(call.out_size[0], _block(call)[0])
    axes: list[tuple[int, Dim]] = [(Cuts.IMAGES, call.n), (Cuts.ROWS, rows)]
    if not call.depthwise:
        axes.append((Cuts.GROUPS, call.groups))
        axes.append((Cuts.CHANNELS, ceildiv(call.out_channels // call.groups, Cuts.WIDTH)))
    return best_cut(axes, floordiv(call.operations, 2) * (VECTOR_WORK if call.depthwise else 1))


def _block(call: Conv) -> tuple[Dim, Dim]:
    """Rows and columns of output pixels that are computed together, at the most."""
    width = maximum(minimum(call.out_size[1], ROWS), 1)
    return floordiv(ROWS, width), width


class ConvIntegerKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Conv) -> Hashable:
        """The code itself."""
        return self.render(call, "conv")

    def render(self, call: Conv, name: str) -> str:
        """The C function and its helpers."""
        s = _signature(call)
        x_h, x_w, x_c = s.x.strides[1:]
        common: dict[str, Any] = {
            "name": name,
            "signature": s.parameters.signature,
            "epilogue": s.epilogue,
            "cuts": Cuts,
            "fill": int(call.x.fill),
            "x_h": x_h,
            "x_w": x_w,
            "x_c": x_c,
            **s.window,
        }
        if call.depthwise:
            return render_template(
                "depthwise_integer",
                **common,
                x_stored=SCALAR.classes[call.x.tensor.dtype].stored,
                w_stored=SCALAR.classes[call.weight.tensor.dtype].stored,
                image=s.x.at("i0", "0", "0", "0"),
                store_arguments=s.epilogue.block_arguments("i0", "oh", "ow", "0"),
            )
        return render_template(
            "conv_integer",
            **common,
            rows=ROWS,
            columns=COLUMNS,
            form=gemm8_form(call.x.tensor, call.weight.tensor),
            x=SCALAR.classes[call.x.tensor.dtype].name,
            b_unsigned=int(call.weight.tensor.dtype.is_unsigned),
            image=s.x.at("i0", "0", "0", "group * channels"),
            store_arguments=s.epilogue.block_arguments("i0", "oh + i", "ow", "group * out_channels + n0"),
        )

    def scratch(self, call: Conv) -> Dim:
        """Sums of a block and what they begin with, taps, a panel as words, the input under a block."""
        if call.depthwise:
            return call.out_channels * DType.I32.bytes
        (kh, kw), (sh, sw), (dh, dw) = call.window.kernel, call.window.strides, call.window.dilations
        height, width = _block(call)
        height = minimum(call.out_size[0], height)
        pixels = ((height - 1) * sh + (kh - 1) * dh + 1) * ((width - 1) * sw + (kw - 1) * dw + 1)
        channels = align(call.in_channels // call.groups, 4)
        words = 8 * kh * kw * channels + maximum(pixels, 0) * channels + SLACK
        integers = ROWS * COLUMNS + align(call.out_channels // call.groups, 8) + kh * kw
        return integers * DType.I32.bytes + words * 2

    def arguments(self, call: Conv) -> Sequence[Argument]:
        """Sizes, window, input, filter, output, operands, scratch."""
        return _signature(call).parameters.arguments


KERNEL = ConvIntegerKernel()
