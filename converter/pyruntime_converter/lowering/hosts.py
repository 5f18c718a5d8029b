"""The structured kernels that wait for an epilogue, and how each becomes a kernel call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.lazy import Lazy, Pool
from pyruntime_converter.lowering.space import Space, storage_order, told_order

from pyruntime.ir.dims import Dim
from pyruntime.ir.graph import Shape
from pyruntime.ir.kernel import (
    Attention,
    Blocks,
    Conv,
    Cumulate,
    KernelCall,
    Map,
    MatMul,
    Reduction,
    Row,
    Window,
)
from pyruntime.ir.kernel import Pool as PoolCall
from pyruntime.ir.scalar import Acc, Scalar
from pyruntime.ir.views import Tensor, View


def emit_map(name: str, lazy: Lazy, output: View) -> KernelCall:
    """The call that stores an elementwise value to output, a view over its space."""
    space = Space(list(lazy.space), [*lazy.leaves, output], [lazy.tree])
    order = storage_order(lazy.space, [output])
    space.permute(order)
    space.merge(0, len(space.sizes))
    *inputs, out = space.views
    return Map(
        name=name,
        origins=lazy.origins,
        inputs=tuple(inputs),
        output=out,
        size_values=lazy.sizes,
        sizes=tuple(space.sizes),
        body=space.trees[0],
    )


@dataclass(frozen=True)
class MatMulHost:
    """a [batch..., m, k] times b [batch..., k, n]; the space is (batch..., m, n)."""

    batch: Shape
    m: Dim
    n: Dim
    k: Dim
    a: View
    b: View
    panels: int = 0
    blocks: Blocks | None = None

    @property
    def tensors(self) -> set[Tensor]:
        """Both operands, and what b's blocks share."""
        shared = (self.blocks.scales, self.blocks.zeros) if self.blocks else ()
        return {v.tensor for v in (self.a, self.b, *shared) if v is not None}

    def order(self) -> Sequence[int]:
        """Row-major."""
        return range(len(self.batch) + 2)

    def emit(self, name: str, lazy: Lazy, output: View) -> KernelCall:
        """Batch axes that b does not have become rows, where the memory allows."""
        rank = len(self.batch)
        # a and b over (batch..., m, n) too, so that merging checks all views alike
        a_rows = replace(self.a, strides=(*self.a.strides[:-1], 0))
        b_rows = replace(self.b, strides=(*self.b.strides[:rank], 0, 0))
        space = Space([*self.batch, self.m, self.n], [*lazy.leaves, output, a_rows, b_rows], [lazy.tree])
        shared = rank
        while shared and b_rows.strides[shared - 1] == 0:
            shared -= 1
        space.merge(shared, rank + 1)  # batch axes without a stride in b, with m
        space.merge(0, shared)
        while len(space.sizes) < 2:
            space.sizes.insert(0, 1)
            space.views = [replace(v, strides=(0, *v.strides)) for v in space.views]
        if self._lost_m(space):
            space = Space([*self.batch, self.m, self.n], [*lazy.leaves, output, a_rows, b_rows], [lazy.tree])
        *inputs, out, a, b = space.views
        count = len(space.sizes) - 2
        return MatMul(
            name=name,
            origins=lazy.origins,
            inputs=tuple(inputs),
            output=out,
            size_values=lazy.sizes,
            batch=tuple(space.sizes[:count]),
            m=space.sizes[count],
            n=self.n,
            k=self.k,
            a=replace(a, strides=(*a.strides[: count + 1], self.a.strides[-1])),
            b=replace(b, strides=(*b.strides[:count], *self.b.strides[rank:])),
            panels=self.panels,
            blocks=self.blocks,
            body=space.trees[0],
        )

    def _lost_m(self, space: Space) -> bool:
        """Whether merging dropped m itself (size 1) and left a batch axis of b in its place."""
        count = len(space.sizes) - 2
        return count >= 0 and space.views[-1].strides[count] != 0


