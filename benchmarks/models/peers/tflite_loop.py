"""LSTMs in TFLite as a loop, whose body has its weights once.

LiteRT.js 2.5.3 refuses TFLite's LSTM ("Variable tensors not yet supported"), and of unrolled steps each
packs weights of its own: the loop took about half of their time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models.peers.graph import Graph, Operator, Tensor
from benchmarks.models.peers.recurrent import step

if TYPE_CHECKING:
    from benchmarks.models.peers.tflite import Writer


def write_lstm(writer: Writer, operator: Operator) -> None:
    """Append the loop over the steps of an `lstm` operator of batch 1."""
    sums, weights = operator.inputs
    steps, wide = sums.shape
    units, name = wide // 4, operator.output.name
    if steps != operator["steps"]:
        raise ValueError(f"{name}: loops are for batch 1")
    kinds = writer.schema.TensorType
    carried = (
        ("number", (1,), kinds.INT32),
        ("hidden", (1, units), kinds.FLOAT32),
        ("cell", (1, units), kinds.FLOAT32),
        ("made", (steps, units), kinds.FLOAT32),
        ("sums", (steps, wide), kinds.FLOAT32),
    )

    def enter() -> list[int]:
        return [writer.add(f"{name}_{part}", shape, kind, 0) for part, shape, kind in carried]

    with writer.subgraph(f"{name}_condition") as condition:
        writer.part.inputs = enter()
        more = writer.add(f"{name}_more", (1,), kinds.BOOL, 0)
        operands = [writer.part.inputs[0], writer.ints([steps], f"{name}_steps")]
        writer.append("LESS", "LessOptions", operands, more)
        writer.part.outputs = [more]

    with writer.subgraph(f"{name}_body") as body:
        number, hidden, cell, made, every = writer.part.inputs = enter()
        before = {n: Tensor(n, (1, units), np.dtype(np.float32)) for n in ("hidden", "cell")}
        row = Tensor(f"{name}_row", (1, wide), np.dtype(np.float32))
        writer.indices.update({before["hidden"]: hidden, before["cell"]: cell})
        writer.append("GATHER", "GatherOptions", [every, number], writer.index(row))
        graph = Graph({})
        after = step(graph, name, row, before["hidden"], before["cell"], weights)
        for each in graph.operators:
            writer.write(each)
        place = writer.add(f"{name}_place", (2,), kinds.INT32, 0)
        operands = [number, writer.ints([0], f"{name}_left")]
        writer.append("CONCATENATION", "ConcatenationOptions", operands, place, axis=0)
        longer = writer.add(f"{name}_longer", (steps, units), kinds.FLOAT32, 0)
        writer.append("DYNAMIC_UPDATE_SLICE", None, [made, writer.index(after[0]), place], longer)
        following = writer.add(f"{name}_following", (1,), kinds.INT32, 0)
        writer.append("ADD", "AddOptions", [number, writer.ints([1], f"{name}_one")], following)
        writer.part.outputs = [following, *(writer.index(a) for a in after), longer, every]

    zeros = [writer.constant(np.zeros(s, np.float32), f"{name}_zeros") for _, s, _ in carried[1:4]]
    outputs = enter()
    outputs[3] = writer.index(operator.output)
    fields = {"condSubgraphIndex": condition, "bodySubgraphIndex": body}
    first = [writer.ints([0], f"{name}_first"), *zeros, writer.index(sums)]
    writer.append("WHILE", "WhileOptions", first, *outputs, **fields)
