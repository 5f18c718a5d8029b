"""Kernel calls whose 8-bit results are indices into tables, made of those of other lists: for Wasm alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, Map, MatMul, Pool
from pyruntime.ir.scalar import TABLE, Call, Const, Load, Scalar, call, cast, lookup
from pyruntime.ir.views import View
from tests.kernels import cases_integer, cases_map, cases_pool
from tests.kernels.case import Case, Maker
from tests.kernels.cases_integer import CONVOLUTIONS, DEPTHWISE

I8, U8, F32 = DType.I8, DType.U8, DType.F32
NARROW = (I8, U8)
SIZES = ((), (1,), (15,), (16,), (17,), (67,), (0,), (2, 37), (37, 2), (3, 1))
EPILOGUES = ("levels", "whole_levels", "requantised", "extremes_unsigned")
SHAPES = (str(CONVOLUTIONS[3]), str(DEPTHWISE[4]))


def looked_up(case: Case, dtype: DType, *, inside: bool = False) -> Case:
    """A call of 8 bits, its result looked up in a table of dtype; `inside`: half of that, as a float."""
    made, maker = case.call, Maker(seed=len(case.name), inputs=dict(case.inputs))
    assert isinstance(made, (Map, MatMul, Conv, Pool))
    elements = 3 * TABLE + 5
    table = maker.tensor(elements, dtype)
    info = np.iinfo(dtype.value)
    random = np.random.default_rng(len(case.name))
    maker.inputs[table][:] = random.integers(info.min, info.max, elements, endpoint=True)
    view = View(table, TABLE + 5, (0,) * len(made.output.strides))
    body: Scalar = lookup(Load(dtype, len(made.inputs)), made.body)
    if inside:
        body = call("mul", cast(body, F32), Const(F32, 0.5))
    name = f"{case.name}, looked up {'inside ' if inside else ''}as {dtype!r}"
    tensor = replace(made.output.tensor, dtype=body.dtype)
    kernel = replace(
        made,
        name=name,
        body=body,
        inputs=(*made.inputs, view),
        output=replace(made.output, tensor=tensor),
    )
    old = maker.inputs.pop(made.output.tensor, None)  # what parts of a tensor that are not written hold
    if old is not None:
        maker.inputs[tensor] = np.zeros(len(old), body.dtype.value)
    return Case(name, kernel, maker.inputs, case.symbols, wasm_only="tables are for Wasm")


def _maps() -> Iterator[Case]:
    for dtype in NARROW:
        for source in (dtype, DType.I64):  # which has no vectors
            for sizes in SIZES if source is dtype else SIZES[:5]:
                maker = cases_integer.FullRange(seed=len(sizes))
                kernel = Map(
                    name=f"{source!r} {sizes} as {dtype!r}",
                    sizes=sizes,
                    body=cast(Load(source, 0), dtype),
                    inputs=(maker.dense(sizes, source),),
                    output=maker.output(sizes, dtype),
                )
                yield Case(kernel.name, kernel, maker.inputs)
    narrow = [c for c in cases_map.cases() if c.call.output.tensor.dtype in NARROW]
    yield from (c for c in narrow if isinstance(c.call, Map) and not isinstance(c.call.body, Call))


def _products() -> Iterator[Case]:
    for case in cases_integer.cases():
        if case.call.output.tensor.dtype in NARROW:
            name, *rest = case.name.split(" ")
            product = isinstance(case.call, MatMul) and name in EPILOGUES and rest[-1] == "None"
            shape = any(s in case.name for s in SHAPES)
            conv = isinstance(case.call, Conv) and shape and rest[-1] in EPILOGUES and "NCHW" not in rest
            if product or conv:
                yield case


def cases() -> Iterator[Case]:
    """All cases; names are unique. Of maps, whose code is short, with tables of both dtypes."""
    pools = (c for c in cases_pool.cases() if c.call.output.tensor.dtype in NARROW)
    for case in (*_maps(), *_products(), *pools):
        same = case.call.output.tensor.dtype
        yield looked_up(case, U8 if same is I8 else I8)
        yield looked_up(case, same, inside=True)
        if isinstance(case.call, Map):
            yield looked_up(case, same)
