"""Lowering of attention and of rotary embeddings."""

from __future__ import annotations

from dataclasses import replace

from pyruntime_converter.lowering.lazy import Lazy, combine
from pyruntime_converter.lowering.lower import Lowering, lowers

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node
from pyruntime.ir.scalar import Const, Index, Scalar, call, cast


@lowers("RotaryEmbedding")
def rotary_embedding(low: Lowering, node: Node) -> Lazy:
    """Elementwise over x with its last axis as pairs: the other one of each is a step along an axis of 2."""
    x = node.input(0)
    width = x.shape[-1]
    assert isinstance(width, int)
    pairs = (width // 2, 2) if node.attrs["interleaved"] else (2, width // 2)
    axis = x.rank if node.attrs["interleaved"] else x.rank - 1  # which of a pair
    shape = (*x.shape[:-1], *pairs)
    view = low.view(x)
    itself = Lazy.of(view, x.shape).reshape(shape)
    assert itself is not None
    (leaf,) = itself.leaves
    step = leaf.strides[axis]
    strides = tuple(-s if a == axis else s for a, s in enumerate(leaf.strides))
    other = Lazy.of(replace(leaf, offset=leaf.offset + step, strides=strides), shape)
    angles = []
    for value in node.inputs[1:]:
        assert value is not None
        own = [*pairs]
        if value.shape[-1] != width:
            own[axis - x.rank + 1] = 1
        angle = Lazy.of(low.view(value), value.shape).reshape((*value.shape[:-1], *own))
        assert angle is not None
        angles.append(angle)
    dtype = x.dtype

    def build(trees: list[Scalar]) -> Scalar:
        here, there, cos, sin = (cast(t, DType.F32) if dtype is DType.F16 else t for t in trees)
        first = call("eq", Index(DType.I32, axis), Const(DType.I32, 0))
        turned = call("mul", there, call("select", first, call("neg", sin), sin))
        return cast(call("add", call("mul", here, cos), turned), dtype)

    result = combine([itself, other, *angles], shape, build)
    assert result is not None
    return low.reshaped(low.store(replace(result, origins=(node.origin,))), x.shape)
