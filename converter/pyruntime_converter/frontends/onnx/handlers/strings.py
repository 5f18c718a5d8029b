"""Operators that make new strings: joined, split, of another case, or written from numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pyruntime.ir.dims import Dim, maximum, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.strings import END
from pyruntime.ops.digits import PRECISIONS
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.selection import true_positions
from pyruntime_converter.frontends.onnx.held import Text

I32, U8 = DType.I32, DType.U8
# what str.split takes for white space
_SPACES = (
    *map(chr, (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))),
    *map(chr, (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)),
)
_CASES = {"LOWER": (ord("A"), ord("Z"), 32), "UPPER": (ord("a"), ord("z"), -32)}
# bytes of a small letter of Latin-1 with its first byte, and the multiplication sign among its capital ones
_LATIN, _TIMES = 0xC3, 0x97
_BYTEWISE = ("C", "POSIX")  # locales in which ASCII alone has cases
_DOTTED = ("tr", "az", "crh", "ku", "tt")  # languages with another small i


def strings(ctx: NodeContext, index: int = 0) -> Text:
    """Input `index`, which must have strings."""
    found = ctx.text(index)
    if found is None:
        ctx.invalid(f"input {index} has no strings")
    return found


def _number(ctx: NodeContext, value: Dim) -> Value:
    return ctx.builder.dims(value, I32)


# ------------------------------------------------------------------------------------ joining


@handles("StringConcat")
def string_concat(ctx: NodeContext) -> Text:
    """One string after the other; shapes are broadcast."""
    a, b = strings(ctx, 0), strings(ctx, 1)
    shape = ctx.one("Add", a.rows, b.rows).shape  # for what it infers
    parts = [text.bytes_of(ctx.builder, t) for t in (a, b)]
    width = parts[0].shape[-1] + parts[1].shape[-1]
    x, y = (ctx.one("Expand", text.fitted(ctx.builder, part, width), shape=(*shape, width)) for part in parts)
    place = ctx.one("Sub", ctx.one("Range", size=width, dtype=I32), text.lengths(ctx.builder, x))
    second = ctx.one("GreaterOrEqual", place, _number(ctx, 0))
    place = ctx.one("Max", place, _number(ctx, 0))
    moved = ctx.one("GatherElements", y, place, axis=len(shape))
    return text.of_bytes(ctx.builder, ctx.one("Where", second, moved, x))


# ---------------------------------------------------------------------------------- splitting


@dataclass(frozen=True)
class Tokens:
    """How strings fall into parts.

    Attributes:
        numbers: int32 [strings, width], ascending in each: which part a byte is in or behind; -1 before any.
        inside: bool, whether it is in one.
        counts: int32 [strings, 1], the number of parts.
        most: the largest number that there can be.
    """

    numbers: Value
    inside: Value
    counts: Value
    most: Dim


@handles("StringSplit")
def string_split(ctx: NodeContext) -> list[Text | Value]:
    """The parts between delimiters or white space, as many as the most of any string; and how many."""
    given = strings(ctx)
    delimiter, limit = ctx.attr("delimiter") or "", ctx.attr("maxsplit")
    if limit is not None and limit < 0:
        ctx.invalid(f"maxsplit {limit}")
    shape = given.rows.shape
    whole = text.bytes_of(ctx.builder, given)
    width = maximum(whole.shape[-1], max(map(len, map(str.encode, (delimiter, *_SPACES)))))
    count = product(shape)
    rows = ctx.reshape(text.fitted(ctx.builder, whole, width), (count, width))
    tokens = _delimited(ctx, rows, delimiter.encode(), limit) if delimiter else _spaced(ctx, rows, limit)
    most = ctx.one("ReduceMax", tokens.counts, axes=(0, 1), keepdims=False)
    most = ctx.one("Max", most, _number(ctx, 0))
    parts = taken(ctx, rows, tokens, ctx.measure(most, tokens.most))
    counts = ctx.reshape(ctx.cast(tokens.counts, DType.I64), shape)
    return [text.of_bytes(ctx.builder, ctx.reshape(parts, (*shape, *parts.shape[1:]))), counts]


def _delimited(ctx: NodeContext, rows: Value, delimiter: bytes, limit: int | None) -> Tokens:
    length = len(delimiter)
    begins = _begins(ctx, rows, delimiter)
    if limit is not None:
        begins = both(ctx, begins, ctx.one("LessOrEqual", running(ctx, begins), _number(ctx, limit)))
    begun = running(ctx, begins)
    ended = ctx.one("Pad", begun, before=(0, length), after=(0, -length))
    inside = both(ctx, ctx.one("Equal", begun, ended), _within(ctx, rows))
    total = ctx.one("ReduceSum", ctx.cast(begins, I32), axes=(1,), keepdims=True)
    most = rows.shape[1] // length if isinstance(rows.shape[1], int) else rows.shape[1]
    most = most if limit is None else minimum(most, limit)
    return Tokens(ended, inside, ctx.one("Add", total, _number(ctx, 1)), most + 1)


def _begins(ctx: NodeContext, rows: Value, delimiter: bytes) -> Value:
    """Where a delimiter begins, from left to right without overlaps."""
    found = _matches(ctx, rows, delimiter)
    length = len(delimiter)
    if not any(delimiter[:n] == delimiter[-n:] for n in range(1, length)):
        return found
    if len(set(delimiter)) > 1:
        ctx.fail(f"delimiter {delimiter.decode()!r} begins as it ends, so that two may overlap")
    # a run of one byte: every length-th byte of it may begin one
    same = ctx.one("Equal", rows, ctx.builder.constant(delimiter[0], U8))
    count = running(ctx, same)
    before = ctx.one("Where", same, _number(ctx, 0), count)  # at bytes between runs how many came before
    width = rows.shape[1]
    steps = ctx.one("Range", size=width, dtype=I32)
    earlier = ctx.one("LessOrEqual", steps, ctx.reshape(steps, (width, 1)))
    spread = ctx.reshape(before, (rows.shape[0], 1, width))
    start = ctx.one(
        "ReduceMax", ctx.one("Where", earlier, spread, _number(ctx, 0)), axes=(2,), keepdims=False
    )
    place = ctx.one("Sub", ctx.one("Sub", count, start), _number(ctx, 1))
    first = ctx.one("Equal", ctx.one("Mod", place, _number(ctx, length)), _number(ctx, 0))
    return both(ctx, found, first)


def _spaced(ctx: NodeContext, rows: Value, limit: int | None) -> Tokens:
    space = _spaces(ctx, rows)
    behind = ctx.one(
        "Pad", space, before=(0, 1), after=(0, -1), value=True
    )  # as if one stood before the string
    word = both(ctx, ctx.one("Not", space), _within(ctx, rows))
    begins = both(ctx, word, behind)
    inside = word
    if limit is not None:
        begins = both(ctx, begins, ctx.one("LessOrEqual", running(ctx, begins), _number(ctx, limit + 1)))
    numbers = ctx.one("Sub", running(ctx, begins), _number(ctx, 1))
    if limit is not None:  # the last part is all that is left
        last = both(ctx, ctx.one("Equal", numbers, _number(ctx, limit)), _within(ctx, rows))
        inside = ctx.one("Or", word, last)
    counts = ctx.one("ReduceSum", ctx.cast(begins, I32), axes=(1,), keepdims=True)
    width = rows.shape[1]
    most = (width + 1) // 2 if isinstance(width, int) else width
    return Tokens(numbers, inside, counts, most if limit is None else minimum(most, limit + 1))


def _spaces(ctx: NodeContext, rows: Value) -> Value:
    """Whether each byte is one of a character of white space."""
    found: Value | None = None
    for character in _SPACES:
        pattern = character.encode()
        here = _matches(ctx, rows, pattern)
        for shift in range(len(pattern)):
            part = ctx.one("Pad", here, before=(0, shift), after=(0, -shift)) if shift else here
            found = part if found is None else ctx.one("Or", found, part)
    assert found is not None
    return found


def taken(ctx: NodeContext, rows: Value, tokens: Tokens, most: Dim) -> Value:
    """The bytes of the parts, [strings, most, width]."""
    count, width = rows.shape
    wanted = ctx.reshape(ctx.one("Range", size=most, dtype=I32), (most, 1))
    numbers = ctx.reshape(tokens.numbers, (count, 1, width))
    inside = ctx.reshape(tokens.inside, (count, 1, width))
    start = _count(ctx, ctx.one("Less", numbers, wanted))
    size = _count(ctx, both(ctx, ctx.one("Equal", numbers, wanted), inside))
    place = ctx.one("Range", size=width, dtype=I32)
    source = ctx.one("Min", ctx.one("Add", start, place), _number(ctx, width - 1))
    base = ctx.one("Mul", ctx.one("Range", size=count, dtype=I32), _number(ctx, width))
    source = ctx.one("Add", source, ctx.reshape(base, (count, 1, 1)))
    moved = ctx.one("Gather", ctx.reshape(rows, (count * width,)), source, axis=0)
    return ctx.one("Where", ctx.one("Less", place, size), moved, ctx.builder.constant(END, U8))


def _matches(ctx: NodeContext, rows: Value, pattern: bytes) -> Value:
    """Where a pattern begins, bool [strings, width]."""
    found: Value | None = None
    for shift, byte in enumerate(pattern):
        moved = rows
        if shift:
            moved = ctx.one("Pad", rows, before=(0, -shift), after=(0, shift), value=END)
        same = ctx.one("Equal", moved, ctx.builder.constant(byte, U8))
        found = same if found is None else both(ctx, found, same)
    assert found is not None
    return found


def both(ctx: NodeContext, a: Value, b: Value) -> Value:
    """a and b."""
    return ctx.one("And", a, b)


def _within(ctx: NodeContext, rows: Value) -> Value:
    """Whether each byte is one of the string's."""
    return ctx.one("Not", ctx.one("Equal", rows, ctx.builder.constant(END, U8)))


