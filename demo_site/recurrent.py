"""A gated recurrent layer (GRU) and a dense one behind it, in NumPy: forward, gradients, as ONNX nodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.float32]


class Parameters(NamedTuple):
    """Weights; the columns of a gated matrix are those of the update, the reset and the new gate, in turn."""

    inputs: Array
    """[features, 3 * units]"""

    states: Array
    """[units, 3 * units]"""

    bias: Array
    """[3 * units]"""

    inner: Array
    """[units]: of the new gate, added to what the reset gate multiplies"""

    dense: Array
    """[units, classes]"""

    offset: Array
    """[classes]"""


def initial(rng: np.random.Generator, features: int, units: int, classes: int) -> Parameters:
    """Random weights that keep the size of what goes through; update gates begin half closed, to remember."""
    bias = np.zeros(3 * units, np.float32)
    bias[:units] = 1
    return Parameters(
        rng.normal(0, 1 / np.sqrt(features), (features, 3 * units)).astype(np.float32),
        rng.normal(0, 1 / np.sqrt(units), (units, 3 * units)).astype(np.float32),
        bias,
        np.zeros(units, np.float32),
        rng.normal(0, 1 / np.sqrt(units), (units, classes)).astype(np.float32),
        np.zeros(classes, np.float32),
    )


class Trace(NamedTuple):
    """What a forward pass leaves for the backward pass; all [steps, batch, ...]."""

    states: Array
    """One more than steps: before the first, and after each."""

    gates: Array
    """Update and reset, side by side."""

    inner: Array
    """What the reset gate multiplies."""

    fresh: Array
    """The new gate."""

    logits: Array


def forward(p: Parameters, inputs: Array, state: Array) -> Trace:
    """Run over a sequence.

    Args:
        p: weights.
        inputs: [steps, batch, features].
        state: [batch, units] before the first step.
    """
    steps, batch, features = inputs.shape
    units = len(p.inner)
    given = (inputs.reshape(-1, features) @ p.inputs + p.bias).reshape(steps, batch, 3 * units)
    states = np.empty((steps + 1, batch, units), given.dtype)
    gates = np.empty((steps, batch, 2 * units), given.dtype)
    inner, fresh = np.empty((2, steps, batch, units), given.dtype)
    states[0] = state
    for step in range(steps):
        kept = states[step] @ p.states
        # a sigmoid, by the function that NumPy computes fastest
        np.tanh((given[step, :, : 2 * units] + kept[:, : 2 * units]) / 2, out=gates[step])
        gates[step] += 1
        gates[step] /= 2
        np.add(kept[:, 2 * units :], p.inner, out=inner[step])
        np.tanh(given[step, :, 2 * units :] + gates[step, :, units:] * inner[step], out=fresh[step])
        np.subtract(states[step], fresh[step], out=states[step + 1])
        states[step + 1] *= gates[step, :, :units]
        states[step + 1] += fresh[step]
    logits = states[1:].reshape(-1, units) @ p.dense + p.offset
    return Trace(states, gates, inner, fresh, logits.reshape(steps, batch, -1))


def softmax(logits: Array) -> Array:
    """Probabilities, along the last axis."""
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def gradients(
    p: Parameters, inputs: Array, state: Array, targets: NDArray[np.int64], weights: Array | None = None
) -> tuple[float, Parameters, Array]:
    """The mean cross-entropy, its gradients, and the state after the last step.

    Args:
        p: weights.
        inputs: [steps, batch, features].
        state: [batch, units] before the first step; gradients end there.
        targets: the right class of each step, [steps, batch].
        weights: how much each step counts, [steps, batch]; all alike if not given.
    """
    t = forward(p, inputs, state)
    steps, batch, units = t.inner.shape
    predicted = softmax(t.logits).reshape(steps * batch, -1)
    rows, right = np.arange(steps * batch), targets.reshape(-1)
    share = (
        np.full(steps * batch, 1 / (steps * batch))
        if weights is None
        else weights.reshape(-1) / weights.sum()
    )
    share = share.astype(predicted.dtype)
    loss = -float(np.sum(share * np.log(predicted[rows, right] + 1e-9)))
    predicted[rows, right] -= 1
    predicted *= share[:, None]

    after = t.states[1:].reshape(-1, units)
    outer = (predicted @ p.dense.T).reshape(steps, batch, units)
    given = np.empty((steps, batch, 3 * units), outer.dtype)  # gradients of the gates, as inputs reach them
    kept = np.empty_like(given)  # and as the state does
    slope = np.zeros((batch, units), outer.dtype)
    back = np.ascontiguousarray(p.states.T)
    for step in reversed(range(steps)):
        slope += outer[step]
        update, reset = t.gates[step, :, :units], t.gates[step, :, units:]
        fresh = slope * (1 - update) * (1 - t.fresh[step] ** 2)
        given[step, :, :units] = slope * (t.states[step] - t.fresh[step]) * update * (1 - update)
        given[step, :, units : 2 * units] = fresh * t.inner[step] * reset * (1 - reset)
        given[step, :, 2 * units :] = fresh
        kept[step] = given[step]
        kept[step, :, 2 * units :] *= reset
        slope *= update
        slope += kept[step] @ back
    flat, through = given.reshape(-1, 3 * units), kept.reshape(-1, 3 * units)
    return (
        loss,
        Parameters(
            inputs.reshape(steps * batch, -1).T @ flat,
            t.states[:-1].reshape(-1, units).T @ through,
            flat.sum(axis=0),
            through[:, 2 * units :].sum(axis=0),
            after.T @ predicted,
            predicted.sum(axis=0),
        ),
        t.states[-1],
    )


class Adam:
    """Steps along gradients, each weight's by how far its gradients spread; gradients too large are cut."""

    def __init__(self, parameters: Parameters, most: float = 1.0) -> None:
        self._parameters = parameters
        self._most = most  # the largest norm of a gradient
        self._mean = [np.zeros_like(p) for p in parameters]
        self._square = [np.zeros_like(p) for p in parameters]
        self._steps = 0

    def step(self, slopes: Parameters, rate: float) -> None:
        """Change the parameters in place."""
        self._steps += 1
        norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in slopes)))
        cut = np.float32(min(1.0, self._most / (norm + 1e-9)))
        for p, g, m, s in zip(self._parameters, slopes, self._mean, self._square, strict=True):
            m += 0.1 * (g * cut - m)
            s += 0.005 * ((g * cut) ** 2 - s)
            unbiased = m / (1 - 0.9**self._steps), s / (1 - 0.995**self._steps)
            p -= (rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)).astype(p.dtype)


