"""TfIdfVectorizer over integers, which strings become: windows compared with all n-grams, counted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis

MOST_SKIPS = 64  # distances between an n-gram's elements that are compared one by one


@handles("TfIdfVectorizer")
def tf_idf_vectorizer(ctx: NodeContext) -> Value:
    """How often each n-gram stands in a row, with up to so many elements skipped between its own."""
    strings, mode = ctx.text(), ctx.choice("mode", "TF", "IDF", "TFIDF")
    words = tuple(ctx.attr("pool_strings") or ())
    if (strings is None) != (not words):
        ctx.invalid("its n-grams are not of its input's type")
    # strings become their places in the pool, of which the first of equal ones counts
    x = ctx.input() if strings is None else text.found_in(ctx.builder, strings, words)
    if x.rank > 2:
        ctx.invalid(f"rank {x.rank}, more than 2")
    rows = ctx.reshape(x, (1,) * (2 - x.rank) + x.shape)
    places = np.asarray(ctx.required("ngram_indexes"), np.int64)
    weights = ctx.attr("weights") or [1.0] * places.size
    if not places.size or places.min() < 0 or len(weights) != places.size:
        ctx.invalid(f"{len(weights)} weights for n-grams whose counts go to {places.tolist()}")
    width = ctx.limited(int(places.max()) + 1, "its output")
    counts: list[Value] = []
    taken: list[int] = []  # where the counts go
    for first, pool in _pools(ctx):
        chosen = slice(first, first + len(pool))
        counted = _counted(ctx, rows, pool)
        if mode == "IDF":
            counted = ctx.one("Min", counted, ctx.like(1, counted))
        if mode != "TF":
            counted = ctx.one("Mul", counted, ctx.builder.constant(weights[chosen], DType.F32))
        counts.append(counted)
        taken += places[chosen].tolist()
    result = _placed(ctx, rows, counts, taken, width)
    return result if x.rank == 2 else ctx.reshape(result, (width,))


def _pools(ctx: NodeContext) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The n-grams of each length that counts, [number, length], and the number of the first one."""
    words = ctx.attr("pool_strings")
    numbers = [words.index(w) for w in words] if words else ctx.required("pool_int64s")
    pool, starts = np.asarray(numbers, np.int64), list(ctx.required("ngram_counts"))
    shortest, longest = ctx.required("min_gram_length"), ctx.required("max_gram_length")
    if not 1 <= shortest <= longest:
        ctx.invalid(f"n-grams of {shortest} to {longest}")
    if starts != sorted(starts) or (starts and not 0 <= starts[0] <= starts[-1] <= pool.size):
        ctx.invalid(f"ngram_counts {starts} for {pool.size} elements")
    number = 0
    for length, (start, end) in enumerate(zip(starts, [*starts[1:], pool.size], strict=True), 1):
        if (end - start) % length:
            ctx.invalid(f"{end - start} elements in n-grams of {length}")
        grams = pool[start:end].reshape(-1, length)
        if len(grams) and shortest <= length <= longest:
            yield number, grams
        number += len(grams)
    if number != len(ctx.required("ngram_indexes")):
        ctx.invalid(f"{number} n-grams, but {len(ctx.required('ngram_indexes'))} indices")


def _counted(ctx: NodeContext, rows: Value, grams: NDArray[np.int64]) -> Value:
    """How often each of the n-grams stands in each row."""
    (batch, size), (number, length) = rows.shape, grams.shape
    skips = ctx.required("max_skip_count")
    rows = ctx.cast(rows, DType.I64) if np.abs(grams).max() >= 2**31 else rows
    found: Value | None = None
    for distance in range(1, 2 if length == 1 else skips + 2):
        windows = maximum(size - (length - 1) * distance, 0)
        if windows == 0:
            break
        if distance > MOST_SKIPS:
            ctx.fail(f"it skips more than {MOST_SKIPS - 1} elements")
        equal: Value | None = None
        for element in range(length):
            part = slice_axis(ctx, rows, 1, element * distance, windows)
            asked = ctx.builder.constant(grams[:, element].reshape(1, number, 1), rows.dtype)
            same = ctx.one("Equal", ctx.reshape(part, (batch, 1, windows)), asked)
            equal = same if equal is None else ctx.one("And", equal, same)
        assert equal is not None
        count = ctx.one("ReduceSum", ctx.cast(equal, DType.F32), axes=(2,), keepdims=False)
        found = count if found is None else ctx.one("Add", found, count)
    if found is None:
        return ctx.one("Expand", ctx.builder.constant(0, DType.F32), shape=(batch, number))
    return found


def _placed(ctx: NodeContext, rows: Value, counts: list[Value], places: list[int], width: int) -> Value:
    """Counts where they belong: of those that share a place the sum, in IDF the largest; zeros elsewhere."""
    batch = rows.shape[0]
    nothing = ctx.one("Expand", ctx.builder.constant(0, DType.F32), shape=(batch, 1))
    every = ctx.one("Concat", *counts, nothing, axis=1) if counts else nothing
    layers: list[NDArray[np.int64]] = []
    seen = [0] * width
    for number, place in enumerate(places):
        if seen[place] == len(layers):
            layers.append(np.full(width, len(places), np.int64))
        layers[seen[place]][place] = number
        seen[place] += 1
    layers = layers or [np.zeros(width, np.int64)]
    gathered = [ctx.one("Gather", every, ctx.builder.constant(layer), axis=1) for layer in layers]
    result = gathered[0]
    for more in gathered[1:]:
        result = ctx.one("Max" if ctx.attr("mode") == "IDF" else "Add", result, more)
    return result