def running(ctx: NodeContext, mask: Value) -> Value:
    """How many hold up to each byte, that one included."""
    return ctx.one("CumSum", ctx.cast(mask, I32), axis=1)


def _count(ctx: NodeContext, mask: Value) -> Value:
    return ctx.one("ReduceSum", ctx.cast(mask, I32), axes=(2,), keepdims=True)


# ----------------------------------------------------------------------------- normalising


@handles("StringNormalizer")
def string_normalizer(ctx: NodeContext) -> Text:
    """All strings but some words, in one case; an empty one where none is left."""
    given, stops = strings(ctx), tuple(ctx.attr("stopwords") or ())
    change = ctx.choice("case_change_action", "NONE", "LOWER", "UPPER")
    exact = bool(ctx.attr("is_case_sensitive"))
    locale = ctx.attr("locale") or "en_US"
    if locale.replace("-", "_").partition("_")[0].lower() in _DOTTED:
        ctx.fail(f"cases of locale {locale!r} are not supported")
    shape = given.rows.shape
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] != 1):
        ctx.fail(f"shape {shape}, neither [C] nor [1, C]")
    bytewise = locale in _BYTEWISE
    changed = given if change == "NONE" else _in_case(ctx, given, change, bytewise)
    if not stops:
        return changed
    if exact:
        compared = given
    else:
        compared = _in_case(ctx, given, "LOWER", bytewise)
        stops = tuple(_lowered(s, bytewise) for s in stops)
    found = text.found_in(ctx.builder, compared, stops)
    return _kept(ctx, changed, ctx.one("Less", ctx.like(len(stops) - 1, found), found))


