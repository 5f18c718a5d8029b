"""Attention that every target must compute: sizes about blocks, widths, layouts, groups, masks, symbols."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention
from pyruntime.ir.scalar import Acc, Const, Index, Load, Scalar, Size, call, cast
from pyruntime.ir.views import View
from tests.kernels.case import Case, Maker

BOOL, F32, I32, I64 = DType.BOOL, DType.F32, DType.I32, DType.I64
SCALED = call("mul", Acc(F32), Const(F32, 1.5))
EXCLUDED = Const(F32, float("-inf"))


def causal(rank: int, past: int = 0) -> Scalar:
    """The scaled score where key j <= query i + past."""
    last = call("add", Index(I32, rank - 2), Const(I32, past))
    return call("select", call("le", Index(I32, rank - 1), last), SCALED, EXCLUDED)


def attention(
    name: str,
    batch: Sequence[Dim],
    m: Dim,
    n: Dim,
    width: int,
    value_width: int | None = None,
    *,
    maker: Maker | None = None,
    q: View | None = None,
    k: View | None = None,
    v: View | None = None,
    score: Scalar = SCALED,
    inputs: tuple[View, ...] = (),
    order: Sequence[int] = (),
    past: Dim | None = None,
    safe: bool = False,
    sizes: tuple[Dim, ...] = (),
) -> Case:
    """Dense row-major operands where none are given; the output's axes stored in `order`."""
    maker, value_width = maker or Maker(seed=width), value_width or width
    made = Attention(
        name=name,
        batch=tuple(batch),
        m=m,
        n=n,
        width=width,
        value_width=value_width,
        q=q or maker.dense((*batch, m, width)),
        k=k or maker.dense((*batch, n, width)),
        v=v or maker.dense((*batch, n, value_width)),
        score=score,
        inputs=inputs,
        output=maker.output((*batch, m, value_width), F32, order),
        causal=past,
        safe=safe,
        size_values=sizes,
    )
    return Case(name, made, maker.inputs, maker.symbols)


def sizes() -> Iterator[Case]:
    """About the edges of blocks, and widths from 1 to 256 and beyond."""
    for m, n in itertools.product((1, 2, 3, 4, 5, 33), (1, 7, 64, 129)):
        yield attention(f"{m} x {n}", (2,), m, n, 8)
    for width in (1, 3, 8, 20, 31, 64, 80, 128, 256, 260):
        yield attention(f"width {width}", (2,), 6, 9, width)
        yield attention(f"width {width}, one query", (2,), 1, 70, width)
    for width, value_width in ((4, 7), (7, 4), (16, 96), (64, 1)):
        yield attention(f"widths {width}, {value_width}", (3,), 5, 11, width, value_width)
    yield attention("no batch", (), 9, 21, 12)
    yield attention("three batch axes", (2, 1, 3), 5, 6, 4)
    yield attention("long", (1,), 3, 1031, 16)
    yield attention("long block", (1,), 70, 300, 16)
    yield attention("nothing", (2,), 0, 5, 8)


def layouts() -> Iterator[Case]:
    """Parts of one product of queries, keys and values, other strides, heads that share keys."""
    for b, s, h, d in ((2, 5, 3, 8), (1, 40, 2, 12), (2, 1, 2, 4), (1, 33, 2, 5)):
        maker = Maker(seed=d)
        whole = maker.dense((b, s, 3, h, d))
        strides = (whole.strides[0], whole.strides[3], whole.strides[1], whole.strides[4])
        q, k, v = (View(whole.tensor, i * h * d, strides) for i in range(3))
        name = f"merged {(b, s, h, d)}"
        yield attention(name, (b, h), s, s, d, maker=maker, q=q, k=k, v=v, order=(0, 2, 1, 3))
    for m in (3, 9):
        maker = Maker(seed=m)
        q, k, v = (maker.permuted((2, n, 8), (0, 2, 1)) for n in (m, 11, 11))
        yield attention(f"columns, {m} queries", (2,), m, 11, 8, maker=maker, q=q, k=k, v=v, order=(0, 2, 1))
        maker = Maker(seed=m)
        keys, values = (maker.dense((2, 2, 7, 8)) for _ in range(2))
        k, v = (replace(x, strides=(*x.strides[:2], 0, *x.strides[2:])) for x in (keys, values))
        name = f"grouped, {m} queries"
        yield attention(name, (2, 2, 3), m, 7, 8, maker=maker, k=k, v=v, order=(0, 3, 1, 2, 4))


