"""Products that compute their left operand where they read it: on WebGPU alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pyruntime.ir.dims import Dim, product, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import MatMul, Operand
from pyruntime.ir.scalar import Acc, Const, Load, Scalar, call, cast
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import Guard, Indirect, Tensor, View
from pyruntime.ops.layouts import pack_panels
from tests.kernels import cases_blocks
from tests.kernels.case import Case, Maker, row_major
from tests.kernels.epilogues import Build, bias_relu, plain

F32 = DType.F32
ROWS = 7  # of which some indices are no rows
SIZES = (
    *((1, 8, 4), (2, 12, 8), (4, 5, 12), (5, 9, 8), (16, 64, 64), (17, 70, 68), (33, 66, 132), (0, 4, 4)),
    *((9, 12, 7), (40, 20, 65), (3, 9, 1), (100, 160, 260), (70, 40, 1028), (6, 3, 0), (4, 0, 4)),
)


def scaled(maker: Maker, batch: tuple[Dim, ...], m: Dim, k: Dim) -> Operand:
    """(x[m, k] - mean[m]) / deviation[m] * scale[k], the first two of them side by side."""
    sizes, rank = (*batch, m, k), len(batch)
    rows = maker.tensor(product((*batch, m)) * 2)
    maker.inputs[rows] = np.abs(maker.inputs[rows]) + 0.5
    strides = (*(s * 2 for s in row_major((*batch, m))), 0)
    scale = View(maker.tensor(k), 0, (*(0 for _ in range(rank + 1)), 1))
    inputs = (maker.dense(sizes), View(rows, 0, strides), View(rows, 1, strides), scale)
    x, mean, deviation, factor = (Load(F32, i) for i in range(4))
    body = call("mul", call("div", call("sub", x, mean), deviation), factor)
    return _operand(inputs, sizes, body, rank)


def looked_up(
    maker: Maker, batch: tuple[Dim, ...], m: Dim, k: Dim, dtype: DType = DType.I32, *, wrap: bool = True
) -> Operand:
    """Rows of a table, four side by side, times a number for each column of each of two parts of the rows."""
    rank, inner = len(batch), k // 4
    sizes = (*batch, 2, m // 2, 4, inner)
    ids = maker.tensor(product((*batch, m, 4)), dtype)
    still = (0,) * rank
    own = row_major((*batch, m, 4))
    at = View(ids, 0, (*own[:rank], m // 2 * 4, 4, 1, 0))
    row = Indirect(0, inner, ROWS, wrap)
    table = View(maker.tensor(ROWS * inner), 0, (*still, 0, 0, 0, 1), indirect=(row,), fill=0.5)
    columns = View(maker.tensor(k * 2), 0, (*still, k, 0, inner, 1))
    return _operand((at, table, columns), sizes, call("mul", Load(F32, 1), Load(F32, 2)), rank, 2)


def padded(maker: Maker, batch: tuple[Dim, ...], m: Dim, k: Dim) -> Operand:
    """x where it is at least 0, from the second column on; ones before."""
    sizes, rank = (*batch, m, k), len(batch)
    inner = maker.dense((*batch, m, k - 1))
    x = View(inner.tensor, -1, inner.strides, (Guard(rank + 1, 1, k),), fill=1)
    zero = Const(F32, 0.0)
    body = call("select", call("ge", Load(F32, 0), zero), Load(F32, 0), zero)
    return _operand((x,), sizes, body, rank)


def by_threes(maker: Maker, batch: tuple[Dim, ...], m: Dim, k: Dim, dtype: DType = F32) -> Operand:
    """Rows of x, but that each third is 2, by threes; times numbers of the threes, and of their columns."""
    sizes, rank, half = (*batch, m // 3, 3, 2, k // 2), len(batch), k // 2
    rows = row_major((*batch, m // 3))
    x = View(
        maker.tensor(product((*batch, m, k)) + 7, dtype),
        4,
        (*(s * 3 * k for s in rows), k, half, 1),
        (Guard(rank + 1, 1, 3),),
        fill=2,
    )
    own = View(maker.tensor(product((*batch, m // 3))), 0, (*rows, 0, 0, 0))
    columns = View(maker.tensor(k * 3), 0, (*(0 for _ in rows), k, half, 1))
    element = Load(F32, 0) if dtype is F32 else cast(Load(dtype, 0), F32)
    body = call("mul", call("mul", element, Load(F32, 1)), Load(F32, 2))
    return _operand((x, own, columns), sizes, body, rank, 2)


def _operand(
    inputs: tuple[View, ...], sizes: tuple[Dim, ...], body: Scalar, rank: int, rows: int = 1
) -> Operand:
    nowhere = View(Tensor("nowhere", F32, product(sizes)), 0, row_major(sizes))
    return Operand(name="left", inputs=inputs, output=nowhere, sizes=sizes, body=body, rows=rows)


def _case(
    name: str,
    left: Operand,
    maker: Maker,
    *sizes: Dim,
    batch: tuple[Dim, ...] = (),
    weight: bool = True,
    epilogue: Build = plain,
) -> Case:
    m, n, k = sizes
    if weight:
        depth, columns = value_of(k, maker.symbols), value_of(n, maker.symbols)
        matrix = maker.values(depth * columns, F32).reshape(depth, columns)
        right = View(maker.weight(pack_panels(matrix, 8), "panels8"), 0, (0,) * (len(batch) + 2))
    else:
        right = maker.dense((*batch, k, n))
    body, inputs, size_values = epilogue(maker, (*batch, m, n))
    made = MatMul(
        name=name,
        inputs=inputs,
        output=maker.output((*batch, m, n)),
        size_values=size_values,
        batch=batch,
        m=m,
        n=n,
        k=k,
        a=View(left.output.tensor, 0, row_major((*batch, m, k))),
        b=right,
        panels=8 if weight else 0,
        left=left,
        body=body,
    )
    return Case(name, made, maker.inputs, maker.symbols)


def _of_itself(m: int, k: int) -> Case:
    """x * 2 times x, to which x is added as it lies: three views of one tensor."""
    maker = Maker(seed=m)
    case = _case(f"of itself {m}x{k}", scaled(maker, (), m, k), maker, m, m, k, weight=False)
    made = case.call
    assert isinstance(made, MatMul)
    assert made.left is not None
    x = made.left.inputs[0]
    added = View(x.tensor, 0, (1, 0))
    body = call("add", Acc(F32), Load(F32, 0))
    changed = replace(made, b=View(x.tensor, 0, (1, k)), inputs=(added,), body=body)
    return replace(case, call=changed)


def _in_blocks(case: Case) -> Case:
    """A product with a weight in blocks whose left operand is twice what it was."""
    made = case.call
    assert isinstance(made, MatMul)
    sizes = (*made.batch, made.m, made.k)
    twice = call("mul", Load(F32, 0), Const(F32, 2.0))
    left = _operand((made.a,), sizes, twice, len(made.batch))
    return replace(case, name=f"twice {case.name}", call=replace(made, left=left))


def cases() -> Iterator[Case]:
    """All cases; names are unique."""
    for m, n, k in SIZES:
        maker = Maker(seed=m)
        yield _case(f"norm {m}x{n}x{k}", scaled(maker, (), m, k), maker, m, n, k, epilogue=bias_relu)
        if k:
            maker = Maker(seed=m)
            yield _case(f"padding {m}x{n}x{k}", padded(maker, (), m, k), maker, m, n, k, weight=False)
    for m, n, k in ((2, 9, 8), (10, 33, 64), (96, 130, 72), (34, 18, 20)):
        for batch in ((), (3,)):
            maker = Maker(seed=k)
            left = looked_up(maker, batch, m, k)
            yield _case(f"table {batch} {m}x{n}x{k}", left, maker, m, n, k, batch=batch)
            maker = Maker(seed=k)
            left = scaled(maker, batch, m, k)
            yield _case(f"norm {batch} {m}x{n}x{k}", left, maker, m, n, k, batch=batch, weight=False)
    for dtype, wrap in ((DType.I64, True), (DType.I64, False), (DType.I32, False)):
        maker = Maker(seed=3)
        left = looked_up(maker, (2,), 10, 64, dtype, wrap=wrap)
        yield _case(f"table, {dtype.value}{', wrapped' if wrap else ''}", left, maker, 10, 9, 64, batch=(2,))
    for m, n, k in ((3, 5, 8), (9, 12, 16), (51, 33, 40), (96, 68, 8), (12, 7, 12)):
        for many in ((), (2,), (3, 2)):
            maker = Maker(seed=n)
            dtype = DType.F16 if n == 33 else F32
            left = by_threes(maker, many, m, k, dtype)
            yield _case(f"threes {many} {m}x{n}x{k}", left, maker, m, n, k, batch=many, epilogue=bias_relu)
    for count in (0, 1, 2, 17):
        maker = Maker({"rows": count, "batch": 2}, seed=count)
        threes, batches = symbol("rows", (0, None)) * 3, (symbol("batch", (0, None)),)
        left = by_threes(maker, batches, threes, 16)
        yield _case(f"threes of {count}", left, maker, threes, 20, 16, batch=batches, weight=False)
    for m, k in ((4, 8), (7, 12), (64, 64), (33, 9)):
        yield _of_itself(m, k)
    for count in (1, 3, 40, 600):
        maker = Maker({"rows": count}, seed=count)
        rows = symbol("rows", (0, None))
        yield _case(f"norm of {count} rows", scaled(maker, (), rows, 64), maker, rows, 96, 64)
    maker = Maker({"rows": 2600}, seed=7)  # in tiles
    rows = symbol("rows", (0, None))
    yield _case("norm, large", scaled(maker, (), rows, 256), maker, rows, 512, 256, epilogue=bias_relu)
    for case in [*cases_blocks.cases()][::5]:
        yield _in_blocks(case)
