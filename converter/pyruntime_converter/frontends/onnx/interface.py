"""What an ONNX model is fed and gives: tensors, sequences and optionals; users tell what those fed hold."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, TypeProto, ValueInfoProto

from pyruntime.errors import OptionError, UnsupportedError
from pyruntime.ir.conditions import equal
from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Constraint, Listed, Origin, Shape, Value
from pyruntime.ir.ratio import MOST_ABOVE, MOST_BELOW, Ratio
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.assumptions import OPENED_ELEMENTS, is_parameter
from pyruntime_converter.frontends.onnx.held import Empty, Held, Maps, OpenSequence, TensorSequence, Text
from pyruntime_converter.frontends.onnx.scope import Gap
from pyruntime_converter.frontends.onnx.symbols import Symbols
from pyruntime_converter.frontends.onnx.tensors import dtype_of
from pyruntime_converter.options import Elements, ElementShape, Told

MOST_ELEMENTS = 4096  # tensors of a sequence that is fed
_INSTEAD_OF_MAPS = (
    "Export the model without the DictVectorizer or CastMap that reads it, and feed what that gives: a "
    "tensor of the values, in the order of the vocabulary."
)


class Inputs:
    """Declares a model's inputs in a graph.

    Args:
        fed: the inputs as the model has them.
        builder: of the graph.
        told: what the user says of them.
        opened: names of those whose contents are to be symbols.
        least: by name, sizes that are at least so much.

    Raises:
        OptionError: what is told does not fit the model.
        UnsupportedError: an input that packs have not, or of which too little is told.
    """

    def __init__(
        self,
        fed: Sequence[ValueInfoProto],
        builder: Builder,
        told: Told,
        opened: Container[str],
        least: Mapping[str, int],
    ) -> None:
        self._fed, self._builder, self._told, self._opened = fed, builder, told, opened
        tensors = [t for v in fed if (t := _tensor_of(v.type)) is not None]
        self.symbols = Symbols(tensors, told.dims, least)

    def declare(
        self, failed: Callable[[UnsupportedError], None] | None = None
    ) -> Iterator[tuple[str, Held | Gap]]:
        """Each input's name, and what it stands for; those that packs have not are given to `failed`."""
        tensors = [v.name for v in self._fed if v.type.HasField("tensor_type")]
        others = [v.name for v in self._fed if v.name not in tensors]
        _check_names("elements", self._told.elements, others, "sequence or optional")
        _check_names("values", self._told.values, tensors, "tensor")
        for value in self._fed:
            try:
                held: Held | Gap = self._input(value.name, value.type)
            except UnsupportedError as error:
                if failed is None:
                    raise
                failed(error)
                held = Gap.BLOCKED
            yield value.name, held
        self.symbols.check()

    def _input(self, name: str, declared: TypeProto) -> Held:
        match declared.WhichOneof("value"):
            case "tensor_type":
                tensor = declared.tensor_type
                shape = self.symbols.shape(tensor, name)
                made = self._tensor(name, tensor, shape)
                return self._fixed(made) if name in self._told.values and isinstance(made, Value) else made
            case "sequence_type":
                elements = self._told_elements(name, "a sequence")
                return self._sequence(name, declared.sequence_type.elem_type, elements)
            case "optional_type":
                elements = self._told_elements(name, "an optional")
                return self._optional(name, declared.optional_type.elem_type, elements)
            case kind:
                remedy = _INSTEAD_OF_MAPS if kind == "map_type" else ""
                raise UnsupportedError("Input", name, f"it is {_told_kind(kind)}, not a tensor", remedy)

    def _told_elements(self, name: str, what: str) -> Elements:
        if name in self._told.elements:
            return self._told.elements[name]
        absent = ", or None if it is absent" if what == "an optional" else ""
        raise UnsupportedError(
            "Input",
            name,
            f"it is {what}, and what it holds must be known when the model is converted",
            f'Say how many tensors{absent}: elements={{"{name}": 1}}, or --elements {name}=1.',
        )

    def _tensor(self, name: str, tensor: TypeProto.Tensor, shape: Shape) -> Value | Text:
        if tensor.elem_type == TensorProto.STRING:
            return self._strings(name, shape)
        made = self._builder.input(name, dtype_of(tensor.elem_type, name), shape)
        if name in self._opened or (name in self._told.values and is_parameter(made)):
            if made.dtype.is_float:
                made.ratios = self._ratios(made)
            else:
                made.contents = self._contents(made)
        return made

    def _strings(self, name: str, shape: Shape) -> Text:
        """Strings are fed as their bytes, in rows as wide as the longest one takes."""
        if name in self._told.values:
            raise OptionError(f"values: {name!r} has strings; only integers and bools can be fixed")
        width = self.symbols.fresh(f"{name}_bytes", (1, 2**31 - 1))
        made = self._builder.input(name, DType.U8, (*shape, width))
        self._builder.graph.encoded[made.name] = DType.STRING
        self._builder.origin = Origin("Input", name)
        return text.of_bytes(self._builder, made)

    def _optional(self, name: str, held: TypeProto, elements: Elements) -> Held:
        if elements is None:
            self._list(name, None)
            return Empty()
        if held.HasField("sequence_type"):
            return self._sequence(name, held.sequence_type.elem_type, elements)
        _check_tensor(name, held)
        shapes = _shapes(name, elements)
        if len(shapes) != 1:
            raise OptionError(f"elements: {name!r} is an optional tensor; give 1, or None if it is absent")
        tensor = held.tensor_type
        told = shapes[0]
        shape = self.symbols.shape(tensor, name) if told is None else self._told_shape(name, tensor, told)
        return self._tensor(name, tensor, shape)

    def _sequence(self, name: str, held: TypeProto, elements: Elements) -> TensorSequence:
        _check_tensor(name, held)
        if elements is None:
            raise OptionError(f"elements: {name!r} is a sequence; give a number, which may be 0")
        tensor = held.tensor_type
        shapes = _shapes(name, elements)
        self._list(name, len(shapes))
        made = []
        for position, told in enumerate(shapes):
            if told is not None:
                shape = self._told_shape(name, tensor, told)
            elif tensor.HasField("shape"):
                shape = self.symbols.element_shape(tensor, name, position)
            else:
                raise UnsupportedError(
                    "Input",
                    name,
                    "the model does not tell the shapes of its tensors",
                    f'Give one for each: elements={{"{name}": [[2, 3], ["n", 3]]}},'
                    f""" or --elements '{name}=[[2, 3], ["n", 3]]'.""",
                )
            made.append(self._tensor(f"{name}[{position}]", tensor, shape))
        return TensorSequence(tuple(made))

    def _told_shape(self, name: str, tensor: TypeProto.Tensor, told: ElementShape) -> Shape:
        """The shape that the user gives, which must be one that the model allows."""
        declared = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        fits = len(told) == len(declared) and all(d in (None, t) for d, t in zip(declared, told, strict=True))
        if tensor.HasField("shape") and not fits:
            wanted = ", ".join("?" if d is None else str(d) for d in declared)
            raise OptionError(f"elements: {name!r} holds tensors of shape [{wanted}], not {list(told)}")
        return self.symbols.told_shape(told)

    def _list(self, name: str, length: int | None) -> None:
        graph = self._builder.graph
        graph.lists.append(Listed(name, "inputs", len(graph.inputs), length))

    def _contents(self, value: Value) -> NDArray[np.object_]:
        """A symbol for each element of an input."""
        assert isinstance(value.elements, int)
        array = np.empty(value.elements, dtype=object)
        limits = value.dtype.limits
        array[:] = [self.symbols.element(value.name, i, limits) for i in range(value.elements)]
        return array.reshape(tuple(int(str(d)) for d in value.shape))

    def _ratios(self, value: Value) -> tuple[Ratio, ...]:
        """Two symbols for each element of an input of floats."""
        assert isinstance(value.elements, int)
        above, below = (-MOST_ABOVE, MOST_ABOVE), (1, MOST_BELOW)
        element = functools.partial(self.symbols.element, value.name)
        return tuple(
            Ratio(element(i, above, "numerator"), element(i, below, "denominator"))
            for i in range(value.elements)
        )

    def _fixed(self, fed: Value) -> Value:
        """What the user says that an input always is; the input stays, and is refused if it is not so."""
        graph, name = self._builder.graph, fed.name
        if fed.contents is None:
            raise OptionError(
                f"values: {name!r} is {fed.dtype!r}{list(fed.shape)}; only integers and bools can be fixed,"
                f" {OPENED_ELEMENTS} at most"
            )
        given = self._told.values[name]
        array = _exactly(given, fed.dtype, fed.contents.shape)
        if array is None:
            raise OptionError(f"values: {name!r} is {fed.dtype!r}{list(fed.shape)}, and {given!r} is not")
        numbers, symbols = [int(n) for n in array.flat], fed.contents.ravel().tolist()
        holds = product([equal(s, n) for s, n in zip(symbols, numbers, strict=True)])
        graph.constraints.append(Constraint(holds, f"the model was converted for {name} = {array.tolist()}"))
        if len(set(numbers)) == 1:
            graph.defaults[name] = numbers[0]
        return self._builder.constant(array, name=name)


