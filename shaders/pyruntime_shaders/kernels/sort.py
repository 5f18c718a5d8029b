"""Merge sort: a workgroup per row, whose threads find places in twice as long runs by bisection."""

from __future__ import annotations

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Sort
from pyruntime_shaders.module import Kernel, Module, fold
from pyruntime_shaders.printer import apply, bare

GROUP = 256


def prepare(call: Sort) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute."""
    module = Module(call, ("row", "place"), (call.rows, call.count * 2))
    buffer, x = module.buffer(call.x.tensor), call.x.tensor
    word = DType.U32 if x.dtype is DType.BOOL else x.dtype
    return [
        module.finish(
            "sort",
            (*fold(call.rows), 1),
            rows=module.word("rows", call.rows, "u32"),
            count=module.word("count", call.count),
            width=module.word("width", call.width),
            most=module.word("most", call.most),
            buffer=buffer,
            element=module.position("x", call.x, ("row", "item", "e")),
            place=module.position("place", call.output, ("row", "place")),
            type={b.name: b.type for b in module.bindings}[buffer],
            floats=x.dtype.is_float,
            descending=call.descending,
            unlike=bare(apply("ne", word, ("u", "v"), x.pairs)),
            first=bare(apply("gt" if call.descending else "lt", word, ("u", "v"), x.pairs)),
            group=GROUP,
        )
    ]
