"""Dims of a model's inputs: fixed sizes, named symbols and simple expressions of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from onnx import TensorShapeProto, TypeProto

from pyruntime.errors import ModelError, OptionError
from pyruntime.ir.dims import Dim, Expr, floordiv, symbol
from pyruntime.ir.graph import Graph, Shape

_OPERATORS: dict[type[ast.operator], Callable[[Dim, Dim], Dim]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: floordiv,
}
_LONGEST_EXPRESSION = 200  # characters: a real one is "past_sequence_length + sequence_length"


def sizes_of(graph: Graph) -> set[Expr]:
    """Dims of a graph's inputs that are a single symbol or operation."""
    return {d for v in graph.inputs for d in v.shape if isinstance(d, Expr) and d.is_atom}


class Symbols:
    """Gives every dim_param of a model one symbol, and unnamed dims names of their own.

    Exporters also write expressions such as `past + seq`. One becomes an expression where each of its
    names is also the whole of some input's dim, since only those can be bound; else it is a symbol.

    A name in the shape of a sequence's elements that no tensor has is a symbol for each position, the same in
    all sequences: elements have sizes of their own.

    Args:
        tensors: the types of what the model is fed, but for sequences.
        dims: what the user says of symbols, by name: sizes that are fixed, symbols with bounds.
        least: by name, sizes that are at least so much; by default it is 1.
    """

    def __init__(
        self,
        tensors: Sequence[TypeProto.Tensor],
        dims: Mapping[str, Dim],
        least: Mapping[str, int],
    ) -> None:
        self._dims, self._least = dims, least
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._params = {d.dim_param for t in tensors for d in t.shape.dim if d.dim_param}
        self._plain = {p for p in self._params if p.isidentifier()}

    def check(self) -> None:
        """Raise OptionError where the user tells of a symbol that no input has; for after all shapes."""
        unknown = sorted(self._dims.keys() - self._taken)
        if unknown:
            known = ", ".join(sorted(self._taken)) or "none"
            raise OptionError(f"no input has the symbol {unknown[0]!r} in its shape; the symbols are {known}")

    def shape(self, tensor: TypeProto.Tensor, name: str) -> Shape:
        """The shape of input `name`. Raises ModelError where the model does not even tell its rank."""
        if not tensor.HasField("shape"):
            raise ModelError(f"input {name!r} has no shape; export with named dimensions")
        return tuple(self._dim(d, f"{name}_{axis}") for axis, d in enumerate(tensor.shape.dim))

    def element_shape(self, tensor: TypeProto.Tensor, name: str, position: int) -> Shape:
        """The shape of an element of the sequence `name`, which has one."""
        return tuple(
            self._element_dim(dim, f"{name}_{position}_{axis}", position)
            for axis, dim in enumerate(tensor.shape.dim)
        )

    def _element_dim(self, dim: TensorShapeProto.Dimension, name: str, position: int) -> Dim:
        if not dim.dim_param or dim.dim_param in self._params:
            return self._dim(dim, name)
        own = f"{dim.dim_param}_{position}"
        return self._symbol(f"{own}\0element" if own in self._params else own, own)

    def told_shape(self, shape: Sequence[int | str]) -> Shape:
        """A shape of sizes and names of symbols that the user gives."""
        return tuple(d if isinstance(d, int) else self._symbol(d, d) for d in shape)

    def element(self, name: str, position: int, bounds: tuple[int, int], part: str = "") -> Dim:
        """The symbol for an element of an input's contents, or for a part of it."""
        own = "_".join(filter(None, (str(position), part)))
        return symbol(self._name(f"{name}\0{own}", f"{name}_{own}"), bounds)

    def fresh(self, name: str, bounds: tuple[int, int]) -> Dim:
        """A symbol that stands for nothing in the model."""
        return symbol(str(self._symbol(f"{name}\0fresh{len(self._names)}", name)), bounds)

    def _dim(self, dim: TensorShapeProto.Dimension, name: str) -> Dim:
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            return int(dim.dim_value)
        if not dim.dim_param:  # unnamed, or -1
            return self._symbol(f"{name}\0unnamed", name)
        expression = self._expression(dim.dim_param)
        return self._symbol(dim.dim_param, dim.dim_param) if expression is None else expression

    def _symbol(self, key: str, name: str) -> Dim:
        """The symbol of a key, or what the user says of it."""
        made = symbol(self._name(key, name))
        least = self._least.get(str(made))
        if least is not None:
            made = symbol(str(made), (least, None))
        return self._dims.get(str(made), made)

    def _name(self, key: str, name: str) -> str:
        """One name per key; those that only differ in characters that symbols cannot have stay apart."""
        if key not in self._names:
            candidate, count = name, 1
            while str(symbol(candidate)) in self._taken:
                count += 1
                candidate = f"{name}_{count}"
            self._names[key] = candidate
            self._taken.add(str(symbol(candidate)))
        return self._names[key]

    def _expression(self, text: str) -> Dim | None:
        if text.isidentifier() or len(text) > _LONGEST_EXPRESSION:
            return None
        try:
            return self._evaluate(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
            return None

    def _evaluate(self, node: ast.expr) -> Dim:
        match node:
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return value
            case ast.Name(id=name) if name in self._plain:
                return self._symbol(name, name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](self._evaluate(left), self._evaluate(right))
        raise ValueError(f"not an expression over dims: {ast.dump(node)}")
