"""Signal processing: Fourier transforms as products of matrices, and mel filters."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pyruntime.ir.conditions import choose, less
from pyruntime.ir.dims import Dim, ceildiv, floordiv, maximum, mod, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.axes import FedAxes, fed_axes, integers
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.fourier import (
    Transform,
    lengths,
    matrix,
    mirror_weights,
    split,
)
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis, stacked
from pyruntime_converter.frontends.onnx.tensors import dtype_of

_LONGEST_OPEN = 46340  # a length that only inputs know: products of two indices stay below 2^31


@handles("DFT")
def dft(ctx: NodeContext) -> Value:
    """Along one axis of real or complex numbers, whose parts are the last axis."""
    x, stated = ctx.input(0), _number(ctx, 1, "its length")
    if x.rank < 2 or x.shape[-1] not in (1, 2):
        ctx.invalid(f"an input of shape {x.shape}")
    given = ctx.optional(2) if ctx.opset >= 20 else None
    if given is not None:
        axes = ctx.known(given, "its axis")
    else:
        axes = (ctx.attr("axis") if ctx.opset < 20 else -2,)
    if len(axes) != 1:
        ctx.invalid(f"{len(axes)} axes")
    known = integers(axes)
    if known is None:
        return _along_fed(ctx, x, stated, axes[0])
    axis = ctx.axis(known[0], x.rank)
    if axis == x.rank - 1:
        ctx.invalid(f"axis {known[0]} of an input of shape {x.shape}")
    order = (*(a for a in range(x.rank - 1) if a != axis), axis, x.rank - 1)
    result = _along_rows(ctx, _transposed(ctx, x, order), _stated_transform(ctx, x.shape[axis], stated))
    return _transposed(ctx, result, tuple(order.index(a) for a in range(x.rank)))


def _along_fed(ctx: NodeContext, x: Value, stated: Dim | None, axis: Dim) -> Value:
    """The same along an axis that is known only when the model runs."""
    last = x.rank - 1
    fed = fed_axes(ctx, [mod(axis, x.rank)], last)  # of all but the parts
    fed = FedAxes(((*fed.named[0], 0), (*[0] * last, 1)), tuple((*row, 0) for row in fed.kept))
    moved = fed.moved_last(ctx, x)
    transform = _stated_transform(ctx, moved.shape[-2], stated)
    result = _along_rows(ctx, moved, transform)
    sizes = [choose(fed.selects(a), transform.given, size) for a, size in enumerate(x.shape[:-1])]
    return fed.moved_back(ctx, result, (*sizes, transform.results))


def _stated_transform(ctx: NodeContext, size: Dim, stated: Dim | None) -> Transform:
    inverse, onesided = bool(ctx.attr("inverse")), bool(ctx.attr("onesided"))
    return lengths(size, stated, inverse=inverse, onesided=onesided, parts=_parts(ctx.input()))


@handles("STFT")
def stft(ctx: NodeContext) -> Value:
    """Transforms of parts of a signal, which begin every `frame_step` elements."""
    x, window = ctx.input(0), ctx.optional(2)
    step, stated = _number(ctx, 1, "the step between its frames"), _number(ctx, 3, "the length of its frames")
    if x.rank == 2:
        x = ctx.reshape(x, (*x.shape, 1))
    if x.rank != 3 or x.shape[-1] not in (1, 2) or step is None:
        ctx.invalid(f"a signal of shape {x.shape}")
    length = stated if stated is not None else x.shape[1] if window is None else window.shape[0]
    if window is not None and isinstance(length, int) and window.shape not in ((length,), (1, length)):
        ctx.invalid(f"a window of shape {window.shape} for frames of {length}")
    frames = _frames(ctx, x, step, length)
    if window is not None:
        frames = ctx.one("Mul", frames, ctx.reshape(window, (length, 1)))
    transform = lengths(length, length, inverse=False, onesided=bool(ctx.attr("onesided")), parts=_parts(x))
    return _along_rows(ctx, frames, transform)


def _frames(ctx: NodeContext, x: Value, step: Dim, length: Dim) -> Value:
    """[batch, size, parts] as [batch, frames, length, parts]."""
    batch, size, parts = x.shape
    whole = isinstance(step, int) and isinstance(length, int)
    if (isinstance(step, int) and step < 1) or (isinstance(length, int) and length < 1):
        ctx.invalid(f"frames of {length} every {step}")
    if not whole or not isinstance(size, int):
        ctx.require(less(length, size + 1), f"a signal of {size} has no frame of {length}")
        ctx.require(less(0, step), f"frames begin every {step}")
    elif size < int(str(length)):
        ctx.invalid(f"a signal of {size} has no frame of {length}")
    count = maximum(floordiv(size - length, maximum(step, 1)) + 1, 0)
    # whole chunks are gathered where frames begin and end at their ends
    chunk = math.gcd(step, length) if isinstance(step, int) and isinstance(length, int) else 1
    chunks = size // chunk
    x = ctx.reshape(slice_axis(ctx, x, 1, 0, chunks * chunk), (batch, chunks, chunk, parts))
    starts = ctx.one("Range", step=step // chunk, size=count, dtype=DType.I32)
    within = ctx.one("Range", size=length // chunk, dtype=DType.I32)
    indices = ctx.one("Add", ctx.reshape(starts, (count, 1)), within)
    return ctx.reshape(ctx.one("Gather", x, indices, axis=1), (batch, count, length, parts))


def _along_rows(ctx: NodeContext, x: Value, transform: Transform) -> Value:
    """A transform of the last axis but one."""
    leading = x.shape[:-2]
    x = slice_axis(ctx, x, x.rank - 2, 0, transform.taken)
    dtype = DType.F64 if x.dtype is DType.F64 else DType.F32
    rows = ctx.reshape(ctx.cast(x, dtype), (product(leading), *x.shape[-2:]))
    sizes = (transform.length, transform.taken, transform.given)
    if all(isinstance(d, int) for d in sizes):
        if min(int(str(d)) for d in sizes) < 1:
            ctx.invalid(f"a transform of length {transform.length}")
        made = _fixed(ctx, rows, transform, 1 / int(str(transform.length)) if transform.inverse else 1.0)
    else:
        made = _open(ctx, rows, transform)
    made = ctx.one("Transpose", made, perm=(0, 2, 1))
    return ctx.cast(ctx.reshape(made, (*leading, transform.given, transform.results)), x.dtype)


def _fixed(ctx: NodeContext, x: Value, t: Transform, scale: float) -> Value:
    """[rows, taken, parts] to [rows, results, given], all sizes but the rows known."""
    length, taken, given = (int(str(d)) for d in (t.length, t.taken, t.given))
    rows = x.shape[0]
    ctx.limited(max(length, taken, given), f"a transform of length {length}")
    factors = split(length, given)
    if factors is None:
        ctx.limited(taken * t.parts * given * t.results, f"the matrix of a transform of length {length}")
        weights = scale * matrix(t, np.arange(taken), np.arange(given))
        if t.mirrored:
            weights *= mirror_weights(length, taken)[:, None, None, None]
        weights = weights.reshape(taken * t.parts, t.results * given)
        flat = ctx.reshape(x, (rows, taken * t.parts))
        made = ctx.one("MatMul", flat, ctx.builder.constant(weights, x.dtype))
        return ctx.reshape(made, (rows, t.results, given))
    a, b = factors
    if t.mirrored:
        x = ctx.one("Mul", x, ctx.builder.constant(mirror_weights(length, taken)[:, None], x.dtype))
    outer = int(str(ceildiv(taken, b)))
    if outer * b > taken:
        pads = {"before": (0, 0, 0), "after": (0, outer * b - taken, 0), "mode": "constant", "value": 0}
        x = ctx.one("Pad", x, **pads)
    columns = ctx.one("Transpose", ctx.reshape(x, (rows, outer, b, t.parts)), perm=(0, 2, 1, 3))
    columns = ctx.reshape(columns, (rows * b, outer, t.parts))
    first = Transform(a, outer, a, t.parts, 2, t.inverse)
    inner = int(str(ceildiv(given, a)))
    n2, k = np.arange(b), np.arange(a)[:, None] + a * np.arange(inner)
    weights = scale * matrix(replace(t, parts=2), n2, k).reshape(a, 2 * b, t.results * inner)
    parts = ctx.reshape(_fixed(ctx, columns, first, 1.0), (rows, 2 * b, a))
    parts = ctx.one("Transpose", parts, perm=(2, 0, 1))
    made = ctx.one("MatMul", parts, ctx.builder.constant(weights, x.dtype))
    made = ctx.one("Transpose", ctx.reshape(made, (a, rows, t.results, inner)), perm=(1, 2, 3, 0))
    return slice_axis(ctx, ctx.reshape(made, (rows, t.results, inner * a)), 2, 0, given)


def _open(ctx: NodeContext, x: Value, t: Transform) -> Value:
    """The same for a length that inputs decide: its matrix is computed in every run."""
    ctx.require(less(0, t.length), f"a transform of length {t.length}")
    ctx.require(less(t.length, _LONGEST_OPEN + 1), f"lengths over {_LONGEST_OPEN} must be known to convert")
    n = ctx.reshape(ctx.one("Range", size=t.taken, dtype=DType.I32), (t.taken, 1))
    k = ctx.one("Range", size=t.given, dtype=DType.I32)
    length = ctx.builder.dims(t.length, DType.I32)
    cosine, sine = _circle(ctx, ctx.one("Mod", ctx.one("Mul", n, k), length, fmod=False), length, x.dtype)
    sine = sine if t.inverse else ctx.one("Neg", sine)
    scale = None
    if t.inverse:
        scale = ctx.one("Reciprocal", ctx.cast(length, x.dtype))
    if t.mirrored:
        twice = ctx.one("Mul", n, ctx.like(2, n))
        own = ctx.one("Equal", ctx.one("Mod", twice, length, fmod=False), ctx.like(0, n))
        scale = ctx.one("Mul", scale, ctx.one("Where", own, ctx.like(1, x), ctx.like(2, x)))
    if scale is not None:
        cosine, sine = ctx.one("Mul", cosine, scale), ctx.one("Mul", sine, scale)
    rows = [[cosine, sine], [ctx.one("Neg", sine), cosine]][: t.parts]
    weights = stacked(ctx, [stacked(ctx, row[: t.results], 1) for row in rows], 1)
    flat = ctx.reshape(x, (x.shape[0], t.taken * t.parts))
    made = ctx.one("MatMul", flat, ctx.reshape(weights, (t.taken * t.parts, t.results * t.given)))
    return ctx.reshape(made, (x.shape[0], t.results, t.given))


def _circle(ctx: NodeContext, phase: Value, length: Value, dtype: DType) -> tuple[Value, Value]:
    """Cosine and sine of 2 pi phase / length, for phases from 0 to length - 1.

    Both are sines of at most a quarter, counted in integers, so that zeros and ones are exact.
    """

    def times(factor: int, value: Value) -> Value:
        return ctx.one("Mul", value, ctx.like(factor, value))

    past_half = ctx.one("Greater", times(2, phase), length)
    quarters = times(4, ctx.one("Where", past_half, ctx.one("Sub", phase, length), phase))
    size = ctx.one("Abs", quarters)
    mirrored = ctx.one("Sub", ctx.one("Mul", ctx.one("Sign", quarters), times(2, length)), quarters)
    folded = ctx.one("Where", ctx.one("Greater", size, length), mirrored, quarters)
    unit = ctx.one("Div", ctx.builder.constant(np.pi / 2, dtype), ctx.cast(length, dtype))

    def sine(counted: Value) -> Value:
        return ctx.one("Sin", ctx.one("Mul", ctx.cast(counted, dtype), unit))

    return sine(ctx.one("Sub", length, size)), sine(folded)


@handles("MelWeightMatrix")
def mel_weight_matrix(ctx: NodeContext) -> Value:
    """Triangular filters of equal width on the mel scale, one column each, over the bins of a spectrum."""
    bins, length, rate = ctx.input(0), ctx.input(1), ctx.input(2)
    edges = [ctx.input(3), ctx.input(4)]
    filters, period = (
        _number(ctx, index, what) or 0
        for index, what in ((0, "its number of filters"), (1, "the length of its transform"))
    )
    known = all(v.data is not None for v in (bins, length, rate, *edges))
    dtype = DType.F64 if known else DType.F32
    rate, low, high = (ctx.cast(ctx.reshape(v, ()), dtype) for v in (rate, *edges))

    def number(value: float) -> Value:
        return ctx.builder.constant(value, dtype)

    def along(size: Dim) -> Value:
        return (
            ctx.builder.constant(np.arange(size), dtype)
            if isinstance(size, int)
            else ctx.one("Range", size=size, dtype=dtype)
        )

    def mel(hertz: Value) -> Value:
        shifted = ctx.one("Add", ctx.one("Div", hertz, number(700)), number(1))
        return ctx.one("Mul", ctx.one("Log", shifted), number(2595 / math.log(10)))

    bottom = mel(low)
    step = ctx.one("Div", ctx.one("Sub", mel(high), bottom), _as(ctx, filters + 2, dtype))
    points = ctx.one("Add", ctx.one("Mul", along(filters + 2), step), bottom)
    hertz = ctx.one("Exp", ctx.one("Mul", points, number(math.log(10) / 2595)))
    hertz = ctx.one("Mul", ctx.one("Sub", hertz, number(1)), number(700))
    scaled = ctx.one("Div", ctx.one("Mul", hertz, _as(ctx, period + 1, dtype)), rate)
    edges = [slice_axis(ctx, ctx.one("Floor", scaled), 0, i, filters) for i in range(3)]
    left, centre, right = edges
    bin_ = ctx.reshape(along(period // 2 + 1), (period // 2 + 1, 1))
    one, zero = number(1), number(0)
    rising = ctx.one("Div", ctx.one("Sub", bin_, left), ctx.one("Sub", centre, left))
    falling = ctx.one("Div", ctx.one("Sub", right, bin_), ctx.one("Sub", right, centre))
    before = ctx.one("And", ctx.one("GreaterOrEqual", bin_, left), ctx.one("Less", bin_, centre))
    after = ctx.one("And", ctx.one("Greater", bin_, centre), ctx.one("Less", bin_, right))
    result = ctx.one("Where", before, rising, ctx.one("Where", after, falling, zero))
    result = ctx.one("Where", ctx.one("Equal", bin_, centre), one, result)
    return ctx.cast(result, dtype_of(ctx.attr("output_datatype"), ctx.name))


def _as(ctx: NodeContext, dim: Dim, dtype: DType) -> Value:
    return ctx.cast(ctx.builder.dims(dim), dtype)


def _parts(x: Value) -> int:
    return 1 if x.shape[-1] == 1 else 2


def _number(ctx: NodeContext, index: int, what: str) -> Dim | None:
    """An optional input that is one integer."""
    value = ctx.optional(index)
    if value is None:
        return None
    found = ctx.known_sizes(value, what)
    if len(found) != 1:
        ctx.invalid(f"{what} has {len(found)} elements")
    return maximum(found[0], 0)


def _transposed(ctx: NodeContext, x: Value, perm: tuple[int, ...]) -> Value:
    return x if perm == tuple(range(len(perm))) else ctx.one("Transpose", x, perm=perm)
