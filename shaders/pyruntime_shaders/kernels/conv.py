"""Convolutions: as products of matrices in tiles, or directly where each channel has a filter of its own."""

from __future__ import annotations

from pyruntime.ir.dims import Dim, ceildiv, divides, minimum, product
from pyruntime.ir.kernel import Conv
from pyruntime.ir.views import View
from pyruntime_shaders import direct, extremes, octets
from pyruntime_shaders.module import MAX_GROUPS, Kernel, Module, fold
from pyruntime_shaders.printer import value_type
from pyruntime_shaders.tiling import (
    Patch,
    Source,
    Tile,
    accumulator,
    alone,
    choose,
    options,
    panels,
    quad_panels,
    source,
    sum_range,
    whole_fours,
)
from pyruntime_shaders.windows import Part, channel_quads, finish_window, outside_input, parts, window_lines

AXES = ("n", "y", "x", "c")


def prepare(call: Conv, patch: Patch | Part | None = None) -> list[Kernel]:
    """The dispatches of a call. Raises UnsupportedError for what WGSL cannot compute.

    `patch` is a workgroup's part of the result, by default what is chosen.
    """
    if call.depthwise:
        assert isinstance(patch, Part | None)
        return [_depthwise(call, patch or _parts(call)[0])]
    assert not isinstance(patch, Part)
    k = product(call.window.kernel) * call.in_channels // call.groups
    return direct.forms(
        (product((call.n, *call.out_size)), call.out_channels // call.groups, k, call.groups),
        1,
        lambda on, patch: direct.conv(call, on, patch),
        lambda on, rows, tile: _tiled(call, on, rows, tile),
        patch,
    )


def patches(call: Conv) -> list[Patch] | list[Part]:
    """What may be chosen for a call, best or not."""
    if call.depthwise:
        return _parts(call)
    depth, width = call.in_channels // call.groups, call.out_channels // call.groups
    # slices share the channels of each tap
    made = options(product((call.n, *call.out_size)), width, depth)
    return [p for p in made if extremes.suits(call.extremes, p)]


def _sizes(call: Conv) -> tuple[Dim, ...]:
    return (call.n, *call.out_size, call.out_channels)


def _tiled(call: Conv, on: Dim, likely: Dim, tile: Tile | None) -> Kernel:
    """In tiles: by default those that suit as many rows as are `likely`."""
    depth, width = call.in_channels // call.groups, call.out_channels // call.groups
    rows, taps = product((call.n, *call.out_size)), call.window.kernel[0] * call.window.kernel[1]
    dotted = octets.by_fours(call.left_dtype, call.weight.tensor.dtype, call.panels)
    k = taps * (-(-depth // octets.DEPTH) if dotted else depth)  # elements, or words of them
    by_fours = channel_quads(call, depth)
    vector_b = (
        (dotted or not call.exact) and alone(call, call.weight.tensor) and divides(4, call.weight.offset)
    )
    vectors = [v.tensor for v, vector in ((call.x, by_fours), (call.weight, vector_b)) if vector]
    module = Module(call, AXES, _sizes(call), [*vectors, *whole_fours(call, width)])
    held, outer = accumulator(call.left_dtype), ("group",) if call.groups > 1 else ()
    module.accumulates(0, held, sum_range(call.left_dtype, call.weight.tensor.dtype, taps * depth))
    k_word, width_word = module.word("k_words" if dotted else "k", k), module.word("group_columns", width)
    tile = tile or choose(likely, width, k, call.groups)
    tiles_across = ceildiv(width, tile.width)
    tiles = ceildiv(rows, tile.height) * tiles_across
    base = f"group * (({width_word} + 7) >> 3u)" if outer else ""
    over, dots = (*outer, "k", "column"), None
    if dotted:
        a = _taps(module, call, depth, outer, by_fours, -(-depth // octets.DEPTH) * octets.DEPTH)
        made = (
            octets.quantizer(module, call.x, call.prologue, (*_pixel(call), "0")) if call.prologue else None
        )
        a = octets.left(a, call.x, call.left_dtype, call.weight.tensor, f"k >= {k_word}", made)
        b, dots = octets.right(module, call.weight, over, k, width, call.left_dtype)
    elif call.exact:
        tap = (module.word("group_depth", depth), module.word("taps", taps), depth)
        group = ("group", ceildiv(width, 8)) if outer else None
        b = quad_panels(module, call.weight, over, group, tap, k)
    else:
        b = panels(module, call.weight, over, base, k, vector_b)
    if not dotted:
        a = _taps(module, call, depth, outer, by_fours, depth)
    x, y = fold(tiles)
    return module.finish(
        "conv",
        (x * on, y, minimum(call.groups, MAX_GROUPS)),
        a=a if dots else a.before(f"k >= {k_word}"),
        b=b if dots else b.before(f"k >= {k_word}"),
        dots=dots,
        type=value_type(held),
        body=module.block([call.body]),
        channel=f"group * {width_word} + column" if outer else "column",
        k=k_word,
        rows=module.word("rows", rows, "u32"),
        columns=width_word,
        tiles=module.word("tiles", tiles, "u32"),
        tiles_across=module.word("tiles_across", tiles_across, "u32"),
        outer_axes=outer,
        outer_count=module.word("groups", call.groups, "u32") if outer else "",
        outer_extents=("",) if outer else (),
        row_axes=AXES[:3],
        row_extents=_pixel_extents(module, call),
        tile=tile,
        a_order="rows" if call.x.strides[3] == 1 else "columns",
        b_order="panels",
        **extremes.values(module, call.extremes, tile.across),
    )


def _pixel_extents(module: Module, call: Conv) -> tuple[str, ...]:
    height, width = call.out_size
    return ("", module.word("out_height", height, "u32"), module.word("out_width", width, "u32"))


def _taps(
    module: Module, call: Conv, depth: int, outer: tuple[str, ...], vector: bool, spread: int
) -> Source:
    """x as operand a over the pixel and k, which counts taps and, inside them, `spread` channels.

    Those past `depth`, as many as a group has, are none.
    """
    kernel = call.window.kernel
    # the word exists where it is used
    depth_word = module.word("group_depth", depth) if outer or kernel != (1, 1) else ""
    lines: tuple[str, ...] = ()
    tap, channel = ("0", "0"), "k"
    if kernel != (1, 1):
        step = depth_word if spread == depth else module.word("spread", spread)
        lines = (f"let tap = u32(k) / u32({step});", f"let channel = k - i32(tap) * {step};")
        tap, channel = (f"i32(tap / {kernel[1]}u)", f"i32(tap % {kernel[1]}u)"), "channel"
    padded = f"{channel} >= {module.word('group_depth', depth)}" if spread != depth else None
    if outer:
        lines += (f"let c = group * {depth_word} + {channel};",)
        channel = "c"
    pixel, outside = _pixel(call), None
    if pixel != AXES[:3]:
        lines += window_lines(module, call.window, tap)
        outside = outside_input(module, call.in_size)
    sizes, parameters = (call.n, *call.in_size, call.in_channels), (*outer, *AXES[:3], "k")
    held = accumulator(call.left_dtype)
    a = source(module, "a", call.x, parameters, sizes, "k", vector, (*pixel, channel), held)
    a = a._replace(lines=lines)
    for condition in filter(None, (outside, padded)):
        a = a.before(condition)
    return a


def _pixel(call: Conv) -> tuple[str, str, str]:
    """The names of the indices of x's pixel: those of the result's pixel where each has one of its own."""
    window = call.window
    own = (
        window.kernel == window.strides == (1, 1) and window.pads == (0, 0) and call.in_size == call.out_size
    )
    return ("n", "y", "x") if own else ("n", "h", "w")


def _parts(call: Conv) -> list[Part]:
    """Of a depthwise convolution, the usual first."""
    return parts(
        channel_quads(call, call.in_channels)
        and alone(call, call.weight.tensor)
        and divides(4, call.weight.offset)
    )


def _depthwise(call: Conv, part: Part) -> Kernel:
    vector = part.width == 4
    vectors = [call.x.tensor, call.weight.tensor, *whole_fours(call, call.in_channels)] if vector else []
    module = Module(call, AXES, _sizes(call), vectors)
    held = accumulator(call.x.tensor.dtype)
    module.accumulates(
        0, held, sum_range(call.x.tensor.dtype, call.weight.tensor.dtype, product(call.window.kernel))
    )
    weight = View(call.weight.tensor, call.weight.offset, (call.in_channels, 1))
    return finish_window(
        module,
        call,
        call.in_channels,
        part=part,
        held=held,
        identity=module.literal(0, held),
        update="{acc} += {value} * {weight};",
        weight=source(module, "weight", weight, ("tap", "c"), (), "c", vector),
    )
