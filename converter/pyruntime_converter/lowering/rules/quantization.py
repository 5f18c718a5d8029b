"""Lowering of Dequantize: what reductions or several ops read lies in memory as integers."""

from __future__ import annotations

from collections.abc import Sequence

from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, elementwise, lowers

from pyruntime.ir.graph import Node
from pyruntime.ops.definition import Elementwise, definition

# these read their operand from memory, and compute its elements as they read
_ROWS = frozenset(
    {
        *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "Softmax", "LogSoftmax"),
        *("LayerNormalization", "RMSNormalization", "InstanceNormalization"),
    }
)


@lowers("Dequantize")
def dequantize(low: Lowering, node: Node) -> Lazy:
    """Elementwise, over integers that are stored where a reduction or several readers would store floats."""
    x, readers = node.input(0), low.uses.get(node.output, ())
    reduced = any(reader.op in _ROWS for reader in readers)
    if (reduced or _shared(low, node, readers)) and x.dtype.bits == 8 and x.data is None:
        low.view(x)
    return elementwise(low, node)


def _shared(low: Lowering, node: Node, readers: Sequence[Node]) -> bool:
    """Whether several readers in kernels of their own dequantise as they read."""
    single = all(v is None or v.elements == 1 for v in node.inputs[1:])
    apart = not low.stays(node.output) and node.output not in low.graph.outputs
    return single and apart and all(isinstance(definition(r.op), Elementwise) for r in readers)
