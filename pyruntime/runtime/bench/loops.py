"""A Wasm module of loops that show what an engine can do at most: multiply-adds, and a copy of memory.

Put together here, byte by byte, since where packs run there is no compiler. It exports

    multiply_adds(n: i32, x: f32) -> f32     n rounds of CHAINS independent a = a * x + 1, on four floats each
    dots(n: i32, x: i32) -> i32              n rounds of as many a = a + a . x, of bytes (or 16 bits)
    copy(bytes: i32, times: i32)             copies a multiple of BLOCK from the start of memory to its middle

with n, bytes and times at least 1.
"""

from __future__ import annotations

from collections.abc import Iterable

CHAINS = 12  # more than the latency of a multiply-add asks for, and they still fit 16 registers
BLOCK = 64  # bytes that `copy` moves before it looks whether it is done
PAGE = 65536
# what a measurement repeats: rounds of the loops; for bytes that a copy reads and writes, how often. Each but
# the largest copy takes a fraction of a millisecond
ROUNDS = {"multiply_adds": 200_000, "dots": 100_000}
COPIES = {16 << 10: 256, 256 << 10: 16, 4 << 20: 1, 64 << 20: 1}
PAGES = max(COPIES) // PAGE

_I32, _F32, _V128 = b"\x7f", b"\x7d", b"\x7b"
_ADD, _SUB, _F32_ONE = b"\x6a", b"\x6b", b"\x43\x00\x00\x80\x3f"
_LOOP, _BR_IF, _END = b"\x03\x40", b"\x0d\x00", b"\x0b"
_SIMD = {
    "v128.load": 0,
    "v128.store": 11,
    "i8x16.splat": 15,
    "i32x4.splat": 17,
    "f32x4.splat": 19,
    "i32x4.extract_lane": 27,
    "f32x4.extract_lane": 31,
    "i32x4.add": 174,
    "i32x4.dot_i16x8_s": 186,
    "f32x4.add": 228,
    "f32x4.mul": 230,
    "f32x4.relaxed_madd": 261,
    "i32x4.relaxed_dot_i8x16_i7x16_add_s": 275,
}


def operations(name: str, *, relaxed: bool) -> int:
    """Multiplications and additions of a round of `multiply_adds` or `dots`."""
    products = 4 if name == "multiply_adds" else 16 if relaxed else 8
    return CHAINS * products * 2


def kind(*, relaxed: bool) -> str:
    """How `multiply_adds` computes, for people."""
    return "fused multiply-adds" if relaxed else "multiplications, then additions (no relaxed SIMD)"


def module(pages: int, *, relaxed: bool) -> bytes:
    """The module, with `pages` of memory; with `relaxed` by fused multiply-adds and dot products of bytes."""
    functions = [
        (_I32 + _F32, _F32, _chains("f32x4", relaxed)),
        (_I32 + _I32, _I32, _chains("i32x4", relaxed)),
        (_I32 + _I32, b"", _copy(pages * PAGE // 2)),
    ]
    names = ("multiply_adds", "dots", "copy")
    sections = {
        1: _list(b"\x60" + _sized(takes) + _sized(gives) for takes, gives, _ in functions),
        3: _list(map(_unsigned, range(len(functions)))),
        5: _list([b"\x00" + _unsigned(pages)]),
        7: _list(_sized(name.encode()) + b"\x00" + _unsigned(i) for i, name in enumerate(names)),
        10: _list(_sized(code) for *_, code in functions),
    }
    return b"\x00asm\x01\x00\x00\x00" + b"".join(bytes([i]) + _sized(each) for i, each in sections.items())


def _chains(lanes: str, relaxed: bool) -> bytes:
    """The body of `multiply_adds` or `dots`. Locals: n and x, then vectors: x, one, and the chains."""
    factor, one, first = 2, 3, 4
    chains = range(first, first + CHAINS)
    floats = lanes == "f32x4"
    begin = _get(1) + _simd("f32x4.splat" if floats else "i8x16.splat") + _set(factor)
    begin += _F32_ONE + _simd("f32x4.splat") + _set(one)
    for chain in chains:  # from values of their own, so that no engine computes one chain for all
        begin += _i32(chain) + _simd("i32x4.splat") + _set(chain)
    fused = "f32x4.relaxed_madd" if floats else "i32x4.relaxed_dot_i8x16_i7x16_add_s"
    product, added = ("f32x4.mul", one) if floats else ("i32x4.dot_i16x8_s", None)
    round_ = b""
    for chain in chains:
        third = _get(chain if added is None else added)
        steps = third + _simd(fused) if relaxed else _simd(product) + third + _simd(f"{lanes}.add")
        round_ += _get(chain) + _get(factor) + steps + _set(chain)
    total = _get(first) + b"".join(_get(c) + _simd(f"{lanes}.add") for c in chains[1:])
    end = total + _simd(f"{lanes}.extract_lane") + b"\x00"
    vectors = _list([_unsigned(first + CHAINS - factor) + _V128])
    return vectors + begin + _repeated(round_ + _less(0, 1), 0) + end + _END


def _copy(middle: int) -> bytes:
    """The body of `copy`. Locals: bytes and times, then the place, and what is left."""
    place, left = 2, 3
    moves = b""
    for at in range(0, BLOCK, 16):
        moves += _get(place) + _get(place) + _simd("v128.load") + b"\x04" + _unsigned(at)
        moves += _simd("v128.store") + b"\x04" + _unsigned(middle + at)
    step = _get(place) + _i32(BLOCK) + _ADD + _set(place) + _less(left, BLOCK)
    once = _i32(0) + _set(place) + _get(0) + _set(left) + _repeated(moves + step, left)
    return _list([_unsigned(2) + _I32]) + _repeated(once + _less(1, 1), 1) + _END


def _repeated(body: bytes, local: int) -> bytes:
    """`body` until the local is 0, at least once."""
    return _LOOP + body + _get(local) + _BR_IF + _END


def _less(local: int, by: int) -> bytes:
    return _get(local) + _i32(by) + _SUB + _set(local)


def _get(local: int) -> bytes:
    return b"\x20" + _unsigned(local)


def _set(local: int) -> bytes:
    return b"\x21" + _unsigned(local)


def _simd(name: str) -> bytes:
    return b"\xfd" + _unsigned(_SIMD[name])


def _i32(value: int) -> bytes:
    """A constant that is not negative, as signed LEB128: the last byte has a sign, which is its bit 6."""

    def signed(rest: int) -> bytes:
        return bytes([rest]) if rest < 64 else bytes([rest & 127 | 128]) + signed(rest >> 7)

    return b"\x41" + signed(value)


def _unsigned(value: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _unsigned(value >> 7)


def _sized(content: bytes) -> bytes:
    return _unsigned(len(content)) + content


def _list(items: Iterable[bytes]) -> bytes:
    parts = list(items)
    return _unsigned(len(parts)) + b"".join(parts)
