"""Matrix products that every target must compute: sizes, layouts, batches, dtypes and epilogues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import MatMul
from pyruntime.ir.scalar import Acc, cast
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import View
from pyruntime.ops.layouts import pack_panels
from tests.kernels.case import Case, Maker
from tests.kernels.epilogues import EPILOGUES, Build, bias_relu, plain

F32 = DType.F32
SIZES = (
    *((1, 1, 1), (1, 8, 4), (2, 3, 5), (3, 7, 2), (4, 8, 8), (5, 9, 7), (7, 4, 33), (8, 16, 31), (9, 33, 16)),
    *((16, 31, 64), (31, 127, 9), (33, 64, 127), (127, 5, 3), (64, 33, 1), (1, 127, 64), (4, 127, 33)),
    *((49, 130, 300), (17, 16, 520), (1, 9, 1030), (2, 12, 259), (3, 12, 261), (50, 8, 16)),
    *((1, 40, 1030), (2, 24, 519), (3, 17, 521), (6, 9, 1027), (7, 24, 515), (8, 40, 262)),
    *((1, 3100, 9), (2, 3083, 6)),
    *((17, 24, 2), (18, 23, 6), (19, 25, 13), (49, 521, 14), (50, 21, 1030)),
    *((0, 4, 3), (4, 0, 3), (4, 5, 0)),
)

Views = Callable[[Maker, Sequence[Dim], Dim, Dim], View]


def dense(maker: Maker, batch: Sequence[Dim], rows: Dim, columns: Dim) -> View:
    """Row-major."""
    return maker.dense((*batch, rows, columns))


def transposed(maker: Maker, batch: Sequence[Dim], rows: Dim, columns: Dim) -> View:
    """Column-major."""
    rank = len(batch)
    return maker.permuted((*batch, rows, columns), (*range(rank), rank + 1, rank))


def strided(maker: Maker, batch: Sequence[Dim], rows: Dim, columns: Dim) -> View:
    """Every other element of rows with gaps, from an offset."""
    whole = maker.dense((*batch, rows, columns * 2 + 3))
    return View(whole.tensor, 1, (*whole.strides[:-1], 2))


def _case(
    name: str,
    m: Dim,
    n: Dim,
    k: Dim,
    *,
    batch: tuple[Dim, ...] = (),
    a: Views = dense,
    b: Views | None = None,
    epilogue: Build = plain,
    order: Sequence[int] = (),
    part: bool = False,
    symbols: dict[str, int] | None = None,
) -> Case:
    """One product; b = None packs a weight into panels of 8."""
    maker = Maker(symbols or {}, seed=len(name))
    sizes = (*batch, m, n)
    left = a(maker, batch, m, k)
    panels = 0
    if b is None:
        panels, depth, columns = 8, value_of(k, maker.symbols), value_of(n, maker.symbols)
        matrix = maker.values(depth * columns, F32).reshape(depth, columns)
        right = View(maker.weight(pack_panels(matrix, 8), "panels8"), 0, (0,) * (len(batch) + 2))
    else:
        right = b(maker, batch, k, n)
    body, inputs, size_values = epilogue(maker, sizes)
    output = maker.part(sizes, 3, 2) if part else maker.output(sizes, order=order)
    call = MatMul(
        name=name,
        inputs=inputs,
        output=output,
        size_values=size_values,
        batch=batch,
        m=m,
        n=n,
        k=k,
        a=left,
        b=right,
        panels=panels,
        body=body,
    )
    return Case(name, call, maker.inputs, maker.symbols)


def _typed(dtype: DType, panels: int) -> Case:
    """A product in another dtype, batched; floats narrower than 32 bits accumulate in float32."""
    maker = Maker(seed=dtype.bits)
    a = maker.dense((2, 5, 19), dtype)
    if panels:
        matrix = maker.values(19 * 11, dtype).reshape(19, 11)
        b = View(maker.weight(pack_panels(matrix, panels), f"panels{panels}"), 0, (0, 0, 0))
    else:
        b = maker.permuted((2, 19, 11), (0, 2, 1), dtype)
    name = f"{dtype!r} {'panels' if panels else 'transposed'}"
    call = MatMul(
        name=name,
        output=maker.output((2, 5, 11), dtype),
        batch=(2,),
        m=5,
        n=11,
        k=19,
        a=a,
        b=b,
        panels=panels,
        body=cast(Acc(dtype), dtype),
    )
    return Case(name, call, maker.inputs)


def cases() -> Iterator[Case]:
    """All cases; names are unique."""
    for m, n, k in SIZES:
        yield _case(f"panels {m}x{n}x{k}", m, n, k, epilogue=bias_relu)
        yield _case(f"dense {m}x{n}x{k}", m, n, k, b=dense)
        yield _case(f"b transposed {m}x{n}x{k}", m, n, k, b=transposed)
    for m, n, k in ((5, 9, 7), (33, 20, 50), (50, 130, 261), (13, 17, 514)):
        for left in (transposed, strided):
            yield _case(f"a {left.__name__}, panels {m}x{n}x{k}", m, n, k, a=left)
            yield _case(f"a {left.__name__}, b strided {m}x{n}x{k}", m, n, k, a=left, b=strided)
    for m, n, k in ((196, 250, 70), (100, 160, 68), (77, 62, 68), (40, 48, 132)):  # on WebGPU threads share k
        yield _case(f"slices {m}x{n}x{k}", m, n, k, epilogue=bias_relu)
        yield _case(f"slices, dense {m}x{n}x{k}", m, n, k, b=dense)
        yield _case(f"slices, transposed {m}x{n}x{k}", m, n, k, a=transposed, b=transposed)
    yield _case("slices, batch", 20, 36, 140, batch=(2, 2), b=dense, epilogue=bias_relu)
    for epilogue in EPILOGUES:
        for m, n in ((9, 11), (5, 1)):
            yield _case(f"{epilogue.__name__} {m}x{n}", m, n, 6, epilogue=epilogue)
    for batch in ((3,), (2, 3), (2, 1, 2)):
        yield _case(f"batch {batch}", 6, 10, 12, batch=batch, b=transposed, epilogue=bias_relu)
        yield _case(f"batch {batch}, panels", 6, 10, 12, batch=batch, epilogue=plain)
    for epilogue in EPILOGUES:
        yield _case(f"batch, {epilogue.__name__}", 5, 9, 4, batch=(3,), b=dense, epilogue=epilogue)
    yield _case("part of a tensor", 7, 13, 9, epilogue=bias_relu, part=True)
    yield _case("part of a tensor, batched", 7, 4, 9, batch=(2,), b=dense, part=True)
    yield _case("output transposed", 7, 13, 9, epilogue=bias_relu, order=(1, 0))
    yield _case("heads to rows", 7, 13, 9, batch=(3,), b=dense, order=(1, 0, 2))
    rows, depth = symbol("rows"), symbol("depth")
    for value in (1, 5, 64):
        symbols = {"rows": value, "depth": 2 * value + 1}
        yield _case(f"symbols {value}", rows, 10, 12, epilogue=bias_relu, symbols=symbols)
        yield _case(f"symbols {value}, both", rows, depth, depth * 2, b=dense, symbols=symbols)
        yield _case(f"symbols {value}, scores", rows, rows, 16, batch=(depth,), b=transposed, symbols=symbols)
    for value in (5, 70):
        yield _case(f"symbols {value}, wide", rows, 128, 64, symbols={"rows": value})
    for dtype in (DType.F16, DType.F64, DType.I32, DType.U32, DType.I64, DType.U64, DType.U16):
        yield _typed(dtype, 0)
        yield _typed(dtype, 8)
