"""ONNX's LSTM, GRU and RNN written from the specification, in plain NumPy and float64, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Array], Array]

DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
# function of x, alpha and beta -> the defaults of alpha and beta; NaN for what it does not have
FUNCTIONS: Mapping[str, tuple[Callable[[Array, float, float], Array], float, float]] = {
    "Sigmoid": (lambda x, *_: 1 / (1 + np.exp(-x)), np.nan, np.nan),
    "Tanh": (lambda x, *_: np.tanh(x), np.nan, np.nan),
    "Softsign": (lambda x, *_: x / (1 + np.abs(x)), np.nan, np.nan),
    "Affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "ScaledTanh": (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "HardSigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 0.2, 0.5),
    "Elu": (lambda x, a, _: np.where(x < 0, a * np.expm1(x), x), 1.0, np.nan),
}


def outputs(
    op: str, inputs: Mapping[str, Array], attrs: Mapping[str, Any], directions: Sequence[str]
) -> dict[str, Array]:
    """What a node gives.

    Args:
        op: LSTM, GRU or RNN.
        inputs: x [steps, batch, inputs], w, r, b, lengths, h, c, p; all but the first three optional.
        attrs: as of the node, but for direction and layout.
        directions: "forward" and "reverse", as the weights lie.

    Returns:
        y [steps, directions, batch, units], y_h and, of an LSTM, y_c [directions, batch, units], in float64.
    """
    x, r = inputs["x"].astype(np.float64), inputs["r"]
    (steps, batch, _), units, count = x.shape, r.shape[-1], len(directions)
    state = np.zeros((count, batch, units))
    y, y_h, y_c = np.zeros((steps, count, batch, units)), *(inputs.get(n, state).copy() for n in "hc")
    lengths = inputs.get("lengths", np.full(batch, steps))
    functions = _functions(op, attrs, count)
    for d, direction in enumerate(directions):
        weights = {n: inputs[n][d].astype(np.float64) for n in "wrbp" if n in inputs}
        for row, length in enumerate(lengths):
            h, c = y_h[d, row], y_c[d, row]
            for step in range(length):
                t = length - 1 - step if direction == "reverse" else step
                h, c = _STEPS[op](x[t, row], h, c, weights, functions[d], attrs)
                y[t, d, row] = h
            y_h[d, row], y_c[d, row] = h, c
    return {"y": y, "y_h": y_h, **({"y_c": y_c} if op == "LSTM" else {})}


def _functions(op: str, attrs: Mapping[str, Any], count: int) -> list[list[Function]]:
    names = attrs.get("activations", DEFAULTS[op] * count)
    alphas, betas = (list(np.array(attrs.get(f"activation_{p}", []), np.float32)) for p in ("alpha", "beta"))
    made: list[Function] = []
    for name in names:
        function, alpha, beta = FUNCTIONS[name]
        alpha = float(alphas.pop(0)) if alphas and not np.isnan(alpha) else alpha
        beta = float(betas.pop(0)) if betas and not np.isnan(beta) else beta
        made.append(lambda x, f=function, a=alpha, b=beta: f(x, a, b))  # type: ignore[misc]
    each = len(DEFAULTS[op])
    return [made[d * each : (d + 1) * each] for d in range(count)]


def _clipped(x: Array, attrs: Mapping[str, Any]) -> Array:
    limit = float(np.float32(attrs.get("clip", np.inf)))
    return np.clip(x, -limit, limit)


def _lstm(
    x: Array,
    h: Array,
    c: Array,
    weights: Mapping[str, Array],
    functions: Sequence[Function],
    attrs: Mapping[str, Any],
) -> tuple[Array, Array]:
    f, g, squash = functions
    w_bias, r_bias = np.split(weights["b"], 2)
    i, o, forget, cell = np.split(weights["w"] @ x + weights["r"] @ h + w_bias + r_bias, 4)
    p_i, p_o, p_f = np.split(weights.get("p", np.zeros(3 * len(h))), 3)
    i = f(_clipped(i + p_i * c, attrs))
    forget = 1 - i if attrs.get("input_forget") else f(_clipped(forget + p_f * c, attrs))
    c = forget * c + i * g(_clipped(cell, attrs))
    o = f(_clipped(o + p_o * c, attrs))
    return o * squash(c), c


def _gru(
    x: Array,
    h: Array,
    c: Array,
    weights: Mapping[str, Array],
    functions: Sequence[Function],
    attrs: Mapping[str, Any],
) -> tuple[Array, Array]:
    f, g = functions
    (wz, wr, wh), (rz, rr, rh) = (np.split(weights[n], 3) for n in "wr")
    wbz, wbr, wbh, rbz, rbr, rbh = np.split(weights["b"], 6)
    z = f(_clipped(wz @ x + rz @ h + wbz + rbz, attrs))
    r = f(_clipped(wr @ x + rr @ h + wbr + rbr, attrs))
    product = r * (rh @ h + rbh) if attrs.get("linear_before_reset") else rh @ (r * h) + rbh
    new = g(_clipped(wh @ x + product + wbh, attrs))
    return (1 - z) * new + z * h, c


def _rnn(
    x: Array,
    h: Array,
    c: Array,
    weights: Mapping[str, Array],
    functions: Sequence[Function],
    attrs: Mapping[str, Any],
) -> tuple[Array, Array]:
    (f,) = functions
    w_bias, r_bias = np.split(weights["b"], 2)
    return f(_clipped(weights["w"] @ x + weights["r"] @ h + w_bias + r_bias, attrs)), c


_STEPS = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
