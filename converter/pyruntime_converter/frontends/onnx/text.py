"""Tensors of strings in terms of integer ops: rows of bytes, tables of them, and integers that choose rows.

A string is the bytes of its UTF-8, then END up to a width (`pyruntime.ir.strings`). What only moves strings
moves the numbers of their rows in a table, so that every handler of movement serves; what looks at characters
reads the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, maximum, product
from pyruntime.ir.dtypes import DType, words_of
from pyruntime.ir.graph import Graph, Origin, Value
from pyruntime.ir.strings import END, decode, encode
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import OpError
from pyruntime.ops.numerals import FORMATS, limits
from pyruntime_converter.frontends.onnx.held import Held, Text

# operators that put elements elsewhere and do not look at them, by domain
_MOVING = {
    "": frozenset(
        {
            *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile"),
            *("Concat", "Split", "Slice", "Gather", "GatherElements", "GatherND", "Compress", "Where"),
            *("ScatterElements", "ScatterND", "Scatter", "OneHot", "ReverseSequence"),
            *("SpaceToDepth", "DepthToSpace", "TensorScatter", "Pad", "Trilu"),
        }
    ),
    "ai.onnx.ml": frozenset({"ArrayFeatureExtractor"}),
}
_FILLING = frozenset({"Pad", "Trilu"})  # those of them that put zeros where no element comes to stand
_MEASURING = frozenset({"Shape", "Size"})
_NO_STRING = 0xFE  # no byte of UTF-8, either
_FALSE = ("False", "false", "FALSE", "")
_BRANCHES = 64  # of each step of a search, at most
_MOST_SEEDS = 64  # of hashes that are tried until keys differ


def constant(builder: Builder, strings: NDArray[Any], name: str = "") -> Text:
    """A constant of an array of str objects."""
    numbers = {s: i for i, s in enumerate(dict.fromkeys(strings.flat))}
    rows = np.array([numbers[s] for s in strings.flat], np.int32).reshape(strings.shape)
    return Text(builder.constant(rows, name=name), builder.constant(matrix([*numbers] or [""])))


def matrix(strings: Sequence[str]) -> NDArray[np.uint8]:
    """The bytes of strings, a row each."""
    data, width = encode(strings)
    return np.frombuffer(data, np.uint8).reshape(-1, width)


def of_bytes(builder: Builder, whole: Value) -> Text:
    """Strings of their bytes, uint8 [*shape, width]: each is a row of its own."""
    shape = whole.shape[:-1]
    count = product(shape)
    table = builder.one("Reshape", whole, shape=(count, whole.shape[-1]))
    numbers = builder.one("Range", size=count, dtype=DType.I32)
    return Text(builder.one("Reshape", numbers, shape=shape), table, whole)


def bytes_of(builder: Builder, text: Text) -> Value:
    """uint8 [*shape, width]."""
    return text.whole or builder.one("Gather", text.table, text.rows, axis=0)


def bare(builder: Builder, value: Value, strings: bool) -> Value | Text:
    """Strings of their rows of bytes; numbers as they are."""
    return of_bytes(builder, value) if strings else value


def tensor_of(builder: Builder, element: Value | Text) -> Value:
    """The rows of bytes of strings; numbers as they are."""
    return bytes_of(builder, element) if isinstance(element, Text) else element


def fitted(builder: Builder, whole: Value, width: Dim) -> Value:
    """The bytes in rows of another width; of longer strings what is past it is lost."""
    own = whole.shape[-1]
    if own == width:
        return whole
    nothing = (0,) * (whole.rank - 1)
    return builder.one("Pad", whole, before=(*nothing, 0), after=(*nothing, width - own), value=END)


def merged(builder: Builder, texts: Sequence[Text]) -> tuple[list[Value], Value]:
    """The rows of each in one table, and the table."""
    tables = list(dict.fromkeys(t.table for t in texts))
    if len(tables) == 1:
        return [t.rows for t in texts], tables[0]
    width: Dim = 0
    starts: dict[Value, Dim] = {}
    total: Dim = 0
    for table in tables:
        width, starts[table] = maximum(width, table.shape[1]), total
        total = total + table.shape[0]
    rows = [_later(builder, t.rows, starts[t.table]) for t in texts]
    return rows, builder.one("Concat", *(fitted(builder, t, width) for t in tables), axis=0)


def _later(builder: Builder, rows: Value, start: Dim) -> Value:
    """Numbers of rows that begin at another one."""
    return rows if start == 0 else builder.one("Add", rows, builder.dims(start, DType.I32))


def as_rows(
    builder: Builder, domain: str, op: str, inputs: Sequence[Held | None]
) -> tuple[list[Held | None], Value | None]:
    """What a handler takes in place of strings where it only moves or counts them: the numbers of their rows.

    And the table that its results are rows of; None where they are no strings. Where a handler fills up with
    zeros, an empty string is row 0 of the table.
    """
    texts = [v for v in inputs if isinstance(v, Text)]
    measuring = not domain and op in _MEASURING
    if not texts or not (measuring or op in _MOVING.get(domain, ())):
        return list(inputs), None
    if not domain and op in _FILLING:
        rows, table = merged(builder, [constant(builder, np.array("", object)), *texts])
        rows = rows[1:]
    else:
        rows, table = merged(builder, texts)
    left = iter(rows)
    return [next(left) if isinstance(v, Text) else v for v in inputs], None if measuring else table


def joined(
    builder: Builder, items: Sequence[Value | Text], join: Callable[[Sequence[Value]], Value]
) -> Value | Text:
    """One tensor of several, of numbers or of strings, whose rows are joined."""
    texts = [v for v in items if isinstance(v, Text)]
    if not texts:
        return join([v for v in items if isinstance(v, Value)])
    rows, table = merged(builder, texts)
    return Text(join(rows), table)


def lengths(builder: Builder, whole: Value) -> Value:
    """How many bytes each string has, int32 [*shape, 1]."""
    kept = builder.one("Not", builder.one("Equal", whole, builder.constant(END, DType.U8)))
    return builder.one(
        "ReduceSum", builder.one("Cast", kept, to=DType.I32), axes=(whole.rank - 1,), keepdims=True
    )


def ascending(builder: Builder, text: Text) -> Value:
    """Bytes that compare as strings do, uint8 [*shape, width]: what fills up is below all others."""
    return builder.one("Add", bytes_of(builder, text), builder.constant(1, DType.U8))


def same_bytes(builder: Builder, a: Value, b: Value) -> Value:
    """Whether strings of one width are equal, bool: their shapes are broadcast."""
    equal = builder.one("Cast", builder.one("Equal", a, b), to=DType.I32)
    least = builder.one("ReduceMin", equal, axes=(equal.rank - 1,), keepdims=False)
    return builder.one("Greater", least, builder.constant(0, DType.I32))


def equal(builder: Builder, a: Text, b: Text) -> Value:
    """Whether strings are equal, bool: their shapes are broadcast."""
    if a.table is b.table and a.table.data is not None and _distinct(a.table.data):
        return builder.one("Equal", a.rows, b.rows)
    x, y = bytes_of(builder, a), bytes_of(builder, b)
    width = maximum(x.shape[-1], y.shape[-1])
    return same_bytes(builder, fitted(builder, x, width), fitted(builder, y, width))


def _distinct(table: NDArray[Any]) -> bool:
    return len(np.unique(table, axis=0)) == len(table)


def strings_of(table: Value) -> list[str] | None:
    """The strings of a table that is constant."""
    if table.data is None:
        return None
    count, width = table.data.shape
    return decode(table.data.tobytes(), width, count)


def found_in(builder: Builder, text: Text, keys: Sequence[str]) -> Value:
    """The place of each string among keys, of equal ones the first; the number of keys for others; int32."""
    places = {key: i for i, key in reversed(list(enumerate(keys)))}
    known = strings_of(text.table)
    if known is not None:
        table = builder.constant([places.get(s, len(keys)) for s in known], DType.I32)
        return builder.one("Gather", table, text.rows, axis=0)
    if not places:
        return builder.one("Expand", builder.constant(0, DType.I32), shape=text.rows.shape)
    return _searched(builder, bytes_of(builder, text), places, len(keys))


def _searched(builder: Builder, whole: Value, places: dict[str, int], unknown: int) -> Value:
    """By hashes, of which a search in their order finds the one that may be, and then by all bytes."""
    table = matrix([*places])
    table = np.pad(table, ((0, 0), (0, 1)), constant_values=END)  # longer strings have something else there
    factors, hashes = _hashes(table)
    levels = next(n for n in range(1, 32) if _BRANCHES**n >= len(hashes))
    branches = next(n for n in range(1, _BRANCHES + 1) if n**levels >= len(hashes))
    spare = branches**levels - len(hashes)
    order = np.argsort(hashes)
    in_order = builder.constant(np.pad(hashes[order], (0, spare), constant_values=2**32 - 1))
    candidates = np.pad(table[order], ((0, spare), (0, 0)), constant_values=_NO_STRING)
    targets = np.pad(np.array([*places.values()], np.int32)[order], (0, spare), constant_values=unknown)

    one, constant_ = builder.one, builder.constant
    rows = fitted(builder, whole, table.shape[1])
    products = one("Mul", one("Cast", rows, to=DType.U32), constant_(factors))
    asked = one("ReduceSum", products, axes=(rows.rank - 1,), keepdims=True)
    at = constant_(
        [0], DType.I32
    )  # [..., 1]: the last hash that is not more, from level to level more exactly
    for level in reversed(range(levels)):
        steps = constant_(np.arange(branches) * branches**level, DType.I32)
        tried = one("Gather", in_order, one("Add", at, steps), axis=0)
        passed = one("Cast", one("LessOrEqual", tried, asked), to=DType.I32)
        count = one("ReduceSum", passed, axes=(passed.rank - 1,), keepdims=True)
        further = one("Max", one("Sub", count, constant_(1, DType.I32)), constant_(0, DType.I32))
        at = one("Add", at, one("Mul", further, constant_(branches**level, DType.I32)))
    at = one("Reshape", at, shape=whole.shape[:-1])
    same = same_bytes(builder, rows, one("Gather", constant_(candidates), at, axis=0))
    return one("Where", same, one("Gather", constant_(targets), at, axis=0), constant_(unknown, DType.I32))


def _hashes(table: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Factors of a row's bytes whose sum modulo 2**32 tells the rows apart, and the sums."""
    for seed in range(_MOST_SEEDS):
        rng = np.random.default_rng(seed)
        factors: NDArray[np.uint32] = rng.integers(0, 2**32, table.shape[1], np.uint32)
        sums: NDArray[np.uint32] = (table.astype(np.uint32) * factors).sum(axis=1, dtype=np.uint32)
        if len(np.unique(sums)) == len(table):
            return factors, sums
    raise OpError(f"{len(table)} strings are too many to tell apart")


