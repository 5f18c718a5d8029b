"""LSTMs of a graph step by step: for engines without them, and as what their loops repeat."""

from __future__ import annotations

from typing import Any

from benchmarks.models.peers.graph import Graph, Operator, Tensor


def step(
    graph: Graph, name: str, sums: Tensor, hidden: Tensor | None, cell: Tensor | None, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Append one step of an LSTM; gates are in ONNX's order: input, output, forget, cell.

    Args:
        graph: what the operators are appended to.
        name: begins the names of what is made.
        sums: [batch, 4 units], the step's inputs times their weights, and the bias.
        hidden, cell: [batch, units], the state before; None: zeros.
        weights: [units, 4 units], of the hidden state.

    Returns:
        The hidden state and the cell after the step.
    """
    batch, units = sums.shape[0], sums.shape[1] // 4

    def emit(kind: str, *inputs: Tensor, width: int = 1, **attributes: Any) -> Tensor:
        unique = f"{name}_{len(graph.operators)}_{kind}"
        return graph.append(kind, unique, inputs, (batch, width * units), **attributes)

    def part(of: Tensor, first: int, width: int) -> Tensor:
        return emit("slice", of, width=width, begin=(0, first * units))

    if hidden is not None:
        product = emit("dense", hidden, weights, width=4, activation=None)
        sums = emit("add", product, sums, width=4, activation=None)
    gates = emit("sigmoid", part(sums, 0, 3), width=3)
    after = emit("mul", part(gates, 0, 1), emit("tanh", part(sums, 3, 1)))
    if cell is not None:
        after = emit("add", emit("mul", part(gates, 2, 1), cell), after, activation=None)
    return emit("mul", part(gates, 1, 1), emit("tanh", after)), after


def unrolled(graph: Graph) -> Graph:
    """The same graph with every step of each LSTM written out."""
    made = Graph(graph.inputs, graph.outputs)
    for operator in graph.operators:
        if operator.kind != "lstm":
            made.operators.append(operator)
            continue
        sums, weights = operator.inputs
        steps = operator["steps"]
        batch, name = sums.shape[0] // steps, operator.output.name
        hidden: Tensor | None = None
        cell: Tensor | None = None
        every = []
        for number in range(steps):
            begin = (number * batch, 0)
            row = made.append("slice", f"{name}_row{number}", [sums], (batch, sums.shape[1]), begin=begin)
            hidden, cell = step(made, f"{name}_step{number}", row, hidden, cell, weights)
            every.append(hidden)
        made.operators.append(Operator("concat", every, operator.output, {"axis": 0}))
    return made