@dataclass(frozen=True)
class ConvHost:
    """2-D convolution over x (n, h, w, c); the space is (n, oh, ow, oc)."""

    n: Dim
    in_size: tuple[Dim, Dim]
    out_size: tuple[Dim, Dim]
    in_channels: int
    out_channels: int
    groups: int
    window: Window
    x: View
    weight: View
    panels: int

    @property
    def tensors(self) -> set[Tensor]:
        """Input and weight."""
        return {self.x.tensor, self.weight.tensor}

    def order(self) -> Sequence[int]:
        """Channels last."""
        return range(4)

    def emit(self, name: str, lazy: Lazy, output: View) -> KernelCall:
        """The convolution with lazy's tree as epilogue."""
        return Conv(
            name=name,
            origins=lazy.origins,
            inputs=lazy.leaves,
            output=output,
            size_values=lazy.sizes,
            n=self.n,
            in_size=self.in_size,
            out_size=self.out_size,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            groups=self.groups,
            window=self.window,
            x=self.x,
            weight=self.weight,
            panels=self.panels,
            body=lazy.tree,
        )


@dataclass(frozen=True)
class PoolHost:
    """2-D pooling over x (n, h, w, c); the space is (n, oh, ow, c)."""

    mode: Literal["max", "average"]
    n: Dim
    channels: Dim
    in_size: tuple[Dim, Dim]
    out_size: tuple[Dim, Dim]
    window: Window
    count_include_pad: bool
    padded: tuple[Dim, Dim]
    x: View

    @property
    def tensors(self) -> set[Tensor]:
        """The input."""
        return {self.x.tensor}

    def order(self) -> Sequence[int]:
        """Channels last."""
        return range(4)

    def emit(self, name: str, lazy: Lazy, output: View) -> KernelCall:
        """The pooling with lazy's tree as epilogue."""
        return PoolCall(
            name=name,
            origins=lazy.origins,
            inputs=lazy.leaves,
            output=output,
            size_values=lazy.sizes,
            mode=self.mode,
            n=self.n,
            channels=self.channels,
            in_size=self.in_size,
            out_size=self.out_size,
            window=self.window,
            count_include_pad=self.count_include_pad,
            padded=self.padded,
            x=self.x,
            body=lazy.tree,
        )


@dataclass(frozen=True)
class RowHost:
    """Reductions over the innermost axes of (outer..., reduced...).

    `leaves` and `sizes` belong to the reductions' bodies, which run over the whole space. An elementwise
    host's value has that whole space; else the value's space is the outer axes.
    """

    outer: Shape
    reduced: Shape
    leaves: tuple[View, ...]
    sizes: tuple[Dim, ...]
    reductions: tuple[Reduction, ...]
    elementwise: bool

    @property
    def tensors(self) -> set[Tensor]:
        """What the reductions read."""
        return {v.tensor for v in self.leaves}

    def order(self) -> Sequence[int]:
        """As the first operand is stored, where the value has all axes; else row-major."""
        if self.elementwise:
            return storage_order((*self.outer, *self.reduced), self.leaves)
        return range(len(self.outer))

    @property
    def pliant(self) -> bool:
        """Whether one order is as good as another, since elements are looked up."""
        return self.elementwise and told_order((*self.outer, *self.reduced), self.leaves) is None

    def emit(self, name: str, lazy: Lazy, output: View) -> KernelCall:
        """The reductions, then lazy's tree for each point or each row."""
        tail = (0,) * (0 if self.elementwise else len(self.reduced))
        extras = [replace(v, strides=(*v.strides, *tail)) for v in lazy.leaves]
        out = replace(output, strides=(*output.strides, *tail))
        full = (*self.outer, *self.reduced)
        pool = Pool()
        trees = [pool.add(Lazy(full, r.body, self.leaves, self.sizes)) for r in self.reductions]
        trees.append(pool.add(Lazy(full, lazy.tree, tuple(extras), lazy.sizes)))
        space = Space([*full], [*pool.leaves, out], trees)
        outer = len(self.outer)
        space.merge(outer, len(space.sizes))
        if len(space.sizes) == outer:  # all reduced axes have size 1
            space.sizes.append(1)
            space.views = [replace(v, strides=(*v.strides, 0)) for v in space.views]
        reduced = len(space.sizes) - outer
        space.merge(0, outer)
        *views_, out = space.views
        *bodies, body = space.trees
        return Row(
            name=name,
            origins=lazy.origins,
            inputs=tuple(views_),
            output=out,
            size_values=tuple(pool.sizes),
            sizes=tuple(space.sizes),
            reduced=reduced,
            reductions=tuple(replace(r, body=b) for r, b in zip(self.reductions, bodies, strict=True)),
            body=body,
            elementwise=self.elementwise,
        )


