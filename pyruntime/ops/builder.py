"""Adds nodes to a graph: infers types, folds constants and dim arithmetic, and keeps names unique."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.conditions import Facts, assume
from pyruntime.ir.dims import Dim, Expr, bounds, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Origin, Shape, Value
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.definition import OpDef, TensorType, complete, definition, symbolic
from pyruntime.ops.widen import converted, unknown_type, widened

# larger results stay in the graph: folding must not inflate the pack (Expand, ConstantOfShape, Range)
FOLD_BYTES_LIMIT = 1 << 20
CONTENTS_LIMIT = 128  # elements: shapes are small, larger tensors of dims are no shape arithmetic


class Builder:
    """Appends to `graph`. Every node made between two assignments of `origin` carries that origin.

    Where `facts` say what an atom's value is, no shape, contents or attribute holds that atom. A builder of a
    subgraph shares names and facts with the one `around` it.

    What follows from the contents of inputs alone is dims. Where these may have more than 32 bits, or wrap
    around, whoever reads them as a tensor gets one that nodes compute from the inputs.
    """

    def __init__(self, graph: Graph, facts: Facts | None = None, around: Builder | None = None) -> None:
        self.graph = graph
        self.facts: Facts = {**(around.facts if around else {}), **(facts or {})}
        self.sources: dict[Value, Value] = around.sources if around else {}  # of inputs, what they stand for
        self.origin: Origin = around.origin if around else Origin("", "")
        self._around = around
        self._unmade: dict[Value, Node] = {}  # of dims that hang on contents of inputs, what computes them
        self._outside: dict[Value, Value] = {}  # of those from around, what they are there
        self._wide: set[Value] = (
            around._wide if around else set()
        )  # which of all these do not fit kernels' dims
        self._names: set[str] = around._names if around else {v.name for v in graph.values()}

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names of values that are not in the graph at present."""
        self._names.update(names)

    def unique(self, name: str) -> str:
        """name, or name.2, name.3, ... where it is taken."""
        candidate, count = name or "value", 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}.{count}"
        self._names.add(candidate)
        return candidate

    def input(self, name: str, dtype: DType, shape: Shape) -> Value:
        """A new input of the graph."""
        value = Value(self.unique(name), dtype, tuple(self.settled(d) for d in shape))
        self.graph.inputs.append(value)
        return value

    def settled(self, attribute: Any) -> Any:
        """An attribute, dim or shape with what the facts know."""
        if isinstance(attribute, tuple) and self.facts:
            return tuple(map(self.settled, attribute))
        return assume(attribute, self.facts) if isinstance(attribute, Expr) else attribute

    def constant(
        self, data: NDArray[Any] | Sequence[Any] | float | int, dtype: DType | None = None, name: str = ""
    ) -> Value:
        """A constant; `dtype` defaults to the array's own."""
        array = np.asarray(data) if dtype is None else np.asarray(data, dtype=dtype.value)
        return Value(self.unique(name or "const"), DType(array.dtype.name), array.shape, data=array)

    def dims(self, dims: Sequence[Dim] | Dim, dtype: DType = DType.I64, name: str = "") -> Value:
        """An integer tensor (a scalar for one dim) whose elements are dims."""
        array = np.empty(() if not isinstance(dims, Sequence) else len(dims), dtype=object)
        array[...] = dims
        return self._of_contents(array, dtype, name)

    def captured(self, value: Value) -> Value:
        """What stands for a value of the graph around: an input, or for what is known, the same here."""
        if value.data is not None:
            return value
        if value.contents is None:
            made = self.input(value.name, value.dtype, value.shape)
            self.sources[made] = value
            return made
        made = self._of_contents(value.contents.copy(), value.dtype, value.name)
        if made.contents is not None and self._around is not None and self._around._is_fed(value):
            self._outside[made] = value
            if self._around._is_wide(value):
                self._wide.add(made)
        return made

    def _of_contents(self, array: NDArray[np.object_], dtype: DType, name: str) -> Value:
        if self.facts:
            known = np.empty(array.size, dtype=object)
            known[:] = [self.settled(d) for d in array.flat]
            array = known.reshape(array.shape)
        if all(isinstance(d, (int, np.integer)) for d in array.flat):
            return self.constant(array.astype(dtype.value), name=name)
        return Value(self.unique(name or "dims"), dtype, array.shape, contents=array)

    def emit(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any] | None = None,
        names: Sequence[str] = (),
    ) -> list[Value]:
        """Apply op; its outputs, as constants where all is known. Raises OpError where op forbids it."""
        definition_ = definition(op)
        values = {k: self.settled(v) for k, v in complete(op, attrs or {}).items()}
        unknown = None if definition_.any_type else unknown_type(inputs, values)
        if unknown and op == "Cast" and inputs[0] is not None:
            return [converted(self, inputs[0], values["to"])]
        if unknown:
            return widened(self, op, inputs, values, names, unknown)
        types = [TensorType(t.dtype, self.settled(t.shape)) for t in definition_.infer(inputs, values)]
        names = [*names, *(f"{self.origin.name or op}.{i}" for i in range(len(names), len(types)))]
        folded = self._fold(definition_, inputs, values, types, names)
        if folded is not None:
            self._note(Node(op, list(inputs), folded, values, self.origin))
            return folded
        outputs = [Value(self.unique(n), t.dtype, t.shape) for n, t in zip(names, types, strict=True)]
        node = Node(op, [self.materialised(v) for v in inputs], outputs, values, self.origin)
        for output in outputs:
            output.producer = node
        self.graph.nodes.append(node)
        return outputs

    def one(self, op: str, *inputs: Value | None, name: str = "", **attrs: Any) -> Value:
        """Apply an op with one output."""
        (value,) = self.emit(op, inputs, attrs, [name] if name else ())
        return value

    def materialised(self, value: Value | None) -> Value | None:
        """A tensor for a value that so far exists as dims only."""
        if value is None or value.contents is None or value.producer is not None:
            return value
        if value in self.graph.inputs:
            return value
        if value in self._wide:
            return self._computed(value)
        node = Node(
            "DimTensor",
            [],
            [value],
            {"dims": tuple(value.contents.ravel().tolist()), "shape": value.shape, "dtype": value.dtype},
            self.origin,
        )
        value.producer = node
        self.graph.nodes.append(node)
        return value

    def _note(self, node: Node) -> None:
        """Remember what computes dims, where contents of inputs are among what it reads."""
        read = [v for v in node.inputs if v is not None and self._is_fed(v)]
        for value in node.outputs if read else ():
            if value.contents is not None:
                self._unmade[value] = node
                if any(map(self._is_wide, (*read, value))):
                    self._wide.add(value)

    def _is_fed(self, value: Value) -> bool:
        """Whether dims hang on contents of inputs."""
        known = value in self._unmade or value in self._outside or value in self.graph.inputs
        return value.contents is not None and (known or _is_computed(value))

    def _is_wide(self, value: Value) -> bool:
        """Whether dims, or what they come of, may exceed their type or the 32 bits that kernels get."""
        low, high = max(value.dtype.limits[0], -(2**31)), min(value.dtype.limits[1], 2**31 - 1)
        found = [bounds(d) for d in dims_of(value) or ()]
        past = any(a is None or a < low or (b is not None and b > high) for a, b in found)
        return past or value in self._wide or _is_computed(value)

    def _computed(self, value: Value) -> Value:
        """The tensor, computed or taken from around, of what has been dims."""
        if value in self._outside:
            self.graph.inputs.append(value)
            self.sources[value] = self._outside[value]
            return value
        node = self._unmade[value]
        node.inputs = [self.materialised(v) for v in node.inputs]
        node.outputs = [
            Value(self.unique(v.name), v.dtype, v.shape) if v.contents is None else v for v in node.outputs
        ]
        for output in node.outputs:
            output.producer = node
        self.graph.nodes.append(node)
        return value

    def _fold(
        self,
        op: OpDef,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any],
        types: Sequence[TensorType],
        names: Sequence[str],
    ) -> list[Value] | None:
        present = [v for v in inputs if v is not None]
        known = all(v.data is not None or v.contents is not None for v in present)
        if not present or not known or symbolic(attrs) or any(isinstance(a, Graph) for a in attrs.values()):
            return None
        if all(v.data is not None for v in present):
            return self._fold_data(op, inputs, attrs, types, names) if op.folds(inputs) else None
        if not op.contents or not all(not v.dtype.is_float or v.data is not None for v in present):
            return None
        return self._fold_contents(op, inputs, attrs, types, names)

    def _fold_data(
        self,
        op: OpDef,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any],
        types: Sequence[TensorType],
        names: Sequence[str],
    ) -> list[Value] | None:
        arrays = [None if v is None else v.data for v in inputs]
        size = sum(evaluate(product(t.shape), {}) * t.dtype.bytes for t in types)
        if size > max(FOLD_BYTES_LIMIT, 2 * sum(a.nbytes for a in arrays if a is not None)):
            return None
        with np.errstate(all="ignore"):
            results = op.reference(arrays, attrs)
        return [self.constant(a, name=n) for a, n in zip(results, names, strict=True)]

    def _fold_contents(
        self,
        op: OpDef,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any],
        types: Sequence[TensorType],
        names: Sequence[str],
    ) -> list[Value] | None:
        if any(not isinstance(t.elements, int) or t.elements > CONTENTS_LIMIT for t in types):
            return None
        arrays = [
            None
            if v is None
            else v.contents
            if v.contents is not None
            else _as_objects(v.data)
            if not v.dtype.is_float
            else v.data
            for v in inputs
        ]
        try:
            results = op.reference(arrays, attrs)
        except TypeError:  # the result is no expression over the symbols
            return None
        return [
            self._of_contents(np.asarray(a, dtype=object), t.dtype, n)
            for a, t, n in zip(results, types, names, strict=True)
        ]


def _is_computed(value: Value) -> bool:
    """Whether dims have become a tensor that nodes compute from inputs."""
    return value.producer is not None and value.producer.op != "DimTensor"


def _as_objects(data: NDArray[Any] | None) -> NDArray[np.object_]:
    assert data is not None
    result = np.empty(data.shape, dtype=object)
    result[...] = data.tolist()
    return result


def dims_of(value: Value) -> tuple[Dim, ...] | None:
    """The elements of a small integer or bool tensor as dims, or None where they depend on data."""
    if value.dtype.is_float:
        return None
    if value.data is not None:
        return tuple(int(x) for x in value.data.flat)
    return None if value.contents is None else tuple(value.contents.ravel().tolist())
