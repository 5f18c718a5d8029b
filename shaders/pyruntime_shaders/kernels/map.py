"""Elementwise kernels: one thread per element."""

from __future__ import annotations

from pyruntime.ir.dims import ceildiv, product
from pyruntime.ir.kernel import Map
from pyruntime_shaders.module import Kernel, Module, fold

GROUP = 256


def prepare(call: Map) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute."""
    axes = tuple(f"i{a}" for a in range(len(call.sizes)))
    module = Module(call, axes, call.sizes)
    count = product(call.sizes)
    return [
        module.finish(
            "map",
            (*fold(ceildiv(count, GROUP)), 1),
            body=module.block([call.body]),
            count=module.word("count", count, "u32"),
            extents=module.extents(call.sizes),
            group=GROUP,
        )
    ]
