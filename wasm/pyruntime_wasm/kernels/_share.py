"""Where a call is cut into parts for threads; in C, cut.h has the loops for it.

A cut must not change results: kernels that round differently at the edges of blocks are cut there alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyruntime.ir.dims import Dim, maximum, minimum
from pyruntime.ir.symbols import evaluate, symbols_of
from pyruntime_wasm.kernels import Share

# work of one operation for one element, where that of a tile of matrix products is 1
VECTOR_WORK, SCALAR_WORK = 4, 16

POINTS = 64  # units of an innermost loop: cuts between whole vectors, and seldom inside a cache line
_ENOUGH = 8  # units that are cut well by any number of threads that there may be
_TYPICAL = 64  # what symbols are taken for


def best_cut(candidates: Sequence[tuple[int, Dim]], work: Dim) -> Share:
    """The first (axis, units) with many units, else the one with most; `work` as in Share.

    Symbols are taken for typical. Where they turn out smaller, as a batch of one, the next best axis is cut.
    """
    axis, units = _first_long(candidates)
    others = [c for c in candidates if c[0] != axis]
    if isinstance(units, int) or not others:
        return Share(axis, units, work)
    other, count = _first_long(others)
    # 1 or 0
    better = minimum(1, maximum(0, units - minimum(count, _ENOUGH) + 1))
    return Share(other + better * (axis - other), count + better * (units - count), work)


def _first_long(candidates: Sequence[tuple[int, Dim]]) -> tuple[int, Dim]:
    many = [c for c in candidates if typical(c[1]) >= _ENOUGH]
    return many[0] if many else max(candidates, key=lambda c: typical(c[1]))


def typical(size: Dim) -> int:
    """What a size is taken for where sizes are compared."""
    return evaluate(size, dict.fromkeys(symbols_of(size), _TYPICAL))
