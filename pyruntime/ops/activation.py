"""Elementwise activation functions, as trees that overflow for no input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import Scalar, call, cast
from pyruntime.ops.definition import Case, Elementwise, row
from pyruntime.ops.trees import (
    add,
    const,
    decay,
    is_negative,
    mul,
    negative_part,
    positive_part,
    require_float,
    sigmoid,
)

F16, F32, I32 = DType.F16, DType.F32, DType.I32

# what Klambauer et al. derive, as ONNX rounds it
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _relu(x: Scalar) -> Scalar:
    return positive_part(x)


def _leaky_relu(x: Scalar, alpha: float) -> Scalar:
    require_float(x)
    return call("select", is_negative(x), mul(x, alpha), x)


def _prelu(x: Scalar, slope: Scalar) -> Scalar:
    return call("select", is_negative(x), mul(x, slope), x)


def _exponential_below_zero(x: Scalar, scale: float, rate: float = 1.0) -> Scalar:
    """max(x, 0) + scale * (exp(min(x, 0) / rate) - 1)."""
    below = negative_part(x)
    exponent = below if rate == 1.0 else call("div", below, const(x, rate))
    return add(positive_part(x), mul(add(call("exp", exponent), -1.0), scale))


def _elu(x: Scalar, alpha: float) -> Scalar:
    return _exponential_below_zero(x, alpha)


def _selu(x: Scalar, alpha: float, gamma: float) -> Scalar:
    return mul(_exponential_below_zero(x, alpha), gamma)


def _celu(x: Scalar, alpha: float) -> Scalar:
    return _exponential_below_zero(x, alpha, alpha)


def _clamp_unit(x: Scalar) -> Scalar:
    return call("min", positive_part(x), const(x, 1))


def _hard_sigmoid(x: Scalar, alpha: float, beta: float) -> Scalar:
    return _clamp_unit(add(mul(x, alpha), beta))


def _hard_swish(x: Scalar) -> Scalar:
    return mul(x, _hard_sigmoid(x, 1 / 6, 0.5))


def _softplus(x: Scalar) -> Scalar:
    return add(positive_part(x), call("log", add(decay(x), 1)))


def _softsign(x: Scalar) -> Scalar:
    return call("div", x, add(call("abs", x), 1))


def _mish(x: Scalar) -> Scalar:
    """x tanh(softplus(x)), where tanh(log(1 + exp(x))) is a rational function of e = exp(-|x|)."""
    e = decay(x)
    numerator = call("select", is_negative(x), mul(e, add(e, 2)), add(mul(e, 2), 1))
    rest = call("select", is_negative(x), const(x, 2), mul(mul(e, e), 2))
    return mul(x, call("div", numerator, add(numerator, rest)))


def _gelu(x: Scalar, approximate: Literal["none", "tanh"]) -> Scalar:
    if approximate == "none":
        inner = call("erf", mul(x, math.sqrt(0.5)))
    else:
        cube = mul(mul(mul(x, x), x), 0.044715)
        inner = call("tanh", mul(add(x, cube), math.sqrt(2 / math.pi)))
    return mul(mul(x, 0.5), add(inner, 1))


def _swish(x: Scalar, alpha: float) -> Scalar:
    return mul(x, sigmoid(x if alpha == 1.0 else mul(x, alpha)))


def _thresholded_relu(x: Scalar, alpha: float) -> Scalar:
    require_float(x)
    return call("select", call("gt", x, const(x, alpha)), x, const(x, 0))


def _shrink(x: Scalar, bias: float, lambd: float) -> Scalar:
    wide = x if x.dtype.is_float else cast(x, F32)
    above = call("select", call("gt", wide, const(wide, lambd)), add(wide, -bias), const(wide, 0))
    result = call("select", call("lt", wide, const(wide, -lambd)), add(wide, bias), above)
    return cast(result, x.dtype)


def _binarizer(x: Scalar, threshold: float) -> Scalar:
    """1 above the threshold, else 0; NaN is not above."""
    require_float(x)
    return call("select", call("gt", x, const(x, threshold)), const(x, 1), const(x, 0))


WIDE = np.array([-1e4, -200, -90, -20, -1, -1e-3, 0, 1e-3, 1, 20, 90, 200, 1e4], np.float32)


def _row(
    name: str,
    build: Callable[..., Scalar],
    attrs: Mapping[str, Any] | None = None,
    other: Mapping[str, Any] | None = None,
) -> type[Elementwise]:
    """An activation with default attributes, and `other` attributes for one more case."""
    cases = [
        Case(((F32, (3, 7)),), label="f32"),
        Case(((F32, (2, 3, 5, 4)),), label="dynamic", symbols={(0, 0): "batch"}),
        Case(((F32, ()),), label="scalar"),
        Case(((F16, (13,)),), label="f16"),
        Case((WIDE,), label="wide"),
    ]
    if other:
        cases.append(Case(((F32, (31,)),), other, label="attrs"))
    return row(name, build, attrs=attrs, cases=cases)


ROWS = [
    row(
        "Relu",
        _relu,
        cases=(
            Case(((F32, (3, 7)),), label="f32"),
            Case(((F32, (2, 3, 5)),), label="dynamic", symbols={(0, 0): "batch"}),
            Case(((F16, (13,)),), label="f16"),
            Case(((I32, (13,)),), label="i32"),
            Case((np.array([np.nan, np.inf, -np.inf, -1.0], np.float32),), label="special"),
        ),
    ),
    _row("LeakyRelu", _leaky_relu, {"alpha": 0.01}, {"alpha": 0.3}),
    row(
        "PRelu",
        _prelu,
        cases=(
            Case(((F32, (2, 3, 5)), (F32, (3, 1))), label="channel"),
            Case(((F32, (2, 3)), (F32, ())), label="scalar"),
            Case(((F16, (2, 5)), (F16, (5,))), label="f16"),
            Case(((I32, (2, 5)), (I32, (5,))), label="i32"),
            Case(((F32, (2, 3, 5)), (F32, (3, 1))), label="dynamic", symbols={(0, 0): "batch"}),
        ),
    ),
    _row("Elu", _elu, {"alpha": 1.0}, {"alpha": 0.3}),
    _row("Selu", _selu, {"alpha": SELU_ALPHA, "gamma": SELU_GAMMA}, {"alpha": 2.0, "gamma": 0.5}),
    _row("Celu", _celu, {"alpha": 1.0}, {"alpha": 2.5}),
    _row("Sigmoid", sigmoid),
    _row("HardSigmoid", _hard_sigmoid, {"alpha": 0.2, "beta": 0.5}, {"alpha": 0.6, "beta": 0.1}),
    _row("HardSwish", _hard_swish),
    _row("Softplus", _softplus),
    _row("Softsign", _softsign),
    _row("Mish", _mish),
    _row("Gelu", _gelu, {"approximate": "none"}, {"approximate": "tanh"}),
    _row("Swish", _swish, {"alpha": 1.0}, {"alpha": 1.7}),
    _row("ThresholdedRelu", _thresholded_relu, {"alpha": 1.0}, {"alpha": 0.2}),
    row(
        "Binarizer",
        _binarizer,
        attrs={"threshold": 0.0},
        cases=(
            Case(((F32, (3, 7)),), label="f32"),
            Case(((F32, (2, 3, 5)),), {"threshold": 0.25}, "dynamic", {(0, 0): "batch"}),
            # no NaN: onnxruntime refuses it
            Case((np.array([np.inf, -np.inf, 0.0, -0.0, 1.0], np.float32),), label="special"),
        ),
    ),
    _row("Shrink", _shrink, {"bias": 0.0, "lambd": 0.5}, {"bias": 0.7, "lambd": 1.2}),
]
