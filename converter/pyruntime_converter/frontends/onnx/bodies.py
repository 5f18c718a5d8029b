"""Subgraphs of control flow while they are read: closed graphs, and what they take from around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyruntime.ir.graph import Graph, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.onnx.held import Held


@dataclass
class Body:
    """A subgraph with its own inputs, and for each value from around what stands for it inside.

    `results` are what it gives, whose tensors are the graph's outputs.
    """

    builder: Builder
    inside: dict[Value, Value] = field(default_factory=dict)
    results: list[Held] = field(default_factory=list)

    @property
    def graph(self) -> Graph:
        """The subgraph."""
        return self.builder.graph

    def capture(self, value: Value) -> Value:
        """What stands for a value from around."""
        if value not in self.inside:
            self.inside[value] = self.builder.captured(value)
        return self.inside[value]

    @property
    def captured(self) -> list[Value]:
        """Values from around that are inputs of the subgraph, in the order of those inputs."""
        around = {inner: value for value, inner in self.inside.items()}
        return [around[v] for v in self.graph.inputs if v in around]


def align(bodies: Sequence[Body]) -> list[Value]:
    """Let all bodies take the same values from around; those values."""
    taken = list(dict.fromkeys(v for b in bodies for v in b.captured))
    for body in bodies:
        own = body.graph.inputs[: len(body.graph.inputs) - len(body.captured)]
        for value in taken:
            body.capture(value)
        body.graph.inputs = [*own, *(body.inside[v] for v in taken)]
    return taken


def finish(bodies: Sequence[Body]) -> None:
    """Let outputs that are dims be tensors."""
    for body in bodies:
        made = [body.builder.materialised(v) for v in body.graph.outputs]
        body.graph.outputs = [v for v in made if v is not None]
        body.graph.output_names = [v.name for v in body.graph.outputs]
