"""Max and average pooling, a thread per pixel and one or four channels."""

from __future__ import annotations

import math

from pyruntime.ir.kernel import Pool
from pyruntime_shaders.intervals import stored
from pyruntime_shaders.module import Kernel, Module
from pyruntime_shaders.printer import apply, bare
from pyruntime_shaders.tiling import accumulator, whole_fours
from pyruntime_shaders.windows import Part, channel_quads, finish_window, parts


def patches(call: Pool) -> list[Part]:
    """What may be chosen for a call, the usual first."""
    return parts(channel_quads(call, call.channels))


def prepare(call: Pool, part: Part | None = None) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute.

    `part` is a workgroup's, by default the one that is chosen.
    """
    dtype = call.x.tensor.dtype
    part = part or patches(call)[0]
    module = Module(
        call,
        ("n", "y", "x", "c"),
        (call.n, *call.out_size, call.channels),
        [call.x.tensor, *whole_fours(call, call.channels)] if part.width == 4 else [],
    )
    if call.mode == "average" and not dtype.is_float:
        raise module.unsupported(f"average pooling of {dtype!r}")
    held = accumulator(dtype) if dtype.is_float else dtype
    module.accumulates(0, held, None if dtype.is_float else stored(dtype))
    if call.mode == "max":
        lowest = -math.inf if dtype.is_float else stored(dtype)[0]
        identity = module.literal(lowest, held)
        update = "{acc} = " + bare(apply("max", held, ("{acc}", "{value}"))) + ";"
        counted = ""
    else:
        identity, update = module.literal(0, held), "{acc} += {value};"
        counted = _counted(module, call)
    return [
        finish_window(
            module,
            call,
            call.channels,
            part=part,
            held=held,
            identity=identity,
            update=update,
            counted=counted,
        )
    ]


def _counted(module: Module, call: Pool) -> str:
    if not call.count_include_pad:
        return "inside"
    # h and w never lie before the padding
    ends = [p - before for p, before in zip(call.padded, call.window.pads, strict=True)]
    return f"h < {module.word('end_h', ends[0])} && w < {module.word('end_w', ends[1])}"
