"""Sorting by counting: a thread per item, whose place is the number of items before it.

Those are as many comparisons as the square of a row's items, but all side by side: ten thousand items cost
little, a million do not end.
"""

from __future__ import annotations

from pyruntime.ir.dims import ceildiv
from pyruntime.ir.kernel import Sort
from pyruntime_shaders.module import Kernel, Module, fold

GROUP = 256


def prepare(call: Sort) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute."""
    module = Module(call, ("row", "place"), (call.rows, call.most))
    threads = call.rows * call.count
    return [
        module.finish(
            "sort",
            (*fold(ceildiv(threads, GROUP)), 1),
            threads=module.word("threads", threads, "u32"),
            count=module.word("count", call.count),
            width=module.word("width", call.width),
            most=module.word("most", call.most),
            buffer=module.buffer(call.x.tensor),
            element=module.position("x", call.x, ("row", "item", "e")),
            type={b.name: b.type for b in module.bindings}[module.buffer(call.x.tensor)],
            floats=call.x.tensor.dtype.is_float,
            descending=call.descending,
            group=GROUP,
        )
    ]
