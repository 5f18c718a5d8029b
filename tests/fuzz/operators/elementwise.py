"""Elementwise operators: of floats, integers and bools, with broadcasting."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.fuzz.maker import FLOATS, Maker, UnfitError

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
    x = make.one((make.dtype, *make.ints_of()[:1]))
    low = make.constant(make.choice((-1, 0)), x.dtype) if make.chance(0.8) else None
    high = make.constant(make.choice((1, 2)), x.dtype) if make.chance(0.8) else None
    make.apply("Clip", x, low, high)


def prelu(make: Maker) -> None:
    """Slopes broadcast to the input alone."""
    x = make.one(rank=(1, 4))
    axes = [x.dims[i] if x.fixed(i) and make.chance(0.5) else (1,) * make.runs for i in range(x.rank)]
    make.apply("PRelu", x, make.fresh(axes, weight=1.0))


def integers(make: Maker) -> None:
    """Arithmetic of integers; no divisor is zero."""
    dtype = make.choice(make.ints_of())
    x = make.one((dtype,))
    op = make.choice(
        ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
    )
    y = make.broadcast(x)
    if op in ("Div", "Mod"):
        numbers = make.array(y.shape if y.static else (), dtype)
        y = make.constant(np.where(numbers == 0, 3, numbers), dtype)
        if op == "Mod" and make.chance(0.3):
            make.apply(op, x, y, fmod=1)
            return
    if op in ("Max", "Min") and dtype in ("int16", "uint16"):
        op = "Add"
    make.apply(op, x, y)


def of_integers(make: Maker) -> None:
    """One integer."""
    dtype = make.choice([d for d in make.ints_of() if not d.startswith("u")])
    make.apply(make.choice(("Abs", "Neg", "Sign", "BitwiseNot", "Relu")), make.one((dtype,)))


def shifts(make: Maker) -> None:
    """Of unsigned integers by less than their width."""
    x = make.one((make.choice(("uint8", "uint32")),))
    by = make.constant(make.pick.randint(0, 4), x.dtype)
    make.apply("BitShift", x, by, direction=make.choice(("LEFT", "RIGHT")))


def compared(make: Maker) -> None:
    """Comparisons, which give bools."""
    x = make.one((make.dtype, "int32", "int64"))
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
    x = make.one((make.dtype, make.dtype, "int32"))
    condition = make.broadcast(x, "bool")
    sides = [x, make.broadcast(x)]
    make.pick.shuffle(sides)
    make.apply("Where", condition, *sides)


def cast(make: Maker) -> None:
    """Between floats, integers and bools; what is out of range is undefined, and so left out."""
    x = make.one((make.dtype, make.dtype, "bool", "int32", "int64", "uint8", "int8"))
    to = make.choice(
        (make.dtype, make.dtype, "float32", "float16", "int32", "int64", "uint8", "int8", "bool")
    )
    if x.floating and to not in (*FLOATS, "bool"):
        low, high = (0, 100) if to.startswith("u") else (-100, 100)
        x = make.apply("Clip", x, make.constant(low, x.dtype), make.constant(high, x.dtype))
        if make.special:
            to = make.dtype
    make.apply("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))
