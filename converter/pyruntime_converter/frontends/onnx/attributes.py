"""ONNX attributes as Python values: numbers, strings, lists, arrays and graphs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from onnx import AttributeProto
from onnx.defs import OpSchema

from pyruntime.errors import ModelError
from pyruntime_converter.frontends.onnx.tensors import array_of, dense_of

_A = AttributeProto
_Reader = Callable[[AttributeProto, "Path | None"], Any]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


_READERS: dict[int, _Reader] = {
    _A.FLOAT: lambda a, _: float(a.f),
    _A.INT: lambda a, _: int(a.i),
    _A.STRING: lambda a, _: _text(a.s),
    _A.TENSOR: lambda a, folder: array_of(a.t, folder, a.name),
    _A.SPARSE_TENSOR: lambda a, folder: dense_of(a.sparse_tensor, folder, a.name),
    _A.GRAPH: lambda a, _: a.g,
    _A.TYPE_PROTO: lambda a, _: a.tp,
    _A.FLOATS: lambda a, _: tuple(float(x) for x in a.floats),
    _A.INTS: lambda a, _: tuple(int(x) for x in a.ints),
    _A.STRINGS: lambda a, _: tuple(_text(x) for x in a.strings),
    _A.TENSORS: lambda a, folder: tuple(array_of(t, folder, a.name) for t in a.tensors),
    _A.GRAPHS: lambda a, _: tuple(a.graphs),
}
# files of IR version 1 may leave the type out: the field that is filled tells it
_FILLED = (
    *(("f", _A.FLOAT), ("i", _A.INT), ("s", _A.STRING), ("t", _A.TENSOR), ("g", _A.GRAPH)),
    *(("floats", _A.FLOATS), ("ints", _A.INTS), ("strings", _A.STRINGS)),
    *(("tensors", _A.TENSORS), ("graphs", _A.GRAPHS)),
)
_T = OpSchema.AttrType
_TYPES = {
    _T.FLOAT: _A.FLOAT,
    _T.INT: _A.INT,
    _T.STRING: _A.STRING,
    _T.TENSOR: _A.TENSOR,
    _T.GRAPH: _A.GRAPH,
    _T.FLOATS: _A.FLOATS,
    _T.INTS: _A.INTS,
    _T.STRINGS: _A.STRINGS,
    _T.TENSORS: _A.TENSORS,
    _T.GRAPHS: _A.GRAPHS,
    _T.SPARSE_TENSOR: _A.SPARSE_TENSOR,
    _T.SPARSE_TENSORS: _A.SPARSE_TENSORS,
    _T.TYPE_PROTO: _A.TYPE_PROTO,
    _T.TYPE_PROTOS: _A.TYPE_PROTOS,
}
_REPEATED = frozenset({"floats", "ints", "strings", "tensors", "graphs"})


def type_of(attribute: AttributeProto) -> int:
    """The attribute's type, also where the file leaves it out; UNDEFINED for an empty one."""
    if attribute.type != _A.UNDEFINED:
        return int(attribute.type)
    for field, kind in _FILLED:
        if len(getattr(attribute, field)) if field in _REPEATED else attribute.HasField(field):
            return int(kind)
    return int(_A.UNDEFINED)


def value_of(attribute: AttributeProto, folder: Path | None) -> Any:
    """The attribute's value. Raises ModelError for one without a value."""
    reader = _READERS.get(type_of(attribute))
    if reader is None:
        raise ModelError(f"attribute {attribute.name!r} has no value of a known type")
    return reader(attribute, folder)


def resolve(
    given: Iterable[AttributeProto], bound: Mapping[str, AttributeProto], where: str
) -> dict[str, AttributeProto]:
    """Attributes by name, with references to a function's parameters replaced by what the caller bound.

    A reference to a parameter that the caller left out is left out too, as ONNX says.
    """
    found: dict[str, AttributeProto] = {}
    for attribute in given:
        if attribute.name in found:
            raise ModelError(f"{where}: attribute {attribute.name!r} appears twice")
        if not attribute.ref_attr_name:
            found[attribute.name] = attribute
        elif attribute.ref_attr_name in bound:
            renamed = AttributeProto()
            renamed.CopyFrom(bound[attribute.ref_attr_name])
            renamed.name = attribute.name
            found[attribute.name] = renamed
    return found


def check(given: Mapping[str, AttributeProto], schema: OpSchema, where: str) -> None:
    """Raise ModelError where a required attribute is missing, or one has another type than ONNX defines."""
    missing = sorted(name for name, a in schema.attributes.items() if a.required and name not in given)
    if missing:
        raise ModelError(f"{where}: attribute {', '.join(missing)} is missing")
    for name, attribute in given.items():
        if name in schema.attributes:
            expected = _TYPES.get(schema.attributes[name].type, _A.UNDEFINED)
            if type_of(attribute) not in (expected, _A.UNDEFINED):
                kind = _A.AttributeType.Name(expected)
                raise ModelError(f"{where}: attribute {name!r} must be of type {kind}")


@functools.lru_cache(maxsize=4096)
def _default(serialized: bytes) -> Any:
    return value_of(AttributeProto.FromString(serialized), None)


def default_of(attribute: OpSchema.Attribute) -> Any:
    """The default value that the operator's definition gives, or None."""
    default = attribute.default_value
    return _default(default.SerializeToString()) if default.type != _A.UNDEFINED else None
