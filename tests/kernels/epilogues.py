"""Bodies and operands that structured kernels are tested with, over any iteration space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Acc, Const, Index, Load, Scalar, Size, call, cast
from pyruntime.ir.views import View
from tests.kernels.case import Maker

F32 = DType.F32
# gives the body, its operands and the values of Size leaves, for a space of these sizes
Build = Callable[[Maker, Sequence[Dim]], tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]]


def _column(maker: Maker, sizes: Sequence[Dim], axis: int) -> View:
    """A vector along one axis."""
    strides = tuple(1 if a == axis % len(sizes) else 0 for a in range(len(sizes)))
    return View(maker.tensor(sizes[axis]), 0, strides)


def plain(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """The sum itself."""
    return Acc(F32), (), ()


def bias_relu(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """max(acc + bias[column], 0)."""
    body = call("max", call("add", Acc(F32), Load(F32, 0)), Const(F32, 0.0))
    return body, (_column(maker, sizes, -1),), ()


def residual(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """acc + bias[column] + other, of the output's whole shape."""
    body = call("add", call("add", Acc(F32), Load(F32, 0)), Load(F32, 1))
    return body, (_column(maker, sizes, -1), maker.dense(sizes)), ()


def gelu(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """x / 2 * (1 + erf(x / sqrt 2)) of x = acc + bias[column]."""
    x = call("add", Acc(F32), Load(F32, 0))
    erf = call("erf", call("mul", x, Const(F32, 0.7071067811865476)))
    body = call("mul", call("mul", x, Const(F32, 0.5)), call("add", erf, Const(F32, 1.0)))
    return body, (_column(maker, sizes, -1),), ()


def row_scale(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """acc * scale[row] + one scalar."""
    body = call("add", call("mul", Acc(F32), Load(F32, 0)), Load(F32, 1))
    return body, (_column(maker, sizes, -2), View(maker.tensor(1), 0, (0,) * len(sizes))), ()


def scattered(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """acc - other, where other is stored with its columns outermost."""
    order = [len(sizes) - 1, *range(len(sizes) - 1)]
    return call("sub", Acc(F32), Load(F32, 0)), (maker.permuted(sizes, order),), ()


def masked(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """acc where bool mask[row, column] holds, else -1."""
    mask = maker.dense(sizes, DType.BOOL)
    return call("select", Load(DType.BOOL, 0), Acc(F32), Const(F32, -1.0)), (mask,), ()


def triangle(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """acc where column <= row + a size, else 0: a causal mask."""
    column, row = Index(DType.I32, len(sizes) - 1), Index(DType.I32, len(sizes) - 2)
    inside = call("le", column, call("add", row, Size(DType.I32, 0)))
    return call("select", inside, Acc(F32), Const(F32, 0.0)), (), (sizes[-2],)


def remainder(maker: Maker, sizes: Sequence[Dim]) -> tuple[Scalar, tuple[View, ...], tuple[Dim, ...]]:
    """acc + float(column mod 3) in 64-bit integers, which have no vector form."""
    column = call("mod", Index(DType.I64, len(sizes) - 1), Const(DType.I64, 3))
    return call("add", Acc(F32), cast(column, F32)), (), ()


EPILOGUES: tuple[Build, ...] = (
    plain,
    bias_relu,
    residual,
    gelu,
    row_scale,
    scattered,
    masked,
    triangle,
    remainder,
)
