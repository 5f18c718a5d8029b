"""Matrix products of short integers, summed in int32 modulo 2^32."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim, align, ceildiv, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import MatMul
from pyruntime_wasm.kernels import Argument, Share, render_template
from pyruntime_wasm.kernels._blocks import COLUMNS, ROWS
from pyruntime_wasm.kernels._gemm8 import STRAYS, by_bytes, gemm8_form
from pyruntime_wasm.kernels._product import Signature, declare
from pyruntime_wasm.kernels._share import best_cut, typical
from pyruntime_wasm.printer import SCALAR

_CUT_ROWS, _CUT_COLUMNS = 12, 8


def _signature(call: MatMul) -> Signature:
    s = declare(call, DType.I32)
    s.parameters.share(_cut(call))
    return s


def _cut(call: MatMul) -> Share:
    """Along a batch axis, or else along rows or columns, whichever are more."""
    axes = list(enumerate(call.batch))
    rows, columns = (len(axes), ceildiv(call.m, _CUT_ROWS)), (len(axes) + 1, ceildiv(call.n, _CUT_COLUMNS))
    sides = [columns, rows] if typical(call.n) >= typical(call.m) else [rows, columns]
    return best_cut([*axes, *sides], product((*call.batch, call.m, call.n, call.k)))


class MatMulIntegerKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: MatMul) -> Hashable:
        """The code itself."""
        return self.render(call, "matmul")

    def render(self, call: MatMul, name: str) -> str:
        """The C function and its helpers."""
        s = _signature(call)
        indices = [f"i{axis}" for axis in range(len(s.batch))]
        b_k, b_n = s.b.strides[-2:] or ("8", "1")
        return render_template(
            "matmul_integer",
            name=name,
            signature=s.parameters.signature,
            epilogue=s.epilogue,
            batch=s.batch,
            panels=bool(call.panels),
            form=gemm8_form(call.a.tensor, call.b.tensor, split=True),
            splits=by_bytes(call.a.tensor, call.b.tensor),
            signed=int(not call.a.tensor.dtype.is_unsigned),
            a=SCALAR.classes[call.a.tensor.dtype].name,
            slack=STRAYS,
            rows=ROWS,
            columns=COLUMNS,
            cut_rows=_CUT_ROWS,
            cut_columns=_CUT_COLUMNS,
            b_unsigned=int(call.b.tensor.dtype.is_unsigned),
            left=s.a.at(*indices, "m0"),
            right="b" if call.panels else s.b.at(*indices),
            a_m=s.a.strides[-2],
            a_k=s.a.strides[-1],
            b_k=b_k,
            b_n=b_n,
            store_arguments=s.epilogue.block_arguments(*indices, "m0", "n0"),
        )

    def scratch(self, call: MatMul) -> Dim:
        """Sums of a block and what they begin with, rows of a and a panel of b as words, b's panels."""
        depth = align(call.k, 4)
        words = minimum(call.m, ROWS) * depth + STRAYS + 8 * depth
        panels = 0 if call.panels else COLUMNS * DType.I32.bytes + minimum(align(call.n, 8), COLUMNS) * depth
        return (ROWS + 1) * COLUMNS * DType.I32.bytes + 2 * words + panels

    def arguments(self, call: MatMul) -> Sequence[Argument]:
        """Sizes, factors, output, operands, scratch."""
        return _signature(call).parameters.arguments


KERNEL = MatMulIntegerKernel()
