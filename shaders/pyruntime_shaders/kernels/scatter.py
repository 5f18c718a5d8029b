"""Scatters: a thread for all points that may meet, which takes them in order."""

from __future__ import annotations

from pyruntime.ir.dims import ceildiv, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Scatter
from pyruntime_shaders.module import Kernel, Module, fold

GROUP = 64


def prepare(call: Scatter) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute."""
    module = Module(call, tuple(f"i{a}" for a in range(len(call.sizes))), call.sizes)
    output = call.output.tensor
    module.accumulates(0, DType.F32 if output.dtype is DType.F16 else output.dtype, output.interval)
    threads = product(call.sizes[call.ordered :])
    extents = [module.word(f"extent_{a}", s, "u32") for a, s in enumerate(call.sizes)]
    return [
        module.finish(
            "scatter",
            (*fold(ceildiv(threads, GROUP)), 1),
            body=module.block([call.body]),
            ordered=call.ordered,
            points=module.word("points", product(call.sizes[: call.ordered]), "u32"),
            threads=module.word("threads", threads, "u32"),
            extents=tuple(extents),
            group=GROUP,
        )
    ]
