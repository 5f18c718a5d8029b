"""Pending reductions that an elementwise op brings together: of the same rows, or of its other operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime_converter.lowering.hosts import RowHost
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ, Lazy, Pool, inverse

from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape
from pyruntime.ir.kernel import Reduction
from pyruntime.ir.scalar import Acc, Call, Scalar, transform, walk

# a workgroup walks along a row: longer ones, if few, are stored by many workgroups in a kernel of their own
_LONGEST = 4096


def together(args: Sequence[Lazy], shape: Shape) -> list[Lazy]:
    """The same operands, on one kernel of rows where they wait on several, or on one of another shape."""
    waiting = [a for a in args if a.host]
    if not all(isinstance(a.host, RowHost) for a in waiting) or any(map(_wide, args)):
        return [*args]
    joined = _merged(args)
    if any(a.host and a.shape != shape for a in joined):
        spread = [spread_over(a, shape) if a.host else a for a in joined]
        made = [a for a in spread if a is not None]
        return made if len(made) == len(args) else joined
    return joined


def spread_over(lazy: Lazy, shape: Shape) -> Lazy | None:
    """A value per row as one for each element of the rows, stored by its kernel; None if it does not fit.

    The kernel then passes over the rows once more, so that what reads their elements can join it.
    """
    host = lazy.host
    if not isinstance(host, RowHost) or host.elementwise:
        return None
    kept = _axes(lazy, host.outer)
    if kept is None:
        return None
    lead = len(shape) - len(lazy.shape)
    kept = [a + lead for a in kept]
    others = [a for a in range(len(shape)) if a not in kept]
    length = product(host.reduced)
    fits = (*(shape[a] for a in kept), *(shape[a] for a in others)) == (*host.outer, *host.reduced)
    if not fits or not isinstance(length, int) or length > _LONGEST:
        return None
    zeros = (0,) * len(others)
    whole = replace(
        lazy,
        space=(*host.outer, *host.reduced),
        leaves=tuple(replace(v, strides=(*v.strides, *zeros)) for v in lazy.leaves),
        host=replace(host, elementwise=True),
        moves=(),
    )
    return whole.transpose(inverse([*kept, *others]))


def _axes(lazy: Lazy, outer: Shape) -> list[int] | None:
    """Which axis of the value each of outer is, where its moves only add axes of size 1."""
    if not lazy.moves:
        return [*range(len(outer))]
    if len(lazy.moves) > 1 or lazy.moves[0].perm:
        return None
    found: list[int] = []
    for axis, size in enumerate(lazy.shape):
        if len(found) < len(outer) and size == outer[len(found)]:
            found.append(axis)
        elif size != 1:
            return None
    return found if len(found) == len(outer) else None


def _merged(args: Sequence[Lazy]) -> list[Lazy]:
    """Reductions of several operands over the same rows as those of one kernel."""
    hosts = [*dict.fromkeys(a.host for a in args if isinstance(a.host, RowHost))]
    kinds = {(h.outer, h.reduced, h.elementwise) for h in hosts}
    if len(hosts) < 2 or len(kinds) > 1 or len({a.moves for a in args if a.host}) > 1:
        return [*args]
    if len(set().union(*(a.tensors for a in args))) > MAX_TENSORS_READ:
        return [*args]
    pool, reductions, first = Pool(), list[Reduction](), dict[RowHost, int]()
    for host in hosts:
        first[host] = start = len(reductions)
        for reduction in host.reductions:
            body = _renumbered(reduction.body, start)
            tree = pool.add(Lazy((*host.outer, *host.reduced), body, host.leaves, host.sizes))
            reductions.append(replace(reduction, body=tree))
    one = replace(hosts[0], leaves=tuple(pool.leaves), sizes=tuple(pool.sizes), reductions=tuple(reductions))
    return [
        replace(a, host=one, tree=_renumbered(a.tree, first[a.host])) if isinstance(a.host, RowHost) else a
        for a in args
    ]


def _renumbered(tree: Scalar, by: int) -> Scalar:
    """The tree where the results of reductions come so many places later."""
    return transform(tree, lambda n: replace(n, index=n.index + by) if isinstance(n, Acc) else n)


def _wide(lazy: Lazy) -> bool:
    """Whether a GPU may have to leave it to the CPU, and with it what joins it."""
    reductions = lazy.host.reductions if isinstance(lazy.host, RowHost) else ()
    trees = [lazy.tree, *(r.body for r in reductions)]
    return any(
        n.dtype is DType.F64 or (isinstance(n, Call) and n.dtype in (DType.I64, DType.U64))
        for tree in trees
        for n in walk(tree)
    )