def _lowered(word: str, bytewise: bool) -> str:
    """A word as `_in_case` leaves it; it may be anything where it has characters that texts do not have."""
    return word.encode().lower().decode() if bytewise else word.lower()


def _kept(ctx: NodeContext, given: Text, keep: Value) -> Text:
    shape, count = given.rows.shape, product(given.rows.shape)
    keep = ctx.reshape(keep, (count,))
    none = ctx.one(
        "Equal", ctx.one("ReduceSum", ctx.cast(keep, I32), axes=(0,), keepdims=True), _number(ctx, 0)
    )
    rows, table = text.merged(ctx.builder, [given, text.chosen(ctx.builder, _number(ctx, 0), [""])])
    every = ctx.one("Concat", ctx.reshape(rows[0], (count,)), ctx.reshape(rows[1], (1,)), axis=0)
    left = ctx.one("Gather", every, true_positions(ctx, ctx.one("Concat", keep, none, axis=0)), axis=0)
    return Text(ctx.reshape(left, (*shape[:-1], *left.shape)), table)


def _in_case(ctx: NodeContext, given: Text, case: str, bytewise: bool) -> Text:
    """Upper case, of ASCII, or lower case, of Latin-1: other characters are refused when they are fed."""
    latin = case == "LOWER" and not bytewise
    if not bytewise:
        ctx.limit_bytes(given, _LATIN if latin else 0x7F)
    first, last, step = _CASES[case]

    def change(table: Value) -> Value:
        letter = between(ctx, table, first, last)
        if latin:
            before = (*(0,) * (table.rank - 1), 1)
            behind = ctx.one("Pad", table, before=before, after=tuple(-n for n in before), value=0)
            second = ctx.one("Equal", behind, ctx.builder.constant(_LATIN, U8))
            capital = both(
                ctx,
                between(ctx, table, 0x80, 0x9E),
                ctx.one("Not", ctx.one("Equal", table, ctx.builder.constant(_TIMES, U8))),
            )
            letter = ctx.one("Or", letter, both(ctx, second, capital))
        moved = ctx.one("Add", ctx.cast(table, I32), _number(ctx, step))
        return ctx.one("Where", letter, ctx.cast(moved, U8), table)

    return Text(given.rows, change(given.table), None if given.whole is None else change(given.whole))


