"""Makes a random ONNX model node by node; each runs at once, so that shapes, dtypes and values are known."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from pyruntime_converter.frontends.onnx.order import reads

Array = NDArray[Any]
Dim = tuple[int, ...]  # a size for each run; all alike unless it hangs on a symbol

OPSET, IR_VERSION = 23, 10
ELEMENTS = 4000  # of a tensor, at most
LARGEST = {"float16": 200.0, "float32": 1e4, "float64": 1e4}  # what values may grow to, but for special ones
SIZES = (1, 1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 11, 13, 16, 17)
RUNS = 3
FLOATS = ("float16", "float32", "float64")
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 3e4, -1e-5)


_OPTIONS = onnxruntime.SessionOptions()
_OPTIONS.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
_OPTIONS.log_severity_level = 4
_OPTIONS.intra_op_num_threads = 1


class UnfitError(Exception):
    """A node that was drawn does not fit what is there; another is drawn."""


@dataclass(frozen=True, eq=False)
class Known:
    """A value of the model: its name, and its elements in each run."""

    name: str
    arrays: tuple[Array, ...]
    weight: bool = False

    @property
    def dtype(self) -> str:
        """NumPy's name of the dtype."""
        return str(self.arrays[0].dtype.name)

    @property
    def floating(self) -> bool:
        """Whether elements are floats."""
        return self.dtype in FLOATS

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.arrays[0].ndim

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The size of each axis in each run."""
        return tuple(zip(*(a.shape for a in self.arrays), strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the first run."""
        return self.arrays[0].shape

    def fixed(self, axis: int) -> bool:
        """Whether an axis has one size in all runs."""
        return len(set(self.dims[axis])) == 1

    @property
    def static(self) -> bool:
        """Whether the shape is the same in all runs."""
        return all(map(self.fixed, range(self.rank)))


