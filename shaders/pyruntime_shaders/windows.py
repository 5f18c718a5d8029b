"""What kernels with a sliding window share: where its taps lie, and the template that takes pixels singly."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from pyruntime.ir.dims import Dim, ceildiv, divides, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, Pool, Window
from pyruntime_shaders.module import Kernel, Module, fold
from pyruntime_shaders.printer import value_type
from pyruntime_shaders.tiling import Source, alone, source

GROUPS = (64, 32, 128, 256)  # threads of a workgroup: what is usual, and what else may be best on some GPU


class Part(NamedTuple):
    """A workgroup's part: so many threads, each with `width` channels of a pixel."""

    threads: int
    width: int


def parts(vector: bool) -> list[Part]:
    """What may be chosen, the usual first; `vector` says whether four channels can be read at once."""
    return [Part(threads, width) for width in ((4, 1) if vector else (1,)) for threads in GROUPS]


def channel_quads(call: Conv | Pool, channels: Dim) -> bool:
    """Whether each four of x's channels, from a multiple of four on, lie in one aligned vec4."""
    x = call.x
    return (
        alone(call, x.tensor)
        and not x.guards
        and x.strides[3] == 1
        and all(divides(4, d) for d in (x.offset, *x.strides[:3], channels))
    )


def window_lines(module: Module, window: Window, tap: tuple[str, str]) -> tuple[str, str]:
    """Statements that give h and w, the place in the input of a tap of the window over y and x."""
    lines = []
    for axis, (name, at) in enumerate((("h", "y"), ("w", "x"))):
        terms = [at if window.strides[axis] == 1 else f"{at} * {window.strides[axis]}"]
        if tap[axis] != "0":
            dilation = window.dilations[axis]
            terms.append(tap[axis] if dilation == 1 else f"{tap[axis]} * {dilation}")
        pad = window.pads[axis]
        text = " + ".join(terms) + (f" - {module.word(f'pad_{name}', pad)}" if pad != 0 else "")
        lines.append(f"let {name} = {text};")
    return lines[0], lines[1]


def outside_input(module: Module, in_size: tuple[Dim, Dim]) -> str:
    """The condition under which (h, w) is no pixel of the input; negative ones wrap to large."""
    height, width = (
        module.word(f"in_{n}", d, "u32") for n, d in zip(("height", "width"), in_size, strict=True)
    )
    return f"u32(h) >= {height} || u32(w) >= {width}"


def finish_window(
    module: Module,
    call: Conv | Pool,
    channels: Dim,
    *,
    part: Part,
    held: DType,
    identity: str,
    update: str,
    weight: Source | None = None,
    counted: str = "",
) -> Kernel:
    """The kernel with a thread per pixel and one or four channels.

    Args:
        module: the call's module; axes n, y, x, c.
        call: the convolution or pool.
        channels: of input and output, a multiple of the part's width.
        part: its width is 4 where x (and weight) are bound as vec4, else 1.
        held: what is accumulated.
        identity: the accumulator's start.
        update: the statement for one tap inside the input, over {acc}, {value} and {weight}.
        weight: what {weight} reads, over tap and c.
        counted: the condition on h and w under which a tap counts for an average; none without one.
    """
    width, (height, across) = part.width, call.out_size
    threads = product((call.n, height, across, channels // width))
    sizes = (call.n, *call.in_size, channels)
    x = source(module, "x", call.x, ("n", "h", "w", "c"), sizes, "c", width == 4, held=held)
    outside = outside_input(module, call.in_size)
    filled = isinstance(call, Conv) and call.x.fill != 0  # then taps outside count
    if filled:
        x = x.before(outside)
    values: dict[str, Hashable] = {
        "what": "depthwise convolution" if isinstance(call, Conv) else f"{call.mode} pool",
        "x": x,
        "weight": weight,
        "width": width,
        "identity": identity,
        "update": update,
        "counted": counted,
        "kernel": call.window.kernel,
        "place": window_lines(module, call.window, ("i", "j")),
        "outside": "" if filled else outside,
        "type": value_type(held),
        "count": module.word("threads", threads, "u32"),
        "extents": (
            "",
            module.word("out_height", height, "u32"),
            module.word("out_width", across, "u32"),
            module.word("blocks", channels // width, "u32"),
        ),
        "group": part.threads,
        "body": module.block([call.body]),
    }
    return module.finish("window", (*fold(ceildiv(threads, part.threads)), 1), **values)
