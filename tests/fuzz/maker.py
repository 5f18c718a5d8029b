"""Makes a random ONNX model node by node; each runs at once, so that shapes, dtypes and values are known."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper
from pyruntime_converter.frontends.onnx.order import reads

from tests.fuzz.known import FLOATS, Array, Dim, Known, UnfitError, build, run

ELEMENTS = 4000  # of a tensor, at most
LARGEST = {"float16": 200.0, "float32": 1e4, "float64": 1e4}  # what values may grow to, but for special ones
LARGEST_OF_WHOLE = {
    "float16": 6e4,
    "float32": 1e20,
    "float64": 1e20,
}  # where integers have their whole ranges
SIZES = (1, 1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 11, 13, 16, 17)
RUNS = 3
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 3e4, -1e-5)
CORNERS = (0, 1, -1, 255, -256, 2**15, 2**16, 2**24 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1)
DEPTH = 2  # of bodies in bodies
Rule = Callable[["Maker"], object]
Step = tuple[str, Sequence[Known], dict[str, Any]]  # an operator, its further inputs, its attributes


@dataclass
class Maker:
    """Collects nodes, weights and inputs of a model.

    Attributes:
        pick: where all choices come from.
        dtype: of most floats.
        special: whether inputs hold NaN, infinities and such.
        wide: whether there is arithmetic of 64-bit integers.
        whole: whether integers have their whole ranges, and wrap around.
        values: what nodes may read.
        made: what nodes gave.
        depth: in how many bodies this is.
    """

    pick: random.Random
    rules: Sequence[tuple[Rule, float]] = ()
    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, Known] = field(default_factory=dict)
    values: list[Known] = field(default_factory=list)
    made: list[Known] = field(default_factory=list)
    depth: int = 0

    def __post_init__(self) -> None:
        roll = self.pick.random()
        self.dtype = "float32" if roll < 0.8 else "float16" if roll < 0.9 else "float64"
        self.special = self.chance(0.1)
        self.whole = self.chance(0.2)
        self.wide = self.whole or self.chance(0.2)
        self.runs = RUNS if self.chance(0.4) else 1
        self._symbols: dict[Dim, str] = {}
        self._count = itertools.count(1)
        self._named: dict[str, Known] = {}
        self._data = np.random.default_rng(self.pick.randrange(2**32))
        self.empty = self.chance(0.05)
        self._bases = [self._symbol() for _ in range(2)] if self.runs > 1 else []

    def draw(self) -> None:
        """Try to add an operator, or some that belong together."""
        functions, weights = zip(*self.rules, strict=True)
        try:
            self.pick.choices(functions, weights)[0](self)
        except UnfitError:
            return

    def within(self, values: Sequence[Known]) -> Maker:
        """A maker of a body's nodes, which read these values; what is fed is fed to the model."""
        if self.depth == DEPTH:
            raise UnfitError
        inner = copy.copy(self)
        inner.nodes, inner.values, inner.made, inner.depth = [], [*values], [], self.depth + 1
        for value in values:
            self._named[value.name] = value
        return inner

    # ---- choices

    def chance(self, share: float) -> bool:
        """True as often as `share` says."""
        return self.pick.random() < share

    def choice(self, options: Sequence[Any]) -> Any:
        """One of several."""
        if not options:
            raise UnfitError
        return self.pick.choice(list(options))

    def size(self) -> int:
        """Of an axis."""
        return 0 if self.empty and self.chance(0.15) else self.pick.choice(SIZES)

    def _symbol(self) -> Dim:
        return tuple(self.pick.sample((1, 2, 3, 5, 6, 9, 12), self.runs))

    def dim(self, most: int = SIZES[-1]) -> Dim:
        """A size, or a symbol."""
        if self._bases and self.chance(0.35):
            return self.pick.choice(self._bases)
        return (min(self.size(), most),) * self.runs

    def dims(self, rank: int) -> tuple[Dim, ...]:
        """Sizes of a new tensor; the more axes, the smaller."""
        limit = ELEMENTS / 2 if rank < 4 else ELEMENTS / 4
        for _ in range(20):
            made = tuple(self.dim() for _ in range(rank))
            if all(np.prod(shape) <= limit for shape in zip(*made, strict=True)):
                return made
        return ((1,) * self.runs,) * rank

    def axis(self, value: Known) -> int:
        """One axis of a value, from either end."""
        if not value.rank:
            raise UnfitError
        return self.pick.randrange(-value.rank, value.rank)

    # ---- values

    def array(self, shape: Sequence[int], dtype: str, kind: str = "") -> Array:
        """Random elements: of a grid, on which sums are exact, anything within [-2, 2], or positive ones."""
        draw = self._data
        if dtype == "bool":
            return np.asarray(draw.random(shape) < 0.6)
        if dtype not in FLOATS:
            return self._integers(shape, np.dtype(dtype))
        match kind or self.pick.choice(("grid", "any", "any", "positive")):
            case "grid":
                made = draw.integers(-16, 17, shape) / 8
            case "positive":
                made = draw.uniform(0.1, 2, shape)
            case _:
                made = draw.uniform(-2, 2, shape)
        array = np.asarray(made, dtype)
        if self.special and not kind and self.chance(0.5):
            at = draw.random(shape) < 0.1
            array = np.asarray(np.where(at, draw.choice(np.array(SPECIAL, dtype), shape), array))
        return array

    def _integers(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        draw, (low, high) = self._data, (np.iinfo(dtype).min, np.iinfo(dtype).max)
        small = np.asarray(draw.integers(max(low, -6), 7, shape), dtype)
        if not self.whole or self.chance(0.2):
            return small
        corners = np.array([low, high, low + 1, high - 1, *(c for c in CORNERS if low <= c <= high)], dtype)
        spread = draw.integers(low, high, shape, dtype, endpoint=True)
        kinds = draw.random(shape)
        return np.asarray(
            np.where(kinds < 0.3, draw.choice(corners, shape), np.where(kinds < 0.7, spread, small))
        )

    def fresh(self, dims: Sequence[Dim], dtype: str = "", kind: str = "", weight: float = 0.4) -> Known:
        """A new input, or, where the shape is the same in all runs and chance has it, a weight."""
        dtype = dtype or self.dtype
        shapes = list(zip(*dims, strict=True)) if dims else [()] * self.runs
        if len(set(shapes)) == 1 and self.chance(weight):
            return self.constant(self.array(shapes[0], dtype, kind))
        known = Known(self.name("x"), tuple(self.array(s, dtype, kind) for s in shapes))
        return self._input(known)

    def _input(self, known: Known) -> Known:
        self.fed(known)
        self.values.append(known)
        return known

    def fed(self, known: Known) -> Known:
        """An input that other nodes do not read."""
        self.inputs[known.name] = self._named[known.name] = known
        return known

    def constant(self, array: Any, dtype: str | None = None) -> Known:
        """A weight."""
        made = np.asarray(array, dtype)
        known = Known(self.name("w"), (made,) * self.runs, weight=True)
        self.weights[known.name] = made
        self._named[known.name] = known
        return known

    def short(self, values: Any, kind: int) -> Known:
        """A weight of an element type that NumPy may lack."""
        return self.constant(np.asarray(values).astype(helper.tensor_dtype_to_np_dtype(kind)))

    def ints(self, values: Any) -> Known:
        """A weight of int64."""
        return self.constant(np.asarray(values, np.int64))

    def below(self, dims: Sequence[Dim], dtype: str, low: int, high: int) -> Known:
        """Integers from a range, constant or fed."""
        shapes = list(zip(*dims, strict=True)) if dims else [()] * self.runs
        drawn = tuple(np.asarray(self._data.integers(low, high, s), dtype) for s in shapes)
        if len(set(shapes)) == 1 and self.chance(0.5):
            return self.constant(drawn[0])
        return self.fed(Known(self.name("i"), drawn))

    def name(self, stem: str) -> str:
        """A new name."""
        return f"{stem}{next(self._count)}"

    def one(
        self,
        dtypes: Sequence[str] = (),
        rank: tuple[int, int] = (0, 5),
        where: Callable[[Known], bool] | None = None,
        new: float = 0.25,
    ) -> Known:
        """A value that is there, the newest most likely, or a new one."""
        dtypes = dtypes or (self.dtype,)
        low, high = rank
        found = None if self.chance(new) else self.found(dtypes, rank, where)
        if found:
            return found
        made = self.fresh(
            self.dims(self.pick.randint(low, min(high, max(low, 3)))), self.pick.choice(dtypes), weight=0.1
        )
        if where is not None and not where(made):
            raise UnfitError
        return made

    def found(
        self, dtypes: Sequence[str], rank: tuple[int, int], where: Callable[[Known], bool] | None = None
    ) -> Known | None:
        """A value that is there, the newest most likely."""
        fitting = [
            v
            for v in self.values
            if v.dtype in dtypes and rank[0] <= v.rank <= rank[1] and (where is None or where(v))
        ]
        if not fitting:
            return None
        return self.pick.choice(fitting[-3:] if self.chance(0.6) else fitting)

    def broadcast(self, value: Known, dtype: str = "") -> Known:
        """A value that can be broadcast to another: one that is there, or a new one."""
        dtype = dtype or value.dtype
        fitting = [v for v in self.values if v.dtype == dtype and v is not value and v.joins(value)]
        if fitting and self.chance(0.6):
            return self.pick.choice(fitting)
        dims = list(value.dims)
        if self.chance(0.5):
            dims = dims[self.pick.randint(0, len(dims)) :]
        ones = (1,) * self.runs
        dims = [ones if self.chance(0.2) else d for d in dims]
        return self.fresh([d if self.nameable(d) else ones for d in dims], dtype)

    def nameable(self, dim: Dim) -> bool:
        """Whether an input may have this size: a constant, or one of the symbols."""
        return len(set(dim)) == 1 or dim in self._bases

    def ints_of(self) -> tuple[str, ...]:
        """Dtypes of integers for arithmetic."""
        short = ("int32", "int32", "int8", "uint8", "int16", "uint16", "uint32")
        return (*short, *(("int64", "int64", "uint64") if self.wide else ()))

    def any_of(self) -> tuple[str, ...]:
        """Dtypes of what is moved; that of most floats most often."""
        return (*[self.dtype] * 6, "int32", "bool", *self.pick.sample((*FLOATS, *self.ints_of()), 2))

    def defined(self, value: Known) -> None:
        """Raises UnfitError unless all elements are finite: ONNX leaves it open what becomes of others."""
        if not all(np.isfinite(a).all() for a in value.arrays):
            raise UnfitError

    # ---- nodes

    def emit(self, op: str, inputs: Sequence[Known | None], outputs: int = 1, **attrs: Any) -> list[Known]:
        """Add a node and run it.

        Args:
            op: the operator.
            inputs: None for what is left out.
            outputs: how many it has.
            attrs: as ONNX has them; None for what is left out.

        Raises:
            UnfitError: ONNX's reference does not run it, or the results are too large.
        """
        return self._add([self._node(op, [i.name if i else "" for i in inputs], outputs, attrs)])

    def apply(self, op: str, *inputs: Known | None, **attrs: Any) -> Known:
        """As `emit`, for one output."""
        return self.emit(op, inputs, **attrs)[0]

    def chain(self, start: Known, *steps: Step) -> Known:
        """Add nodes one after the other, of which nothing but the last is read by others, or an output."""
        nodes: list[NodeProto] = []
        last = start.name
        for op, more, attrs in steps:
            nodes.append(self._node(op, [last, *(m.name for m in more)], 1, attrs))
            last = nodes[-1].output[0]
        return self._add(nodes)[0]

    def hide(self, *values: Known) -> None:
        """Leave values to outputs: no node reads them, since their sizes hang on data."""
        self.values = [v for v in self.values if v not in values]

    def _node(self, op: str, inputs: Sequence[str], outputs: int, attrs: dict[str, Any]) -> NodeProto:
        names = [self.name("v") for _ in range(outputs)]
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        stated = {k: v for k, v in attrs.items() if v is not None}
        return helper.make_node(op, inputs, names, name=self.name("n"), **stated)

    def _add(self, nodes: Sequence[NodeProto]) -> list[Known]:
        inner = {name for node in nodes for name in node.output}
        read = dict.fromkeys(name for node in nodes for name in reads(node) if name not in inner)
        results = run(nodes, [self._named[name] for name in read], self.runs)
        known = [Known(n, tuple(r[i] for r in results)) for i, n in enumerate(nodes[-1].output)]
        for value in known:
            self._check(value)
        self.nodes += nodes
        self.values += known
        self.made += known
        self._named |= {v.name: v for v in known}
        return known

    def _check(self, value: Known) -> None:
        for array in value.arrays:
            if array.size > ELEMENTS or array.ndim > 6:
                raise UnfitError
            if array.size == 0 and not self.empty:
                raise UnfitError
            if array.dtype.kind == "f" and not self.special:
                largest = (LARGEST_OF_WHOLE if self.whole else LARGEST)[array.dtype.name]
                if not (np.abs(array) <= largest).all():
                    raise UnfitError
            elif self.whole:
                continue
            elif array.dtype.kind in "iu" and array.size and np.abs(array.astype(np.float64)).max() > 2**30:
                raise UnfitError
        if len({(a.dtype, a.ndim) for a in value.arrays}) > 1:
            raise UnfitError

    # ---- the model

    def model(self) -> tuple[ModelProto, list[dict[str, Array]], dict[str, Known]]:
        """The model, what is fed in each run, and its outputs' values."""
        read = {name for node in self.nodes for name in reads(node)}
        shown = [v for v in self.made if v.name not in read or self.chance(0.15)]
        inputs = {n: v for n, v in self.inputs.items() if n in read}
        weights = {n: a for n, a in self.weights.items() if n in read}
        proto = build(
            self.nodes, {n: self._info(v) for n, v in inputs.items()}, weights, [v.name for v in shown]
        )
        feeds = [{n: v.arrays[run] for n, v in inputs.items()} for run in range(self.runs)]
        return proto, feeds, {v.name: v for v in shown}

    def _info(self, value: Known) -> ValueInfoProto:
        dims: list[int | str] = []
        for axis, dim in enumerate(value.dims):
            if value.fixed(axis):
                dims.append(dim[0])
            else:
                dims.append(self._symbols.setdefault(dim, f"s{len(self._symbols)}"))
        return helper.make_tensor_value_info(
            value.name, helper.np_dtype_to_tensor_dtype(value.arrays[0].dtype), dims
        )
