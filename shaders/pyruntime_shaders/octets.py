"""Products of 8-bit integers, four at a time: both operands as words of four elements that follow along k.

Weights lie so (`quads8`, `convquads8` of `ops.layouts`). Where one operand is signed and the other is not,
the left one is moved by 128 to be as the other, which 128 times the sums of the weight's columns, which lie
behind it, take back. All is exact modulo 2^32.
"""

from __future__ import annotations

from typing import NamedTuple

from pyruntime.ir.dims import Dim, ceildiv, divides
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, MatMul
from pyruntime.ir.views import Tensor, View
from pyruntime_shaders.module import Address, Module
from pyruntime_shaders.tiling import Source, alone

DEPTH = 4  # elements of a word


class Octets(NamedTuple):
    """How the fours of an operand become words.

    Attributes:
        words: the word over the parameters, of which k counts words; by functions `words_` and `bytes_`.
        outside: the condition under which it is zero.
    """

    words: str
    outside: str


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


def by_fours(left: Tensor, weight: Tensor, panels: int) -> bool:
    """Whether a product is one of words."""
    return panels > 0 and left.dtype in (DType.I8, DType.U8) and weight.dtype in (DType.I8, DType.U8)


def vector_weight(call: MatMul | Conv, weight: View) -> bool:
    """Whether the weight may be bound as vec4."""
    return alone(call, weight.tensor) and divides(DEPTH, weight.offset)


def left(source: Source, view: View, weight: Tensor, outside: str) -> Source:
    """Operand a as words.

    Args:
        source: a over elements, that is, k counts these. Those of a vec4 buffer are whole words.
        view: a.
        weight: the other operand.
        outside: the condition, of k that counts words, under which there are none.
    """

    def at(element: int) -> str:
        place = f"k * {DEPTH}{f' + {element}' if element else ''}"
        return ", ".join(place if p == "k" else p for p in source.parameters)

    if source.vector:
        words = f"words_a({at(0)})"
        source = source._replace(fill=f"0x{(int(view.fill) & 255) * 0x01010101:08x}u")
    else:
        words = f"pack_i8(vec4<i32>({', '.join(f'bytes_a({at(i)})' for i in range(DEPTH))}))"
    moved = " ^ 0x80808080u" if view.tensor.dtype.is_unsigned != weight.dtype.is_unsigned else ""
    return source._replace(octets=Octets(words + moved, outside))


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
