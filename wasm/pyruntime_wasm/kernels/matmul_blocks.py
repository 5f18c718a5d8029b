"""Products with a weight whose elements are small integers in blocks: see include/blocks.h."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim, align, ceildiv, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Blocks, MatMul
from pyruntime_wasm.kernels import Argument, Share, render_template
from pyruntime_wasm.kernels._blocks import COLUMNS, ROWS, SLACK
from pyruntime_wasm.kernels._product import Signature, declare
from pyruntime_wasm.kernels._share import best_cut

_CUT_ROWS, _CUT_COLUMNS = 12, 8  # whole tiles of gemm.h, and panels


def _signature(call: MatMul) -> Signature:
    """What any product has, size of blocks, scales and zero points, the share."""
    s, blocks = declare(call, DType.F32), _blocks(call)
    s.parameters.dim("size", blocks.size)
    for name, view in (("scales", blocks.scales), ("zeros", blocks.zeros)):
        if view is not None:
            s.parameters.view(name, replace(view, strides=()))
    s.parameters.share(_cut(call))
    return s


def _blocks(call: MatMul) -> Blocks:
    assert call.blocks is not None, call.name
    return call.blocks


def _cut(call: MatMul) -> Share:
    """Along a batch axis, or columns, which each part unpacks for itself, or rows where those are few."""
    axes = [*enumerate(call.batch), (len(call.batch) + 1, ceildiv(call.n, _CUT_COLUMNS))]
    rows = (len(call.batch), ceildiv(call.m, _CUT_ROWS))
    return best_cut([*axes, rows], product((*call.batch, call.m, call.n, call.k)))


class MatMulBlocksKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: MatMul) -> Hashable:
        """The code itself."""
        return self.render(call, "matmul")

    def render(self, call: MatMul, name: str) -> str:
        """The C function and its helpers."""
        s, blocks = _signature(call), _blocks(call)
        indices = [f"i{axis}" for axis in range(len(s.batch))]
        return render_template(
            "matmul_blocks",
            name=name,
            signature=s.parameters.signature,
            epilogue=s.epilogue,
            batch=s.batch,
            bits=blocks.bits,
            zeros=blocks.zeros is not None,
            middle=blocks.middle,
            rows=ROWS,
            columns=COLUMNS,
            cut_rows=_CUT_ROWS,
            cut_columns=_CUT_COLUMNS,
            left=s.a.at(*indices, "m0"),
            a_m=s.a.strides[-2],
            a_k=s.a.strides[-1],
            store_arguments=s.epilogue.block_arguments(*indices, "m0", "n0"),
        )

    def scratch(self, call: MatMul) -> Dim:
        """Sums of a block, rows of a where they must be copied, and the columns of a block, unpacked."""
        total: Dim = ROWS * COLUMNS * 4 + 3 * SLACK + minimum(align(call.n, 8), COLUMNS) * call.k * 4
        return total if call.a.strides[-1] == 1 else total + minimum(call.m, ROWS) * call.k * 4

    def arguments(self, call: MatMul) -> Sequence[Argument]:
        """Sizes, factors, output, operands, scratch, size of blocks, scales, zero points."""
        return _signature(call).parameters.arguments


KERNEL = MatMulBlocksKernel()
