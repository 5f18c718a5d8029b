"""Values while lowering: an expression tree over views, perhaps on a pending kernel, not in memory yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pyruntime_converter.lowering import views

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Origin, Shape
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.scalar import Const, Index, Load, Scalar, Size, call, transform, walk
from pyruntime.ir.views import Tensor, View

# a shader stage may bind 8 storage buffers by default: seven read, one written
MAX_TENSORS_READ = 7


class Host(Protocol):
    """A structured kernel that waits for its epilogue."""

    @property
    def tensors(self) -> set[Tensor]:
        """The tensors that it reads itself."""
        ...

    def order(self) -> Sequence[int]:
        """Axes of the space in the order in which the kernel stores best, outermost first."""
        ...

    def emit(self, name: str, lazy: Lazy, output: View) -> KernelCall:
        """The kernel call that stores lazy's tree to output, a view over the space."""
        ...


@dataclass(frozen=True)
class Move:
    """A transpose (`perm` given) or reshape between a pending kernel's space and the value's shape."""

    before: Shape
    after: Shape
    perm: tuple[int, ...] = ()

    def forward(self, view: View) -> View | None:
        """A view over `before`, seen over `after`."""
        if self.perm:
            return views.transpose(view, self.perm)
        return views.reshape(view, self.before, self.after)

    def backward(self, view: View) -> View | None:
        """A view over `after`, seen over `before`."""
        if self.perm:
            return views.transpose(view, inverse(self.perm))
        return views.reshape(view, self.after, self.before)


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes perm."""
    return tuple(sorted(range(len(perm)), key=lambda i: perm[i]))


@dataclass(frozen=True)
class Lazy:
    """tree(leaves) over `space`; with `host`, tree has Acc leaves that its kernel computes.

    Without host, movement ops change the leaves at once. With host they are kept as `moves`, and operands
    that join later are taken back through them.
    """

    space: Shape
    tree: Scalar
    leaves: tuple[View, ...] = ()
    sizes: tuple[Dim, ...] = ()
    origins: tuple[Origin, ...] = ()
    host: Host | None = None
    moves: tuple[Move, ...] = ()

    @staticmethod
    def of(view: View, shape: Shape, origins: tuple[Origin, ...] = ()) -> Lazy:
        """What is already in memory."""
        return Lazy(shape, Load(view.tensor.dtype, 0), (view,), (), origins)

    @property
    def shape(self) -> Shape:
        """The value's shape."""
        return self.moves[-1].after if self.moves else self.space

    @property
    def view(self) -> View | None:
        """The memory that holds the value, if it is nothing else (no padding, no gather)."""
        if self.host or not isinstance(self.tree, Load):
            return None
        view = self.leaves[self.tree.operand]
        return None if view.guards or view.indirect else view

    @property
    def tensors(self) -> set[Tensor]:
        """All tensors that a kernel for this value would read."""
        return {v.tensor for v in self.leaves} | (self.host.tensors if self.host else set())

    def indexed(self) -> set[int]:
        """Axes of the space whose index the tree or a guard uses."""
        axes = {n.axis for n in walk(self.tree) if isinstance(n, Index)}
        return axes | {g.axis for v in self.leaves for g in v.guards}

    def transpose(self, perm: Sequence[int]) -> Lazy:
        """Axis i of the result is axis perm[i]."""
        shape = tuple(self.shape[a] for a in perm)
        if self.host:
            return replace(self, moves=(*self.moves, Move(self.shape, shape, tuple(perm))))
        position = inverse(perm)
        tree = transform(
            self.tree, lambda n: replace(n, axis=position[n.axis]) if isinstance(n, Index) else n
        )
        return replace(
            self, space=shape, tree=tree, leaves=tuple(views.transpose(v, perm) for v in self.leaves)
        )

    def reshape(self, target: Shape) -> Lazy | None:
        """The same elements under another shape, or None where it takes a copy."""
        if target == self.shape:
            return self
        if self.host:
            return replace(self, moves=(*self.moves, Move(self.shape, target)))
        groups = views.factor(self.space, target) if 0 not in self.space else []
        leaves = [views.reshape(v, self.space, target) for v in self.leaves]
        if any(v is None for v in leaves):
            return None
        axes = {left[0]: right[0] for left, right in groups or () if len(left) == len(right) == 1}
        used = {n.axis for n in walk(self.tree) if isinstance(n, Index) and self.space[n.axis] != 1}
        if not used <= axes.keys():
            return None

        def leaf(node: Scalar) -> Scalar:
            if not isinstance(node, Index):
                return node
            return replace(node, axis=axes[node.axis]) if node.axis in axes else Const(node.dtype, 0)

        return replace(
            self,
            space=target,
            tree=transform(self.tree, leaf),
            leaves=tuple(v for v in leaves if v is not None),
        )

    def slice(self, starts: Sequence[Dim], lengths: Shape, steps: Sequence[Dim]) -> Lazy | None:
        """A strided part, or None where it takes a copy."""
        if self.host:
            return None
        leaves = [views.slice_(v, starts, steps) for v in self.leaves]
        if any(v is None for v in leaves):
            return None
        sizes = list(self.sizes)

        def size(dtype: DType, dim: Dim) -> Scalar:
            sizes.append(dim)
            return Size(dtype, len(sizes) - 1)

        def leaf(node: Scalar) -> Scalar:
            if not isinstance(node, Index) or (starts[node.axis] == 0 and steps[node.axis] == 1):
                return node
            step = steps[node.axis]
            scaled = call(
                "mul", node, Const(node.dtype, step) if isinstance(step, int) else size(node.dtype, step)
            )
            return call("add", scaled, size(node.dtype, starts[node.axis]))

        tree = transform(self.tree, leaf)
        return replace(
            self,
            space=lengths,
            tree=tree,
            leaves=tuple(v for v in leaves if v is not None),
            sizes=tuple(sizes),
        )

    def placed(self, axis: int, start: int, size: Dim) -> Lazy | None:
        """The value from index `start` of an axis of `size` on, and anything elsewhere; None as above."""
        before = tuple(start if a == axis else 0 for a in range(len(self.space)))
        after = tuple(size - d - start if a == axis else 0 for a, d in enumerate(self.space))
        leaves = [views.pad(v, self.space, before, after, v.fill) for v in self.leaves]
        if self.host or any(v is None for v in leaves):
            return None

        def leaf(node: Scalar) -> Scalar:
            moves = isinstance(node, Index) and node.axis == axis and start
            return call("sub", node, Const(node.dtype, start)) if moves else node

        return replace(
            self,
            space=tuple(size if a == axis else d for a, d in enumerate(self.space)),
            tree=transform(self.tree, leaf),
            leaves=tuple(v for v in leaves if v is not None),
        )

    def expand(self, target: Shape) -> Lazy | None:
        """Broadcast to target, or None where it takes a copy."""
        if target == self.shape:
            return self
        leaves = [views.expand(v, self.space, target) for v in self.leaves]
        lead = len(target) - len(self.space)
        used = {n.axis for n in walk(self.tree) if isinstance(n, Index)}
        if (
            self.host
            or any(v is None for v in leaves)
            or any(self.space[a] != target[a + lead] for a in used)
        ):
            return None
        tree = transform(self.tree, lambda n: replace(n, axis=n.axis + lead) if isinstance(n, Index) else n)
        return replace(self, space=target, tree=tree, leaves=tuple(v for v in leaves if v is not None))

    def backward(self, view: View) -> View | None:
        """A view over the value's shape, seen over the space; None where strides cannot say it."""
        seen: View | None = view
        for move in reversed(self.moves):
            seen = None if seen is None else move.backward(seen)
        return seen

    def into_space(self, other: Lazy) -> Lazy | None:
        """This value, of other's shape, seen over the space of other's host."""
        lazy: Lazy | None = self
        for move in reversed(other.moves):
            if lazy is None:
                return None
            lazy = lazy.transpose(inverse(move.perm)) if move.perm else lazy.reshape(move.before)
        return lazy


