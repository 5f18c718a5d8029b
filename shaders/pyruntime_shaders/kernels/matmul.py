"""Products of matrices: in tiles, or with lanes that share k where rows are few; symbolic rows have both."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from pyruntime.ir.dims import Dim, at_least, ceildiv, divides, maximum, minimum, product
from pyruntime.ir.dtypes import WORD_RANGES
from pyruntime.ir.kernel import MatMul, Reduction, Row
from pyruntime.ir.scalar import Load, Scalar, transform
from pyruntime.ir.scalar import call as of
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import View
from pyruntime_shaders import direct, extremes, octets, operand
from pyruntime_shaders.accumulation import sum_of_fours
from pyruntime_shaders.kernels import row
from pyruntime_shaders.module import MAX_GROUPS, Kernel, Module, fold
from pyruntime_shaders.printer import value_type
from pyruntime_shaders.tiling import (
    Lanes,
    Patch,
    Tile,
    accumulator,
    alone,
    block_panels,
    choose,
    few_row_options,
    few_rows,
    least,
    options,
    panels,
    quad_panels,
    quads,
    source,
    sum_range,
    whole_fours,
)

FEW = 4  # rows that are not worth a tile


def prepare(call: MatMul, patch: Patch | Lanes | None = None) -> list[Kernel]:
    """The dispatches of a call. Raises UnsupportedError for what WGSL cannot compute.

    `patch` is a workgroup's part of the result where there are many rows, or few, by default what is chosen.
    """
    if _by_rows(call):
        return row.prepare(_as_row(call))
    batches = product(call.batch)
    lanes, patch = (patch, None) if isinstance(patch, Lanes) else (None, patch)
    if _few(call):
        return [_few_rows(call, batches, 1, lanes)]
    if at_least(occupied(call.m), FEW + 1):
        return _many_rows(call, batches, 1, patch)
    # exactly one of all has workgroups
    many = minimum(maximum(call.m - FEW, 0), 1)
    return [_few_rows(call, batches, 1 - many, lanes), *_many_rows(call, batches, many, patch)]


def patches(call: MatMul) -> list[Patch | Lanes]:
    """What may be chosen for many rows and for few, best or not."""
    if _by_rows(call):
        return []
    few = [] if at_least(occupied(call.m), FEW + 1) else few_row_options(call.n, _steps(call))
    made: list[Patch | Lanes] = [*few, *([] if _few(call) else options(call.m, call.n, call.k))]
    return [p for p in made if extremes.suits(call.extremes, p)]


def _by_rows(call: MatMul) -> bool:
    """Whether it is computed as what reduces rows."""
    return call.a.tensor.dtype in WORD_RANGES and not call.panels


def _few(call: MatMul) -> bool:
    """Whether there are never rows enough for a patch."""
    return at_least(FEW, occupied(call.m))


def _as_row(call: MatMul) -> Row:
    """A product of 64-bit integers, which are seldom large, as sums of products."""
    outer = len(call.batch)
    dtype = call.a.tensor.dtype
    a = _over(call.a, (*range(outer), outer, outer + 2), outer + 3)
    b = _over(call.b, (*range(outer), outer + 2, outer + 1), outer + 3)

    def shifted(leaf: Scalar) -> Scalar:
        return Load(leaf.dtype, leaf.operand + 2) if isinstance(leaf, Load) else leaf

    def extended(view: View) -> View:
        indirect = tuple(replace(i, operand=i.operand + 2) for i in view.indirect)
        return replace(view, strides=(*view.strides, 0), indirect=indirect)

    return Row(
        name=call.name,
        origins=call.origins,
        inputs=(a, b, *map(extended, call.inputs)),
        output=extended(call.output),
        size_values=call.size_values,
        sizes=(*call.batch, call.m, call.n, call.k),
        reduced=1,
        reductions=(Reduction("sum", of("mul", Load(dtype, 0), Load(dtype, 1))),),
        body=transform(call.body, shifted),
    )


def _over(view: View, axes: tuple[int, ...], rank: int) -> View:
    """A view over these axes of a space of `rank`, along the others of which it does not move."""
    strides = tuple(view.strides[axes.index(axis)] if axis in axes else 0 for axis in range(rank))
    return replace(view, strides=strides, guards=tuple(replace(g, axis=axes[g.axis]) for g in view.guards))


def _dotted(call: MatMul) -> bool:
    return octets.by_fours(call.left_dtype, call.b.tensor.dtype, call.panels)


def _steps(call: MatMul) -> Dim:
    """k, in words of several elements where operands are such."""
    return ceildiv(call.k, octets.DEPTH) if _dotted(call) else call.k


def _few_rows(call: MatMul, batches: Dim, on: Dim, lanes: Lanes | None) -> Kernel:
    height = 1 if call.m == 1 else 2 if call.m == 2 else 4
    above = ceildiv(call.m, height)
    lanes = lanes or _lanes(call, above * batches)
    tiles_across = ceildiv(call.n, lanes.width)
    tiles = above * tiles_across
    vector_a = _dotted(call) and quads(call.a, -1, call.k)
    held = accumulator(call.left_dtype)
    return _kernel(
        call,
        "matvec",
        batches,
        (tiles, tiles_across),
        on,
        vector_a=vector_a,
        across=lanes.quads,
        height=height,
        lanes=lanes,
        accumulators=tuple(sum_of_fours(row, held) for row in range(height)),
        subgroups=True,
    )


def _lanes(call: MatMul, others: Dim) -> Lanes:
    """Those for few rows by default; others: workgroups of the same columns."""
    if call.extremes is not None:
        return extremes.few_rows(call.extremes)
    return few_rows(call.n, _steps(call), least(others))


def _many_rows(call: MatMul, batches: Dim, on: Dim, patch: Patch | None) -> list[Kernel]:
    return direct.forms(
        (call.m, call.n, call.k, batches),
        on,
        lambda on, patch: direct.matmul(call, batches, on, patch),
        lambda on, rows, tile: _tiled(call, batches, on, rows, tile),
        patch,
    )


def _tiled(call: MatMul, batches: Dim, on: Dim, likely: Dim, tile: Tile | None) -> Kernel:
    """In tiles: by default those that suit as many rows as are `likely`."""
    tile = tile or choose(likely, call.n, _steps(call), batches)
    tiles_across = ceildiv(call.n, tile.width)
    tiles = ceildiv(call.m, tile.height) * tiles_across
    a_order = "columns" if call.a.strides[-1] != 1 and call.a.strides[-2] == 1 else "rows"
    return _kernel(
        call,
        "matmul",
        batches,
        (tiles, tiles_across),
        on,
        vector_a=quads(call.a, -1, call.k),
        across=tile.across,
        tile=tile,
        a_order=a_order,
        b_order="panels" if call.panels else "columns" if call.b.strides[-2] == 1 else "rows",
    )


def _kernel(
    call: MatMul,
    template: str,
    batches: Dim,
    tiles: tuple[Dim, Dim],
    on: Dim,
    *,
    vector_a: bool,
    across: int,
    **values: Hashable,
) -> Kernel:
    """The kernel of one template.

    Args:
        call: the product.
        template: its name.
        batches: how many.
        tiles: their count, and how many lie across.
        on: 1, or 0 to skip it.
        vector_a: whether the left operand is read by fours.
        across: threads of a workgroup that have columns of a row, four each.
        values: further ones of the template.
    """
    outer = tuple(f"b{i}" for i in range(len(call.batch)))
    # other views of a's tensor, such as scales that lie behind it, take single elements, of whole fours
    whole = alone(call, call.a.tensor) or divides(4, call.a.tensor.elements)
    others = (call.b.tensor, call.output.tensor)
    vector_a = vector_a and whole and not call.left and call.a.tensor not in others
    dotted = _dotted(call)
    vector_b = (
        alone(call, call.b.tensor)
        and (dotted or not (call.panels and call.exact))
        and call.blocks is None
        and (divides(4, call.b.offset) if call.panels else quads(call.b, -1, call.n))
    )
    vectors = [v.tensor for v, vector in ((call.a, vector_a), (call.b, vector_b)) if vector]
    if call.blocks is not None:
        vectors += [v.tensor for v in (call.blocks.scales, call.blocks.zeros) if v is not None]
    fours = operand.vectors(call) if template == "matmul" else []
    vectors += [*fours, *whole_fours(call, call.n)]
    module = Module(call, (*outer, "m", "column"), (*call.batch, call.m, call.n), vectors)
    held, dots = accumulator(call.left_dtype), None
    k = module.word("k_words" if dotted else "k", _steps(call))
    module.accumulates(0, held, sum_range(call.left_dtype, call.b.tensor.dtype, call.k))
    rows = (*outer, "m", "k")
    a = operand.left(module, call, outer, held, vector=vector_a, fours=fours)
    over = (*outer, "k", "column")
    if dotted:
        if not vector_a:
            a = a.before(f"k >= {module.word('k', call.k)}")
        made = octets.quantizer(module, call.a, call.prologue, rows) if call.prologue else None
        a = octets.left(a, call.a, call.left_dtype, call.b.tensor, f"k >= {k}", made)
        b, dots = octets.right(module, call.b, over, _steps(call), call.n, call.left_dtype)
    elif call.blocks is not None:
        b = block_panels(module, call, call.blocks, over)
    elif call.panels and call.exact:
        b = quad_panels(module, call.b, over, None, None, call.k)
    elif call.panels:
        b = panels(module, call.b, over, "", call.k, vector_b)
    else:
        b = source(module, "b", call.b, over, (*call.batch, call.k, call.n), "column", vector_b)
    x, y = fold(tiles[0])
    return module.finish(
        template,
        (x * on, y, minimum(batches, MAX_GROUPS)),
        a=a if dots else a.before(f"k >= {k}"),
        b=b if dots else b.before(f"k >= {k}"),
        dots=dots,
        type=value_type(held),
        body=module.block([call.body]),
        k=k,
        rows=module.word("m", call.m, "u32"),
        columns=module.word("n", call.n),
        tiles=module.word("tiles", tiles[0], "u32"),
        tiles_across=module.word("tiles_across", tiles[1], "u32"),
        outer_axes=outer,
        outer_count=module.word("batches", batches, "u32") if outer else "",
        outer_extents=module.extents(call.batch),
        row_axes=("m",),
        row_extents=("",),
        **extremes.values(module, call.extremes, across),
        **values,
    )
