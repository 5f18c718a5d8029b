"""Row in C: reductions over the inner axes, then a body, once per row or for each of its points.

Three orientations: along rows (vectors hold four points of a row and are combined at its end), across columns
(vectors hold four rows, which are reduced side by side), and scalar.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pyruntime.ir.dims import Dim, ceildiv, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Combine, Reduction, Row
from pyruntime.ir.scalar import Acc, Scalar, cost
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._nest import Nest, Site, Sixteen
from pyruntime_wasm.kernels._share import SCALAR_WORK, VECTOR_WORK, best_cut
from pyruntime_wasm.printer import SCALAR, VECTOR, convert, literal

_COMBINE: dict[Combine, str] = {
    "sum": "add",
    "prod": "mul",
    "min": "min",
    "max": "max",
    "and": "and",
    "or": "or",
}
# up to this cost of a body, one accumulator would wait for itself, and a copy of the body is small
_CHEAP = 4
# vectors of rows side by side: a line of a cache in each step, and sums that do not wait for each other
_SIDE = 4
# up to this cost of all bodies, which a norm has, so many copies of them are small
_MODEST = 28
# rows of fewer points leave most of a vector along them empty
_SHORT = 8


def identity(combine: Combine, dtype: DType) -> float | int | bool:
    """What a reduction over nothing gives."""
    if combine in ("sum", "or"):
        return 0
    if combine in ("prod", "and"):
        return 1
    if dtype.is_float:
        return float("inf") if combine == "min" else float("-inf")
    if dtype is DType.BOOL:
        return combine == "min"
    magnitude = dtype.bits - (0 if dtype.is_unsigned else 1)
    low = 0 if dtype.is_unsigned else -(2**magnitude)
    return 2**magnitude - 1 if combine == "min" else low


def accumulator(dtype: DType) -> DType:
    """The type that values of dtype are combined in."""
    return DType.F32 if dtype is DType.F16 else dtype


@dataclass(frozen=True)
class Pass:
    """One loop over a row: a reduction, or the elementwise body. Lines are C statements.

    Attributes:
        vector: whether the body computes four points.
        prologue: before the innermost loop.
        body: of one step.
        value: what the body computes; empty for a body that stores.
        type, scalar: C types of the running value and of the result.
        identity, combine, finish: C of the start, of the function that joins two values, and of the one that
            takes a running value to the result.
        select: in vectors along rows, what keeps the points beyond the end out.
        copies: how many running values there are.
        sixteen: of a body that stores 8-bit integers, sixteen points at once.
    """

    vector: bool
    prologue: tuple[str, ...]
    body: tuple[str, ...]
    value: str = ""
    type: str = ""
    scalar: str = ""
    identity: str = ""
    combine: str = ""
    finish: str = ""
    select: str = ""
    copies: int = 1
    sixteen: Sixteen | None = None


class _Plan:
    """How one call is computed."""

    def __init__(self, call: Row) -> None:
        self.call = call
        bodies = [r.body for r in call.reductions]
        self.nest = Nest(call, call.sizes, [*bodies, call.body])
        split = len(call.sizes) - call.reduced
        self.outer, self.reduced = list(range(split)), list(range(split, len(call.sizes)))
        self.within = [*bodies, *([call.body] if call.elementwise else [])]
        self.inner = max(self.reduced, key=self._score, default=None)
        self.lanes = self._column()
        if self.outer:
            units = [(a, ceildiv(call.sizes[a], 4) if a == self.lanes else call.sizes[a]) for a in self.outer]
            steps = sum(cost(tree) + len(self.nest.operands) for tree in self.within)
            self.nest.parameters.share(best_cut(units, product(call.sizes) * (steps * self._each())))

    def _each(self) -> int:
        """The work of an operation: of a vector's, if what the whole call computes is vectors."""
        trees = [r.body for r in self.call.reductions] or [self.call.body]
        vector = self.lanes is not None or self.site(trees).mode is VECTOR
        return VECTOR_WORK if vector else SCALAR_WORK

    def _score(self, axis: int) -> tuple[bool, tuple[int, int], int]:
        """How well vectors along an axis suit the operands that change within a row, the output among them.

        Best are those of which a vector lies in memory, or is one element; others are gathered and scattered.
        """
        names = [
            n for n in self.nest.loaded(self.within) if any(self.nest.varies(n, a) for a in self.reduced)
        ]
        names += ["out"] if self.call.elementwise else []
        size, strides = self.call.sizes[axis], [self.nest.operands[n].strides[axis] for n in names]
        suits = sum(stride in ("0", "1") for stride in strides), strides.count("1")
        return not (isinstance(size, int) and size < 4), suits, axis

    def _column(self) -> int | None:
        """The outer axis to compute side by side, None to compute along rows."""
        if not self.outer or self.inner is None:
            return None
        best = max(self.outer, key=self._score)
        long_enough, suits, _ = self._score(best)
        points = product([self.call.sizes[a] for a in self.reduced])
        short = isinstance(points, int) and points < _SHORT
        dtypes = [accumulator(r.body.dtype) for r in self.call.reductions]
        fits = (
            long_enough
            and (short or suits > self._score(self.inner)[1])
            and all(map(_vector_accumulator, dtypes))
            and self.nest.holds_lanes(self.within, best, self.inner)
            and self.nest.holds_lanes([self.call.body], best, self.inner if self.call.elementwise else None)
            and self.nest.stores_lanes(self.call.output.tensor.dtype)
        )
        return best if fits else None

    @cached_property
    def side(self) -> int:
        """How many vectors of four rows are computed side by side."""
        if self.lanes is None:
            return 1
        size = self.call.sizes[self.lanes]
        few = isinstance(size, int) and size < 4 * _SIDE
        looked_up = any(view.indirect for view in self.nest.views.values())
        work = sum(map(cost, [*(r.body for r in self.call.reductions), self.call.body]))
        return 1 if few or looked_up or work > _MODEST else _SIDE

    @cached_property
    def middle(self) -> list[int]:
        """Reduced axes outside the innermost loop."""
        return [a for a in self.reduced if a != self.inner]

    def site(self, trees: Sequence[Scalar], *, accumulates: DType | None = None, row: bool = True) -> Site:
        """Where trees are printed: within a row, or with row = False once for it."""
        loop = self.inner if row else None
        lanes = self.lanes
        if lanes is None and loop is not None and self.nest.holds_lanes(trees, loop, loop):
            stored = self.nest.stores_lanes(self.call.output.tensor.dtype)
            if stored if accumulates is None else _vector_accumulator(accumulates):
                lanes = loop
        return Site(
            self.nest,
            SCALAR if lanes is None else VECTOR,
            loop,
            lanes,
            frozenset() if row else frozenset(self.reduced),
            lambda acc: self._acc(acc, lanes),
        )

    def _acc(self, acc: Acc, lanes: int | None) -> str:
        dtype = accumulator(self.call.reductions[acc.index].body.dtype)
        text = f"acc{acc.index}" if self.lanes is None else f"sum{acc.index}[copy]"
        mode = SCALAR if lanes is None else VECTOR
        if lanes is not None and self.lanes is None:
            text = f"{VECTOR.classes[dtype].name}_splat({text})"
        return convert(mode, text, dtype, acc.dtype)

    def reduction(self, reduction: Reduction) -> Pass:
        """The loop of one reduction."""
        dtype = accumulator(reduction.body.dtype)
        site = self.site([reduction.body], accumulates=dtype)
        vector, along = site.mode is VECTOR, site.mode is VECTOR and self.lanes is None
        class_, scalar = site.mode.classes[dtype], SCALAR.classes[dtype]
        body, value = site.value(reduction.body)
        start = literal(identity(reduction.combine, dtype), dtype)
        function = _COMBINE[reduction.combine]
        return Pass(
            vector=along,
            prologue=tuple(site.prologue([reduction.body])),
            body=tuple(body),
            value=value,
            type=class_.type,
            scalar=scalar.type if along else class_.type,
            identity=f"{class_.name}_splat({start})" if vector else start,
            combine=f"{class_.name}_{function}",
            finish=f"{class_.name}_horizontal_{function}" if along else "",
            select=f"{class_.name}_select" if along else "",
            copies=4 if along and cost(reduction.body) <= _CHEAP else 1,
        )

    def final(self) -> Pass:
        """The body, which stores."""
        site = self.site([self.call.body], row=self.call.elementwise)
        prologue = tuple(site.prologue([self.call.body], stored=True))
        vector = site.mode is VECTOR and self.lanes is None
        sixteen = None
        if vector and self.call.elementwise:
            sixteen = self.site([self.call.body], row=True).sixteen(self.call.body)
        return Pass(vector, prologue, tuple(site.finish(self.call.body)), sixteen=sixteen)


def _vector_accumulator(dtype: DType) -> bool:
    # narrow integers would have to wrap at each step
    return VECTOR.has(dtype) and not VECTOR.classes[dtype].wrap


class RowKernel:
    """See `Kernel`."""

    def key(self, call: Row) -> Hashable:
        """The code itself."""
        return self.render(call, "row")

    def scratch(self, call: Row) -> Dim:
        """None."""
        return 0

    def arguments(self, call: Row) -> Sequence[Argument]:
        """Views with their strides, sizes, guards."""
        return _Plan(call).nest.parameters.arguments

    def render(self, call: Row, name: str) -> str:
        """One function."""
        plan = _Plan(call)
        return render_template(
            "row",
            name=name,
            signature=plan.nest.parameters.signature,
            outer=[a for a in plan.outer if a != plan.lanes],
            lanes=plan.lanes,
            side=plan.side,
            middle=plan.middle,
            inner=plan.inner,
            reductions=[plan.reduction(r) for r in call.reductions],
            final=plan.final(),
            elementwise=call.elementwise,
        )


KERNEL = RowKernel()