def numbers(builder: Builder, text: Text, dtype: DType) -> Value:
    """The numbers that strings are in decimal (`pyruntime.ops.numerals`).

    A float of less than 32 bits comes as the float32 that is to be rounded to it, an integer of less than 8
    as one of 8.
    """
    narrow = dtype.is_float and dtype not in FORMATS
    to = DType.F32 if narrow else dtype.code or dtype
    words = builder.one("ParseNumber", text.table, to=to, odd=narrow)
    low, *more = (
        builder.one("Gather", words, builder.constant(i, DType.I32), axis=1) for i in range(words_of(to))
    )
    for high in more:
        wide = builder.one("Cast", high, to=DType.U64)
        wide = builder.one("BitShift", wide, builder.constant(32, DType.U64), direction="LEFT")
        low = builder.one("BitwiseOr", builder.one("Cast", low, to=DType.U64), wide)
    found = builder.one("BitCast", low, to=to if to.bytes == low.dtype.bytes else DType.I32)
    if to.is_integer:
        found = builder.one("Cast", found, to=to)
        least, most = (builder.constant(limit, to) for limit in limits(dtype))
        if to is not dtype:
            kept = builder.one("Min", builder.one("Max", found, least), most)
            found = builder.one("Where", builder.one("Equal", found, kept), found, least)
    return builder.one("Gather", found, text.rows, axis=0)