def between(ctx: NodeContext, table: Value, first: int, last: int) -> Value:
    """Whether each byte is one of first to last."""
    return both(
        ctx,
        ctx.one("GreaterOrEqual", table, ctx.builder.constant(first, U8)),
        ctx.one("LessOrEqual", table, ctx.builder.constant(last, U8)),
    )


# -------------------------------------------------------------------------------- writing


def written(ctx: NodeContext, x: Value) -> Text:
    """Numbers in decimal digits: see `pyruntime.ops.digits` for floats."""
    return _written_float(ctx, x) if x.dtype.is_float else _written_integer(ctx, x)


def _written_float(ctx: NodeContext, x: Value) -> Text:
    held = ctx.cast(x, DType.F64 if x.dtype is DType.F64 else DType.F32)
    precision, least = PRECISIONS[x.dtype]
    flat = ctx.reshape(held, (product(x.shape),))
    rows = ctx.one("FormatNumber", flat, precision=precision, least=least)
    return text.of_bytes(ctx.builder, ctx.reshape(rows, (*x.shape, rows.shape[1])))


def _written_integer(ctx: NodeContext, x: Value) -> Text:
    if x.dtype.code:  # shorter than a byte
        x = ctx.cast(x, DType.U8 if x.dtype.is_unsigned else DType.I8)
    digits: list[Value] = []
    rest, ten = ctx.reshape(x, (*x.shape, 1)), ctx.like(10, x)
    used = ctx.one("Expand", _number(ctx, 1), shape=rest.shape)
    for power in range(len(str(2**x.dtype.bits - 1))):
        if power:
            here = ctx.one("Not", ctx.one("Equal", rest, ctx.like(0, x)))
            used = ctx.one("Add", used, ctx.cast(here, I32))
        digits.append(ctx.one("Abs", ctx.cast(ctx.one("Mod", rest, ten, fmod=1), I32)))
        rest = ctx.one("Div", rest, ten)
    count = len(digits)
    table = ctx.one("Concat", *reversed(digits), axis=x.rank)
    negative = _sign(ctx, x)
    place = ctx.one("Sub", ctx.one("Range", size=count + 1, dtype=I32), negative)
    source = ctx.one("Add", place, ctx.one("Sub", _number(ctx, count), used))
    source = ctx.one("Min", ctx.one("Max", source, _number(ctx, 0)), _number(ctx, count - 1))
    characters = ctx.one("Add", ctx.one("GatherElements", table, source, axis=x.rank), _number(ctx, ord("0")))
    minus = ctx.one("Less", place, _number(ctx, 0))
    characters = ctx.one("Where", minus, _number(ctx, ord("-")), characters)
    past = ctx.one("GreaterOrEqual", place, used)
    characters = ctx.one("Where", past, _number(ctx, END), characters)
    return text.of_bytes(ctx.builder, ctx.cast(characters, U8))


def _sign(ctx: NodeContext, x: Value) -> Value:
    """1 for negative numbers, else 0, int32 with one more axis."""
    if x.dtype.is_unsigned:
        return ctx.one("Expand", _number(ctx, 0), shape=(*x.shape, 1))
    below = ctx.one("Less", x, ctx.like(0, x))
    return ctx.reshape(ctx.cast(below, I32), (*x.shape, 1))
