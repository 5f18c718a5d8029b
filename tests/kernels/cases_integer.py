"""Products of short integers that all targets must compute exactly: dtypes, ranges, sizes, epilogues."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, Map, MatMul, Reduction, Row, Window
from pyruntime.ir.scalar import Acc, Const, Load, Scalar, call, cast
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.layouts import pack_conv_quads, pack_depthwise, pack_quads
from pyruntime.ops.octets import limit_octets, octet_range
from pyruntime.ops.quantization import limits
from tests.kernels.case import Array, Case, Maker
from tests.kernels.cases_conv import TRANSFORMED, Shape, same
from tests.kernels.epilogues_integer import EPILOGUES, Build, dequantised, plain, requantised_unsigned

I8, U8, I16, I32, F32 = DType.I8, DType.U8, DType.I16, DType.I32, DType.F32

DTYPES = ((I8, I8), (U8, I8), (I8, U8), (U8, U8), (I16, I8), (I16, U8))
SIZES = (
    *((1, 1, 1), (1, 8, 4), (2, 3, 5), (3, 7, 2), (4, 8, 8), (5, 9, 7), (7, 4, 33), (8, 16, 31), (9, 33, 16)),
    *((13, 31, 64), (31, 127, 9), (50, 17, 127), (127, 5, 3), (1, 127, 64), (4, 127, 33), (6, 140, 1030)),
    *((0, 4, 3), (4, 0, 3), (4, 5, 0)),
)


class FullRange(Maker):
    """Makes elements over the whole range of a dtype, or the given one, with both ends among them.

    Of those in a given range, `far` is the share of others, anywhere in the dtype's.
    """

    span: tuple[int, int] | None = None
    far = 0.0

    def values(self, count: int, dtype: DType) -> Array:
        if dtype.is_float:
            return super().values(count, dtype)
        low, high = self.span or limits(dtype)
        random = np.random.default_rng([self.seed, len(self.inputs), count])
        values = random.integers(low, high, count, endpoint=True)
        extremes = random.random(count)
        values[extremes < 0.1] = low
        values[extremes > 0.9] = high
        if self.far:
            others = random.random(count) < self.far
            values[others] = random.integers(*limits(dtype), int(others.sum()), endpoint=True)
        return values.astype(dtype.value)


def _weight(maker: Maker, matrices: Array, data: Array, layout: str, run: int = 1) -> Tensor:
    """A weight of which is known what lowering finds out."""
    tensor = maker.weight(data, layout)
    tensor.interval = min(int(matrices.min(initial=0)), 0), max(int(matrices.max(initial=0)), 0)
    tensor.octets = octet_range(matrices, run)
    return tensor


def matmul(
    name: str,
    m: Dim,
    n: Dim,
    k: Dim,
    *,
    dtypes: tuple[DType, DType] = (I8, I8),
    batch: tuple[Dim, ...] = (),
    constant: bool = True,
    octets: bool = False,
    span: tuple[int, int] | None = None,
    a_span: tuple[int, int] | None = None,
    a_far: float = 0,
    order: Sequence[int] = (),
    epilogue: Build = plain,
    symbols: dict[str, int] | None = None,
) -> Case:
    """One product; a `constant` b lies as lowering stores it, and with `octets` its quads fit 16 bits."""
    maker = FullRange(symbols or {}, seed=len(name))
    sizes, rank = (*batch, m, n), len(batch)
    maker.span, maker.far = a_span, a_far
    a = maker.permuted((*batch, m, k), order or range(rank + 2), dtypes[0])
    maker.far = 0
    panels = 0
    if constant:
        depth, columns = value_of(k, maker.symbols), value_of(n, maker.symbols)
        maker.span = span
        matrix = maker.values(depth * columns, dtypes[1]).reshape(depth, columns)
        if octets:
            matrix = limit_octets(matrix[None], 1)[0]
        weight = _weight(maker, matrix[None], pack_quads(matrix, 8), "quads8")
        panels, b = 8, View(weight, 0, (0,) * (rank + 2))
    else:
        maker.span = span
        b = maker.permuted((*batch, k, n), order or range(rank + 2), dtypes[1])
    maker.span = None
    body, inputs, dtype = epilogue(maker, sizes)
    kernel = MatMul(
        name=name,
        inputs=inputs,
        output=maker.output(sizes, dtype),
        batch=batch,
        m=m,
        n=n,
        k=k,
        a=a,
        b=b,
        panels=panels,
        body=body,
    )
    return Case(name, kernel, maker.inputs, maker.symbols)


def conv(
    shape: Shape,
    *,
    dtypes: tuple[DType, DType] = (I8, I8),
    fill: int = 0,
    octets: bool = False,
    span: tuple[int, int] | None = None,
    x_span: tuple[int, int] | None = None,
    x_far: float = 0,
    layout: Sequence[int] = (0, 1, 2, 3),
    epilogue: Build = plain,
    note: str = "",
    wasm_only: str = "",
) -> Case:
    """One convolution; x is padded with `fill`."""
    maker = FullRange(seed=shape.channels + 7 * shape.kernel[1])
    maker.span, maker.far = x_span, x_far
    x = maker.permuted((shape.batch, *shape.size, shape.channels), layout, dtypes[0])
    maker.far = 0
    per_group = shape.channels // shape.groups
    maker.span = span
    count = shape.out_channels * per_group * shape.kernel[0] * shape.kernel[1]
    filters = maker.values(count, dtypes[1]).reshape(shape.out_channels, per_group, *shape.kernel)
    maker.span = None
    run = shape.kernel[1] if shape.dilations[1] == 1 else 1
    matrices = filters.transpose(2, 3, 1, 0).reshape(-1, per_group, shape.out_channels)
    if octets:
        matrices = limit_octets(matrices, run)
        filters = matrices.reshape(*shape.kernel, *matrices.shape[1:]).transpose(3, 2, 0, 1)
    weight: Tensor
    if shape.depthwise:
        panels, weight = 0, _weight(maker, matrices, pack_depthwise(filters), "depthwise")
    else:
        data = pack_conv_quads(filters, shape.groups, 8)
        panels, weight = 8, _weight(maker, matrices, data, "convquads8", run)
        weight.magnitude = int(np.abs(matrices.astype(np.int64)).sum((0, 1)).max())
    out = (shape.batch, *shape.out_size, shape.out_channels)
    body, inputs, dtype = epilogue(maker, out)
    kernel = Conv(
        name=f"{dtypes[0]!r} {dtypes[1]!r} {shape}{note and ', '}{note}",
        inputs=inputs,
        output=maker.output(out, dtype),
        n=shape.batch,
        in_size=shape.size,
        out_size=shape.out_size,
        in_channels=shape.channels,
        out_channels=shape.out_channels,
        groups=shape.groups,
        window=Window(shape.kernel, shape.strides, shape.dilations, shape.before),
        x=View(x.tensor, 0, x.strides, fill=fill),
        weight=View(weight, 0, (0, 0, 0, 0)),
        panels=panels,
        body=body,
    )
    return Case(kernel.name, kernel, maker.inputs, maker.symbols, wasm_only)


def _quantised(value: Scalar, dtype: DType) -> Scalar:
    """round(value) saturated, without a clip of its own."""
    return cast(call("round", value), dtype)


def _map(width: int, dtype: DType) -> Case:
    """x * scale[row] as 8-bit integers, among which are infinite and NaN."""
    maker = FullRange(seed=width)
    x = maker.dense((3, width))
    values = maker.inputs[x.tensor]
    values *= 300
    values[::7] = np.resize([np.nan, np.inf, -np.inf, 3e38, -3e38, 127.5, -128.5, 0.5], len(values[::7]))
    scale = View(maker.tensor(3), 0, (1, 0))
    body = _quantised(call("mul", Load(F32, 0), Load(F32, 1)), dtype)
    name = f"quantise {width} to {dtype!r}"
    kernel = Map(
        name=name, inputs=(x, scale), output=maker.output((3, width), dtype), sizes=(3, width), body=body
    )
    return Case(name, kernel, maker.inputs)


def _row(width: int, dtype: DType) -> Case:
    """x / max |x| * 127 over each row, as 8-bit integers."""
    maker = FullRange(seed=width)
    x = maker.dense((4, width))
    ratio = call("div", Load(F32, 0), call("max", Acc(F32, 0), Const(F32, 1e-6)))
    name = f"quantise rows of {width} to {dtype!r}"
    kernel = Row(
        name=name,
        inputs=(x,),
        output=maker.output((4, width), dtype),
        sizes=(4, width),
        reduced=1,
        reductions=(Reduction("max", call("abs", Load(F32, 0))),),
        body=_quantised(call("mul", ratio, Const(F32, 127.0)), dtype),
        elementwise=True,
    )
    return Case(name, kernel, maker.inputs)


CONVOLUTIONS = (
    *(Shape((6, 7), 5, 9, (1, 1)), Shape((5, 5), 16, 24, (1, 1), (2, 2)), Shape((3, 3), 1, 1, (3, 3))),
    same(Shape((7, 9), 3, 16, (3, 3))),
    same(Shape((12, 11), 3, 16, (3, 3), (2, 2))),
    same(Shape((4, 5), 20, 6, (3, 3), batch=2)),
    same(Shape((7, 20), 4, 5, (3, 3), dilations=(3, 5))),
    same(Shape((10, 53), 6, 10, (3, 3))),
    same(Shape((9, 8), 12, 8, (3, 3), groups=2)),
    same(Shape((9, 8), 12, 24, (3, 3), (2, 1), groups=4)),
    Shape((6, 6), 4, 3, (2, 3), (1, 2), (2, 1), (0, 2), (3, 1)),
    Shape((5, 6), 4, 9, (5, 6), before=(2, 0), after=(0, 3)),
    Shape((8, 8), 4, 4, (3, 3), before=(-1, -2), after=(-1, 0)),
    Shape((4, 4), 300, 10, (2, 2), before=(1, 1)),
    Shape((5, 4), 40, 140, (3, 3), before=(1, 1), after=(1, 1)),
    Shape((2, 2), 3, 4, (3, 3)),  # nothing fits: no output
)
# inputs are close together, though not where bytes begin, so that 7 bits of them meet the weights
GATHERED = (
    same(Shape((15, 14), 12, 24, (3, 3), (2, 2), batch=2)),
    same(Shape((9, 21), 48, 17, (3, 3), (1, 2), groups=1)),
    same(Shape((13, 11), 20, 48, (3, 3), (2, 2), groups=2)),
    same(Shape((12, 13), 12, 40, (3, 3), dilations=(1, 2))),
    Shape((9, 11), 130, 140, (1, 1), (2, 2)),
    same(Shape((18, 60), 3, 16, (7, 7), (2, 2))),
    same(Shape((7, 20), 4, 18, (3, 3))),
    Shape((3, 4), 16, 16, (2, 2), (2, 2)),
)
# what transformed tiles compute, where they are exact
WINOGRAD = (
    *TRANSFORMED,
    same(Shape((7, 11), 40, 33, (3, 3), batch=2)),
    same(Shape((31, 29), 24, 24, (3, 3))),  # several blocks of tiles
    same(Shape((18, 22), 264, 56, (3, 3))),  # and of output channels, which threads share
    same(Shape((5, 6), 160, 40, (3, 3))),  # sums in several pieces
)
DEPTHWISE = (
    *(same(Shape((9, 12), c, c, (3, 3), groups=c)) for c in (2, 3, 4, 8, 9, 31)),
    *(same(Shape((h, w), 6, 6, (3, 3), groups=6)) for h, w in ((1, 1), (2, 3), (5, 17))),
    *(same(Shape((9, w), 16, 16, (3, 3), (2, 2), groups=16)) for w in (4, 9, 12, 19)),
    *(same(Shape((11, 13), 5, 5, (k, k), (s, s), groups=5)) for k in (5, 7) for s in (1, 2)),
    same(Shape((11, 13), 8, 8, (3, 3), dilations=(2, 3), groups=8, batch=2)),
    Shape((6, 13), 4, 4, (4, 3), (1, 2), before=(0, 2), after=(3, 1), groups=4),
    Shape((9, 9), 4, 4, (3, 3), before=(-1, -1), after=(0, -2), groups=4),
)
SEVEN_BITS = (-64, 63)


def _gathered() -> Iterator[Case]:
    """Products of left operands most of whose elements lie close together, by weights that fill 8 bits."""
    for dtype in (I8, U8):
        low, high = limits(dtype)
        for far in (0, 0.001, 0.02):
            for a_span in ((low, low + 127), (low + 90, low + 140), (high - 9, high)):
                for m, n, k in ((5, 9, 33), (50, 17, 127), (49, 140, 203)):
                    name = f"{dtype!r} {m}x{n}x{k} within {a_span}, {far} not"
                    span = None if k < 200 else (-70, 80)
                    yield matmul(name, m, n, k, dtypes=(dtype, I8), a_span=a_span, a_far=far, span=span)
        shared: dict[str, Any] = {"dtypes": (dtype, I8), "a_span": (low + 60, low + 160), "a_far": 0.01}
        name = f"{dtype!r} gathered"
        yield matmul(f"{name}, both transposed", 31, 33, 100, order=(1, 0), constant=False, **shared)
        yield matmul(f"{name}, batch", 17, 33, 96, batch=(3,), epilogue=dequantised, **shared)
        for corner in limits(I8):
            yield matmul(f"{name} by {corner}", 18, 9, 500, span=(corner, corner), **shared)


def cases() -> Iterator[Case]:
    """All cases; names are unique."""
    for dtype in (I8, U8):
        for width in (1, 15, 16, 35, 200):
            yield _map(width, dtype)
            yield _row(width, dtype)
    for m, n, k in SIZES:
        yield matmul(f"{m}x{n}x{k}", m, n, k)
        yield matmul(f"{m}x{n}x{k}, 7 bits", m, n, k, span=SEVEN_BITS)
        yield matmul(f"{m}x{n}x{k}, octets", m, n, k, span=SEVEN_BITS, octets=True)
    for m, n, k in ((147, 124, 161), (270, 29, 133)):  # on WebGPU threads share few words of k
        yield matmul(f"slices {m}x{n}x{k}", m, n, k, dtypes=(U8, I8), epilogue=dequantised)
    yield from _gathered()
    for dtypes in DTYPES:
        name = f"{dtypes[0]!r} {dtypes[1]!r}"
        for k in (23, 64):
            yield matmul(f"{name} {k}", 9, 19, k, dtypes=dtypes)
            yield matmul(
                f"{name} {k}, 7 bits", 9, 19, k, dtypes=dtypes, span=(limits(dtypes[1])[0] and -64, 63)
            )
            yield matmul(f"{name} {k}, dynamic", 9, 19, k, dtypes=dtypes, constant=False)
        yield matmul(f"{name} long", 3, 9, 5000, dtypes=dtypes)
        for high_a in (0, 1):
            for high_b in (0, 1):
                ends = [(limits(d)[high],) * 2 for d, high in zip(dtypes, (high_a, high_b), strict=True)]
                note = f"{name} all {ends[0][0]} by {ends[1][0]}"
                yield matmul(note, 5, 9, 2051, dtypes=dtypes, a_span=ends[0], span=ends[1])
                yield matmul(
                    f"{note}, dynamic", 5, 9, 70, dtypes=dtypes, a_span=ends[0], span=ends[1], constant=False
                )
        for corner in SEVEN_BITS:
            if limits(dtypes[1])[0] <= corner:
                note = f"{name} all largest by {corner}"
                a_span = (limits(dtypes[0])[1],) * 2
                yield matmul(note, 7, 9, 301, dtypes=dtypes, a_span=a_span, span=(corner, corner))
                half = (corner // 2, corner // 2)
                yield matmul(
                    f"{note} halved", 7, 9, 301, dtypes=dtypes, a_span=a_span, span=half, octets=True
                )
    for epilogue in EPILOGUES:
        for span in (None, SEVEN_BITS):
            for m, n in ((9, 11), (5, 1), (13, 40)):
                yield matmul(f"{epilogue.__name__} {m}x{n} {span}", m, n, 6, epilogue=epilogue, span=span)
    for batch in ((3,), (2, 3)):
        yield matmul(f"batch {batch}", 6, 10, 12, batch=batch, epilogue=dequantised)
        yield matmul(f"batch {batch}, dynamic", 6, 10, 12, batch=batch, constant=False, epilogue=dequantised)
    yield matmul("a transposed", 7, 13, 29, order=(1, 0), span=SEVEN_BITS)
    yield matmul("both transposed", 7, 13, 29, order=(1, 0), constant=False)
    for value in (1, 5, 64):
        symbols = {"rows": value}
        yield matmul(f"symbols {value}", symbol("rows"), 10, 12, symbols=symbols, span=SEVEN_BITS)
        yield matmul(f"symbols {value}, inner", 4, 10, symbol("rows"), symbols=symbols, constant=False)
    for shape in (*CONVOLUTIONS, *DEPTHWISE):
        yield conv(shape, span=SEVEN_BITS, note="7 bits")
        yield conv(shape, dtypes=(U8, I8), fill=131)
        if not shape.depthwise:
            yield conv(shape, span=SEVEN_BITS, octets=True, note="octets")
    for shape in (CONVOLUTIONS[2], CONVOLUTIONS[4], CONVOLUTIONS[6]):
        for dtypes in ((I8, I8), (U8, I8)):
            for span in (None, SEVEN_BITS):
                note = f"planes of {dtypes[0]!r} {span}"
                yield conv(shape, dtypes=dtypes, span=span, fill=5, layout=(0, 3, 1, 2), note=note)
    usual = "WebGPU has the same form for these as for others"
    for shape in GATHERED:
        ways = [("", (0, 1, 2, 3), 60, 150)]
        if shape.channels <= 4:
            ways += [(f", planes of {span}", (0, 3, 1, 2), *span) for span in ((60, 127), (130, 220))]
        for dtype, (way, layout, least, most) in itertools.product((I8, U8), ways):
            low = limits(dtype)[0]
            for far, note in ((0.002, "gathered"), (0.3, "scattered")):
                yield conv(
                    shape,
                    dtypes=(dtype, I8),
                    fill=low + least + 10,
                    x_span=(low + least, low + most),
                    x_far=far,
                    layout=layout,
                    note=note + way,
                    wasm_only=usual,
                )
    for shape in WINOGRAD:
        yield conv(shape, note="transformed", wasm_only=usual)
        yield conv(
            shape,
            dtypes=(U8, I8),
            fill=131,
            epilogue=requantised_unsigned,
            note="transformed",
            wasm_only=usual,
        )
    for corner in (-128, 127, 0, 255):  # as large as outputs may get
        for weight in limits(I8):
            yield conv(
                same(Shape((8, 8), 224, 16, (3, 3))),
                dtypes=(U8 if corner in limits(U8) else I8, I8),
                fill=corner,
                x_span=(corner, corner),
                span=(weight, weight),
                note=f"all {corner} by {weight}",
                wasm_only=usual,
            )
    for shape in (CONVOLUTIONS[3], CONVOLUTIONS[8], DEPTHWISE[4], DEPTHWISE[10]):
        for dtypes in DTYPES:
            yield conv(shape, dtypes=dtypes, fill=5, note="filled")
        for epilogue in EPILOGUES:
            yield conv(shape, epilogue=epilogue, span=SEVEN_BITS, note=epilogue.__name__)
            yield conv(shape, epilogue=epilogue, layout=(0, 3, 1, 2), note=f"NCHW {epilogue.__name__}")