@dataclass(frozen=True)
class CumulateHost:
    """Running combinations of `value` along the last axis of `space`; `leaves` and `sizes` belong to it."""

    space: Shape
    leaves: tuple[View, ...]
    sizes: tuple[Dim, ...]
    combine: Literal["sum", "prod"]
    value: Scalar
    exclusive: bool
    reverse: bool

    @property
    def tensors(self) -> set[Tensor]:
        """What is accumulated."""
        return {v.tensor for v in self.leaves}

    def order(self) -> Sequence[int]:
        """As the first operand is stored."""
        return storage_order(self.space, self.leaves)

    def emit(self, name: str, lazy: Lazy, output: View) -> KernelCall:
        """The running combinations, then lazy's tree for each point."""
        pool = Pool()
        trees = [
            pool.add(Lazy(self.space, self.value, self.leaves, self.sizes)),
            pool.add(Lazy(self.space, lazy.tree, lazy.leaves, lazy.sizes)),
        ]
        space = Space([*self.space], [*pool.leaves, output], trees)
        space.merge(0, len(self.space) - 1)
        *inputs, out = space.views
        value, body = space.trees
        return Cumulate(
            name=name,
            origins=lazy.origins,
            inputs=tuple(inputs),
            output=out,
            size_values=tuple(pool.sizes),
            sizes=tuple(space.sizes),
            combine=self.combine,
            exclusive=self.exclusive,
            reverse=self.reverse,
            value=value,
            body=body,
        )


@dataclass(frozen=True)
class AttentionHost:
    """Attention over (batch..., m, value_width), to be stored with its axes in the order `axes`.

    `inputs` and `sizes` belong to the score. It takes no epilogue: what reads it reads memory.
    """

    batch: Shape
    m: Dim
    n: Dim
    width: int
    value_width: int
    q: View
    k: View
    v: View
    score: Scalar
    inputs: tuple[View, ...]
    sizes: tuple[Dim, ...]
    causal: Dim | None
    safe: bool
    axes: tuple[int, ...]

    @property
    def tensors(self) -> set[Tensor]:
        """Queries, keys, values and masks."""
        return {v.tensor for v in (self.q, self.k, self.v, *self.inputs)}

    def order(self) -> Sequence[int]:
        """As whoever reads it wants it."""
        return self.axes

    def emit(self, name: str, lazy: Lazy, output: View) -> KernelCall:
        """The attention, as it is."""
        assert isinstance(lazy.tree, Acc), f"{name} has an epilogue"
        return Attention(
            name=name,
            origins=lazy.origins,
            inputs=self.inputs,
            output=output,
            size_values=self.sizes,
            batch=self.batch,
            m=self.m,
            n=self.n,
            width=self.width,
            value_width=self.value_width,
            q=self.q,
            k=self.k,
            v=self.v,
            score=self.score,
            causal=self.causal,
            safe=self.safe,
        )


def dense(tensor: Tensor, shape: Shape, order: Sequence[int]) -> View:
    """The whole tensor over shape, axes stored in `order`."""
    return View(tensor, 0, views.ordered_strides(shape, order))
