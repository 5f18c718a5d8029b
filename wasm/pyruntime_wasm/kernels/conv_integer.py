"""Convolutions of short integers, summed in int32: tiles of gemm8.h, windows per channel where depthwise."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from pyruntime.ir.dims import Dim, align, ceildiv, floordiv, maximum, minimum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime_wasm.kernels import Argument, Share, _winograd, render_template
from pyruntime_wasm.kernels._blocks import COLUMNS, ROWS
from pyruntime_wasm.kernels._convolution import Signature, block, declare
from pyruntime_wasm.kernels._gemm8 import SLACK, STRAYS, by_bytes, gemm8_form
from pyruntime_wasm.kernels._share import VECTOR_WORK, best_cut
from pyruntime_wasm.kernels._window import Cuts
from pyruntime_wasm.printer import SCALAR

_PIXELS_PAST = 16  # of four channels, that copies of planes may write past what they fill
_ENOUGH = 16  # output channels of a group, from which on patches are gathered
_CHANNELS = 32  # of a depthwise convolution that are computed together: two slots stay in L1
_WIDEST, _FARTHEST = 7, 3  # kernels and strides along a row whose steps are unrolled
_NARROW = 5  # kernels that leave registers for eight sums
# eight elements at p, as words
_LOAD = {
    DType.I8: "wasm_i16x8_load8x8(p)",
    DType.U8: "wasm_u16x8_load8x8(p)",
    DType.I16: "wasm_v128_load(p)",
}


def _signature(call: Conv) -> Signature:
    fast = call.depthwise and _pairs_rows(call)
    s = declare(call, DType.I32, static_columns=fast)
    if fast:
        s.window["kernel_h"] = str(call.window.kernel[0])
    s.parameters.dim("outside", int(call.x.fill))  # no literal: zero points differ from layer to layer
    s.parameters.scratch()
    if _transformed(call):
        s.parameters.shared()
        s.parameters.share(_winograd.cut(call))
    else:
        s.parameters.share(_cut(call))
    return s


def _transformed(call: Conv) -> bool:
    """Whether winograd8.h computes the call where there is no exact dot product of bytes."""
    return not call.depthwise and _winograd.pays(call)


def _splits(call: Conv) -> bool:
    """Whether the input may be split for weights that fill 8 bits: as many as pay for gathering patches."""
    bytes_ = by_bytes(call.x.tensor, call.weight.tensor)
    return bytes_ and not _transformed(call) and call.out_channels // call.groups >= _ENOUGH


def _cut(call: Conv) -> Share:
    rows = call.out_size[0] if call.depthwise else ceildiv(call.out_size[0], block(call)[0])
    axes: list[tuple[int, Dim]] = [(Cuts.IMAGES, call.n), (Cuts.ROWS, rows)]
    if not call.depthwise:
        axes.append((Cuts.GROUPS, call.groups))
        axes.append((Cuts.CHANNELS, ceildiv(call.out_channels // call.groups, Cuts.WIDTH)))
    return best_cut(axes, floordiv(call.operations, 2) * (VECTOR_WORK if call.depthwise else 1))


def _pairs(call: Conv) -> int:
    """Pairs of rows, each of which begins with an even one, that a window meets wherever it begins."""
    return call.window.kernel[0] // 2 + 1


def _outputs(call: Conv) -> int:
    """Adjacent outputs of a depthwise convolution that are computed together: as registers suffice."""
    return 8 if call.window.strides[1] == 1 and call.window.kernel[1] <= _NARROW else 4


def _pairs_rows(call: Conv) -> bool:
    """Whether a depthwise convolution multiplies pairs of rows: adjacent channels, a dense window."""
    width, stride = call.window.kernel[1], call.window.strides[1]
    dense = call.window.dilations == (1, 1) and width <= _WIDEST and stride <= _FARTHEST
    return dense and call.x.strides[-1] == 1


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
            "x_h": x_h,
            "x_w": x_w,
            "x_c": x_c,
            **s.window,
        }
        if call.depthwise:
            x, weight = call.x.tensor.dtype, call.weight.tensor.dtype
            fast = _pairs_rows(call)
            return render_template(
                "depthwise_integer" if fast else "depthwise_integer_plain",
                **common,
                x_stored=SCALAR.classes[x].stored,
                w_stored=SCALAR.classes[weight].stored,
                load_x=_LOAD[x],
                load_w=_LOAD[weight],
                pairs=_pairs(call),
                channels=_CHANNELS,
                outputs=_outputs(call),
                image=s.x.at("i0", "0", "0", "c0" if fast else "0"),
                store_arguments=s.epilogue.block_arguments(
                    "i0", "oh", "0" if fast else "ow", "c0" if fast else "0"
                ),
            )
        one = call.groups == 1
        return render_template(
            "conv_integer",
            **common,
            rows=ROWS,
            columns=COLUMNS,
            form=gemm8_form(call.x.tensor, call.weight.tensor, split=_splits(call)),
            splits=_splits(call),
            signed=int(not call.x.tensor.dtype.is_unsigned),
            slack=STRAYS,
            w=_winograd.Form(call, f"{name}_winograd", s.parameters) if _transformed(call) else None,
            width=_winograd.COLUMNS if _transformed(call) else Cuts.WIDTH,
            x=SCALAR.classes[call.x.tensor.dtype].name,
            b_unsigned=int(call.weight.tensor.dtype.is_unsigned),
            image=s.x.at("i0", "0", "0", "0" if one else "group * channels"),
            store_arguments=s.epilogue.block_arguments(
                "i0", "oh + i", "ow", "n0" if one else "group * out_channels + n0"
            ),
        )

    def scratch(self, call: Conv) -> Dim:
        """Sums of a block and what they begin with, taps, a panel as words, the input under a block."""
        if call.depthwise:
            return self._depthwise_scratch(call)
        (kh, kw), (sh, sw), (dh, dw) = call.window.kernel, call.window.strides, call.window.dilations
        height, width = block(call)
        height = minimum(call.out_size[0], height)
        pixels = ((height - 1) * sh + (kh - 1) * dh + 1) * ((width - 1) * sw + (kw - 1) * dw + 1)
        channels = align(call.in_channels // call.groups, 4)
        depth = kh * kw * channels
        words = 8 * depth + maximum(pixels, 0) * channels + max(SLACK, _PIXELS_PAST * 4)
        integers = ROWS * COLUMNS + align(call.out_channels // call.groups, 8) + kh * kw
        if _splits(call):
            integers += ceildiv(call.out_channels // call.groups, 8)
            words += ROWS * depth + STRAYS
        direct = integers * DType.I32.bytes + words * 2
        return maximum(direct, _winograd.scratch(call)) if _transformed(call) else direct

    def _depthwise_scratch(self, call: Conv) -> Dim:
        """Sums of an output row, weights for both parities, slots for pairs of rows."""
        if not _pairs_rows(call):
            return align(call.out_channels, 16) * DType.I32.bytes
        channels = minimum(align(call.out_channels, 8), _CHANNELS)
        width, taps, pairs = align(call.out_size[1], _outputs(call)), call.window.kernel[1], _pairs(call)
        slot = maximum((width - 1) * call.window.strides[1] + taps, 0)
        words = (2 * taps + slot) * (2 * pairs * channels)
        return width * channels * DType.I32.bytes + words * 2

    def arguments(self, call: Conv) -> Sequence[Argument]:
        """Sizes, window, input, filter, output, operands, scratch."""
        return _signature(call).parameters.arguments


KERNEL = ConvIntegerKernel()
