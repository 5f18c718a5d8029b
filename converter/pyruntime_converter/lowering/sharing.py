"""Which values with several readers can stay unmaterialised: those whose readers meet again in one kernel."""

from __future__ import annotations

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.definition import Elementwise, definition

# a bound on the work per value; GELU by tanh, the longest common pattern, is 9 nodes
REGION_LIMIT = 24


def reconverging(graph: Graph) -> set[Value]:
    """Values read more than once, all of whose readers are elementwise and flow into one elementwise result.

    `x * sigmoid(x)` and GELU in their spelled-out forms are such: x stays in registers.
    """
    uses = graph.uses()
    position = {node: i for i, node in enumerate(graph.nodes)}
    outputs = set(graph.outputs)

    def meets(value: Value) -> bool:
        if value in outputs:
            return False
        waiting = set(uses[value])
        for _ in range(REGION_LIMIT):
            node = min(waiting, key=position.__getitem__)
            if not _is_elementwise(node) or node.output.shape != value.shape:
                return False
            waiting.discard(node)
            if not waiting:  # every reader so far led here
                return True
            if node.output in outputs:
                return False
            waiting |= set(uses.get(node.output, ()))
        return False

    return {v for v, readers in uses.items() if v.data is None and len(set(readers)) > 1 and meets(v)}


def _is_elementwise(node: Node) -> bool:
    return isinstance(definition(node.op), Elementwise)