class Pool:
    """Collects the leaves and sizes of several values, each once."""

    def __init__(self) -> None:
        self.leaves: list[View] = []
        self.sizes: list[Dim] = []

    def add(self, lazy: Lazy) -> Scalar:
        """lazy's tree over the pooled leaves."""
        places: dict[int, int] = {}

        def place(index: int) -> int:
            if index not in places:
                view = lazy.leaves[index]
                moved = tuple(replace(i, operand=place(i.operand)) for i in view.indirect)
                places[index] = self._at(replace(view, indirect=moved))
            return places[index]

        def size_at(dim: Dim) -> int:
            if dim not in self.sizes:
                self.sizes.append(dim)
            return self.sizes.index(dim)

        def leaf(node: Scalar) -> Scalar:
            if isinstance(node, Load):
                return replace(node, operand=place(node.operand))
            return replace(node, slot=size_at(lazy.sizes[node.slot])) if isinstance(node, Size) else node

        return transform(lazy.tree, leaf)

    def _at(self, view: View) -> int:
        if view not in self.leaves:
            self.leaves.append(view)
        return self.leaves.index(view)


def combine(args: Sequence[Lazy], shape: Shape, build: Callable[[list[Scalar]], Scalar]) -> Lazy | None:
    """build(args' elements) over shape, as one kernel; None where that cannot be one kernel."""
    hosted = [a for a in args if a.host]
    base = hosted[0] if hosted else None
    if base and (base.shape != shape or any((h.host, h.moves) != (base.host, base.moves) for h in hosted)):
        return None
    pool = Pool()
    trees: list[Scalar] = []
    for arg in args:
        lazy: Lazy | None = arg
        if not arg.host:
            lazy = arg.expand(shape)
            if lazy and base:
                lazy = lazy.into_space(base)
        if lazy is None:
            return None
        trees.append(pool.add(lazy))
    result = Lazy(
        base.space if base else shape,
        build(trees),
        tuple(pool.leaves),
        tuple(pool.sizes),
        tuple(dict.fromkeys(o for a in [*hosted[:1], *args] for o in a.origins)),
        base.host if base else None,
        base.moves if base else (),
    )
    return result if len(result.tensors) <= MAX_TENSORS_READ else None


def scalar_constant(dtype: DType, value: float | int | bool, shape: Shape) -> Lazy:
    """A constant that is the same everywhere."""
    return Lazy(shape, Const(dtype, value))
