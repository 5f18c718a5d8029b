"""What passes recognise, spelled out as exporters do, at times with a further reader or a step changed."""

from __future__ import annotations

import math

import numpy as np

from tests.fuzz.known import Known, UnfitError
from tests.fuzz.maker import Maker


def _disturb(make: Maker, value: Known) -> Known:
    """Now and then another reader of a value, or something between that changes what the whole means."""
    if make.chance(0.15):
        make.apply(make.choice(("Neg", "Abs")), value)
    if make.chance(0.1):
        return make.apply(make.choice(("Neg", "Relu", "Identity")), value)
    return value


def _last(make: Maker, low: int = 1, high: int = 4) -> Known:
    return make.one(rank=(low, high), where=lambda v: v.fixed(v.rank - 1) and 0 not in v.shape)


def layer_norm_spelled(make: Maker) -> None:
    """Mean, difference, square, mean, root, quotient, scale, shift."""
    x = _last(make, 2)
    axes = make.ints([-1])
    mean = _disturb(make, make.apply("ReduceMean", x, axes))
    off = _disturb(make, make.apply("Sub", x, mean))
    two = make.constant(2, x.dtype)
    square = make.apply("Pow", off, two) if make.chance(0.5) else make.apply("Mul", off, off)
    spread = _disturb(make, make.apply("ReduceMean", square, axes))
    root = make.apply("Sqrt", make.apply("Add", spread, make.constant(1e-2, x.dtype)))
    out = make.apply("Div", off, root)
    scale, shift = (make.constant(make.array((x.shape[-1],), x.dtype)) for _ in range(2))
    make.apply("Add", make.apply("Mul", _disturb(make, out), scale), shift)


def rms_norm_spelled(make: Maker) -> None:
    """Square, mean, root, reciprocal, product."""
    x = _last(make, 2)
    square = make.apply("Mul", x, x)
    mean = _disturb(make, make.apply("ReduceMean", square, make.ints([-1])))
    root = make.apply("Sqrt", make.apply("Add", mean, make.constant(1e-2, x.dtype)))
    out = (
        make.apply("Mul", x, make.apply("Reciprocal", root))
        if make.chance(0.5)
        else make.apply("Div", x, root)
    )
    make.apply("Mul", out, make.constant(make.array((x.shape[-1],), x.dtype)))


def gelu_spelled(make: Maker) -> None:
    """By erf or by tanh."""
    x = make.one()

    def number(value: float) -> Known:
        return make.constant(value, x.dtype)

    if make.chance(0.5):
        inner = make.apply("Erf", make.apply("Div", x, number(math.sqrt(2))))
    else:
        cube = make.apply("Mul", make.apply("Mul", x, x), x)
        sums = make.apply("Add", x, make.apply("Mul", cube, number(0.044715)))
        inner = make.apply("Tanh", make.apply("Mul", sums, number(math.sqrt(2 / math.pi))))
    more = make.apply("Add", _disturb(make, inner), number(1))
    make.apply("Mul", make.apply("Mul", x, more), number(0.5))


def silu_spelled(make: Maker) -> None:
    """x times a sigmoid of it, or of a multiple, or of another value."""
    x = make.one()
    inside = make.choice((x, make.apply("Mul", x, make.constant(1.5, x.dtype))))
    make.apply("Mul", x, _disturb(make, make.apply("Sigmoid", inside)))


def softmax_spelled(make: Maker) -> None:
    """Maximum, difference, exponential, sum, quotient."""
    x = make.one(rank=(1, 4))
    axes = make.ints([make.axis(x)])
    shifted = make.apply("Sub", x, make.apply("ReduceMax", x, axes))
    powers = _disturb(make, make.apply("Exp", shifted))
    make.apply("Div", powers, make.apply("ReduceSum", powers, axes))


def attention_spelled(make: Maker) -> None:
    """Heads from one projection, scores, a mask, softmax and the weighted sum."""
    heads, width = make.choice((1, 2, 3)), make.choice((1, 2, 4, 5))
    batch, length = make.dim(), make.dim()
    given = make.fresh([batch, length, (heads * width,) * make.runs], weight=0)
    keys_from = (
        given if make.chance(0.7) else make.fresh([batch, make.dim(), (heads * width,) * make.runs], weight=0)
    )

    def project(source: Known) -> Known:
        weight = make.constant(make.array((heads * width, heads * width), make.dtype, "any") / 2, make.dtype)
        made = make.apply("MatMul", source, weight)
        if make.chance(0.5):
            made = make.apply("Add", made, make.constant(make.array((heads * width,), make.dtype)))
        split = make.apply("Reshape", made, make.ints([0, -1, heads, width]))
        return make.apply("Transpose", split, perm=[0, 2, 1, 3])

    query, key, value = project(given), project(keys_from), project(keys_from)
    score = make.apply("MatMul", query, make.apply("Transpose", key, perm=[0, 1, 3, 2]))
    factor = make.constant(math.sqrt(width), make.dtype)
    score = _disturb(make, make.apply("Div", score, factor))
    if make.chance(0.5) and all(map(make.nameable, score.dims[-2:])):
        rows = score.dims[-2] if make.chance(0.5) else (1,) * make.runs
        if make.chance(0.5):
            score = make.apply("Add", score, make.fresh([rows, score.dims[-1]]))
        else:
            kept = make.fresh([rows, score.dims[-1]], "bool")
            score = make.apply("Where", kept, score, make.constant(-30, make.dtype))
    weights = _disturb(make, make.apply("Softmax", score, axis=-1))
    out = make.apply("Transpose", make.apply("MatMul", weights, value), perm=[0, 2, 1, 3])
    make.apply("Reshape", out, make.ints([0, -1, heads * width]))


def shared_products(make: Maker) -> None:
    """Several products of one value, some with a bias, and what reads them."""
    x = _last(make, 2, 3)
    made = []
    for _ in range(make.pick.randint(2, 3)):
        weight = make.constant(make.array((x.shape[-1], make.choice((1, 3, 4))), x.dtype))
        product = make.apply("MatMul", x, weight)
        if make.chance(0.5):
            product = make.apply("Add", product, make.constant(make.array((product.shape[-1],), x.dtype)))
        made.append(product)
    make.apply("Concat", *made, axis=-1)


def rotary_spelled(make: Maker) -> None:
    """Halves turned by angles."""
    x = make.one(
        rank=(2, 4), where=lambda v: v.fixed(v.rank - 1) and v.shape[-1] % 2 == 0 and 0 not in v.shape
    )
    half = x.shape[-1] // 2
    if half < 1:
        raise UnfitError
    first, second = make.emit("Split", [x, make.ints([half, half])], 2, axis=-1)
    turned = make.apply("Concat", make.apply("Neg", second), first, axis=-1)
    cos, sin = (make.constant(make.array((x.shape[-1],), x.dtype)) for _ in range(2))
    make.apply("Add", make.apply("Mul", x, cos), make.apply("Mul", _disturb(make, turned), sin))


def mirrored(make: Maker) -> None:
    """Moved and moved back, with something elementwise between."""
    x = make.one(rank=(2, 4))
    perm = make.pick.sample(range(x.rank), x.rank)
    moved = make.apply("Transpose", x, perm=perm)
    changed = make.apply(make.choice(("Relu", "Neg", "Sigmoid")), moved)
    make.apply("Add", x, make.apply("Transpose", changed, perm=np.argsort(perm).tolist()))
