"""From what the user feeds to checked bytes and values of symbols, and from bytes to what the user gets.

Anything with the buffer protocol is taken (NumPy arrays, array.array, memoryview), as are Python numbers
and nested lists of them, `Tensor`, and objects that NumPy can turn into an array. NumPy itself is not needed.
Strings are left to `strings.py`.
"""

from __future__ import annotations

import difflib
import importlib.util
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pyruntime.errors import InputError, MemoryLimitError
from pyruntime.ir.dtypes import DType
from pyruntime.ir.ratio import of_bfloat16, part_of
from pyruntime.pack.expressions import Evaluator, infix
from pyruntime.pack.program import bound_shape, told
from pyruntime.pack.program import size as size_of
from pyruntime.pack.schema import Entry, Spec
from pyruntime.runtime import strings
from pyruntime.runtime.lists import names, spread
from pyruntime.runtime.nested import flat, shape_of
from pyruntime.runtime.tensors import Tensor, TensorSpec

FORMATS = {
    DType.BOOL: "?",
    DType.I8: "b",
    DType.I16: "h",
    DType.I32: "i",
    DType.I64: "q",
    DType.U8: "B",
    DType.U16: "H",
    DType.U32: "I",
    DType.U64: "Q",
    DType.F16: "e",
    DType.F32: "f",
    DType.F64: "d",
}
_KINDS = {"?": "bool", **dict.fromkeys("bhilqn", "int"), **dict.fromkeys("BHILQN", "uint")}
T = TypeVar("T")
_KINDS |= dict.fromkeys("efd", "float")


@dataclass(frozen=True)
class Bound:
    """Checked inputs in the entry's order, and the values that their sizes give to the symbols."""

    inputs: tuple[Tensor, ...]
    symbols: Mapping[str, int]


def spec_of(spec: Spec) -> TensorSpec:
    """An input or output as sessions tell it."""
    shape = tuple(d if isinstance(d, int) else infix(d) for d in _as_told(spec, spec.shape))
    return TensorSpec(spec.name, spec.element.value, shape, spec.default)


def _as_told(spec: Spec, shape: Sequence[T]) -> Sequence[T]:
    """A shape as the user has it: bytes of strings are no axis."""
    return shape[:-1] if spec.encodes is DType.STRING else shape


def bind(entry: Entry, feeds: Mapping[str, Any], lengths: Sequence[int] = ()) -> Bound:
    """Check feeds against the entry. Raises InputError naming the input, what was expected and what it is.

    `lengths` are the present sizes of the pack's states along the axes along which they grow.
    """
    feeds = spread(entry, feeds)
    _check_names(entry, feeds)
    given = {s.name: as_tensor(feeds[s.name], s) for s in entry.inputs if s.name in feeds}
    for spec in entry.inputs:
        if spec.name in given and len(given[spec.name].shape) != len(spec.shape):
            rank = len(_as_told(spec, spec.shape))
            raise _mismatch(spec, given[spec.name], f"rank {rank} is needed")
    symbols: dict[str, int] = {}
    for symbol in entry.symbols:
        if symbol.state is not None:
            symbols[symbol.name] = lengths[symbol.state]
        if symbol.input is None or symbol.axis is None:
            continue
        spec = entry.inputs[symbol.input]
        size = given[spec.name].shape[symbol.axis]
        if size < symbol.least:
            reason = f"axis {symbol.axis} ({symbol.name}) must be at least {symbol.least}"
            raise _mismatch(spec, given[spec.name], reason)
        symbols[symbol.name] = size
    values = Evaluator(symbols)
    inputs = tuple(given.get(s.name) or _filled(s, bound_shape(s, values)) for s in entry.inputs)
    for tensor, spec in zip(inputs, entry.inputs, strict=True):
        expected = bound_shape(spec, values)
        if expected != tensor.shape:
            axis = next(i for i, (a, b) in enumerate(zip(expected, tensor.shape, strict=True)) if a != b)
            raise _mismatch(
                spec, tensor, f"axis {axis} must be {expected[axis]}{_because(spec, axis, symbols)}"
            )
        if spec.within is not None:
            _check_within(tensor, spec, *spec.within)
    for symbol in entry.symbols:
        if symbol.input is not None and symbol.element is not None:
            spec = entry.inputs[symbol.input]
            value = _element(inputs[symbol.input], symbol.element)
            if symbol.part and spec.encodes:
                value = of_bfloat16(int(value))
            symbols[symbol.name] = part_of(value, symbol.part, spec.name)
    values = Evaluator(symbols)
    for constraint in entry.constraints:
        if not size_of(constraint.value, values):
            raise InputError(f"{constraint.reason}; given {told(symbols)}")
    return Bound(inputs, {s.name: symbols[s.name] for s in entry.symbols})


def _check_within(tensor: Tensor, spec: Spec, low: int, high: int) -> None:
    if spec.encodes is DType.STRING:
        strings.check_bytes(tensor, spec, low, high)
        return
    elements: memoryview[int] = tensor.data.cast(FORMATS[spec.dtype])  # type: ignore[call-overload]  # a Literal there
    if elements and not (low <= min(elements) and max(elements) <= high):
        strange = next(e for e in elements if not low <= e <= high)
        raise InputError(f"input {spec.name!r} takes integers from {low} to {high}, got {strange}")


def _element(tensor: Tensor, position: int) -> int | float:
    """An element of a tensor."""
    value: int | float
    (value,) = struct.unpack_from(
        f"<{FORMATS[DType(tensor.dtype)]}", tensor.data, position * DType(tensor.dtype).bytes
    )
    return value


