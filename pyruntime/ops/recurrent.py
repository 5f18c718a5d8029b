"""Recurrent layers: LSTM, GRU and RNN, from the input's part of their gates on.

They are ONNX's operators less the product with the input weights, which needs no state: it is one MatMul
over all steps and directions, with the bias added, whose result is the operand x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.scalar import Load, Scalar
from pyruntime.ops.definition import (
    Case,
    DTypeError,
    Elementwise,
    OpDef,
    TensorType,
    definition,
    operands,
    require,
)
from pyruntime.ops.evaluate import evaluate
from pyruntime.ops.trees import add, mul

Array = NDArray[Any]
Function = Callable[[Array], Array]

F32, F64, I32 = DType.F32, DType.F64, DType.I32
# far beyond where exp overflows
SATURATING = np.linspace(-1e4, 1e4, 2 * 3 * 20, dtype=np.float32).reshape(2, 3, 20)
BACKWARD, BOTH = {"reverse": (True,)}, {"reverse": (False, True)}


class Activation(NamedTuple):
    """One of ONNX's activation functions of recurrent layers, and its parameters where it has them."""

    name: str
    alpha: float | None = None
    beta: float | None = None

    def tree(self, x: Scalar) -> Scalar:
        """The function of one element. Raises KeyError for an unknown name."""
        if self.name == "Affine":
            return add(mul(x, self.alpha or 0.0), self.beta or 0.0)
        if self.name == "ScaledTanh":
            return mul(Activation("Tanh").tree(mul(x, self.beta or 0.0)), self.alpha or 0.0)
        op = definition(self.name)
        assert isinstance(op, Elementwise), self.name
        given = {"alpha": self.alpha, "beta": self.beta}
        return op.build([x], {**op.attrs, **{k: v for k, v in given.items() if v is not None}})


