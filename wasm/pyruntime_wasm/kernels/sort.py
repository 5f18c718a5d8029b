"""Sorting: a heap of the numbers of a row's items, or, where their keys have 32 bits, by radix."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Sort
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._operands import Operand, Parameters, load, require_plain
from pyruntime_wasm.kernels._share import SCALAR_WORK, best_cut
from pyruntime_wasm.printer import SCALAR

# steps down a heap that an item takes, about
_STEPS = 8


class SortKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Sort) -> Hashable:
        """The code itself."""
        return self.render(call, "sort")

    def scratch(self, call: Sort) -> Dim:
        """The keys; a heap lies where the output is -1 in the end."""
        return call.count * DType.U32.bytes if _key(call) else 0

    def arguments(self, call: Sort) -> Sequence[Argument]:
        """Output, items, sizes."""
        return _signature(call)[0].arguments

    def render(self, call: Sort, name: str) -> str:
        """The C function and its helpers."""
        parameters, out, x = _signature(call)
        key = _key(call)
        dtype = call.x.tensor.dtype
        return render_template(
            "sort",
            name=name,
            signature=parameters.signature,
            stored=SCALAR.classes[dtype].stored,
            item=x.strides[1],
            element=x.strides[2],
            row=x.at("row"),
            out=out.at("row"),
            left=load(dtype, "left + e * x.element"),
            right=load(dtype, "right + e * x.element"),
            floats=dtype.is_float,
            descending=call.descending,
            key=key,
            element_at=load(dtype, "left"),
        )


def _key(call: Sort) -> str:
    """The class of items that are one element of at most 32 bits; empty for others."""
    dtype = call.x.tensor.dtype
    if call.width != 1 or dtype.bytes > DType.U32.bytes:
        return ""
    return "f32" if dtype.is_float else "i32" if dtype.is_integer and not dtype.is_unsigned else "u32"


def _signature(call: Sort) -> tuple[Parameters, Operand, Operand]:
    require_plain(call, call.x)
    parameters = Parameters()
    out = parameters.view("out", call.output, written=True)
    x = parameters.view("x", call.x)
    for name in ("rows", "count", "width", "most"):
        parameters.dim(name, getattr(call, name))
    if _key(call):
        parameters.scratch()
    work = call.rows * call.count * (_STEPS * SCALAR_WORK)
    parameters.share(best_cut([(0, call.rows)], work))
    return parameters, out, x


KERNEL = SortKernel()
