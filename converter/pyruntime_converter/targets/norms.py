"""Norms in two: a kernel that stores what each row shares, such as its mean, and elements that read it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Aside, Row
from pyruntime.ir.scalar import Acc, Call, Const, Load, Scalar, Size, walk
from pyruntime.ir.views import Tensor, View
from pyruntime_converter.lowering.lazy import Lazy, Pool
from pyruntime_converter.lowering.views import contiguous_strides


@dataclass(frozen=True)
class Divided:
    """A norm in two.

    Attributes:
        rows: stores what each row shares, in float32.
        body: makes the elements.
        inputs: what `body` loads, over the space of the norm.
    """

    rows: Row
    body: Scalar
    inputs: tuple[View, ...]


def divided(call: Row) -> Divided | None:
    """A Row in two; None where it is no norm, or what reductions give to all of a row is not in float32."""
    if not call.elementwise or call.asides:
        return None
    elements = _Elements(call)
    body, shared = elements.of(call.body), elements.shared
    if not shared or any(s.dtype is not DType.F32 for s in shared):
        return None
    views = _places(call, len(shared))
    pool = Pool()
    trees = [
        pool.add(Lazy(call.sizes, tree, call.inputs, call.size_values))
        for tree in (*shared, *(r.body for r in call.reductions))
    ]
    kept, reduced = trees[: len(shared)], trees[len(shared) :]
    rows = replace(
        call,
        inputs=tuple(pool.leaves),
        size_values=tuple(pool.sizes),
        output=views[0],
        reductions=tuple(replace(r, body=b) for r, b in zip(call.reductions, reduced, strict=True)),
        body=kept[0],
        elementwise=False,
        asides=tuple(Aside(v, b) for v, b in zip(views[1:], kept[1:], strict=True)),
    )
    return Divided(rows, body, (*call.inputs, *views))


class _Elements:
    """The elements of a Row in terms of its operands and of what each row shares, which it collects.

    Attributes:
        shared: trees that are the same for all of a row and hang on a reduction; element n of them is
            operand n behind those of the call.
    """

    def __init__(self, call: Row) -> None:
        self.shared: list[Scalar] = []
        self._operands = len(call.inputs)
        self._made: dict[int, Scalar] = {}  # by the node's id
        still, reduced = set[int](), set[int]()  # of the same for all of a row; of what hangs on a reduction
        for node in walk(call.body):
            args = {id(a) for a in node.args} if isinstance(node, Call) else set[int]()
            if args <= still if isinstance(node, Call) else _still(call, node):
                still.add(id(node))
            if isinstance(node, Acc) or args & reduced:
                reduced.add(id(node))
        self._ends = still & reduced

    def of(self, node: Scalar) -> Scalar:
        """A node of the call's body."""
        if id(node) not in self._made:
            self._made[id(node)] = self._rest(node)
        return self._made[id(node)]

    def _rest(self, node: Scalar) -> Scalar:
        if id(node) in self._ends:
            return self._load(node)
        if not isinstance(node, Call):
            return node
        if node.function == "div" and id(node.args[1]) in self._ends:  # a row divides once
            inverse = Call(node.dtype, "div", (Const(node.dtype, 1.0), node.args[1]))
            return _times(self.of(node.args[0]), self._load(inverse))
        args = tuple(map(self.of, node.args))
        return _times(*args) if node.function == "mul" else replace(node, args=args)

    def _load(self, tree: Scalar) -> Load:
        if tree not in self.shared:
            self.shared.append(tree)
        return Load(tree.dtype, self._operands + self.shared.index(tree))


def _times(a: Scalar, b: Scalar) -> Scalar:
    one = Const(a.dtype, 1.0)
    return b if a == one else a if b == one else Call(a.dtype, "mul", (a, b))


def _still(call: Row, leaf: Scalar) -> bool:
    """Whether a leaf is the same for all of a row."""
    if isinstance(leaf, Load):
        return _of_rows(call, call.inputs[leaf.operand])
    return isinstance(leaf, (Acc, Const, Size))


def _of_rows(call: Row, view: View) -> bool:
    """Whether a view gives the same for all of a row."""
    outer = len(call.sizes) - call.reduced
    moves = any(s != 0 for s in view.strides[outer:]) or any(g.axis >= outer for g in view.guards)
    return not moves and all(_of_rows(call, call.inputs[i.operand]) for i in view.indirect)


def _places(call: Row, count: int) -> list[View]:
    """Where so many float32 of each row lie, all of the first before those of the second."""
    sizes = call.sizes[: len(call.sizes) - call.reduced]
    tensor = Tensor(f"{call.output.tensor.name}.rows", DType.F32, product(sizes) * count)
    strides = (*contiguous_strides(sizes), *(0,) * call.reduced)
    return [View(tensor, product(sizes) * i, strides) for i in range(count)]
