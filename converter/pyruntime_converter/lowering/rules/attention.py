"""Lowering of attention and of rotary embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyruntime_converter.lowering.hosts import AttentionHost
from pyruntime_converter.lowering.lazy import Lazy, Pool, combine, scalar_constant
from pyruntime_converter.lowering.lower import Lowering, lowers

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, floordiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node, Shape, Value
from pyruntime.ir.program import Boundary
from pyruntime.ir.scalar import Acc, Const, Index, Scalar, Size, call, cast
from pyruntime.ir.views import View

I32 = DType.I32


@lowers("Attention")
def attention(low: Lowering, node: Node) -> Lazy:
    """One kernel that reads its operands where they lie; the score is a tree over products of q and k."""
    q, k, v = (node.input(i) for i in range(3))
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    *lead, m, value_width = node.output.shape
    n, width = k.shape[-2:]
    if not (isinstance(width, int) and isinstance(value_width, int)):
        raise UnsupportedError(
            node.origin.op,
            node.origin.name,
            f"the width of its heads ({width}, {value_width}) depends on the input sizes",
            "Fix it when exporting the model.",
        )
    if n == 0:
        return scalar_constant(q.dtype, 0.0, node.output.shape)
    groups = _Groups.of(tuple(lead), k.shape, v.shape)
    pool = Pool()
    space = (*groups.batch, m, n)
    seen = None if mask is None else groups.spread(_operand(low, mask), space)
    score = _score(node, pool, seen, len(space))
    host = AttentionHost(
        groups.batch,
        m,
        n,
        width,
        value_width,
        groups.view(low, q, (m, width)),
        groups.view(low, k, (n, width)),
        groups.view(low, v, (n, value_width)),
        score,
        tuple(pool.leaves),
        tuple(pool.sizes),
        node.attrs["past"] if node.attrs["causal"] else None,
        node.attrs["safe"],
        groups.order(_wanted(low, node.output)),
    )
    result = Lazy((*groups.batch, m, value_width), Acc(q.dtype), (), (), (node.origin,), host)
    return low.reshaped(low.store(result, why=Boundary.ALONE), node.output.shape)


@dataclass(frozen=True)
class _Groups:
    """The leading axes; with grouped queries heads are two axes: those of keys, and the queries to each."""

    lead: Shape
    factor: Dim  # queries that share a head; 1 for an axis of heads that stays one

    @staticmethod
    def of(lead: Shape, *others: Shape) -> _Groups:
        """For queries with the leading axes `lead`, and shapes of keys and values."""
        heads = {s[-3] for s in others if len(s) > 2} - {1}
        (fewest,) = heads if len(heads) == 1 else (lead[-1] if lead else 1,)
        return _Groups(lead, floordiv(lead[-1], fewest) if lead else 1)

    @property
    def batch(self) -> Shape:
        """The leading axes of the kernel."""
        if self.factor == 1:
            return self.lead
        return (*self.lead[:-1], floordiv(self.lead[-1], self.factor), self.factor)

    def spread(self, lazy: Lazy, space: Shape) -> Lazy:
        """A value that broadcasts to the scores, over the kernel's space."""
        padded = (*(1 for _ in range(len(self.lead) + 2 - len(lazy.shape))), *lazy.shape)
        *outer, rows, columns = padded
        if self.factor != 1:
            *outer, heads = outer
            outer += [1, 1] if heads == 1 else self.batch[-2:] if heads == self.lead[-1] else [heads, 1]
        apart = lazy.reshape((*outer, rows, columns))
        assert apart is not None
        wide = apart.expand(space)
        assert wide is not None
        return wide

    def view(self, low: Lowering, value: Value, tail: Shape) -> View:
        """Queries, keys or values in memory, over the kernel's batch axes and `tail`."""
        view = self.spread(Lazy.of(low.view(value), value.shape), (*self.batch, *tail)).view
        assert view is not None
        return view

    def order(self, wanted: Sequence[int]) -> tuple[int, ...]:
        """An order of the output's axes as one of the kernel's."""
        if self.factor == 1:
            return tuple(wanted)
        heads = len(self.lead) - 1
        return tuple(b for a in wanted for b in ((a, a + 1) if a == heads else (a + (a > heads),)))


