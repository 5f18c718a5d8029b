"""Convolutions of short integers, summed in int32 modulo 2^32."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from pyruntime.ir.dims import Dim, floordiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv
from pyruntime_wasm.kernels import Argument, Share, render_template
from pyruntime_wasm.kernels._epilogue import Epilogue
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._share import SCALAR_WORK, best_cut
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
    axes: list[tuple[int, Dim]] = [(Cuts.IMAGES, call.n), (Cuts.ROWS, call.out_size[0])]
    return best_cut(axes, floordiv(call.operations, 2) * SCALAR_WORK)


class ConvIntegerKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Conv) -> Hashable:
        """The code itself."""
        return self.render(call, "conv")

    def render(self, call: Conv, name: str) -> str:
        """The C function and its helpers."""
        s = _signature(call)
        return render_template(
            "conv_integer",
            name=name,
            signature=s.parameters.signature,
            epilogue=s.epilogue,
            panels=call.panels,
            cuts=Cuts,
            fill=int(call.x.fill),
            x_stored=SCALAR.classes[call.x.tensor.dtype].stored,
            w_stored=SCALAR.classes[call.weight.tensor.dtype].stored,
            origin=s.x.at("i0", "0", "0", "group * channels"),
            x_h=s.x.strides[1],
            x_w=s.x.strides[2],
            x_c=s.x.strides[3],
            **s.window,
            store_arguments=s.epilogue.block_arguments("i0", "oh", "ow", "group * out_channels"),
        )

    def scratch(self, call: Conv) -> Dim:
        """Sums of a pixel."""
        return (call.out_channels // call.groups + 7) * DType.I32.bytes

    def arguments(self, call: Conv) -> Sequence[Argument]:
        """Sizes, window, input, filter, output, operands, scratch."""
        return _signature(call).parameters.arguments


KERNEL = ConvIntegerKernel()