def declare_output(builder: Builder, name: str, held: Held) -> None:
    """Let a result be the output of this name in the builder's graph, or let its elements be outputs.

    Raises UnsupportedError for a sequence of a number of tensors that only a run tells.
    """
    if isinstance(held, OpenSequence):
        reason = "it is a sequence, and how many tensors it holds is not known"
        raise UnsupportedError("Output", name, reason, "Export what they make, put together (torch.stack).")
    graph = builder.graph
    if isinstance(held, Maps):  # their values, and behind them the keys, which all share
        declare_output(builder, name, held.values)
        declare_output(builder, f"{name}_keys", held.keys)
        return
    builder.origin = Origin("Output", name)
    named = {name: held} if isinstance(held, Value | Text) else {}
    if isinstance(held, TensorSequence):
        named = {f"{name}[{i}]": item for i, item in enumerate(held.items)}
    if not isinstance(held, Value | Text):
        length = len(named) if isinstance(held, TensorSequence) else None
        graph.lists.append(Listed(name, "outputs", len(graph.outputs), length))
    for called, item in named.items():
        value = text.tensor_of(builder, item)
        if isinstance(item, Text):
            graph.encoded[called] = DType.STRING
        builder.materialised(value)
        graph.outputs.append(value)
        graph.output_names.append(called)


