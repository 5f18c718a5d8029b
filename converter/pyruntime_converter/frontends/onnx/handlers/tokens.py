"""ONNX Runtime's Tokenizer, with which skl2onnx writes the vectorisers of texts: words or characters."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from pyruntime.ir.dims import Dim, maximum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.strings import END
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.quantization import MICROSOFT
from pyruntime_converter.frontends.onnx.handlers.strings import Tokens, between, both, running, strings, taken
from pyruntime_converter.frontends.onnx.held import Text

_CLASS = re.compile(
    r"(?P<of>\[\^?(?:\\[^bB]|[^\]\\\[])+\]|\\[wWdDsS]|\.)(?P<run>\+|\{(?P<least>[1-9][0-9]*),\})?"
)
_ASCII = 0x80
_CONTINUED = (0x80, 0xBF)  # bytes of a character behind its first one
_REMEDY = "Tokenise before the model, or by an expression such as '[a-zA-Z0-9_]+' or '.'."


class _Pattern(NamedTuple):
    """Characters of which tokens are made.

    Attributes:
        ascii: which of the first 128 are among them.
        others: whether all others are.
        runs: whether as many as there are in a row are one token, or each is one.
        least: how many a token has at least.
    """

    ascii: tuple[bool, ...]
    others: bool
    runs: bool
    least: int


@handles("Tokenizer", domain=MICROSOFT)
def tokenizer(ctx: NodeContext) -> Text:
    """The tokens of each string, as many as the most of any one; the rest is `pad_value`."""
    given, filler = strings(ctx), str(ctx.required("pad_value")).encode()
    pattern, shape = _pattern(ctx), given.rows.shape
    if len(shape) not in (1, 2):
        ctx.invalid(f"strings of rank {len(shape)}, neither [C] nor [N, C]")
    whole = text.bytes_of(ctx.builder, given)
    width, count = maximum(whole.shape[-1], max(len(filler), pattern.least)), product(shape)
    rows = ctx.reshape(text.fitted(ctx.builder, whole, width), (count, width))
    tokens = _tokens(ctx, rows, pattern)
    size = ctx.measure(ctx.one("ReduceMax", tokens.counts, axes=(0, 1), keepdims=False), tokens.most)
    parts = taken(ctx, rows, tokens, size)
    place = ctx.one("Range", size=size, dtype=DType.I32)
    own = ctx.reshape(ctx.one("Less", place, tokens.counts), (count, size, 1))
    other = text.fitted(ctx.builder, ctx.builder.constant(np.frombuffer(filler, np.uint8)), width)
    made = ctx.one("Where", own, parts, other)
    return text.of_bytes(ctx.builder, ctx.reshape(made, (*shape, size, width)))


def _pattern(ctx: NodeContext) -> _Pattern:
    """What the attributes say. Raises UnsupportedError for other expressions than a class of characters."""
    expression, least = ctx.attr("tokenexp"), ctx.attr("mincharnum") or 1
    if ctx.attr("separators") or not expression:
        ctx.fail("separators are not supported", _REMEDY)
    if ctx.attr("mark"):
        ctx.fail("marks of begins and ends are not supported")
    found = _CLASS.fullmatch(expression)
    if found is None or not expression.isascii():
        ctx.fail(f"the expression {expression!r} is not supported", _REMEDY)
    member = re.compile(found["of"], re.ASCII | re.DOTALL)
    least = max(least, int(found["least"] or 1))
    holds = tuple(member.fullmatch(chr(c)) is not None for c in range(_ASCII))
    others, runs = member.fullmatch("é") is not None, bool(found["run"])
    if others and least > 1:
        ctx.fail(f"tokens of at least {least} of any characters are not supported", _REMEDY)
    return _Pattern(holds, others, runs, least)


def _tokens(ctx: NodeContext, rows: Value, pattern: _Pattern) -> Tokens:
    """Where the tokens of strings [strings, width] are."""
    inside, width = _members(ctx, rows, pattern), rows.shape[1]
    if not pattern.runs:
        one = ctx.one("Not", between(ctx, rows, *_CONTINUED))
        begins, most = both(ctx, inside, one), width
        if pattern.least > 1:  # none has more than one character
            begins = both(ctx, begins, ctx.builder.constant(False, DType.BOOL))
    else:
        inside = _long(ctx, inside, pattern.least)
        begins = both(ctx, inside, ctx.one("Not", _moved(ctx, inside, 1)))
        most = (width + 1) // 2 if isinstance(width, int) else width
    numbers = ctx.one("Sub", running(ctx, begins), ctx.builder.constant(1, DType.I32))
    counts = ctx.one("ReduceSum", ctx.cast(begins, DType.I32), axes=(1,), keepdims=True)
    return Tokens(numbers, inside, counts, most)


def _members(ctx: NodeContext, rows: Value, pattern: _Pattern) -> Value:
    """Whether each byte is of a character that tokens are made of."""
    found = ctx.builder.constant(False, DType.BOOL)
    edges = np.flatnonzero(np.diff(np.array([False, *pattern.ascii, False], np.int8)))
    ranges = [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]
    for first, last in ranges + [(_ASCII, END - 1)] * pattern.others:
        found = ctx.one("Or", found, between(ctx, rows, first, last))
    return ctx.one("Expand", found, shape=rows.shape)


def _long(ctx: NodeContext, inside: Value, least: int) -> Value:
    """What of a mask [strings, width] is in runs of at least so many."""
    begins = inside
    for shift in range(1, least):
        begins = both(ctx, begins, _moved(ctx, inside, -shift))
    long = begins
    for shift in range(1, least):
        long = ctx.one("Or", long, _moved(ctx, begins, shift))
    return long


def _moved(ctx: NodeContext, mask: Value, by: Dim) -> Value:
    """A mask moved to the back along its last axis; what comes in does not hold."""
    return ctx.one("Pad", mask, before=(0, by), after=(0, -by), value=False)
