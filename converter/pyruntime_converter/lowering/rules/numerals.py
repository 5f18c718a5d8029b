"""Lowering of numbers that are written as text, read or yet to be written."""

from __future__ import annotations

from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.views import contiguous

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node
from pyruntime.ir.numerals import Digits, Numerals


@lowers("ParseNumber")
def parse_number(low: Lowering, node: Node) -> Lazy:
    """The kernel reads bytes where they lie."""
    shape = node.output.shape
    output = contiguous(low.tensor(node.output.name, DType.U32, shape), shape)
    low.program.steps.append(
        Numerals(
            name=low.call_name("numerals", node.origin),
            origins=(node.origin,),
            output=output,
            rows=shape[0],
            width=node.input(0).shape[1],
            to=node.attrs["to"],
            odd=node.attrs["odd"],
            x=low.view(node.input(0)),
        )
    )
    return Lazy.of(output, shape)


@lowers("FormatNumber")
def format_number(low: Lowering, node: Node) -> Lazy:
    """The kernel reads numbers where they lie."""
    rows, width = node.output.shape
    output = contiguous(low.tensor(node.output.name, DType.U8, (rows, width)), (rows, width))
    low.program.steps.append(
        Digits(
            name=low.call_name("digits", node.origin),
            origins=(node.origin,),
            output=output,
            rows=rows,
            width=int(str(width)),
            precision=node.attrs["precision"],
            least=node.attrs["least"],
            x=low.view(node.input(0)),
        )
    )
    return Lazy.of(output, (rows, width))
