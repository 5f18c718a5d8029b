"""Random numbers: a hash of each element's index and a seed, in 32-bit integers, the same on all devices."""

from __future__ import annotations

import math
import struct
import zlib

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext

# a step of PCG's generator, and its permutation RXS-M-XS (O'Neill 2014; as a hash Jarzynski and Olano 2020)
_STEP, _INCREMENT, _SCRAMBLE = 747796405, 2891336453, 277803737


class Draws:
    """The streams of one node: pure functions of its seed, of a stream's number and of an element's index.

    A node without a seed has one of its name, so that two such nodes are not alike. Nothing is carried from
    run to run, nor from one iteration of a loop to the next: each draws the same again.
    """

    def __init__(self, ctx: NodeContext) -> None:
        self._ctx = ctx
        seed = ctx.attr("seed")
        self._seed = (
            ctx.builder.unique(f"{ctx.name}.seed").encode() if seed is None else struct.pack("<d", seed)
        )
        self._streams = 0

    def uniform(self, shape: tuple[Dim, ...]) -> Value:
        """f32 from 0 on, less than 1: multiples of 2**-24."""
        return self._ctx.one("Mul", self._whole(shape, 24), self._f32(2**-24))

    def inner(self, shape: tuple[Dim, ...]) -> Value:
        """f32 between 0 and 1, neither of which is among them: odd multiples of 2**-24."""
        odd = self._ctx.one("Add", self._whole(shape, 23), self._f32(0.5))
        return self._ctx.one("Mul", odd, self._f32(2**-23))

    def normal(self, shape: tuple[Dim, ...]) -> Value:
        """f32 of mean 0 and deviation 1, by Box and Muller."""
        one = self._ctx.one
        radius = one("Sqrt", one("Mul", one("Log", self.inner(shape)), self._f32(-2)))
        turn = one("Sub", self.uniform(shape), self._f32(0.5))
        return one("Mul", radius, one("Cos", one("Mul", turn, self._f32(2 * math.pi))))

    def _whole(self, shape: tuple[Dim, ...], bits: int) -> Value:
        """Whole numbers of so many bits, as f32."""
        ctx = self._ctx
        key = zlib.crc32(self._seed + bytes([self._streams]))
        self._streams += 1
        index = ctx.one("Range", size=product(shape), dtype=DType.U32)
        # hashed twice, or else the streams of two keys were the same numbers at other places
        mixed = self._hash(ctx.one("Add", self._hash(index), self._u32(key)))
        return ctx.reshape(ctx.cast(self._right(mixed, self._u32(32 - bits)), DType.F32), shape)

    def _hash(self, index: Value) -> Value:
        """A permutation of all 32-bit integers."""
        one = self._ctx.one
        state = one("Add", one("Mul", index, self._u32(_STEP)), self._u32(_INCREMENT))
        amount = one("Add", self._right(state, self._u32(28)), self._u32(4))
        word = one("Mul", one("BitwiseXor", self._right(state, amount), state), self._u32(_SCRAMBLE))
        return one("BitwiseXor", self._right(word, self._u32(22)), word)

    def _right(self, value: Value, amount: Value) -> Value:
        return self._ctx.one("BitShift", value, amount, direction="RIGHT")

    def _u32(self, number: int) -> Value:
        return self._ctx.builder.constant(number, DType.U32)

    def _f32(self, number: float) -> Value:
        return self._ctx.builder.constant(number, DType.F32)
