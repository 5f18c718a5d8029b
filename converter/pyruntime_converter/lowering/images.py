"""Inputs of convolutions and pools as images, channels last; more than two spatial axes as many images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.lazy import Lazy, combine
from pyruntime_converter.lowering.lower import Lowering
from pyruntime_converter.lowering.rules.movement import padded

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node, Shape, Value
from pyruntime.ir.kernel import Window
from pyruntime.ir.scalar import cast
from pyruntime.ir.views import View


@dataclass(frozen=True)
class Images:
    """n images (h, w) of some channels, as a view over (n, h, w, c)."""

    x: View
    n: Dim
    size: tuple[Dim, Dim]
    channels: Dim


def channels_last(low: Lowering, x: Value, *, dense: bool) -> Images:
    """x [n, c, w] or [n, c, h, w]; with `dense`, channels are next to each other."""
    view = low.view(x)
    if dense and view.strides[1] != 1 and x.shape[1] != 1:
        order = [0, *range(2, x.rank), 1]
        copy = low.store(low.lazy(x), order=order)
        assert copy.view is not None
        view = copy.view
        low.set(x, copy)
    n, c, *plane = view.strides
    height = [0] if x.rank == 3 else []
    return Images(replace(view, strides=(n, *height, *plane, c)), x.shape[0], plane_of(x.shape), x.shape[1])


def leading_first(
    low: Lowering,
    x: Value,
    pads: Sequence[tuple[Dim, Dim]] = (),
    fill: float | int = 0,
    held: DType | None = None,
) -> Lazy:
    """x [n, c, lead..., h, w] in memory as (lead..., n, h, w, c), the leading axes padded, as `held`."""
    lazy = low.lazy(x)
    if lazy.host:
        lazy = low.store(lazy)
        low.set(x, lazy)
    spatial = range(2, x.rank)
    lazy = lazy.transpose((*spatial[:-2], 0, *spatial[-2:], 1))
    if any(amount != 0 for pair in pads for amount in pair):
        before, after = ((*side, 0, 0, 0, 0) for side in zip(*pads, strict=True))
        lazy = padded(low, lazy, before, after, fill)
    if held is not None and held is not x.dtype:
        wide = combine([lazy], lazy.shape, lambda trees: cast(trees[0], held))
        assert wide is not None
        lazy = wide
    if lazy.view is not None and views.is_dense(lazy.view, lazy.shape):
        return lazy
    return low.store(lazy, order=range(len(lazy.shape)))


def images_from(
    low: Lowering, stored: Lazy, starts: Sequence[Dim], counts: Shape, steps: Sequence[int]
) -> Images:
    """Every steps[a]-th index of the leading axes of (lead..., n, h, w, c), as images one after the other."""
    tail = stored.shape[len(counts) :]
    part = stored.slice((*starts, 0, 0, 0, 0), (*counts, *tail), (*steps, 1, 1, 1, 1))
    assert part is not None
    merged = low.reshaped(part, (product(counts) * tail[0], *tail[1:]))
    assert merged.view is not None
    n, height, width, channels = merged.shape
    return Images(merged.view, n, (height, width), channels)


def graph_order(result: Lazy, node: Node) -> Lazy:
    """Results over (lead... and n as one, h, w, c) in the order and shape of the node's output."""
    n, c, *spatial = node.output.shape
    lead, plane = spatial[:-2], plane_of(node.output.shape)
    apart = result.reshape((*lead, n, *plane, c))
    assert apart is not None
    k = len(lead)
    moved = apart.transpose((k, k + 3, *range(k), k + 1, k + 2)).reshape(node.output.shape)
    assert moved is not None
    return moved


def plane_of(shape: Shape) -> tuple[Dim, Dim]:
    """Height and width of [n, c, spatial...]: its last two spatial axes."""
    return (1, shape[2]) if len(shape) == 3 else (shape[-2], shape[-1])


def window_of(node: Node, kernel: tuple[int, int]) -> Window:
    """The window over the last two spatial axes, whose kernel is given."""
    rank = node.input(0).rank - 2

    def pair(values: tuple[int, ...], fill: int) -> tuple[int, int]:
        return (fill, values[0]) if rank == 1 else (values[-2], values[-1])

    attrs = node.attrs
    return Window(
        kernel, pair(attrs["strides"], 1), pair(attrs["dilations"], 1), pair(attrs["pads"][:rank], 0)
    )