@dataclass
class Maker:
    """Collects nodes, weights and inputs of a model.

    Attributes:
        pick: where all choices come from.
        dtype: of most floats.
        special: whether inputs hold NaN, infinities and such.
        wide: whether there is arithmetic of 64-bit integers.
    """

    pick: random.Random
    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, Known] = field(default_factory=dict)
    values: list[Known] = field(default_factory=list)

    def __post_init__(self) -> None:
        roll = self.pick.random()
        self.dtype = "float32" if roll < 0.8 else "float16" if roll < 0.9 else "float64"
        self.special = self.chance(0.1)
        self.wide = self.chance(0.2)
        self.runs = RUNS if self.chance(0.4) else 1
        self._symbols: dict[Dim, str] = {}
        self._count = 0
        self._data = np.random.default_rng(self.pick.randrange(2**32))
        self.empty = self.chance(0.05)
        choices = [self._symbol() for _ in range(2)] if self.runs > 1 else []
        self._bases = choices

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

    def dim(self) -> Dim:
        """A size, or a symbol."""
        if self._bases and self.chance(0.35):
            return self.pick.choice(self._bases)
        return (self.size(),) * self.runs

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
            low = 0 if dtype.startswith("u") else -6
            return np.asarray(draw.integers(low, 7, shape), dtype)
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

    def fresh(self, dims: Sequence[Dim], dtype: str = "", kind: str = "", weight: float = 0.4) -> Known:
        """A new input, or, where the shape is the same in all runs and chance has it, a weight."""
        dtype = dtype or self.dtype
        shapes = list(zip(*dims, strict=True)) if dims else [()] * self.runs
        if len(set(shapes)) == 1 and self.chance(weight):
            return self.constant(self.array(shapes[0], dtype, kind))
        known = Known(self.name("x"), tuple(self.array(s, dtype, kind) for s in shapes))
        return self._input(known)

    def _input(self, known: Known) -> Known:
        self.inputs[known.name] = known
        self.values.append(known)
        return known

    def constant(self, array: Any, dtype: str | None = None) -> Known:
        """A weight."""
        made = np.asarray(array, dtype)
        known = Known(self.name("w"), (made,) * self.runs, weight=True)
        self.weights[known.name] = made
        return known

    def ints(self, values: Any) -> Known:
        """A weight of int64."""
        return self.constant(np.asarray(values, np.int64))

    def name(self, stem: str) -> str:
        """A new name."""
        self._count += 1
        return f"{stem}{self._count}"

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
        fitting = [
            v
            for v in self.values
            if v.dtype in dtypes and low <= v.rank <= high and (where is None or where(v))
        ]
        if fitting and not self.chance(new):
            recent = fitting[-3:]
            return self.pick.choice(recent if self.chance(0.6) else fitting)
        made = self.fresh(
            self.dims(self.pick.randint(low, min(high, max(low, 3)))), self.pick.choice(dtypes), weight=0.1
        )
        if where is not None and not where(made):
            raise UnfitError
        return made

    def broadcast(self, value: Known, dtype: str = "") -> Known:
        """A value that can be broadcast to another: one that is there, or a new one."""
        dtype = dtype or value.dtype
        fitting = [v for v in self.values if v.dtype == dtype and v is not value and _joins(v, value)]
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
        return (
            "int32",
            "int32",
            "int8",
            "uint8",
            "int16",
            "uint32",
            *(("int64", "uint64") if self.wide else ()),
        )

    def defined(self, value: Known) -> None:
        """Raises UnfitError unless all elements are finite: ONNX leaves it open what becomes of others."""
        if not all(np.isfinite(a).all() for a in value.arrays):
            raise UnfitError

    # ---- nodes

    def emit(
        self,
        op: str,
        inputs: Sequence[Known | None],
        outputs: int = 1,
        captured: Sequence[Known] = (),
        **attrs: Any,
    ) -> list[Known]:
        """Add a node and run it.

        Args:
            op: the operator.
            inputs: None for what is left out.
            outputs: how many it has.
            captured: what its bodies take from around it.
            attrs: as ONNX has them; None for what is left out.

        Raises:
            UnfitError: ONNX's reference does not run it, or the results are too large.
        """
        names = [self.name("v") for _ in range(outputs)]
        stated = {k: v for k, v in attrs.items() if v is not None}
        read = ["" if i is None else i.name for i in inputs]
        node = helper.make_node(op, read, names, name=f"n{self._count}", **stated)
        results = _run(node, [*(i for i in inputs if i), *captured], self.runs)
        known = [Known(n, tuple(r[i] for r in results)) for i, n in enumerate(names)]
        for value in known:
            self._check(value)
        self.nodes.append(node)
        self.values += known
        return known

    def apply(self, op: str, *inputs: Known | None, **attrs: Any) -> Known:
        """As `emit`, for one output."""
        return self.emit(op, inputs, **attrs)[0]

    def _check(self, value: Known) -> None:
        for array in value.arrays:
            if array.size > ELEMENTS or array.ndim > 6:
                raise UnfitError
            if array.size == 0 and not self.empty:
                raise UnfitError
            if array.dtype.kind == "f" and not self.special:
                largest = LARGEST[array.dtype.name]
                if not (np.abs(array) <= largest).all():
                    raise UnfitError
            elif array.dtype.kind in "iu" and array.size and np.abs(array.astype(np.float64)).max() > 2**30:
                raise UnfitError
        if len({(a.dtype, a.ndim) for a in value.arrays}) > 1:
            raise UnfitError

    # ---- the model

    def model(self) -> tuple[ModelProto, list[dict[str, Array]], dict[str, Known]]:
        """The model, what is fed in each run, and its outputs' values."""
        read = {name for node in self.nodes for name in reads(node)}
        made = {name for node in self.nodes for name in node.output}
        shown = [
            v for v in self.values if v.name in made and (v.name not in read or self.chance(0.15)) and v.name
        ]
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


def build(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, ValueInfoProto],
    weights: Mapping[str, Array],
    outputs: Sequence[str],
) -> ModelProto:
    """A model whose outputs are declared without type, as ONNX allows."""
    graph = GraphProto(name="fuzz")
    graph.node.extend(nodes)
    graph.input.extend(inputs.values())
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    graph.output.extend(ValueInfoProto(name=n) for n in outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _joins(value: Known, other: Known) -> bool:
    """Whether two values can be broadcast, in all runs alike."""
    pairs = zip(reversed(value.dims), reversed(other.dims), strict=False)
    return all(a == b or set(a) == {1} or set(b) == {1} for a, b in pairs)


def _run(node: NodeProto, inputs: Sequence[Known], runs: int) -> list[list[Array]]:
    """What ONNX's reference gives for a node, for each run."""
    known = {i.name: i for i in inputs}
    infos = {
        n: helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.arrays[0].dtype), None)
        for n, v in known.items()
    }
    results = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            proto = build([node], infos, {}, node.output)
            session = onnxruntime.InferenceSession(proto.SerializeToString(), _OPTIONS)
            evaluator = ReferenceEvaluator(proto)
            for run in range(runs):
                feeds = {n: v.arrays[run] for n, v in known.items()}
                found = [np.asarray(a) for a in evaluator.run(None, feeds)]
                others = session.run(None, feeds)
                if [(a.dtype, a.shape) for a in found] != [(a.dtype, a.shape) for a in others]:
                    raise UnfitError(f"{node.op_type}: the references differ")
                results.append(found)
        except Exception as error:
            raise UnfitError(f"{node.op_type}: {error}") from error
    return results