# function -> its parameters alpha and beta by default, None where it has none
ACTIVATIONS: Mapping[str, Activation] = {
    a.name: a
    for a in (
        *(Activation(n) for n in ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")),
        Activation("Affine", 1.0, 0.0),
        Activation("LeakyRelu", 0.01),
        Activation("ThresholdedRelu", 1.0),
        Activation("ScaledTanh", 1.0, 1.0),
        Activation("HardSigmoid", 0.2, 0.5),
        Activation("Elu", 1.0),
    )
}


class Recurrent(OpDef):
    """Base of the recurrent layers, in float32 or float64.

    Inputs: x [steps, batch, directions * gates * units], the gates in ONNX's order; recurrent weights
    [directions, gates * units, units]; lengths [batch] int32 of sequences that end early; initial states
    [directions, batch, units], by default zero; then parameters of the op's own. All but the first two are
    optional. Outputs: all states of the first kind [steps, directions, batch, units], zero past a sequence's
    end, and the final states [directions, batch, units].

    Attributes:
        reverse: for each direction whether it walks from the end to the start.
        activations: for each direction the functions, in ONNX's order; empty for the op's own.
        clip: bound on what goes into the gates' activations, or None.
    """

    attrs: ClassVar[Mapping[str, Any]] = {"reverse": (False,), "activations": (), "clip": None}
    gates: ClassVar[int]
    states: ClassVar[int] = 1
    parameters: ClassVar[tuple[int, ...]] = ()  # width of each further input [directions, width * units]
    functions: ClassVar[tuple[str, ...]]  # activations by default
    clipped: ClassVar[int]  # how many of the activations, the first ones, get clipped values

    def activations(self, attrs: Mapping[str, Any]) -> list[tuple[Activation, ...]]:
        """The functions of each direction."""
        given = attrs["activations"] or (tuple(ACTIVATIONS[n] for n in self.functions),) * len(
            attrs["reverse"]
        )
        return [tuple(Activation(*a) for a in functions) for functions in given]

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """The states as they were, after no steps."""
        return True

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        count = 3 + self.states + len(self.parameters)
        x, weights, lengths, *others = operands(inputs, 2, count)
        assert x is not None
        assert weights is not None
        if x.dtype not in (F32, F64) or any(
            v is not None and v.dtype is not x.dtype for v in (weights, *others)
        ):
            raise DTypeError(f"{self.name} computes in float32 or float64")
        require(x.rank == 3 and weights.rank == 3, "x and the recurrent weights have three axes")
        steps, batch, width = x.shape
        directions, rows, units = weights.shape
        require(
            isinstance(directions, int) and directions == len(attrs["reverse"]),
            f"{directions} directions of weights for {len(attrs['reverse'])}",
        )
        require(isinstance(units, int), "the number of units is fixed")
        require(rows == self.gates * units, f"weights {weights.shape} are not for {self.gates} gates")
        require(width == directions * rows, f"x {x.shape} does not fit weights {weights.shape}")
        if lengths is not None:
            require(lengths.shape == (batch,), f"{lengths.shape} lengths for a batch of {batch}")
            require(lengths.dtype is I32, "lengths are int32")
        state = (directions, batch, units)
        for value in others[: self.states]:
            require(value is None or value.shape == state, f"an initial state has shape {state}")
        for value, per_unit in zip(others[self.states :], self.parameters, strict=True):
            require(
                value is None or value.shape == (directions, per_unit * units),
                f"a parameter has shape {(directions, per_unit * units)}",
            )
        chosen = attrs["activations"]
        require(
            not chosen or (len(chosen) == directions and all(len(a) == len(self.functions) for a in chosen)),
            f"takes {len(self.functions)} activations for each direction",
        )
        every = TensorType(x.dtype, (steps, directions, batch, units))
        return [every, *(TensorType(x.dtype, state) for _ in range(self.states))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        given: list[Array | None] = [*inputs, *[None] * (6 - len(inputs))]
        x, weights, lengths, *others = given
        assert x is not None
        assert weights is not None
        steps, batch = x.shape[:2]
        directions, _, units = weights.shape
        gates = x.astype(np.float64).reshape(steps, batch, directions, self.gates, units)
        ends = np.full(batch, steps) if lengths is None else np.clip(lengths, 0, steps)
        every = np.zeros((steps, directions, batch, units))
        finals = [
            np.zeros((directions, batch, units)) if start is None else start.astype(np.float64)
            for start in others[: self.states]
        ]
        limit = np.inf if attrs["clip"] is None else attrs["clip"]
        for d, (reverse, functions) in enumerate(zip(attrs["reverse"], self.activations(attrs), strict=True)):
            recurrent = weights[d].astype(np.float64).reshape(self.gates, units, units)
            own = [
                np.zeros(units * n) if p is None else p[d].astype(np.float64)
                for p, n in zip(others[self.states :], self.parameters, strict=False)
            ]
            used = [_function(a, limit if n < self.clipped else np.inf) for n, a in enumerate(functions)]
            for b, end in enumerate(ends):
                state = [final[d, b].copy() for final in finals]
                for step in range(end):
                    t = end - 1 - step if reverse else step
                    state = self.step(gates[t, b, d], recurrent, state, own, used, attrs)
                    every[t, d, b] = state[0]
                for final, value in zip(finals, state, strict=True):
                    final[d, b] = value
        return [a.astype(x.dtype) for a in (every, *finals)]

    def step(
        self,
        x: Array,
        weights: Array,
        state: list[Array],
        parameters: list[Array],
        functions: list[Function],
        attrs: Mapping[str, Any],
    ) -> list[Array]:
        """The states after one step: x [gates, units], weights [gates, units, units], states [units]."""
        raise NotImplementedError


def _function(activation: Activation, limit: float) -> Function:
    """An activation of clipped values."""
    tree = activation.tree(Load(F64, 0))
    return lambda a: np.asarray(evaluate(tree, [np.clip(a, -limit, limit)]))


def _cases(gates: int, states: int) -> list[Case]:
    """What all recurrent layers must do, for random weights."""

    def case(
        label: str,
        attrs: Mapping[str, Any] | None = None,
        *,
        steps: int = 4,
        batch: int = 2,
        units: int = 5,
        lengths: Sequence[int] = (),
        initial: bool = False,
        symbols: Mapping[tuple[int, int], str] | None = None,
        dtype: DType = F32,
    ) -> Case:
        attrs = attrs or {}
        d = len(attrs.get("reverse", (False,)))
        inputs: list[Any] = [(dtype, (steps, batch, d * gates * units)), (dtype, (d, gates * units, units))]
        inputs.append(np.array(lengths, np.int32) if lengths else None)
        inputs += [(dtype, (d, batch, units))] * (states if initial else 0)
        return Case(tuple(inputs), attrs, label, symbols or {}, -1.0, 1.0)

    either = {(0, 0): "steps", (0, 1): "batch", **{(3 + i, 1): "batch" for i in range(states)}}
    return [
        case("forward"),
        case("backward", BACKWARD, initial=True),
        case("both", BOTH, initial=True, batch=3),
        case("one", steps=1, batch=1, units=1),
        case("wide", steps=3, batch=1, units=37),
        case("rows", steps=2, batch=11, units=9),
        case("lengths", lengths=(4, 1, 3), batch=3, initial=True),
        case("lengths-both", BOTH, lengths=(2, 4, 3), batch=3),
        case("clip", {"clip": 0.4}),
        Case((SATURATING[:, :, : gates * 5], (F32, (1, gates * 5, 5))), {}, "saturated", low=-1, high=1),
        case("dynamic", BOTH, initial=True, symbols=either),
        case("double", BOTH, initial=True, batch=3, dtype=F64),
    ]


_STATE = (F32, (1, 2, 5))
_PEEPHOLES = ((F32, (4, 2, 20)), (F32, (1, 20, 5)), None, _STATE, _STATE, (F32, (1, 15)))
_LINEAR = ((F32, (4, 2, 30)), (F32, (2, 15, 5)), None, None, (F32, (2, 5)))


class LSTM(Recurrent):
    """Long short-term memory: gates input, output, forget, cell; states hidden and cell.

    The 6th input are peepholes of the gates input, output, forget. The last activation is not clipped.

    Attributes:
        input_forget: whether the forget gate is one minus the input gate.
    """

    name = "LSTM"
    attrs: ClassVar = {**Recurrent.attrs, "input_forget": False}
    gates, states, parameters = 4, 2, (3,)
    functions, clipped = ("Sigmoid", "Tanh", "Tanh"), 2
    cases = (
        *_cases(4, 2),
        Case(_PEEPHOLES, {}, "peepholes", low=-1, high=1),
        Case(_PEEPHOLES, {"input_forget": True, "clip": 0.7}, "coupled", low=-1, high=1),
        Case(
            ((F32, (3, 2, 40)), (F32, (2, 20, 5))),
            {
                **BOTH,
                "activations": (
                    (Activation("HardSigmoid", 0.3, 0.4), Activation("Softsign"), Activation("Relu")),
                    (Activation("Sigmoid"), Activation("ScaledTanh", 0.7, 1.2), Activation("Elu", 0.6)),
                ),
            },
            "activations",
            low=-1,
            high=1,
        ),
    )

    def step(
        self,
        x: Array,
        weights: Array,
        state: list[Array],
        parameters: list[Array],
        functions: list[Function],
        attrs: Mapping[str, Any],
    ) -> list[Array]:
        (h, c), (f, g, squash) = state, functions
        i, o, forget, cell = x + weights @ h
        of_input, of_output, of_forget = np.split(parameters[0], 3)
        i = f(i + of_input * c)
        forget = 1 - i if attrs["input_forget"] else f(forget + of_forget * c)
        c = forget * c + i * g(cell)
        return [f(o + of_output * c) * squash(c), c]


class GRU(Recurrent):
    """Gated recurrent unit: gates update, reset, new.

    The 5th input, with `linear_before_reset` alone, is added to the new gate's product before the reset gate
    scales it.

    Attributes:
        linear_before_reset: whether the reset gate scales the product and not the state that it is of.
    """

    name = "GRU"
    attrs: ClassVar = {**Recurrent.attrs, "linear_before_reset": False}
    gates, parameters = 3, (1,)
    functions, clipped = ("Sigmoid", "Tanh"), 2
    cases = (
        *_cases(3, 1),
        Case(((F32, (4, 2, 15)), (F32, (1, 15, 5))), {"linear_before_reset": True}, "linear", low=-1, high=1),
        Case(_LINEAR, {"linear_before_reset": True, **BOTH}, "linear-both", low=-1, high=1),
        Case(
            ((F32, (3, 2, 15)), (F32, (1, 15, 5))),
            {"activations": ((Activation("Affine", 0.5, 0.1), Activation("LeakyRelu", 0.2)),)},
            "activations",
            low=-1,
            high=1,
        ),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        types = super().infer(inputs, attrs)
        require(
            attrs["linear_before_reset"] or all(v is None for v in inputs[4:]),
            "takes a recurrent bias with linear_before_reset alone",
        )
        return types

    def step(
        self,
        x: Array,
        weights: Array,
        state: list[Array],
        parameters: list[Array],
        functions: list[Function],
        attrs: Mapping[str, Any],
    ) -> list[Array]:
        (h,), (f, g) = state, functions
        z, r = f(x[:2] + weights[:2] @ h)
        if attrs["linear_before_reset"]:
            new = g(x[2] + r * (weights[2] @ h + parameters[0]))
        else:
            new = g(x[2] + weights[2] @ (r * h))
        return [(1 - z) * new + z * h]


class RNN(Recurrent):
    """The plain recurrent layer: one gate, which is the state."""

    name = "RNN"
    gates, functions, clipped = 1, ("Tanh",), 1
    cases = (
        *_cases(1, 1),
        *(
            Case(
                ((F32, (3, 2, 5)), (F32, (1, 5, 5))),
                {"activations": ((activation,),)},
                activation.name.lower(),
                low=-1,
                high=1,
            )
            for activation in ACTIVATIONS.values()
        ),
    )

    def step(
        self,
        x: Array,
        weights: Array,
        state: list[Array],
        parameters: list[Array],
        functions: list[Function],
        attrs: Mapping[str, Any],
    ) -> list[Array]:
        return [functions[0](x[0] + weights[0] @ state[0])]
