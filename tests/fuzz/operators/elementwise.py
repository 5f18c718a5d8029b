"""Elementwise operators: of floats, integers and bools, with broadcasting."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from tests.fuzz.known import FLOATS, UnfitError
from tests.fuzz.maker import Maker, Step

WEIGHTS = {"unary": 3.0, "binary": 5.0, "activation": 2.0, "integers": 1.5, "compared": 1.5, "cast": 2.0}
UNARY = (
    *("Abs", "Neg", "Exp", "Tanh", "Sigmoid", "Erf", "Relu", "Softsign", "Softplus", "Sin", "Cos", "Atan"),
    *("Sinh", "Cosh", "Asinh", "Floor", "Ceil", "Round", "Sign", "HardSwish", "Mish", "Tan", "Identity"),
)
WITHIN_ONE = ("Asin", "Acos", "Atanh")
POSITIVE = ("Sqrt", "Log", "Reciprocal", "Acosh")
ACTIVATIONS = {
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "Celu": ("alpha",),
    "Selu": ("alpha", "gamma"),
    "HardSigmoid": ("alpha", "beta"),
    "ThresholdedRelu": ("alpha",),
    "Shrink": ("lambd", "bias"),
}
COMPARISONS = ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")


def unary(make: Maker) -> None:
    """One input, no attributes."""
    make.apply(make.choice(UNARY), make.one())


def confined(make: Maker) -> None:
    """What is defined for some numbers alone, after what brings others there."""
    x = make.one()
    if make.chance(0.4):
        make.apply(make.choice(WITHIN_ONE), make.apply("Tanh", x))
    else:
        one = make.constant(1.25, x.dtype)
        make.apply(make.choice(POSITIVE), make.apply("Add", make.apply("Abs", x), one))


def activation(make: Maker) -> None:
    """Activations with parameters."""
    op = make.choice(list(ACTIVATIONS))
    given = {name: make.pick.choice((0.25, 0.5, 1.0, 1.7)) for name in ACTIVATIONS[op] if make.chance(0.7)}
    make.apply(op, make.one(), **given)


def gelu(make: Maker) -> None:
    """By erf or by tanh; the references round the numbers in it to float32."""
    if make.dtype == "float64":
        raise UnfitError
    make.apply("Gelu", make.one(), approximate=make.choice(("none", "tanh")))


def binary(make: Maker) -> None:
    """Arithmetic of floats; the sides in either order."""
    x = make.one()
    y = make.broadcast(x)
    sides = [x, y] if make.chance(0.6) else [y, x]
    op = make.choice(("Add", "Add", "Sub", "Mul", "Mul", "Max", "Min", "Div", "Pow"))
    if op == "Div" and not make.special:
        offset = make.apply("Add", make.apply("Abs", sides[1]), make.constant(0.5, x.dtype))
        sides[1] = offset
    if op == "Pow":
        sides = [make.apply("Abs", x), make.constant(make.choice((0.5, 1.0, 2.0, 3.0, -1.0)), x.dtype)]
    make.apply(op, *sides)


def with_itself(make: Maker) -> None:
    """One value on both sides."""
    x = make.one()
    make.apply(make.choice(("Add", "Mul", "Sub", "Max")), x, x)


def with_scalar(make: Maker) -> None:
    """What algebra folds: zeros, ones, and plain numbers."""
    x = make.one()
    number = make.constant(
        np.full(make.choice(((), (1,), (1, 1))), make.choice((0, 1, -1, 2, 0.5, 0.1))), x.dtype
    )
    sides = [x, number] if make.chance(0.6) else [number, x]
    make.apply(make.choice(("Add", "Mul", "Sub", "Max", "Min")), *sides)


def several(make: Maker) -> None:
    """Any number of inputs."""
    x = make.one()
    others = [make.broadcast(x) for _ in range(make.pick.randint(0, 3))]
    make.apply(make.choice(("Sum", "Mean", "Max", "Min")), x, *others)


def clip(make: Maker) -> None:
    """With either bound left out."""
    x = make.one((make.dtype, make.dtype, *make.ints_of()))
    signed = not x.dtype.startswith("u")
    low = make.constant(make.choice((-1 * signed, 0)), x.dtype) if make.chance(0.8) else None
    high = make.constant(make.choice((1, 2, 100)), x.dtype) if make.chance(0.8) else None
    make.apply("Clip", x, low, high)


def prelu(make: Maker) -> None:
    """Slopes broadcast to the input alone."""
    x = make.one(rank=(1, 4))
    axes = [x.dims[i] if x.fixed(i) and make.chance(0.5) else (1,) * make.runs for i in range(x.rank)]
    make.apply("PRelu", x, make.fresh(axes, weight=1.0))


def integers(make: Maker) -> None:
    """Arithmetic of integers; no divisor is 0, nor -1, whose quotient may have no room."""
    dtype = make.choice(make.ints_of())
    x = make.one((dtype,))
    op = make.choice(
        ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
    )
    y = make.broadcast(x)
    if op in ("Div", "Mod"):
        numbers = make.array(y.shape if y.static else (), dtype)
        y = make.constant(
            np.where((numbers == 0) | (numbers == np.array(-1).astype(dtype)), 3, numbers), dtype
        )
        if op == "Mod" and make.chance(0.3):
            make.apply(op, x, y, fmod=1)
            return
    make.apply(op, x, y)


def powers(make: Maker) -> None:
    """Of small integers, by small ones."""
    if make.whole:
        raise UnfitError
    x = make.one(("int32", "int64"))
    make.apply("Pow", x, make.constant(make.pick.randint(0, 3), make.choice((x.dtype, "float32", "int32"))))


def of_integers(make: Maker) -> None:
    """One integer."""
    dtype = make.choice([d for d in make.ints_of() if not d.startswith("u")])
    make.apply(make.choice(("Abs", "Neg", "Sign", "BitwiseNot", "Relu")), make.one((dtype,)))


def shifts(make: Maker) -> None:
    """Of unsigned integers by less than their width."""
    x = make.one((make.choice([d for d in make.ints_of() if d.startswith("u")]),))
    bits = x.arrays[0].dtype.itemsize * 8
    shape = x.shape if x.static and make.chance(0.4) else ()
    by = make.constant(
        np.reshape([make.pick.randrange(bits) for _ in range(int(np.prod(shape)))], shape), x.dtype
    )
    make.apply("BitShift", x, by, direction=make.choice(("LEFT", "RIGHT")))


def compared(make: Maker) -> None:
    """Comparisons, which give bools."""
    x = make.one((make.dtype, make.dtype, *make.ints_of(), "int64"))
    make.apply(make.choice(COMPARISONS), x, make.broadcast(x))


def logic(make: Maker) -> None:
    """Of bools."""
    x = make.one(("bool",))
    if make.chance(0.3):
        make.apply("Not", x)
    else:
        make.apply(make.choice(("And", "Or", "Xor")), x, make.broadcast(x))


def classified(make: Maker) -> None:
    """NaN and infinities."""
    make.apply(make.choice(("IsNaN", "IsInf")), make.one())


def where(make: Maker) -> None:
    """Selection; condition and both sides are broadcast."""
    x = make.one(make.any_of())
    condition = make.broadcast(x, "bool")
    sides = [x, make.broadcast(x)]
    make.pick.shuffle(sides)
    make.apply("Where", condition, *sides)


def cast(make: Maker) -> None:
    """Between floats, integers and bools; what is out of range is undefined, and so left out."""
    x = make.one((*make.any_of(), "int64"))
    to = make.choice((make.dtype, make.dtype, *FLOATS, *make.ints_of(), "int64", "bool"))
    if x.floating and to not in (*FLOATS, "bool"):
        bounds = np.iinfo(to)
        low, high = (max(bounds.min, -100), 100)
        if make.whole and x.dtype != "float16":  # the next float below what is one too many
            low = bounds.min
            high = np.nextafter(np.array(float(bounds.max + 1), x.dtype), np.array(0, x.dtype))
        x = make.apply("Clip", x, make.constant(low, x.dtype), make.constant(high, x.dtype))
        if make.special:
            to = make.dtype
    make.apply("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))


def short_floats(make: Maker) -> None:
    """Rounded to bfloat16 or 8 bits, moved or reckoned with, and cast back."""
    x = make.one(("float32",), rank=(1, 4))
    to = make.choice(
        ("BFLOAT16", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT8E4M3FNUZ", "FLOAT8E5M2FNUZ")
    )
    steps: list[Step] = [("Cast", [], {"to": TensorProto.DataType.Value(to)})]
    moves: list[Step] = [
        ("Transpose", [], {"perm": make.pick.sample(range(x.rank), x.rank)}),
        ("Unsqueeze", [make.ints([0])], {}),
        ("Flatten", [], {"axis": 1}),
        ("Identity", [], {}),
    ]
    sums: list[Step] = [(op, [], {}) for op in ("Neg", "Abs", "Relu", "Tanh", "Exp", "Sqrt", "Softmax")]
    allowed = [*moves[1:], *(sums if to == "BFLOAT16" else [])]
    steps += make.pick.choices(allowed, k=make.pick.randint(0, 2))
    if make.chance(0.5):
        steps.insert(1, moves[0])
    make.chain(x, *steps, ("Cast", [], {"to": TensorProto.FLOAT}))
