"""Maximum and average pooling, a window per channel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Pool
from pyruntime.ir.scalar import Acc
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._epilogue import Epilogue
from pyruntime_wasm.kernels._operands import Operand, Parameters, load, require_plain
from pyruntime_wasm.kernels._share import VECTOR_WORK, best_cut
from pyruntime_wasm.kernels._window import AXES, Cuts, declare_sizes, declare_window
from pyruntime_wasm.printer import SCALAR, VECTOR, literal

_ROW_AXIS = 2  # of (n, oh, ow, c)
# adjacent outputs that are computed together; windows and strides for which their columns fit registers
_OUTPUTS, _WIDEST, _STRIDES = 4, 5, 2
_SIXTEEN = {DType.I8: "i8x16", DType.U8: "u8x16"}  # dtypes whose maxima are taken sixteen at a time


@dataclass
class _Signature:
    """A call's parameters, with the operands that they declare."""

    parameters: Parameters
    x: Operand
    window: Mapping[str, str]
    epilogue: Epilogue


def _signature(call: Pool) -> _Signature:
    require_plain(call, call.x)
    parameters = Parameters()
    declare_sizes(parameters, call.n, call.in_size, call.out_size)
    parameters.dim("columns", call.channels)
    window = declare_window(parameters, call.window, static_columns=_shares(call))
    if call.count_include_pad:
        for axis, size in zip(AXES, call.padded, strict=True):
            parameters.dim(f"padded_{axis}", size)
    x = parameters.view("x", call.x)
    epilogue = Epilogue(call, call.body, parameters, 4, _ROW_AXIS, call.x.tensor.dtype)
    axes = [(Cuts.IMAGES, call.n), (Cuts.ROWS, call.out_size[0])]
    work = product((call.n, *call.out_size, call.channels, *call.window.kernel)) * VECTOR_WORK
    parameters.share(best_cut(axes, work))
    return _Signature(parameters, x, window, epilogue)


def _shares(call: Pool) -> bool:
    """Whether adjacent outputs share the maxima of columns of their windows."""
    window, first = call.window, call.x.strides[-1] == 1 and call.x.tensor.dtype is DType.F32
    small = 1 < window.kernel[1] <= _WIDEST and window.strides[1] <= _STRIDES and window.dilations[1] == 1
    return call.mode == "max" and first and small


def _sixteen(call: Pool) -> str:
    """The class of sixteen adjacent channels whose maxima are stored as they are, or none."""
    adjacent = call.x.strides[-1] == call.output.strides[-1] == 1
    plain = isinstance(call.body, Acc) and not call.output.guards and not call.output.indirect
    return _SIXTEEN.get(call.x.tensor.dtype, "") if call.mode == "max" and adjacent and plain else ""


def lowest(dtype: DType) -> float | int | bool:
    """What the maximum of nothing is."""
    if dtype.is_float:
        return float("-inf")
    return 0 if dtype.is_unsigned or dtype is DType.BOOL else -(2 ** (dtype.bits - 1))


class PoolKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Pool) -> Hashable:
        """The code itself."""
        return self.render(call, "pool")

    def render(self, call: Pool, name: str) -> str:
        """The C function and its helpers."""
        s = _signature(call)
        dtype = call.x.tensor.dtype
        x_h, x_w, x_c = s.x.strides[1:]
        if x_c != "1":
            s.epilogue.scalar()
        mode = s.epilogue.mode
        class_ = mode.classes[dtype]
        start: Any = literal(lowest(dtype) if call.mode == "max" else 0, dtype)
        sixteen = _sixteen(call)
        if sixteen:
            start, element = f"wasm_{sixteen}_splat({start})", ""
        elif s.epilogue.vector:
            start, element = f"{class_.name}_splat({start})", f"{VECTOR.classes[dtype].memory}_load(p + j)"
        else:
            element = load(dtype, "p + j * channel")
        return render_template(
            "pool",
            name=name,
            signature=s.parameters.signature,
            epilogue=s.epilogue,
            average=call.mode == "average",
            count_include_pad=call.count_include_pad,
            stored=SCALAR.classes[dtype].stored,
            class_name=class_.name,
            sixteen=sixteen,
            cuts=Cuts,
            outputs=_OUTPUTS if s.epilogue.vector and _shares(call) else 0,
            **s.window,
            start=start,
            element=element,
            count="f32x4_splat(count)" if s.epilogue.vector else "count",
            x_h=x_h,
            x_w=x_w,
            x_c=x_c,
            origin=s.x.at("i0", "h", "w", "0"),
            store_arguments=s.epilogue.block_arguments("i0", "oh", "ow", "0"),
        )

    def scratch(self, call: Pool) -> Dim:
        """Nothing."""
        return 0

    def arguments(self, call: Pool) -> Sequence[Argument]:
        """Sizes, window, input, output, operands."""
        return _signature(call).parameters.arguments


KERNEL = PoolKernel()
