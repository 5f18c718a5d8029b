"""Lowering of matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray
from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.hosts import MatMulHost
from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers

from pyruntime.ir.dtypes import DType, sums_exactly
from pyruntime.ir.graph import Node, Shape, Value
from pyruntime.ir.kernel import Blocks
from pyruntime.ir.scalar import Acc
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.blocks import from_bytes
from pyruntime.ops.definition import broadcast
from pyruntime.ops.layouts import (
    level_words,
    pack_levels,
    pack_panels,
    pack_quads,
    panel_elements,
    quad_elements,
)
from pyruntime.ops.octets import octet_range

PANELS = 8


@lowers("MatMul")
def matmul(low: Lowering, node: Node) -> Lazy:
    """NumPy's matmul: vectors are matrices with a one, batch axes broadcast."""
    a, b = node.input(0), node.input(1)
    a_shape = (1, *a.shape) if a.rank == 1 else a.shape
    b_shape = (*b.shape, 1) if b.rank == 1 else b.shape
    batch = broadcast([a_shape[:-2], b_shape[:-2]])
    m, k, n = a_shape[-2], a_shape[-1], b_shape[-1]
    a_view = _matrix(low.view(a), a.shape, a_shape, (*batch, m, k))
    exact = sums_exactly(a.dtype, b.dtype)
    if b.data is not None and b.rank <= 2 and (b.dtype.is_float or exact):
        b_view, panels = packed(low, b, b.data if b.rank == 2 else b.data[:, None], exact=exact), PANELS
        b_view = replace(b_view, strides=(*(0 for _ in batch), 0, 0))
    else:
        b_view, panels = _matrix(low.view(b), b.shape, b_shape, (*batch, k, n)), 0
    space = (*batch, m, n)
    host = MatMulHost(batch, m, n, k, a_view, b_view, panels)
    result = Lazy(space, Acc(node.output.dtype), host=host, origins=(node.origin,))
    if space == node.output.shape:
        return result
    squeezed = result.reshape(node.output.shape)
    assert squeezed is not None
    return squeezed


@lowers("BlockMatMul")
def block_matmul(low: Lowering, node: Node) -> Lazy:
    """A product with a constant of levels in blocks; all of a's axes but the last are rows."""
    a, levels, scales, *rest = node.inputs
    assert a is not None
    assert levels is not None
    assert scales is not None
    assert levels.data is not None, f"{node.origin.name}: a weight that is no constant was to be spelled out"
    bits, size, k, n = node.attrs["bits"], node.attrs["block"], node.attrs["k"], len(levels.data)
    words = packed_levels(low, levels, bits, k)

    def shared(value: Value) -> View:
        assert value.data is not None
        return packed(low, value, value.data.T)

    zeros = shared(rest[0]) if rest and rest[0] is not None else None
    shape = (1, k) if a.rank == 1 else a.shape
    batch, m = shape[:-2], shape[-2]
    view = _matrix(low.view(a), a.shape, shape, shape)
    weight = View(words, 0, (0,) * len(shape))
    host = MatMulHost(batch, m, n, k, view, weight, PANELS, Blocks(bits, size, shared(scales), zeros))
    result = Lazy((*batch, m, n), Acc(DType.F32), host=host, origins=(node.origin,))
    if a.rank > 1:
        return result
    vector = result.reshape((n,))
    assert vector is not None
    return vector


def packed(low: Lowering, value: Value, matrix: NDArray[Any], *, exact: bool = False) -> View:
    """A [k, n] weight in panels of eight columns, which have four k together for an `exact` product."""
    k, n = matrix.shape
    if exact:
        pack, elements = partial(pack_quads, matrix, PANELS), quad_elements(1, k, n, PANELS)
        tensor = integer_weight(low, value, f"quads{PANELS}", pack, elements)
        if tensor.interval is not None:
            tensor.octets = octet_range(matrix[None], 1)
    else:
        pack, elements = partial(pack_panels, matrix, PANELS), panel_elements(k, n, PANELS)
        tensor = low.weight(value, f"panels{PANELS}", pack, elements)
    return View(tensor, 0, (0, 0))


def packed_levels(low: Lowering, value: Value, bits: int, k: int) -> Tensor:
    """The levels of a BlockMatMul, of the matrix [k, n], in panels of eight columns."""
    assert value.data is not None
    n = len(value.data)
    matrix = value.data.reshape(n, -1)

    def pack() -> NDArray[Any]:
        return pack_levels(from_bytes(matrix, bits)[:, :k].T, bits)

    # the same bytes may be the weight of products that differ in k
    return low.weight(value, f"levels{bits}x{PANELS}-k{k}", pack, level_words(k, n, bits), DType.U32)


def integer_weight(
    low: Lowering, value: Value, layout: str, data: Callable[[], NDArray[Any]], elements: int
) -> Tensor:
    """`Lowering.weight` for integers: kernels may want to know how large they are."""
    tensor = low.weight(value, layout, data, elements)
    if value.data is not None and value.data.size:
        tensor.interval = min(int(value.data.min()), 0), max(int(value.data.max()), 0)
    return tensor


def _matrix(view: View, shape: Shape, matrix: Shape, target: Shape) -> View:
    reshaped = views.reshape(view, shape, matrix)
    assert reshaped is not None
    expanded = views.expand(reshaped, matrix, target)
    assert expanded is not None
    return expanded