def truths(builder: Builder, text: Text) -> Value:
    """Whether strings are true, bool: all but `_FALSE` and those that are zero as numbers.

    ONNX leaves it open. ONNX Runtime takes integers alone, so; ONNX's reference has only the empty one false.
    """
    words = builder.one("ParseNumber", text.table, to=DType.F32, odd=True)  # zero for nothing else
    size = builder.one("BitwiseAnd", words, builder.constant(0x7FFFFFFF, DType.U32))
    zero = builder.one("Equal", size, builder.constant(0, DType.U32))
    zero = builder.one("Gather", builder.one("Reshape", zero, shape=(words.shape[0],)), text.rows, axis=0)
    place = found_in(builder, text, _FALSE)
    word = builder.one("Less", place, builder.constant(len(_FALSE), DType.I32))
    return builder.one("Not", builder.one("Or", zero, word))


def chosen(builder: Builder, index: Value, strings: Sequence[str]) -> Text:
    """The string at each index."""
    array = np.empty(len(strings), object)
    array[:] = strings
    table = constant(builder, array)
    if index.dtype is not DType.I32:
        index = builder.one("Cast", index, to=DType.I32)
    return Text(builder.one("Gather", table.rows, index, axis=0), table.table)


def limit(text: Text, most: int, graph: Graph, sources: Mapping[Value, Value], origin: Origin) -> None:
    """Let the graph's inputs that a text is made of be refused where bytes of theirs are more than `most`.

    Raises UnsupportedError, of `origin`, where a constant that it is made of has such bytes.
    """
    pending, seen = [text.table], set[Value]()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.data is not None:
            if value.dtype is DType.U8 and ((value.data > most) & (value.data < _NO_STRING)).any():
                reason = "its input has constants of characters whose case is not supported"
                raise UnsupportedError(origin.op, origin.name, reason)
        elif value in sources:
            pending.append(sources[value])
        elif value.producer is not None:
            pending += [v for v in value.producer.inputs if v is not None]
        elif graph.encoded.get(value.name) is DType.STRING:
            _, known = graph.ranges.get(value.name, (0, END))
            graph.ranges[value.name] = (0, min(known, most))
