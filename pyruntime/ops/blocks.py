"""Products with a weight of small integers, blocks of which share a scale and a zero point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import ceildiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.kernel import middle_level
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, operands, require

Array = NDArray[Any]

F32, U8 = DType.F32, DType.U8
BITS = (4, 8)


def from_bytes(packed: Array, bits: int) -> Array:
    """The uint8 levels of bytes along the last axis, of which the lower bits come first."""
    if bits == 8:
        return packed
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    apart = packed[..., None] >> shifts & np.uint8((1 << bits) - 1)
    return np.asarray(apart.reshape(*packed.shape[:-1], -1), np.uint8)


def to_bytes(levels: Array, bits: int) -> Array:
    """The bytes that `from_bytes` takes levels from; zeros fill the last one."""
    if bits == 8:
        return levels.astype(np.uint8)
    each = 8 // bits
    padded = np.zeros((*levels.shape[:-1], -(-levels.shape[-1] // each) * each), np.uint8)
    padded[..., : levels.shape[-1]] = levels
    parts = padded.reshape(*levels.shape[:-1], -1, each) << np.arange(0, 8, bits, dtype=np.uint8)
    return np.asarray(np.bitwise_or.reduce(parts, axis=-1), np.uint8)


class BlockMatMul(OpDef):
    """a @ w.T of a [..., k] and a weight w [n, k] in blocks along k: (level - zero point) * scale.

    Inputs: a, float32; the levels' bytes, uint8 [n, blocks, block * bits / 8], the lower bits first; scales,
    float32 [n, blocks]; optionally zero points, float32 [n, blocks], by default 2^(bits - 1). What the last
    block has beyond k does not count.

    Attributes:
        bits: of a level, 4 or 8.
        block: elements that share a scale.
        k: of the product.
    """

    name: ClassVar[str] = "BlockMatMul"
    attrs: ClassVar[Mapping[str, Any]] = {"bits": 4, "block": REQUIRED, "k": REQUIRED}
    cases: ClassVar[Sequence[Case]] = (
        Case(
            ((F32, (3, 32)), (U8, (5, 2, 8)), (F32, (5, 2))),
            {"block": 16, "k": 32},
            high=255,
            low=-3,
            label="4-bits",
        ),
        Case(
            ((F32, (2, 3, 37)), (U8, (9, 2, 16)), (F32, (9, 2)), (F32, (9, 2))),
            {"block": 32, "k": 37},
            symbols={(0, 1): "rows"},
            high=255,
            low=-3,
            label="4-bits-zeros",
        ),
        Case(
            ((F32, (70,)), (U8, (17, 3, 32)), (F32, (17, 3))),
            {"bits": 8, "block": 32, "k": 70},
            high=255,
            low=0,
            label="8-bits",
        ),
    )

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """Sums of no products."""
        return True

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        """a's shape with n in place of k."""
        a, levels, scales, zeros = operands(inputs, 3, 4)
        assert a is not None
        assert levels is not None
        assert scales is not None
        bits, block, k = attrs["bits"], attrs["block"], attrs["k"]
        require(bits in BITS and block > 0 and block * bits % 8 == 0, f"{bits} bits in blocks of {block}")
        require(a.dtype is F32 and levels.dtype is U8, f"multiplies {a.dtype!r} and {levels.dtype!r}")
        require(a.rank > 0 and a.shape[-1] == k, f"{a.shape} is no operand of {k} columns")
        require(levels.rank == 3, f"levels of shape {levels.shape}")
        n, blocks = levels.shape[0], ceildiv(k, block)
        require(levels.shape[1:] == (blocks, block * bits // 8), f"levels of shape {levels.shape} for k {k}")
        for name, each in (("scales", scales), ("zero points", zeros)):
            fits = each is None or (each.dtype is F32 and each.shape == (n, blocks))
            require(fits, f"{name} are not float32 of shape {(n, blocks)}")
        return [TensorType(F32, (*a.shape[:-1], n))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        """In float64, of the weight as float32."""
        a, levels, scales, *rest = inputs
        assert a is not None
        assert levels is not None
        assert scales is not None
        weight = dequantised(levels, scales, rest[0] if rest else None, attrs["bits"])[:, : attrs["k"]]
        return [np.asarray(a.astype(np.float64) @ weight.astype(np.float64).T).astype(np.float32)]


def dequantised(levels: Array, scales: Array, zeros: Array | None, bits: int) -> Array:
    """The weight [n, blocks * block] of BlockMatMul's operands, in float32."""
    wide = from_bytes(levels, bits).astype(np.float32)
    zero = np.float32(middle_level(bits)) if zeros is None else zeros[..., None]
    return np.asarray(((wide - zero) * scales[..., None]).reshape(len(levels), -1))
