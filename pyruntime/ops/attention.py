"""Scaled dot-product attention, and the rotary embedding of its queries and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, OpError, TensorType, broadcast, operands, require

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]

BOOL, F16, F32 = DType.BOOL, DType.F16, DType.F32
LOWEST = float(np.finfo(np.float32).min)


def _self(b: int, h: int, n: int, d: int) -> tuple[Any, ...]:
    """Queries, keys and values of one shape."""
    return ((F32, (b, h, n, d)),) * 3


# whole rows masked: the second of three
ROWS = np.array([[True, False, True], [False, False, False], [True, True, True]])
WITHIN = {(i, axis): name for i in range(3) for axis, name in ((0, "batch"), (2, "length"))}


class Attention(OpDef):
    """softmax(score) v, where score is scale * q k^T with masks.

    Inputs:
        q [..., heads, m, d], k [..., heads, n, d], v [..., heads, n, e], of one rank of at least 2; leading
        axes broadcast. k and v may have fewer heads by a whole factor (grouped queries): query head i then
        reads head i // factor.
        mask, optional, broadcasts to [..., heads, m, n]: bools say where a key is seen, floats are added.

    Attributes:
        scale: what products of q and k are multiplied by.
        softcap: where it is not 0, a scaled product p becomes softcap * tanh(p / softcap), before any mask.
        causal: whether query i sees keys 0 to i + past alone.
        past: a dim, the number of keys before the first query.
        fill: the score where a bool mask is false.
        safe: whether a query whose scores are all minus infinity, one that sees no key, gives zeros, not NaN.

    Gives [..., heads, m, e]; zeros where there are no keys at all.
    """

    name = "Attention"
    attrs: ClassVar = {
        "scale": REQUIRED,
        "softcap": 0.0,
        "causal": False,
        "past": 0,
        "fill": float("-inf"),
        "safe": False,
    }
    cases = (
        Case(_self(2, 3, 5, 4), {"scale": 0.5}, "heads"),
        Case(((F32, (2, 7, 8)), (F32, (2, 11, 8)), (F32, (2, 11, 3))), {"scale": 0.3}, "cross"),
        Case(((F32, (5, 3)), (F32, (2, 3)), (F32, (2, 6))), {"scale": 1.0}, "rank-2"),
        Case(
            ((F32, (2, 4, 5, 8)), (F32, (2, 2, 7, 8)), (F32, (2, 2, 7, 8)), (F32, (2, 1, 1, 7))),
            {"scale": 0.35},
            "grouped",
        ),
        Case(((F32, (1, 6, 3, 8)), (F32, (1, 1, 9, 8)), (F32, (1, 1, 9, 8))), {"scale": 0.35}, "one-kv-head"),
        Case((*_self(2, 2, 7, 5), (F32, (2, 7, 7))), {"scale": 0.4}, "bias"),
        Case((*_self(3, 2, 7, 4), (BOOL, (7, 7))), {"scale": 0.5, "fill": -1e4}, "bool-filled"),
        Case((*_self(2, 2, 3, 4), ROWS), {"scale": 0.5}, "masked-rows"),
        Case((*_self(2, 2, 3, 4), ROWS), {"scale": 0.5, "safe": True}, "masked-rows-safe"),
        Case(
            (*_self(1, 2, 3, 4), np.where(ROWS, 0, LOWEST).astype(np.float32)),
            {"scale": 0.5},
            "masked-rows-lowest",
        ),
        Case(_self(2, 2, 9, 4), {"scale": 0.5, "causal": True}, "causal"),
        Case(
            ((F32, (2, 4, 3, 8)), (F32, (2, 2, 8, 8)), (F32, (2, 2, 8, 8))),
            {"scale": 0.3, "causal": True, "past": 5},
            "causal-past",
        ),
        Case(
            (*_self(1, 2, 67, 16), (BOOL, (1, 1, 1, 67))),
            {"scale": 0.25, "causal": True, "safe": True},
            "causal-padded",
        ),
        Case(_self(1, 2, 6, 8), {"scale": 1.0, "softcap": 5.0, "causal": True}, "softcap"),
        Case(_self(1, 3, 5, 16), {"scale": 40.0}, "large", low=-9, high=9),
        Case(((F32, (3, 4, 1, 32)), (F32, (3, 4, 131, 32)), (F32, (3, 4, 131, 32))), {"scale": 0.2}, "step"),
        Case(_self(1, 2, 70, 64), {"scale": 0.125}, "tiles"),
        Case(_self(1, 1, 5, 1), {"scale": 1.0}, "width-1"),
        Case(_self(1, 1, 19, 256), {"scale": 0.0625}, "width-256"),
        Case(((F32, (2, 0, 4)), (F32, (2, 3, 4)), (F32, (2, 3, 4))), {"scale": 1.0}, "no-queries"),
        Case(((F32, (2, 3, 4)), (F32, (2, 0, 4)), (F32, (2, 0, 4))), {"scale": 1.0}, "no-keys"),
        Case(
            (*_self(2, 3, 5, 8), (F32, (2, 1, 1, 5))),
            {"scale": 0.35},
            "dynamic",
            {**WITHIN, (3, 0): "batch", (3, 3): "length"},
        ),
        Case(
            ((F32, (2, 4, 5, 8)), (F32, (2, 2, 5, 8)), (F32, (2, 2, 5, 8))),
            {"scale": 0.35, "causal": True},
            "dynamic-causal",
            WITHIN,
        ),
        Case(((F16, (1, 2, 5, 8)),) * 3, {"scale": 0.35}, "f16"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        q, k, v, mask = operands(inputs, 3, 4)
        assert q is not None
        assert k is not None
        assert v is not None
        require(q.dtype.is_float, f"takes floats, not {q.dtype!r}")
        require(q.dtype is k.dtype is v.dtype, f"takes one dtype, not {q.dtype!r}, {k.dtype!r}, {v.dtype!r}")
        require(q.rank >= 2, f"takes matrices, not rank {q.rank}")
        lead = leading_axes(q.shape, k.shape, v.shape)
        if mask is not None:
            require(mask.dtype in (BOOL, q.dtype), f"a mask of {mask.dtype!r}")
            scores = (*lead, q.shape[-2], k.shape[-2])
            require(broadcast([mask.shape, scores]) == scores, f"mask {mask.shape} does not fit {scores}")
        return [TensorType(q.dtype, (*lead, q.shape[-2], v.shape[-1]))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        q, k, v, mask = (*inputs, None)[:4]
        assert q is not None
        assert k is not None
        assert v is not None
        wide = [_repeated(a, q.shape).astype(np.float64) for a in (k, v)]
        score = attrs["scale"] * (q.astype(np.float64) @ wide[0].swapaxes(-1, -2))
        if attrs["softcap"]:
            score = attrs["softcap"] * np.tanh(score / attrs["softcap"])
        m, n = score.shape[-2:]
        if mask is not None and mask.dtype == bool:
            score = np.where(mask, score, attrs["fill"])
        elif mask is not None:
            score = score + mask
        if attrs["causal"]:
            score = np.where(np.arange(n) <= np.arange(m)[:, None] + attrs["past"], score, -np.inf)
        most = score.max(axis=-1, keepdims=True, initial=-np.inf)
        if attrs["safe"]:
            most = np.where(np.isneginf(most), 0, most)
        weights = np.exp(score - most)
        total = weights.sum(axis=-1, keepdims=True)
        if attrs["safe"]:
            total = np.where(total == 0, 1, total)
        return [(weights / total @ wide[1]).astype(q.dtype)]


def leading_axes(q: Shape, k: Shape, v: Shape) -> Shape:
    """The axes before the last two that q, k and v broadcast to. Raises OpError where they do not fit."""
    require(len(q) == len(k) == len(v), f"queries {q}, keys {k} and values {v} differ in rank")
    require(q[-1] == k[-1], f"queries {q} and keys {k} differ in width")
    require(k[-2] == v[-2], f"keys {k} and values {v} differ in number")
    return broadcast([q[:-2], _spread(k, q), _spread(v, q)])


def _spread(shape: Shape, q: Shape) -> Shape:
    """The leading axes of keys or values with as many heads as q, where q's are a multiple of them."""
    if len(shape) < 3:
        return ()
    heads, all_heads = shape[-3], q[-3]
    if isinstance(heads, int) and isinstance(all_heads, int) and 1 < heads < all_heads:
        if all_heads % heads:
            raise OpError(f"{all_heads} query heads are no multiple of {heads} heads")
        return (*shape[:-3], all_heads)
    return shape[:-2]