def _tensor_of(declared: TypeProto) -> TypeProto.Tensor | None:
    """The type of a tensor, or of an optional one."""
    if declared.HasField("optional_type"):
        declared = declared.optional_type.elem_type
    return declared.tensor_type if declared.HasField("tensor_type") else None


def _told_kind(kind: str | None) -> str:
    return f"a {(kind or 'value of no type').removesuffix('_type')}"


def _check_tensor(name: str, held: TypeProto) -> None:
    if not held.HasField("tensor_type"):
        raise UnsupportedError("Input", name, f"it holds {_told_kind(held.WhichOneof('value'))}, not tensors")


def _check_names(option: str, given: Iterable[str], names: Sequence[str], what: str) -> None:
    """Raise OptionError where an option names no input of its kind."""
    for name in given:
        if name not in names:
            known = ", ".join(names) or "none"
            raise OptionError(f"{option}: no input {name!r} is a {what}; those that are: {known}")


def _shapes(name: str, elements: Elements) -> Sequence[ElementShape | None]:
    """For each tensor the shape that is told, None where only the number is."""
    if isinstance(elements, int) and not isinstance(elements, bool) and 0 <= elements <= MOST_ELEMENTS:
        return [None] * elements
    if isinstance(elements, Sequence) and len(elements) <= MOST_ELEMENTS and all(map(_is_shape, elements)):
        return list(elements)
    raise OptionError(
        f"elements: {name!r} is {elements!r}; give how many tensors it holds, {MOST_ELEMENTS} at most, or the"
        ' shape of each, as [[2, 3], ["n", 3]]'
    )


def _is_shape(shape: object) -> bool:
    return isinstance(shape, (list, tuple)) and all(
        d.isidentifier() if isinstance(d, str) else type(d) is int and d >= 0 for d in shape
    )


def _exactly(given: Any, dtype: DType, shape: Shape) -> NDArray[Any] | None:
    """What is given as an array of dtype, where it is one."""
    array = np.asarray(given)
    kind = "b" if dtype is DType.BOOL else "iu"
    if array.shape != shape or (array.size and array.dtype.kind not in kind):
        return None
    with np.errstate(all="ignore"):
        made = array.astype(dtype.value)
    return made if np.array_equal(made, array) else None
