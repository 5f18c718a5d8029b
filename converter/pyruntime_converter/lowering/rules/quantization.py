"""Lowering of Dequantize: what reductions read lies in memory as integers, not as what they stand for."""

from __future__ import annotations

from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, elementwise, lowers

from pyruntime.ir.graph import Node

# these read their operand from memory, and compute its elements as they read
_ROWS = frozenset(
    {
        *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "Softmax", "LogSoftmax"),
        *("LayerNormalization", "RMSNormalization", "InstanceNormalization"),
    }
)


@lowers("Dequantize")
def dequantize(low: Lowering, node: Node) -> Lazy:
    """Elementwise, over integers that are stored first where a reduction would have the result stored."""
    x = node.input(0)
    reduced = any(reader.op in _ROWS for reader in low.uses.get(node.output, ()))
    if reduced and x.dtype.bits == 8 and x.data is None:
        low.view(x)
    return elementwise(low, node)
