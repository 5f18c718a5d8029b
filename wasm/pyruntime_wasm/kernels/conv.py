"""Convolutions: tiles of gemm.h over implicit patches or winograd.h, windows per channel where depthwise."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from pyruntime.ir.dims import Dim, align, ceildiv, floordiv, maximum, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime_wasm.kernels import Argument, Share, _winograd, render_template
from pyruntime_wasm.kernels._blocks import BYTES, COLUMNS, ROWS, SLACK
from pyruntime_wasm.kernels._convolution import Signature, block, declare
from pyruntime_wasm.kernels._operands import load
from pyruntime_wasm.kernels._share import SCALAR_WORK, VECTOR_WORK, best_cut, typical
from pyruntime_wasm.kernels._window import Cuts
from pyruntime_wasm.printer import SCALAR, VECTOR

# Adjacent outputs that a depthwise step computes together: with eight sums no multiplier waits for another;
# they, a row of taps and an input take 12 to 14 of the 16 registers that x86 has.
_BLOCKS = (8, 4, 2, 1)
_WIDEST_UNROLLED = 5
_RUN = 32  # outputs of a row whose input is copied at once
# channels that a tile reads from planes of their own; products and strides up to which that is faster
_PLANES, _PLANAR_DEPTH, _PLANAR_STRIDE = 4, 128, 2
_WHOLE = 12  # whole tiles of gemm.h, of 4 rows or of 6
_PLANAR_RUN, _PLANAR_COLUMNS = 48, 64


def _signature(call: Conv) -> Signature:
    s = declare(call, call.x.tensor.dtype, static_columns=_unrolls(call) if call.depthwise else _planar(call))
    if not call.depthwise or _unrolls(call):
        s.parameters.scratch()
    if _winograd.pays(call):
        s.parameters.shared()
        s.parameters.share(_winograd.cut(call))
    else:
        s.parameters.share(_cut(call))
    return s


def _planar(call: Conv) -> bool:
    """Whether tiles read the input in place though the channels of a pixel are apart: few, as in images."""
    return (
        call.x.tensor.dtype is DType.F32
        and (call.panels, call.groups) == (8, 1)
        and call.in_channels <= _PLANES
        and call.x.strides[2] == 1
        and call.window.strides[1] <= _PLANAR_STRIDE
        and typical(product(call.window.kernel)) * call.in_channels <= _PLANAR_DEPTH
    )


def _cut(call: Conv) -> Share:
    by_row = call.depthwise or _planar(call)
    rows = call.out_size[0] if by_row else ceildiv(call.out_size[0], block(call)[0])
    axes: list[tuple[int, Dim]] = [(Cuts.IMAGES, call.n), (Cuts.ROWS, rows)]
    if not by_row:
        axes.append((Cuts.GROUPS, call.groups))
        axes.append((Cuts.CHANNELS, ceildiv(call.out_channels // call.groups, Cuts.WIDTH)))
    each = SCALAR_WORK
    if call.x.tensor.dtype is DType.F32:
        each = VECTOR_WORK if call.depthwise else 1
    return best_cut(axes, floordiv(call.operations, 2) * each)


def _unrolls(call: Conv) -> bool:
    """Whether adjacent outputs of a depthwise convolution share the input that they load."""
    width, stride, dilation = (p[1] for p in (call.window.kernel, call.window.strides, call.window.dilations))
    static = 1 < width <= _WIDEST_UNROLLED and stride <= 2 and dilation == 1
    return static and call.x.strides[-1] == 1 and call.x.tensor.dtype is DType.F32


class ConvKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Conv) -> Hashable:
        """The code itself."""
        return self.render(call, "conv")

    def render(self, call: Conv, name: str) -> str:
        """The C function and its helpers."""
        s = _signature(call)
        common = {
            "name": name,
            "signature": s.parameters.signature,
            "epilogue": s.epilogue,
            "stored": SCALAR.classes[call.x.tensor.dtype].stored,
            "arithmetic": SCALAR.classes[call.x.tensor.dtype].name,
            **s.window,
        }
        if call.depthwise:
            return self._depthwise(call, s, common)
        if _winograd.pays(call):
            return self._winograd(call, s, common)
        return self._planar(s, common) if _planar(call) else self._general(call, s, common)

    def _planar(self, s: Signature, common: Mapping[str, Any]) -> str:
        x_h, _, x_c = s.x.strides[1:]
        return render_template(
            "planar",
            **common,
            run=_PLANAR_RUN,
            columns=_PLANAR_COLUMNS,
            step=s.window["stride_w"],
            cuts=Cuts,
            x_h=x_h,
            x_c=x_c,
            image=s.x.at("i0"),
            store_arguments=s.epilogue.block_arguments("i0", "oh", "ow", "n0"),
            tile_arguments=s.epilogue.block_arguments("i0", "oh", "ow + q", "n0 + j"),
        )

    def _winograd(self, call: Conv, s: Signature, common: Mapping[str, Any]) -> str:
        x_h, x_w = s.x.strides[1:3]
        return render_template(
            "winograd",
            **common,
            w=_winograd.Form(call, common["name"], s.parameters),
            cuts=Cuts,
            x_h=x_h,
            x_w=x_w,
            image=s.x.at("i0"),
            store_arguments=s.epilogue.block_arguments("i0", "oh + i", "ow", "n0"),
        )

    def _general(self, call: Conv, s: Signature, common: Mapping[str, Any]) -> str:
        dtype = call.x.tensor.dtype
        x_h, x_w, x_c = s.x.strides[1:]
        fast = dtype is DType.F32 and call.panels == 8
        return render_template(
            "conv",
            **common,
            fast=fast,
            finish=fast and s.epilogue.light,
            panels=call.panels,
            rows=ROWS,
            columns=COLUMNS,
            cuts=Cuts,
            x_h=x_h,
            x_w=x_w,
            x_c=x_c,
            load_x=load(dtype, "p + c * x_c"),  # a parameter of the pixel function
            load_weight=load(dtype, f"f + c * {call.panels}"),
            image=s.x.at("i0", "0", "0", "group * channels"),
            store_arguments=s.epilogue.block_arguments("i0", "oh + i", "ow", "group * out_channels + n0"),
            tile_arguments=s.epilogue.block_arguments(
                "i0", "oh + i", "ow + q", "group * out_channels + n0 + j"
            ),
        )

    def _depthwise(self, call: Conv, s: Signature, common: Mapping[str, Any]) -> str:
        dtype = call.x.tensor.dtype
        x_h, x_w, x_c = s.x.strides[1:]
        vector = s.epilogue.vector and x_c == "1" and dtype.is_float
        if vector:
            memory = VECTOR.classes[dtype].memory
            load_x, load_weight = f"{memory}_load(p + j)", f"{memory}_load(f + j)"
        else:
            s.epilogue.scalar()
            load_x, load_weight = load(dtype, "p + j * channel"), load(dtype, "f + j")
        return render_template(
            "depthwise",
            **common,
            vector=vector,
            cuts=Cuts,
            blocks=_BLOCKS if vector and _unrolls(call) else (),
            run=_RUN,
            x_h=x_h,
            x_w=x_w,
            x_c=x_c,
            load_x=load_x,
            load_weight=load_weight,
            image=s.x.at("i0"),
            store_arguments=s.epilogue.block_arguments("i0", "oh", "ow", "0"),
        )

    def scratch(self, call: Conv) -> Dim:
        """Sums of a block, taps, and the input under a block of output pixels."""
        (kh, kw), (sh, sw), (dh, dw) = call.window.kernel, call.window.strides, call.window.dilations
        if call.depthwise:
            width = maximum(minimum(call.out_size[1], _RUN), 1)
            pixels = ((kh - 1) * dh + 1) * ((width - 1) * sw + kw)
            return pixels * call.in_channels * 4 + SLACK if _unrolls(call) else 0
        if call.x.tensor.dtype is not DType.F32:
            return BYTES
        if _winograd.pays(call):
            return _winograd.scratch(call)
        if _planar(call):
            outputs = minimum(align(maximum(call.out_size[1], 1), _WHOLE), _PLANAR_RUN)
            plane = ((kh - 1) * dh + 1) * ((outputs - 1) * sw + (kw - 1) * dw + 1)
            products = kh * kw * call.in_channels
            return (_PLANAR_RUN * _PLANAR_COLUMNS + 2 * products + plane * call.in_channels) * 4 + SLACK
        height, width = block(call)
        height = minimum(call.out_size[0], height)
        pixels = ((height - 1) * sh + (kh - 1) * dh + 1) * ((width - 1) * sw + (kw - 1) * dw + 1)
        patch = maximum(pixels, 0) * (call.in_channels // call.groups)
        return patch * 4 + kh * kw * 4 + BYTES // 2 + SLACK

    def arguments(self, call: Conv) -> Sequence[Argument]:
        """Sizes, window, input, filter, output, operands, scratch."""
        return _signature(call).parameters.arguments


KERNEL = ConvKernel()
