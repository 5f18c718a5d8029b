"""Products without tiles in workgroup memory: threads read operands where they lie, and sum in registers.

What neighbouring threads share comes from the caches. Nothing waits at barriers and nothing is copied to be
read again, which suits all but large products: there a tile in workgroup memory is read from beyond the
caches less often. Where results are few and k is long, threads of a workgroup share k, in slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import NamedTuple

from pyruntime.ir.dims import Dim, at_least, ceildiv, divides, floordiv, maximum, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ir.scalar import Scalar
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import View
from pyruntime_shaders import operand
from pyruntime_shaders.module import MAX_GROUPS, Kernel, Module, fold
from pyruntime_shaders.tiling import (
    BUSY,
    LIKELY,
    SLICED_PATCHES,
    Patch,
    Source,
    Tile,
    alone,
    least,
    panels,
    quads,
    source,
    whole_fours,
)
from pyruntime_shaders.windows import channel_quads, outside_input, window_lines

SHORT, _SHORTER = 64, 16  # rows, where there may be more, that have a patch of their own; those that it suits
LARGE = 1 << 28  # multiplications from which on a tile in workgroup memory pays
_LONG = 512  # k of which slices are worth adding up
_AXES = ("n", "y", "x", "c")


class Walk(NamedTuple):
    """An operand whose elements along k lie at equal steps.

    Attributes:
        parameters: of the function `base_<name>`, which gives the position for k = 0.
        lines: its statements before.
        outside: the condition under which there are only zeros; then it gives -1.
        base: the position.
        step: from k to k + 1.
        buffer: an array of vec4 where `vector`.
        vector: whether four elements lie in one aligned vec4, of `a` along k, of `b` along columns.
    """

    parameters: tuple[str, ...]
    lines: tuple[str, ...]
    outside: str
    base: str
    step: str
    buffer: str
    vector: bool


def large(*sizes: Dim) -> Dim:
    """1 where a product of these sizes is large, else 0."""
    known = math.prod(s for s in sizes if isinstance(s, int))
    others = product([s for s in sizes if not isinstance(s, int)])
    if at_least(others * known, LARGE):
        return 1
    if at_least(LARGE - 1, others * known):
        return 0
    return minimum(floordiv(others, -(-LARGE // known)), 1)


def forms(
    sizes: tuple[Dim, Dim, Dim, Dim],
    on: Dim,
    through_caches: Callable[[Dim, Patch], Kernel | None],
    tiled: Callable[[Dim, Dim, Tile | None], Kernel],
    patch: Patch | None,
) -> list[Kernel]:
    """The dispatches of a product, of which the sizes leave one: large ones have tiles, short ones slices.

    Args:
        sizes: m, n, k and batches.
        on: 1, or 0 to skip all of them.
        through_caches: the form of others; None where there is no such. It takes `on` and a patch.
        tiled: the form with tiles. It takes `on`, what m is taken for, and a tile.
        patch: a workgroup's part of the result in each of them, by default what is best for it.
    """
    m, *others = sizes
    where = large(*sizes)

    def form(on: Dim, rows: Dim, size: int, patch: Patch | None = patch) -> Kernel:
        tile = patch if isinstance(patch, Tile) else None
        through = not tile and (patch is not None or not size)
        small = through_caches(on, patch or choose(rows, *others)) if through else None
        return small or tiled(on, rows, tile)

    def by_rows(on: Dim) -> list[Kernel]:
        """Of a product that is not large: two where fewer rows than `LIKELY` suit another patch, else one.

        How many does not hang on `patch`.
        """
        if (
            isinstance(m, int)
            or at_least(occupied(m), SHORT + 1)
            or form(1, _SHORTER, 0, None).key == form(1, m, 0, None).key
        ):
            return [form(on, m, 0)]
        many = minimum(maximum(m - SHORT, 0), 1)
        return [form(on * (1 - many), _SHORTER, 0), form(on * many, m, 0)]

    if isinstance(where, int):
        return [form(on, m, 1)] if where else by_rows(on)
    if through_caches(1, choose(m, *others)) is None:
        return by_rows(on)
    each = math.prod(d if isinstance(d, int) else least(d) for d in others)
    return [*by_rows(on * (1 - where)), form(on * where, max(least(m), -(-LARGE // each)), 1)]


def choose(m: Dim, n: Dim, k: Dim, batches: Dim) -> Patch:
    """The largest patch that, as far as the dims are known, keeps a GPU busy."""
    rows, columns = (d if isinstance(d, int) else max(least(d), LIKELY) for d in (m, n))
    across = 4 if columns <= 16 else 8 if columns <= 32 else 16
    options = [(Patch(across, 64 // across, height), BUSY) for height in (4, 2, 1)]
    sliced = [(p, BUSY) for p in SLICED_PATCHES if p.across <= across and at_least(k, 8 * p.slices)]
    if sliced and (at_least(k, _LONG) or rows <= _SHORTER):
        # a thread's way through k is long: where threads are few, nothing hides its loads; with few rows it
        # had better have four of them, which share what it reads
        options = [(options[0][0], 2 * BUSY)]
    options += sliced
    for patch, enough in options:
        if -(-rows // patch.height) * -(-columns // patch.width) * least(batches) >= enough:
            return patch
    return options[-1][0]


def matmul(call: MatMul, batches: Dim, on: Dim, patch: Patch) -> Kernel | None:
    """The kernel of a product; None where there is no such form.

    Args:
        call: the product, of floats.
        batches: how many.
        on: 1, or 0 to skip it.
        patch: a workgroup's part of the result.
    """
    floats = call.a.tensor.dtype.is_float and call.b.tensor.dtype.is_float
    if not floats or call.blocks is not None or call.a.guards or call.a.indirect:
        return None
    if call.left is not None and not operand.together(call):
        return None
    outer = tuple(f"b{i}" for i in range(len(call.batch)))
    fours = call.left is not None or (
        divides(4, call.k) and quads(call.a, -1, call.k) and alone(call, call.a.tensor)
    )
    vector_b = alone(call, call.b.tensor) and (
        divides(4, call.b.offset) if call.panels else quads(call.b, -1, call.n)
    )
    made_of = operand.vectors(call)
    vectors = [v.tensor for v, vector in ((call.a, fours and not call.left), (call.b, vector_b)) if vector]
    vectors += made_of
    module = Module(
        call,
        (*outer, "m", "column"),
        (*call.batch, call.m, call.n),
        [*vectors, *whole_fours(call, call.n)],
    )
    module.accumulates(0, DType.F32)
    a: Walk | operand.Walked
    if call.left is None:
        a = _walk(module, "a", call.a, (*outer, "m"), fours)
    else:
        a = operand.walked(module, call, outer, patch.rows, patch.height, made_of)
    over = (*outer, "k", "column")
    b: Walk | Source
    if vector_b:
        b = (
            _weight(module, call.b, "(column >> 3u)", call.k)
            if call.panels
            else _columns(module, call, outer)
        )
    elif call.panels:
        b = panels(module, call.b, over, "", call.k, vector=False)
    else:
        b = source(module, "b", call.b, over, (*call.batch, call.k, call.n), "column", vector=False)
    return _finish(
        module,
        patch,
        (call.m, call.n, call.k),
        (batches, on),
        kernel=(1, 1),
        a=a,
        fours=fours,
        b=b,
        last="column",
        body=call.body,
        outer_axes=outer,
        outer_extents=module.extents(call.batch),
        row_axes=("m",),
        row_extents=("",),
    )


def conv(call: Conv, on: Dim, patch: Patch) -> Kernel | None:
    """The kernel of a convolution; None where there is no such form. `on` and `patch` as for `matmul`."""
    depth, width = call.in_channels // call.groups, call.out_channels // call.groups
    rows, taps = product((call.n, *call.out_size)), call.window.kernel[0] * call.window.kernel[1]
    vector_b = alone(call, call.weight.tensor) and divides(4, call.weight.offset)
    floats = call.x.tensor.dtype.is_float and call.weight.tensor.dtype.is_float
    if not floats or not vector_b or call.x.guards or call.x.fill != 0:
        return None
    if patch.slices > 1 and depth < 4 * patch.slices:
        patch = Patch(16, 4, 2)  # slices share the channels of each tap
    fours, outer = channel_quads(call, depth), ("group",) if call.groups > 1 else ()
    vectors = [call.weight.tensor, *([call.x.tensor] if fours else [])]
    sizes = (call.n, *call.out_size, call.out_channels)
    module = Module(call, _AXES, sizes, [*vectors, *whole_fours(call, width)])
    module.accumulates(0, DType.F32)
    last = f"group * {module.word('group_columns', width)} + column" if outer else "column"
    panel = f"(group * {module.word('group_panels', ceildiv(width, 8))} + (column >> 3u))" if outer else ""
    return _finish(
        module,
        patch,
        (rows, width, depth),
        (call.groups, on),
        kernel=call.window.kernel,
        a=_pixels(module, call, depth, outer, fours),
        fours=fours,
        b=_weight(module, call.weight, panel or "(column >> 3u)", taps * depth, outer),
        last=last,
        body=call.body,
        outer_axes=outer,
        outer_extents=("",) if outer else (),
        row_axes=_AXES[:3],
        row_extents=(
            "",
            *(module.word(f"out_{i}", d, "u32") for i, d in zip("yx", call.out_size, strict=True)),
        ),
    )


def _finish(
    module: Module,
    patch: Patch,
    sizes: tuple[Dim, Dim, Dim],
    batches: tuple[Dim, Dim],
    *,
    body: Scalar,
    outer_axes: tuple[str, ...],
    **values: Hashable,
) -> Kernel:
    """The kernel. sizes: rows, columns, and k of a tap; batches: how many, and 1, or 0 to skip it."""
    rows, columns, k = sizes
    tiles_across = ceildiv(columns, patch.width)
    tiles = ceildiv(rows, patch.height) * tiles_across
    x, y = fold(tiles)
    return module.finish(
        "direct",
        (x * batches[1], y, minimum(batches[0], MAX_GROUPS)),
        patch=patch,
        k=module.word("k", k),
        rows=module.word("rows", rows, "u32"),
        columns=module.word("columns", columns),
        tiles=module.word("tiles", tiles, "u32"),
        tiles_across=module.word("tiles_across", tiles_across, "u32"),
        outer_count=module.word("batches", batches[0], "u32") if outer_axes else "",
        outer_axes=outer_axes,
        body=module.block([body]),
        **values,
    )


def _walk(module: Module, name: str, view: View, axes: tuple[str, ...], vector: bool) -> Walk:
    """A view over `axes` and, last, k."""
    *others, last = view.strides
    base = module.position(name, replace(view, strides=tuple(others)), axes)
    step = "1" if last == 1 else module.word(f"{name}_step", last)
    return Walk(axes, (), "", base, step, module.buffer(view.tensor), vector)


def _columns(module: Module, call: MatMul, outer: tuple[str, ...]) -> Walk:
    """An operand b whose columns follow each other."""
    *others, along, _ = call.b.strides
    base = module.position("b", replace(call.b, strides=(*others, 1)), (*outer, "column"))
    step = module.word("b_step", along)
    return Walk((*outer, "column"), (), "", base, step, module.buffer(call.b.tensor), vector=True)


def _weight(module: Module, view: View, panel: str, k: Dim, outer: tuple[str, ...] = ()) -> Walk:
    """A weight in panels of 8 columns."""
    base = f"{panel} * {module.word('panel', k * 8)} + (column & 7)"
    if view.offset != 0:
        base = f"{module.word('b_offset', view.offset)} + {base}"
    return Walk((*outer, "column"), (), "", base, "8", module.buffer(view.tensor), vector=True)


def _pixels(module: Module, call: Conv, depth: int, outer: tuple[str, ...], vector: bool) -> Walk:
    """x over pixels, taps i and j of the window, and channels."""
    window = call.window
    ends = zip(call.in_size, call.out_size, window.strides, strict=True)
    within = all(at_least(size, (out - 1) * stride + 1) for size, out, stride in ends)
    pointwise = window.kernel == (1, 1) and window.pads == (0, 0) and within
    tap = ("0", "0") if window.kernel == (1, 1) else ("i", "j")
    first = f"group * {module.word('group_depth', depth)}" if outer else "0"
    *_, last = call.x.strides
    view = call.x if outer else replace(call.x, strides=call.x.strides[:-1])
    axes = ("n", "h", "w", first) if outer else ("n", "h", "w")
    base = module.position("a", view, axes)
    step = "1" if last == 1 else module.word("a_step", last)
    outside = "" if pointwise else outside_input(module, call.in_size)
    lines = window_lines(module, window, tap)
    parameters = (*outer, *_AXES[:3], *(() if tap[0] == "0" else tap))
    return Walk(parameters, lines, outside, base, step, module.buffer(call.x.tensor), vector)
