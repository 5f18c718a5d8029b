"""Lowering of sorts."""

from __future__ import annotations

from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.views import contiguous

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node
from pyruntime.ir.kernel import Sort


@lowers("ArgSort")
def arg_sort(low: Lowering, node: Node) -> Lazy:
    """The kernel reads items where they lie, and has room to sort where it stores."""
    rows, count, width = node.input(0).shape
    room = (rows, count * 2)
    output = contiguous(low.tensor(node.output.name, DType.I32, room), room)
    low.program.steps.append(
        Sort(
            name=low.call_name("sort", node.origin),
            origins=(node.origin,),
            output=output,
            rows=rows,
            count=count,
            width=width,
            most=node.attrs["count"],
            descending=node.attrs["descending"],
            x=low.view(node.input(0)),
        )
    )
    return Lazy.of(output, node.output.shape)
