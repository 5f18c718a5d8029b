"""Lowering of non-maximum suppression."""

from __future__ import annotations

from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.views import contiguous

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node
from pyruntime.ir.kernel import Suppression


@lowers("SuppressBoxes")
def suppress_boxes(low: Lowering, node: Node) -> Lazy:
    """The kernel has room for all boxes behind the selected ones, which are a view of the first of them."""
    batch, classes, count = node.input(1).shape
    most = node.attrs["most"]
    room = (batch, classes, most + count)
    output = contiguous(low.tensor(node.output.name, DType.I32, room), room)
    low.program.steps.append(
        Suppression(
            name=low.call_name("suppression", node.origin),
            origins=(node.origin,),
            output=output,
            batch=batch,
            classes=classes,
            count=count,
            most=most,
            centred=node.attrs["centred"],
            bounded=node.attrs["bounded"],
            boxes=low.view(node.input(0)),
            scores=low.view(node.input(1)),
            thresholds=low.view(node.input(2)),
        )
    )
    return Lazy.of(output, node.output.shape)