def _repeated(array: Array, q: Sequence[int]) -> Array:
    if array.ndim < 3 or not 1 < array.shape[-3] < q[-3]:
        return array
    return array.repeat(q[-3] // array.shape[-3], axis=-3)


class RotaryEmbedding(OpDef):
    """x cos + r sin, where r has x's features in pairs (a, b) as (-b, a).

    Pairs are the features i and i + d / 2 or, `interleaved`, 2 i and 2 i + 1 of the last axis, of size d (Su
    et al., "RoFormer", 2021).

    Inputs: x [..., d]; cos and sin, whose last axis is d, or d / 2 for what both of a pair share, and whose
    other axes broadcast to x's.

    Attributes:
        interleaved: how pairs lie.
    """

    name = "RotaryEmbedding"
    attrs: ClassVar = {"interleaved": False}
    cases = (
        Case(((F32, (2, 3, 5, 8)), (F32, (5, 8)), (F32, (5, 8))), label="whole"),
        Case(((F32, (2, 5, 3, 6)), (F32, (2, 5, 1, 3)), (F32, (2, 5, 1, 3))), label="shared"),
        Case(((F32, (3, 7, 10)), (F32, (7, 5)), (F32, (7, 5))), {"interleaved": True}, "interleaved"),
        Case(((F32, (3, 6)), (F32, (6,)), (F32, (6,))), {"interleaved": True}, "interleaved-whole"),
        Case(((F32, (4, 2)), (F32, (4, 1)), (F32, (4, 1))), label="pair"),
        Case(((F32, (2, 3, 5, 8)), (F32, (5, 4)), (F32, (5, 4))), label="dynamic", symbols={(0, 0): "batch"}),
        Case(((F16, (2, 8)), (F16, (2, 8)), (F16, (2, 8))), label="f16"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        x, cos, sin = operands(inputs, 3)
        assert x is not None
        assert cos is not None
        assert sin is not None
        require(x.dtype.is_float, f"takes floats, not {x.dtype!r}")
        require(x.dtype is cos.dtype is sin.dtype, "takes one dtype")
        width = x.shape[-1] if x.rank else 1
        require(isinstance(width, int) and width % 2 == 0, f"{width} features are not in pairs")
        assert isinstance(width, int)
        for angle in (cos, sin):
            fits = angle.rank > 0 and angle.shape[-1] in (width, width // 2)
            require(fits, f"angles {angle.shape} for {width} features")
            outer = broadcast([angle.shape[:-1], x.shape[:-1]])
            require(outer == x.shape[:-1], f"angles {angle.shape} do not fit {x.shape}")
        return [TensorType(x.dtype, x.shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x, cos, sin = (a.astype(np.float64) for a in inputs if a is not None)
        pairs = -1 if attrs["interleaved"] else -2
        shape = (*x.shape[:-1], -1, 2) if attrs["interleaved"] else (*x.shape[:-1], 2, x.shape[-1] // 2)
        a, b = np.moveaxis(x.reshape(shape), pairs, 0)
        turned = np.stack([-b, a], axis=pairs).reshape(x.shape)
        both = [
            angle
            if angle.shape[-1] == x.shape[-1]
            else np.stack([angle, angle], axis=pairs).reshape(*angle.shape[:-1], -1)
            for angle in (cos, sin)
        ]
        assert inputs[0] is not None
        return [(x * both[0] + turned * both[1]).astype(inputs[0].dtype)]
