"""Products with weights of 4 or 8 bits in blocks for every target: sizes, zero points, layouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.kernel import Blocks, MatMul
from pyruntime.ir.views import View
from pyruntime.ops.layouts import pack_levels, pack_panels
from tests.kernels.case import Case, Maker
from tests.kernels.cases_matmul import Views, dense, strided, transposed
from tests.kernels.epilogues import EPILOGUES, Build, bias_relu, plain

# rows, columns, depth, elements of a block
SIZES = (
    *((1, 1, 1, 16), (1, 8, 32, 32), (2, 3, 5, 16), (3, 17, 33, 16), (4, 9, 31, 32), (1, 127, 200, 64)),
    *((5, 9, 7, 16), (17, 31, 64, 32), (64, 33, 129, 128), (49, 130, 300, 256), (13, 140, 530, 32)),
    *((0, 4, 16, 16), (4, 0, 16, 16), (4, 5, 0, 16)),
)


def _case(
    name: str,
    m: Dim,
    n: int,
    k: int,
    size: int,
    bits: int,
    *,
    zeros: bool = False,
    batch: tuple[Dim, ...] = (),
    a: Views = dense,
    epilogue: Build = plain,
    order: Sequence[int] = (),
    symbols: dict[str, int] | None = None,
) -> Case:
    """One product whose weight has all levels, and scales of both signs."""
    maker = Maker(symbols or {}, seed=len(name))
    random = np.random.default_rng([len(name), n, k])
    sizes, rank = (*batch, m, n), len(batch) + 2
    left, groups = a(maker, batch, m, k), -(-k // size)

    def weight(data: Any, layout: str) -> View:
        return View(maker.weight(data, layout), 0, (0,) * rank)

    levels = random.integers(0, 1 << bits, (k, n), np.uint8)
    scales = random.uniform(-0.1, 0.1, (groups, n)).astype(np.float32)
    places = random.integers(0, 1 << bits, (groups, n)).astype(np.float32)
    blocks = Blocks(
        bits,
        size,
        weight(pack_panels(scales, 8), "panels8"),
        weight(pack_panels(places, 8), "panels8") if zeros else None,
    )
    body, inputs, size_values = epilogue(maker, sizes)
    call = MatMul(
        name=name,
        inputs=inputs,
        output=maker.output(sizes, order=order),
        size_values=size_values,
        batch=batch,
        m=m,
        n=n,
        k=k,
        a=left,
        b=weight(pack_levels(levels, bits), f"levels{bits}x8"),
        panels=8,
        blocks=blocks,
        body=body,
    )
    return Case(name, call, maker.inputs, maker.symbols)


def cases() -> Iterator[Case]:
    """All cases; names are unique."""
    for m, n, k, size in SIZES:
        for bits in (4, 8):
            for zeros in (False, True):
                name = f"{bits} bits{', zeros' if zeros else ''} {m}x{n}x{k} in {size}"
                yield _case(name, m, n, k, size, bits, zeros=zeros, epilogue=bias_relu)
    for m in (2, 19):
        for left in (transposed, strided):
            yield _case(f"a {left.__name__} {m}", m, 11, 50, 16, 4, zeros=True, a=left)
        for epilogue in EPILOGUES:
            yield _case(f"{epilogue.__name__} {m}", m, 11, 20, 32, 4, epilogue=epilogue)
        yield _case(f"batch {m}", m, 10, 40, 32, 8, batch=(2, 3), epilogue=bias_relu)
        yield _case(f"output transposed {m}", m, 13, 24, 16, 4, order=(1, 0))
    for value in (1, 4, 5, 70):
        yield _case(f"symbols {value}", symbol("rows"), 20, 70, 32, 4, symbols={"rows": value})
