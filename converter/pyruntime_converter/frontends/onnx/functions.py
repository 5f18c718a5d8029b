"""Bodies of functions: those that a model brings, and those that ONNX defines operators by."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Protocol, cast

import onnx
from onnx import FunctionProto, NodeProto, TensorProto, TensorShapeProto, TypeProto
from onnx.defs import OpSchema, SchemaError

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime_converter.frontends.onnx.held import Held, Text
from pyruntime_converter.frontends.onnx.tensors import enum_of

_NAMES: dict[DType, str] = {d: f"tensor({TensorProto.DataType.Name(enum_of(d)).lower()})" for d in DType}


@functools.cache
def schema_of(op: str, opset: int, domain: str) -> OpSchema | None:
    """ONNX's definition of an operator in an opset, or None.

    Some exporters use an operator before the opset that brought it (LayerNormalization): then its first
    definition counts.
    """
    newest = onnx.defs.onnx_opset_version() if not domain else opset
    for version in range(opset, newest + 1):
        with contextlib.suppress(SchemaError):
            return onnx.defs.get_schema(op, version, domain)
    return None


def allows(schema: OpSchema, inputs: Sequence[Held | None]) -> bool:
    """Whether ONNX's definition takes inputs of these dtypes."""
    return all(
        not isinstance(value, Value) or _NAMES[value.dtype] in parameter.types
        for value, parameter in zip(inputs, _parameters(schema, len(inputs)), strict=False)
    )


def mixed(schema: OpSchema, inputs: Sequence[Held | None]) -> bool:
    """Whether strings stand where ONNX's definition has numbers, or beside numbers of the same type."""
    strings: dict[str, bool] = {}
    for value, parameter in zip(inputs, _parameters(schema, len(inputs)), strict=False):
        if isinstance(value, Value | Text):
            here = isinstance(value, Text)
            if (here and "tensor(string)" not in parameter.types) or (
                strings.setdefault(parameter.type_str, here) != here
            ):
                return True
    return False


def _parameters(schema: OpSchema, count: int) -> list[OpSchema.FormalParameter]:
    """The definition's inputs; the last of a variadic operator stands for all that follow."""
    found = list(schema.inputs)
    return found + found[-1:] * (count - len(found))


class _Bodies(Protocol):
    """What OpSchema has at run time; the type stubs of onnx leave it out."""

    has_function: bool
    has_context_dependent_function: bool
    function_opset_versions: list[int]
    context_dependent_function_opset_versions: list[int]

    def get_function_with_opset_version(self, version: int, /) -> bytes:
        """A serialised FunctionProto."""

    def get_context_dependent_function_with_opset_version(
        self, version: int, node: bytes, types: Sequence[bytes], /
    ) -> bytes:
        """A serialised FunctionProto for a node and its inputs' types."""


def has_body(schema: OpSchema) -> bool:
    """Whether ONNX defines this operator by a function."""
    bodies = cast(_Bodies, schema)
    return bodies.has_function or bodies.has_context_dependent_function


def body_of(
    schema: OpSchema, node: NodeProto, inputs: Sequence[Held | None], opset: int
) -> FunctionProto | None:
    """The function that ONNX defines an operator by, for these inputs; None where it has none.

    A body's own opset import tells which operators it uses; the newest that is not newer than the
    model's is taken, else the oldest.
    """
    bodies = cast(_Bodies, schema)
    for version in _by_preference(bodies.context_dependent_function_opset_versions, opset):
        serialized = bodies.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), [_type(i) for i in inputs]
        )
        if serialized:
            return FunctionProto.FromString(serialized)
    for version in _by_preference(bodies.function_opset_versions, opset):
        return FunctionProto.FromString(bodies.get_function_with_opset_version(version))
    return None


def _by_preference(versions: Sequence[int], opset: int) -> list[int]:
    older = [v for v in versions if v <= opset]
    newer = [v for v in versions if v > opset]
    return sorted(older, reverse=True) + sorted(newer)


def _type(value: Held | None) -> bytes:
    if isinstance(value, Text):
        return _tensor(DType.STRING, value.rows.shape)
    if not isinstance(value, Value):  # no body depends on the types of sequences or optionals
        return TypeProto().SerializeToString()
    return _tensor(value.dtype, value.shape)


def _tensor(dtype: DType, shape: Shape) -> bytes:
    dims = [
        TensorShapeProto.Dimension(dim_value=d)
        if isinstance(d, int)
        else TensorShapeProto.Dimension(dim_param=str(d))
        for d in shape
    ]
    tensor = TypeProto.Tensor(elem_type=enum_of(dtype), shape=TensorShapeProto(dim=dims))
    return TypeProto(tensor_type=tensor).SerializeToString()
