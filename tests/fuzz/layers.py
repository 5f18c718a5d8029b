"""RNN, GRU and LSTM as ONNX has them, for its reference, which knows no lengths, clip or activations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

Array = NDArray[Any]
Function = Callable[[Array], Array]


# functions with what alpha and beta, where they take them, are by default
_FUNCTIONS: dict[str, tuple[Callable[..., Array], tuple[float, ...]]] = {
    "Affine": (lambda x, alpha, beta: alpha * x + beta, (1.0, 0.0)),
    "Elu": (lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), (1.0,)),
    "HardSigmoid": (lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), (0.2, 0.5)),
    "LeakyRelu": (lambda x, alpha: np.where(x < 0, alpha * x, x), (0.01,)),
    "Relu": (lambda x: np.maximum(x, 0), ()),
    "ScaledTanh": (lambda x, alpha, beta: alpha * np.tanh(beta * x), (1.0, 1.0)),
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), ()),
    "Softplus": (lambda x: np.logaddexp(x, 0), ()),
    "Softsign": (lambda x: x / (1 + np.abs(x)), ()),
    "Tanh": (np.tanh, ()),
    "ThresholdedRelu": (lambda x, alpha: np.where(x > alpha, x, 0), (1.0,)),
}


def _functions(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> list[Function]:
    """The functions of these names; parameters go to those that take some, in order."""
    left = [*alphas], [*betas]
    found = []
    for name in names:
        function, defaults = _FUNCTIONS[name]
        taken = [given.pop(0) if given else d for given, d in zip(left, defaults, strict=False)]
        found.append(_with(function, taken))
    return found


def _with(function: Callable[..., Array], parameters: Sequence[float]) -> Function:
    return lambda x: function(x, *parameters)


class _Layer(OpRun):
    """What the three have in common."""

    states: ClassVar[int] = 1
    functions: ClassVar[tuple[str, ...]]  # by default, of each direction

    @abstractmethod
    def step(
        self, x: Array, state: list[Array], weights: list[Array], apply: Sequence[Function]
    ) -> list[Array]:
        """The next state, [batch, units] each.

        Args:
            x: [batch, inputs].
            state: as what is returned.
            weights: of one direction: W and R, transposed, the bias of both, and peepholes.
            apply: the functions, and last of all the one that clips what they take.
        """

    def _run(
        self,
        x: Array,
        w: Array,
        r: Array,
        bias: Array | None = None,
        lengths: Array | None = None,
        *others: Array | None,
        **given: Any,
    ) -> tuple[Array, ...]:
        directions, rows, units = r.shape
        more = [*others, *[None] * (self.states + 1 - len(others))]
        assert not given["layout"]  # no ONNX Runtime could judge it
        initial, peepholes = more[: self.states], more[self.states]
        steps, batch = x.shape[:2]
        bias = np.zeros((directions, 2 * rows), x.dtype) if bias is None else bias
        peepholes = np.zeros((directions, 3 * units), x.dtype) if peepholes is None else peepholes
        zeros = np.zeros((directions, batch, units), x.dtype)
        finals = np.stack([zeros if s is None else s for s in initial])
        every = np.zeros((steps, directions, batch, units), x.dtype)
        ends = np.full(batch, steps) if lengths is None else lengths
        functions = self._chosen(given, directions)
        for d in range(directions):
            weights = [w[d].T, r[d].T, bias[d], peepholes[d]]
            state = list(finals[:, d])
            backwards = given["direction"] == "reverse" or d == 1
            for t in reversed(range(steps)) if backwards else range(steps):
                goes_on = (t < ends)[:, None]
                found = self.step(x[t], state, weights, functions[d])
                state = [np.where(goes_on, new, old) for new, old in zip(found, state, strict=True)]
                every[t, d] = np.where(goes_on, state[0], 0)
            finals[:, d] = state
        return tuple([every, *finals][: len(self.onnx_node.output)])

    def _chosen(self, given: Mapping[str, Any], directions: int) -> list[list[Function]]:
        """The functions of each direction."""
        count = len(self.functions)
        names = (given["activations"] or self.functions * directions)[: directions * count]
        found = _functions(names, given["activation_alpha"] or (), given["activation_beta"] or ())
        limit = given["clip"] or np.inf
        ends = [lambda x: np.clip(x, -limit, limit)]
        return [[*found[d * count : (d + 1) * count], *ends] for d in range(directions)]


class RNN(_Layer):
    """One gate."""

    functions = ("Tanh",)

    def step(
        self, x: Array, state: list[Array], weights: list[Array], apply: Sequence[Function]
    ) -> list[Array]:
        """As `_Layer`."""
        (hidden,), (w, r, bias, _), (f, clip) = state, weights, apply
        return [f(clip(x @ w + hidden @ r + sum(np.split(bias, 2))))]


class GRU(_Layer):
    """Two gates, and a candidate."""

    functions = ("Sigmoid", "Tanh")
    linear_before_reset: int

    def step(
        self, x: Array, state: list[Array], weights: list[Array], apply: Sequence[Function]
    ) -> list[Array]:
        """As `_Layer`."""
        (hidden,), (w, r, bias, _), (f, g, clip) = state, weights, apply
        own, past = (np.split(b, 3) for b in np.split(bias, 2))
        (wz, wr, wh), (rz, rr, rh) = np.split(w, 3, -1), np.split(r, 3, -1)
        update = f(clip(x @ wz + hidden @ rz + own[0] + past[0]))
        reset = f(clip(x @ wr + hidden @ rr + own[1] + past[1]))
        if self.linear_before_reset:
            kept = reset * (hidden @ rh + past[2])
        else:
            kept = (reset * hidden) @ rh + past[2]
        return [(1 - update) * g(clip(x @ wh + kept + own[2])) + update * hidden]


class LSTM(_Layer):
    """Three gates, a candidate, and a cell beside the hidden state, which is not clipped."""

    states = 2
    functions = ("Sigmoid", "Tanh", "Tanh")
    input_forget: int

    def step(
        self, x: Array, state: list[Array], weights: list[Array], apply: Sequence[Function]
    ) -> list[Array]:
        """As `_Layer`."""
        (hidden, cell), (w, r, bias, peepholes), (f, g, h, clip) = state, weights, apply
        into, out, forget, candidate = np.split(x @ w + hidden @ r + sum(np.split(bias, 2)), 4, -1)
        to_into, to_out, to_forget = np.split(peepholes, 3)
        taken = f(clip(into + to_into * cell))
        kept = 1 - taken if self.input_forget else f(clip(forget + to_forget * cell))
        cell = kept * cell + taken * g(clip(candidate))
        return [f(clip(out + to_out * cell)) * h(cell), cell]