def _wanted(low: Lowering, output: Value) -> Sequence[int]:
    """The order in which the output's only reader wants its axes, if it wants the last one innermost."""
    readers = low.uses.get(output, [])
    perm = readers[0].attrs["perm"] if len(readers) == 1 and readers[0].op == "Transpose" else ()
    return perm if perm and perm[-1] == output.rank - 1 else range(output.rank)


def _operand(low: Lowering, mask: Value) -> Lazy:
    """A mask as it is read for each score: from memory."""
    lazy = low.lazy(mask)
    constant = not lazy.leaves and not lazy.host and not lazy.indexed()
    return lazy if constant else Lazy.of(low.view(mask), mask.shape)


def _score(node: Node, pool: Pool, mask: Lazy | None, rank: int) -> Scalar:
    """Scale, cap and masks of a product, over a space of `rank` axes."""
    attrs, dtype = node.attrs, node.output.dtype
    score = call("mul", Acc(dtype), Const(dtype, float(attrs["scale"])))
    if attrs["softcap"]:
        cap = Const(dtype, float(attrs["softcap"]))
        score = call("mul", call("tanh", call("div", score, cap)), cap)
    if mask is not None:
        tree = pool.add(mask)
        if tree.dtype is DType.BOOL:
            score = call("select", tree, score, Const(dtype, float(attrs["fill"])))
        else:
            score = call("add", score, tree)
    if attrs["causal"]:
        last: Scalar = Index(I32, rank - 2)
        if attrs["past"] != 0:
            pool.sizes.append(attrs["past"])
            last = call("add", last, Size(I32, len(pool.sizes) - 1))
        seen = call("le", Index(I32, rank - 1), last)
        score = call("select", seen, score, Const(dtype, float("-inf")))
    return score


@lowers("RotaryEmbedding")
def rotary_embedding(low: Lowering, node: Node) -> Lazy:
    """Elementwise over x with its last axis as pairs: the other one of each is a step along an axis of 2."""
    x = node.input(0)
    width = x.shape[-1]
    assert isinstance(width, int)
    pairs = (width // 2, 2) if node.attrs["interleaved"] else (2, width // 2)
    axis = x.rank if node.attrs["interleaved"] else x.rank - 1  # which of a pair
    shape = (*x.shape[:-1], *pairs)
    view = low.view(x)
    itself = Lazy.of(view, x.shape).reshape(shape)
    assert itself is not None
    (leaf,) = itself.leaves
    step = leaf.strides[axis]
    strides = tuple(-s if a == axis else s for a, s in enumerate(leaf.strides))
    other = Lazy.of(replace(leaf, offset=leaf.offset + step, strides=strides), shape)
    angles = []
    for value in node.inputs[1:]:
        assert value is not None
        own = [*pairs]
        if value.shape[-1] != width:
            own[axis - x.rank + 1] = 1
        angle = Lazy.of(low.view(value), value.shape).reshape((*value.shape[:-1], *own))
        assert angle is not None
        angles.append(angle)
    dtype = x.dtype

    def build(trees: list[Scalar]) -> Scalar:
        here, there, cos, sin = (cast(t, DType.F32) if dtype is DType.F16 else t for t in trees)
        first = call("eq", Index(DType.I32, axis), Const(DType.I32, 0))
        turned = call("mul", there, call("select", first, call("neg", sin), sin))
        return cast(call("add", call("mul", here, cos), turned), dtype)

    result = combine([itself, other, *angles], shape, build)
    assert result is not None
    return low.reshaped(low.store(replace(result, origins=(node.origin,)), why=Boundary.ALONE), x.shape)
