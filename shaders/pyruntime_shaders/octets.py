"""Products of 8-bit integers, four at a time: both operands as words of four elements that follow along k.

Weights lie so (`quads8`, `convquads8` of `ops.layouts`). Where one operand is signed and the other is not,
the left one is moved by 128 to be as the other, which 128 times the sums of the weight's columns, which lie
behind it, take back. All is exact modulo 2^32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pyruntime.ir.dims import Dim, ceildiv, divides
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ir.prologue import Prologue
from pyruntime.ir.scalar import Load, Scalar
from pyruntime.ir.views import Tensor, View
from pyruntime_shaders.intervals import Interval
from pyruntime_shaders.module import Address, Module, loaded_range
from pyruntime_shaders.printer import Printer, value_type
from pyruntime_shaders.tiling import Source, alone

DEPTH = 4  # elements of a word


class Quantizer(NamedTuple):
    """How elements of a buffer become the bytes that are multiplied: the function `level_`.

    Attributes:
        parameters: its names and types: the element first, then what all of a row, or an image, share.
        shared: of these the buffers, and where in them they lie.
        statements, value: its body.
    """

    parameters: tuple[tuple[str, str], ...]
    shared: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]
    value: str


class Octets(NamedTuple):
    """How the fours of an operand become words.

    Attributes:
        words: the word over the parameters, of which k counts words; by functions `words_` and `bytes_`.
        outside: the condition under which it is zero.
        quantizer: what the elements become before, if anything.
    """

    words: str
    outside: str
    quantizer: Quantizer | None = None


class Dots(NamedTuple):
    """How words are multiplied.

    Attributes:
        letter: "i" or "u": of which integers, after the left ones were moved.
        sums: where in the weight's buffer the sum of a column lies, where the left operand was moved.
        sign: "+" or "-", by which 128 times such a sum comes in.
    """

    letter: str
    sums: str
    sign: str


def by_fours(left: DType, weight: DType, panels: int) -> bool:
    """Whether a product of elements of these types is one of words."""
    return panels > 0 and left in (DType.I8, DType.U8) and weight in (DType.I8, DType.U8)


def vector_weight(call: MatMul | Conv, weight: View) -> bool:
    """Whether the weight may be bound as vec4."""
    return alone(call, weight.tensor) and divides(DEPTH, weight.offset)


def quantizer(module: Module, view: View, prologue: Prologue, axes: Sequence[str]) -> Quantizer:
    """What a prologue makes of the elements of `view`, whose indices are `axes`."""
    views = (view, *prologue.others)

    def leaf(node: Scalar) -> str:
        assert isinstance(node, Load), f"{module.call.name}: {node!r} in a prologue"
        return f"in_{node.operand}"

    def known(node: Scalar) -> Interval | None:
        return loaded_range(views[node.operand]) if isinstance(node, Load) else None

    with module.typed():
        body = Printer(leaf, known).block([prologue.body], [False])
        types = [value_type(v.tensor.dtype) for v in views]
    shared = tuple(
        (module.buffer(v.tensor), module.position(f"shared_{i}", v, axes))
        for i, v in enumerate(prologue.others)
    )
    named = tuple((f"in_{i}", t) for i, t in enumerate(types))
    return Quantizer(named, shared, body.statements, body.values[0])


def left(
    source: Source, view: View, dtype: DType, weight: Tensor, outside: str, quantizer: Quantizer | None
) -> Source:
    """Operand a as words.

    Args:
        source: a over elements, that is, k counts these. Those of a vec4 buffer are whole words.
        view: a.
        dtype: of the elements that are multiplied.
        weight: the other operand.
        outside: the condition, of k that counts words, under which there are none.
        quantizer: what the elements become before, if anything.
    """

    def at(element: int) -> str:
        place = f"k * {DEPTH}{f' + {element}' if element else ''}"
        return ", ".join(place if p == "k" else p for p in source.parameters)

    if source.vector:
        words = f"words_a({at(0)})"
        source = source._replace(fill=f"0x{(int(view.fill) & 255) * 0x01010101:08x}u")
    else:
        words = f"pack_i8(vec4<i32>({', '.join(f'bytes_a({at(i)})' for i in range(DEPTH))}))"
    moved = " ^ 0x80808080u" if dtype.is_unsigned != weight.dtype.is_unsigned else ""
    return source._replace(octets=Octets(words + moved, outside, quantizer))


def right(
    module: Module, view: View, parameters: tuple[str, ...], k_words: Dim, columns: Dim, left: DType
) -> tuple[Source, Dots]:
    """Operand b, a weight in quads, over words of k and columns, and how the operands are multiplied.

    Args:
        module: of the call.
        view: the weight.
        parameters: `group` if there are groups, k and column.
        k_words: words of a column.
        columns: of a group.
        left: the dtype of the other operand.
    """
    k, panels = module.word("k_words", k_words), ceildiv(columns, 8)
    terms = [] if view.offset == 0 else [module.word("b_offset", view.offset)]
    if "group" in parameters:
        # each group is followed by the sums of its columns
        terms.append(f"group * {module.word('group_elements', panels * (k_words + 1) * 32)}")
    base = "".join(f"{t} + " for t in terms)
    position = f"{base}((column >> 3u) * {k} + k) * 32 + (column & 7) * 4"
    unsigned = view.tensor.dtype.is_unsigned
    source = Source(
        "b",
        parameters,
        "column",
        (),
        Address((), (), position),
        "",
        module.buffer(view.tensor),
        True,
        "u32",
        octets=Octets(f"words_b({', '.join(parameters)})", f"k >= {k}"),
    )
    if left.is_unsigned == unsigned:
        return source, Dots("u" if unsigned else "i", "", "")
    sums = f"{base}{module.word('sums', panels * k_words * 32)} + column * 4"
    return source, Dots("u" if unsigned else "i", sums, "-" if unsigned else "+")
