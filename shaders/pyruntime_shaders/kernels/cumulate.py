"""Running sums and products: a thread per row, which walks the axis that carries the running value."""

from __future__ import annotations

from pyruntime.ir.dims import ceildiv, product
from pyruntime.ir.kernel import Cumulate, Reduction
from pyruntime_shaders.accumulation import running
from pyruntime_shaders.module import Kernel, Module, fold

GROUP = 64


def prepare(call: Cumulate) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute."""
    inner = len(call.sizes) - 1
    module = Module(call, (*(f"i{a}" for a in range(inner)), "k"), call.sizes)
    rows, length = product(call.sizes[:inner]), call.sizes[inner]
    acc = running(module, 0, Reduction(call.combine, call.value), length)
    value = module.block([call.value], [acc.pair])
    return [
        module.finish(
            "cumulate",
            (*fold(ceildiv(rows, GROUP)), 1),
            type=acc.type,
            identity=acc.identity,
            update=(*value.statements, f"{acc.update('acc_0', value.values[0])};"),
            body=module.block([call.body]),
            exclusive=call.exclusive,
            reverse=call.reverse,
            rows=module.word("rows", rows, "u32"),
            length=module.word("length", length, "i32"),
            extents=module.extents(call.sizes[:inner]),
            group=GROUP,
        )
    ]