def make_output(tensor: Tensor, encodes: DType | None = None) -> Any:
    """A NumPy array over the tensor's bytes, or the tensor itself where there is no NumPy.

    Where the elements are codes, of the type that they stand for, if ml_dtypes is there to bring it.
    """
    try:
        import numpy as np
    except ModuleNotFoundError:
        return tensor
    array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
    if encodes is not None and importlib.util.find_spec("ml_dtypes"):
        importlib.import_module("ml_dtypes")
        return array.view(encodes.value)
    return array


def _because(spec: Spec, axis: int, symbols: Mapping[str, int]) -> str:
    dim = spec.shape[axis]
    if isinstance(dim, int):
        return ""
    return f" = {infix(dim)}, since {', '.join(f'{k} is {v}' for k, v in symbols.items())}"


def _filled(spec: Spec, shape: tuple[int, ...]) -> Tensor:
    """An input that was not fed."""
    element = struct.pack(f"<{FORMATS[spec.dtype]}", spec.default)
    try:
        data = element * math.prod(shape)
    except (MemoryError, OverflowError):
        raise MemoryLimitError(f"input {spec.name!r} of shape {shape} does not fit into memory") from None
    return Tensor(memoryview(data), shape, spec.dtype.value)


def _check_names(entry: Entry, feeds: Mapping[str, Any]) -> None:
    known = [s.name for s in entry.inputs]
    called = names(entry)
    listed = ", ".join(map(repr, dict.fromkeys(called))) or "none"
    for name in feeds:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            hint = f"; did you mean {close[0]!r}? The" if close else "; the"
            raise InputError(f"there is no input {name!r}{hint} inputs are {listed}")
    missing = [
        n for n, s in zip(called, entry.inputs, strict=True) if s.name not in feeds and s.default is None
    ]
    if missing:
        raise InputError(f"input {missing[0]!r} is missing; the inputs are {listed}")


def _mismatch(spec: Spec, tensor: Tensor, reason: str) -> InputError:
    wanted = spec_of(spec)
    expected = f"{wanted.dtype} of shape ({', '.join(map(str, wanted.shape))})"
    given = wanted.dtype if spec.encodes is DType.STRING else tensor.dtype
    got = f"{given} of shape ({', '.join(map(str, _as_told(spec, tensor.shape)))})"
    return InputError(f"input {spec.name!r}: expected {expected}, got {got}: {reason}")


def as_tensor(value: Any, spec: Spec) -> Tensor:
    """What the user feeds as a tensor of the right dtype; strings as their bytes. Raises InputError."""
    if spec.encodes is DType.STRING:
        return strings.as_rows(value, spec)
    if spec.encodes is not None:
        value = _codes(value, spec.encodes)
    if isinstance(value, Tensor):
        tensor = value
        if len(tensor.data) != math.prod(tensor.shape) * DType(tensor.dtype).bytes:
            raise InputError(
                f"input {spec.name!r}: {len(tensor.data)} bytes for {tensor.dtype} {tensor.shape}"
            )
    elif isinstance(value, (bool, int, float, list, tuple)):
        return _from_python(value, spec)
    else:
        tensor = _from_buffer(value, spec)
    if tensor.dtype != spec.dtype.value:
        raise _mismatch(spec, tensor, f"convert it, with .astype({spec.element.value!r}) say")
    return tensor


def _codes(value: Any, dtype: DType) -> Any:
    """The integers that encode an array or tensor of dtype; anything else as it is."""
    assert dtype.code is not None
    if isinstance(value, Tensor):
        return Tensor(value.data, value.shape, dtype.code.value) if value.dtype == dtype.value else value
    if getattr(getattr(value, "dtype", None), "name", "") == dtype.value:
        return value.view(dtype.code.value)
    return value


def _from_buffer(value: Any, spec: Spec) -> Tensor:
    try:
        view = memoryview(value)
    except (TypeError, ValueError, BufferError):
        value = _as_array(value, spec)
        view = memoryview(value)
    kind = _KINDS.get(view.format.lstrip("@=<"))
    if kind is None:
        raise InputError(
            f"input {spec.name!r}: expected {spec.dtype.value}, got elements of format {view.format!r}"
            f" ({type(value).__name__})"
        )
    dtype = kind if kind == "bool" else f"{kind}{8 * view.itemsize}"
    if not view.nbytes:
        data = memoryview(b"")
    elif view.c_contiguous:
        data = view.cast("B")
    else:
        data = memoryview(value.tobytes())
    return Tensor(data, tuple(view.shape or ()), dtype)


def _as_array(value: Any, spec: Spec) -> Any:
    """value as a NumPy array, for objects of other libraries that offer themselves as one."""
    if hasattr(value, "__array__"):
        import numpy as np

        return np.asarray(value)
    raise InputError(
        f"input {spec.name!r}: expected {spec.dtype.value} as an array or a list, got {type(value).__name__}"
    )


def _from_python(value: Any, spec: Spec) -> Tensor:
    """Python numbers: bool for bool, int in range for integers; int and float, rounded, for floats."""
    wanted: tuple[type, ...] = (bool,) if spec.dtype is DType.BOOL else (int,)
    if spec.dtype.is_float:
        wanted = (int, float)
    shape = shape_of(value, spec)
    elements = list(flat(value, shape, spec))
    for element in elements:
        if not isinstance(element, wanted) or (isinstance(element, bool) and bool not in wanted):
            raise InputError(f"input {spec.name!r}: expected {spec.dtype.value}, got {element!r} in a list")
    try:
        data = struct.pack(f"<{len(elements)}{FORMATS[spec.dtype]}", *elements)
    except (struct.error, OverflowError):
        raise InputError(f"input {spec.name!r}: a number does not fit {spec.dtype.value}") from None
    return Tensor(memoryview(data), shape, spec.dtype.value)
