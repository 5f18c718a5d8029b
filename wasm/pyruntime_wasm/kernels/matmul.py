"""Matrix products: tiles of include/gemm.h for float32, plain loops for other dtypes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim, align, ceildiv, maximum, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import MatMul
from pyruntime_wasm.kernels import Argument, Share, render_template
from pyruntime_wasm.kernels._blocks import BYTES, COLUMNS, ROWS, SLACK, WIDE
from pyruntime_wasm.kernels._operands import load
from pyruntime_wasm.kernels._product import Signature, declare
from pyruntime_wasm.kernels._share import SCALAR_WORK, best_cut, typical
from pyruntime_wasm.printer import SCALAR

# GEMM_DEPTH and GEMM_GATHERED of gemm.h
_DEPTH, _GATHERED = 512, 528
_CUT_ROWS, _CUT_COLUMNS = 12, 8  # whole tiles of gemm.h, of 4 rows or of 6


def _signature(call: MatMul) -> Signature:
    s = declare(call, call.a.tensor.dtype)
    s.parameters.share(_cut(call))
    return s


def _cut(call: MatMul) -> Share:
    """Along a batch axis, or else along columns, or along rows if there are more and none pack columns."""
    axes = list(enumerate(call.batch))
    rows, columns = (len(axes), ceildiv(call.m, _CUT_ROWS)), (len(axes) + 1, ceildiv(call.n, _CUT_COLUMNS))
    sides = [columns, rows] if not call.panels or typical(call.n) >= typical(call.m) else [rows, columns]
    each = 1 if _fast(call) else SCALAR_WORK
    return best_cut([*axes, *sides], product((*call.batch, call.m, call.n, call.k)) * each)


def _fast(call: MatMul) -> bool:
    """Whether the tiles of gemm.h compute it."""
    return call.a.tensor.dtype is DType.F32 and call.panels in (0, 8)


def _finishes(call: MatMul, s: Signature) -> bool:
    """Whether whole tiles are finished in registers."""
    return _fast(call) and call.panels > 0 and s.epilogue.light


class MatMulKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: MatMul) -> Hashable:
        """The code itself."""
        return self.render(call, "matmul")

    def render(self, call: MatMul, name: str) -> str:
        """The C function and its helpers."""
        s = _signature(call)
        dtype = call.a.tensor.dtype
        fast, finish = _fast(call), _finishes(call, s)
        indices = [f"i{axis}" for axis in range(len(s.batch))]
        right = "b" if call.panels else s.b.at(*indices)
        a_k, b_k, b_n = s.a.strides[-1], *(s.b.strides[-2:] or ("8", "1"))
        return render_template(
            "matmul",
            name=name,
            signature=s.parameters.signature,
            epilogue=s.epilogue,
            batch=s.batch,
            fast=fast,
            finish=finish,
            panels=call.panels,
            rows=ROWS,
            columns=COLUMNS,
            wide=WIDE if finish else COLUMNS,
            long=ROWS * COLUMNS // 2,
            cut_rows=_CUT_ROWS,
            cut_columns=_CUT_COLUMNS,
            stored=SCALAR.classes[dtype].stored,
            arithmetic=SCALAR.classes[dtype].name,
            load_a=load(dtype, "a + i * a_m + p * a_k"),
            load_b=load(dtype, "b + p * b_k" if not call.panels else f"b + p * {call.panels}"),
            left=s.a.at(*indices, "m0"),
            right=right,
            a_m=s.a.strides[-2],
            a_k=a_k,
            b_k=b_k,
            b_n=b_n,
            store_arguments=s.epilogue.block_arguments(*indices, "m0", "n0"),
            tile_arguments=s.epilogue.block_arguments(*indices, "m0 + i", "n0 + j"),
        )

    def scratch(self, call: MatMul) -> Dim:
        """Sums of a block, and the factors' parts for it where they must be packed."""
        if call.a.tensor.dtype is not DType.F32:
            return BYTES
        finish = _finishes(call, _signature(call))
        total: Dim = ROWS * (WIDE if finish else COLUMNS) * 4 + 2 * SLACK
        if call.a.strides[-1] != 1:
            total = total + minimum(call.m, ROWS) * call.k * 4
        if finish:
            # nothing unless k is beyond _DEPTH
            total = total + minimum(maximum(call.k - _DEPTH, 0), 1) * (ROWS * _GATHERED * 4)
        if not call.panels:
            total = total + minimum(align(call.n, 8), COLUMNS) * call.k * 4
        return total

    def arguments(self, call: MatMul) -> Sequence[Argument]:
        """Sizes, factors, output, operands, scratch."""
        return _signature(call).parameters.arguments


KERNEL = MatMulKernel()
