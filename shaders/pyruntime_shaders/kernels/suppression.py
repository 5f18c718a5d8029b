"""Non-maximum suppression: a workgroup for each image and class, which selects the boxes one by one."""

from __future__ import annotations

from pyruntime.ir.kernel import Suppression
from pyruntime_shaders.module import Kernel, Module, fold

GROUP = 256


def prepare(call: Suppression) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute."""
    module = Module(call, ("b", "c", "i"), (call.batch, call.classes, call.most + call.count))
    rows = call.batch * call.classes
    buffers = {name: module.buffer(getattr(call, name).tensor) for name in ("boxes", "scores", "thresholds")}
    places = {
        "boxes": module.position("boxes", call.boxes, ("b", "i", "side")),
        "scores": module.position("scores", call.scores, ("b", "c", "i")),
        "thresholds": module.position("thresholds", call.thresholds, ("i",)),
        "output": module.position("output", call.output, ("b", "c", "i")),
    }
    return [
        module.finish(
            "suppression",
            (*fold(rows), 1),
            rows=module.word("rows", rows, "u32"),
            classes=module.word("classes", call.classes, "u32"),
            count=module.word("count", call.count),
            most=module.word("most", call.most),
            centred=call.centred,
            bounded=call.bounded,
            buffers=tuple(sorted(buffers.items())),
            places=tuple(sorted(places.items())),
            group=GROUP,
        )
    ]