def to_nodes(
    p: Parameters, inputs: str, state: tuple[str, str], logits: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The network as nodes and initializers of an ONNX graph.

    Args:
        p: weights.
        inputs: name of the input, [steps, batch, features].
        state: names of the state before and after, [1, batch, units].
        logits: name of the output, [steps, batch, classes].
    """
    weights = {
        "gru.inputs": p.inputs.T[None],
        "gru.states": p.states.T[None],
        "gru.bias": np.concatenate([p.bias, np.zeros(2 * len(p.inner), np.float32), p.inner])[None],
        "dense": p.dense,
        "offset": p.offset,
    }
    before, after = state
    nodes = [
        helper.make_node(
            "GRU",
            [inputs, "gru.inputs", "gru.states", "gru.bias", "", before],
            ["gru.steps", after],
            "gru",
            hidden_size=len(p.inner),
            linear_before_reset=1,
        ),
        # one direction: [steps, 1, batch, units] to [steps, batch, units]
        helper.make_node("Squeeze", ["gru.steps", "gru.direction"], ["gru.squeezed"], "squeeze"),
        helper.make_node("MatMul", ["gru.squeezed", "dense"], ["gru.product"], "dense"),
        helper.make_node("Add", ["gru.product", "offset"], [logits], "offset"),
    ]
    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()
    ]
    return nodes, [*initializers, numpy_helper.from_array(np.array([1], np.int64), "gru.direction")]