def masks() -> Iterator[Case]:
    """Added, chosen, causal; rows that exclude every key; large scores; what has no vector form."""
    added = call("add", SCALED, Load(F32, 0))
    for m in (2, 37):
        for axes in ((0, 1, 2), (0, 2), (2,), (1, 2), ()):
            maker, shape = Maker(seed=m), (2, m, 19)
            mask = maker.dense([shape[a] for a in axes])
            strides = tuple(mask.strides[axes.index(a)] if a in axes else 0 for a in range(3))
            mask = View(mask.tensor, 0, strides)
            name = f"bias over {axes}, {m} queries"
            yield attention(name, (2,), m, 19, 8, maker=maker, score=added, inputs=(mask,))
        for fill in (-1e4, float(np.finfo(np.float32).min), float("-inf")):
            maker = Maker(seed=m)
            chosen = call("select", Load(BOOL, 0), SCALED, Const(F32, fill))
            seen = (maker.dense((2, m, 19), BOOL),)
            maker.inputs[seen[0].tensor][19:57] = False  # rows 1 and 2 see nothing
            case = attention(
                f"filled {fill}, {m} queries",
                (2,),
                m,
                19,
                8,
                maker=maker,
                score=chosen,
                inputs=seen,
                safe=True,
            )
            yield case
        maker = Maker(seed=m)
        chosen = call("select", Load(BOOL, 0), SCALED, EXCLUDED)
        seen = (maker.dense((2, m, 19), BOOL),)
        maker.inputs[seen[0].tensor][:19] = False
        yield attention(f"nothing seen, {m} queries", (2,), m, 19, 8, maker=maker, score=chosen, inputs=seen)
        yield attention(f"causal, {m} queries", (2,), m, m, 8, score=causal(3), past=0)
        for past in (5, -1, 200):
            name = f"causal after {past}, {m} queries"
            yield attention(name, (2,), m, 140, 8, score=causal(3, past), past=past, safe=past < 0)
    large = call("mul", Acc(F32), Const(F32, 1000.0))
    yield attention("large", (2,), 5, 9, 16, score=large)
    yield attention("large, blocks", (2,), 40, 300, 16, score=large)
    for m, n in ((2, 9), (9, 140)):
        maker = Maker(seed=n)
        q = maker.dense((2, m, 8))
        maker.inputs[q.tensor][[0, 8 + 3]] = float("nan"), float("inf")  # queries 0 and 1
        yield attention(f"not numbers, {m} x {n}", (2,), m, n, 8, maker=maker, q=q)
    maker = Maker(seed=3)
    keys, queries = maker.dense((2, 9), I64), maker.dense((2, 6), I64)
    segments = (replace(keys, strides=(9, 0, 1)), replace(queries, strides=(6, 1, 0)))
    same = call("select", call("eq", Load(I64, 0), Load(I64, 1)), SCALED, Const(F32, -1e4))
    yield attention("segments", (2,), 6, 9, 8, maker=maker, score=same, inputs=segments)


def symbolic() -> Iterator[Case]:
    """Sizes known at run time, few and many."""
    for m, n in ((1, 9), (4, 130), (5, 5), (70, 70), (3, 0), (40, 0)):
        maker = Maker({"b": 2, "m": m, "n": n})
        b, rows, keys = symbol("b"), symbol("m"), symbol("n")
        bias = View(maker.dense((b, keys)).tensor, 0, (keys, 0, 0, 1))
        distance = call("sub", Index(I32, 3), call("add", Index(I32, 2), Size(I32, 0)))
        slope = call("mul", cast(distance, F32), Const(F32, -0.1))
        score = call("add", call("add", SCALED, slope), Load(F32, 0))
        yield attention(
            f"symbolic {m} x {n}",
            (b, 2),
            rows,
            keys,
            12,
            maker=maker,
            score=score,
            inputs=(bias,),
            order=(0, 2, 1, 3),
            sizes=(keys - rows,),
        )


def cases() -> Iterator[Case]:
    """All of them."""
    yield from sizes()
    yield from layouts()
    yield from masks()
    yield from symbolic()
