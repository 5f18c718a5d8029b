"""Lowering of convolutions and pooling: channels-last kernels, whatever the layout of the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from pyruntime_converter.lowering.hosts import ConvHost, MatMulHost, PoolHost
from pyruntime_converter.lowering.lazy import Host, Lazy, combine
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.rules.matmul import PANELS, integer_weight, packed

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import sums_exactly
from pyruntime.ir.graph import Node, Value
from pyruntime.ir.kernel import Tensor, View, Window
from pyruntime.ir.scalar import Acc, Scalar, call
from pyruntime.ops.layouts import pack_conv, pack_conv_quads, pack_depthwise
from pyruntime.ops.octets import octet_range


@lowers("Conv")
def conv(low: Lowering, node: Node) -> Lazy:
    """1x1 is a matrix product over pixels; the rest is a Conv call."""
    x, weight = node.input(0), node.input(1)
    spatial = x.rank - 2
    _check(node, weight, spatial)
    assert weight.data is not None
    filters = weight.data.reshape(
        *weight.data.shape[:2], *((1,) if spatial == 1 else ()), *weight.data.shape[2:]
    )
    out_channels, per_group, kh, kw = filters.shape
    groups = node.attrs["group"]
    depthwise = groups > 1 and per_group == 1 and groups == out_channels
    exact = sums_exactly(x.dtype, weight.dtype)
    window = _window(node, (kh, kw), spatial)
    view, n, in_size = channels_last(low, x, dense=depthwise)
    view = replace(view, fill=node.attrs["pad_value"])
    out_size = _plane(node.output.shape, spatial)
    pointwise = (kh, kw, *window.strides, *window.pads, groups) == (
        1,
        1,
        1,
        1,
        0,
        0,
        1,
    ) and in_size == out_size
    host: Host
    if pointwise:
        b = packed(low, weight, filters.reshape(out_channels, per_group).T, exact=exact)
        batch = (n, in_size[0])
        host = MatMulHost(
            batch, in_size[1], out_channels, per_group, view, replace(b, strides=(0, 0, 0, 0)), PANELS
        )
    else:
        tensor = _filter(low, weight, filters, groups, window, depthwise=depthwise, exact=exact)
        host = ConvHost(
            n,
            in_size,
            out_size,
            per_group * groups,
            out_channels,
            groups,
            window,
            view,
            View(tensor, 0, ()),
            0 if depthwise else PANELS,
        )
    space = (n, *out_size, out_channels)
    return _with_bias(low, node, Lazy(space, Acc(node.output.dtype), host=host, origins=(node.origin,)))


def _filter(
    low: Lowering,
    weight: Value,
    filters: NDArray[Any],
    groups: int,
    window: Window,
    *,
    depthwise: bool,
    exact: bool,
) -> Tensor:
    """The filter [oc, c, kh, kw] as the kernels read it."""
    if depthwise:
        layout, data = "depthwise", pack_depthwise(filters)
    elif exact:
        layout, data = f"convquads{PANELS}", pack_conv_quads(filters, groups, PANELS)
    else:
        layout, data = f"conv{PANELS}", pack_conv(filters, groups, PANELS)
    if exact:
        tensor = integer_weight(low, weight, layout, lambda: data, data.size)
        if tensor.interval is not None and not depthwise:
            # the pixels of a filter row follow one another unless they are dilated
            run = window.kernel[1] if window.dilations[1] == 1 else 1
            oc, c = filters.shape[:2]
            tensor.octets = octet_range(filters.transpose(2, 3, 1, 0).reshape(-1, c, oc), run)
        return tensor
    return low.weight(weight, layout, data)


def _check(node: Node, weight: Value, spatial: int) -> None:
    if spatial not in (1, 2):
        raise UnsupportedError(
            node.origin.op, node.origin.name, f"{spatial} spatial axes; one or two are supported"
        )
    if weight.data is None:
        raise UnsupportedError(
            node.origin.op,
            node.origin.name,
            "its weights are computed at run time",
            "Export them as constants.",
        )


def _with_bias(low: Lowering, node: Node, result: Lazy) -> Lazy:
    """The bias as an epilogue, and the axes as the graph has them."""
    if len(node.inputs) > 2 and node.inputs[2] is not None:

        def add(trees: list[Scalar]) -> Scalar:
            return call("add", trees[0], trees[1])

        biased = combine([result, low.lazy(node.input(2))], result.shape, add)
        assert biased is not None
        result = biased
    return _channels_first(result, node)


def _channels_first(result: Lazy, node: Node) -> Lazy:
    moved = result.transpose((0, 3, 1, 2))
    if node.output.rank == 4:
        return moved
    squeezed = moved.reshape(node.output.shape)
    assert squeezed is not None
    return squeezed


def channels_last(low: Lowering, x: Value, *, dense: bool) -> tuple[View, Dim, tuple[Dim, Dim]]:
    """x as a view over (n, h, w, c) with its n and (h, w); with `dense`, channels are next to each other."""
    view = low.view(x)
    spatial = x.rank - 2
    if dense and view.strides[1] != 1 and x.shape[1] != 1:
        order = [0, *range(2, x.rank), 1]
        copy = low.store(low.lazy(x), order=order)
        assert copy.view is not None
        view = copy.view
        low.set(x, copy)
    n, c, *plane = view.strides
    height = [0] if spatial == 1 else []
    return replace(view, strides=(n, *height, *plane, c)), x.shape[0], _plane(x.shape, spatial)


def _plane(shape: tuple[Dim, ...], spatial: int) -> tuple[Dim, Dim]:
    return (1, shape[2]) if spatial == 1 else (shape[2], shape[3])


def _window(node: Node, kernel: tuple[int, int], spatial: int) -> Window:
    def pair(values: tuple[int, ...], fill: int) -> tuple[int, int]:
        return (fill, values[0]) if spatial == 1 else (values[0], values[1])

    attrs = node.attrs
    return Window(
        kernel, pair(attrs["strides"], 1), pair(attrs["dilations"], 1), pair(attrs["pads"][:spatial], 0)
    )


@lowers("MaxPool", "AveragePool")
def pool(low: Lowering, node: Node) -> Lazy:
    """A Pool call."""
    x = node.input(0)
    spatial = x.rank - 2
    if spatial not in (1, 2):
        raise UnsupportedError(
            node.origin.op, node.origin.name, f"{spatial} spatial axes; one or two are supported"
        )
    kernel = node.attrs["kernel"]
    window = _window(node, (1, kernel[0]) if spatial == 1 else tuple(kernel), spatial)
    view, n, in_size = channels_last(low, x, dense=False)
    pads = node.attrs["pads"]
    ends = (0, pads[1]) if spatial == 1 else (pads[2], pads[3])
    padded = tuple(size + begin + end for size, begin, end in zip(in_size, window.pads, ends, strict=True))
    host = PoolHost(
        "max" if node.op == "MaxPool" else "average",
        n,
        x.shape[1],
        in_size,
        _plane(node.output.shape, spatial),
        window,
        bool(node.attrs.get("count_include_pad", False)),
        (padded[0], padded[1]),
        view,
    )
    space = (n, *host.out_size, x.shape[1])
    return _channels_first(Lazy(space, Acc(node.output.dtype), host=host, origins=(node.origin,)), node)
