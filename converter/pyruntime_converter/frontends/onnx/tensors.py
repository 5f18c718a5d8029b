"""Element types and tensors of ONNX files, checked against the bytes there are, copied only if needed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - NumPy finds its types by their names from here on
import numpy as np
from numpy.typing import NDArray
from onnx import SparseTensorProto, TensorProto

from pyruntime.errors import ModelError, UnsupportedError
from pyruntime.ir.dtypes import DType

_DTYPES: dict[int, DType] = {
    TensorProto.FLOAT: DType.F32,
    TensorProto.FLOAT16: DType.F16,
    TensorProto.DOUBLE: DType.F64,
    TensorProto.BOOL: DType.BOOL,
    TensorProto.INT8: DType.I8,
    TensorProto.INT16: DType.I16,
    TensorProto.INT32: DType.I32,
    TensorProto.INT64: DType.I64,
    TensorProto.UINT8: DType.U8,
    TensorProto.UINT16: DType.U16,
    TensorProto.UINT32: DType.U32,
    TensorProto.UINT64: DType.U64,
    TensorProto.BFLOAT16: DType.BF16,
    TensorProto.FLOAT8E4M3FN: DType.F8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ: DType.F8E4M3FNUZ,
    TensorProto.FLOAT8E5M2: DType.F8E5M2,
    TensorProto.FLOAT8E5M2FNUZ: DType.F8E5M2FNUZ,
    TensorProto.FLOAT8E8M0: DType.F8E8M0,
    TensorProto.FLOAT4E2M1: DType.F4E2M1,
    TensorProto.INT4: DType.I4,
    TensorProto.UINT4: DType.U4,
    TensorProto.INT2: DType.I2,
    TensorProto.UINT2: DType.U2,
    TensorProto.STRING: DType.STRING,
}
_ENUMS = {dtype: enum for enum, dtype in _DTYPES.items()}
# the repeated field that holds each type's elements where raw_data does not, and the field's own type
_FIELDS: dict[DType, tuple[str, str]] = {
    DType.F32: ("float_data", "float32"),
    DType.F64: ("double_data", "float64"),
    DType.I64: ("int64_data", "int64"),
    DType.U32: ("uint64_data", "uint64"),
    DType.U64: ("uint64_data", "uint64"),
    **dict.fromkeys(
        (DType.BOOL, DType.I8, DType.I16, DType.I32, DType.U8, DType.U16, DType.F16), ("int32_data", "int32")
    ),
}
_DENSE_BYTES_LIMIT = 1 << 30  # of a sparse tensor's dense form: a few bytes of file can declare any size


def dtype_of(enum: int, what: str) -> DType:
    """The dtype of a TensorProto.DataType. Raises UnsupportedError for those that pyruntime has not."""
    dtype = _DTYPES.get(enum)
    if dtype is None:
        known = enum in TensorProto.DataType.values()
        name = TensorProto.DataType.Name(enum).lower() if known else f"number {enum}"
        raise UnsupportedError(
            "tensor", what, f"element type {name} is not supported", "Export with float32 or int tensors."
        )
    return dtype


def enum_of(dtype: DType) -> int:
    """The TensorProto.DataType of a dtype."""
    return _ENUMS[dtype]


def array_of(tensor: TensorProto, folder: Path | None, what: str = "") -> NDArray[Any]:
    """The elements of a tensor, read-only where they are the file's own bytes; strings as objects.

    Args:
        tensor: as the file has it.
        folder: where external data may lie; None for a model that is not a file.
        what: names the tensor in messages; by default its own name.

    Raises:
        ModelError: shape and bytes disagree, or external data is missing or outside the folder.
        UnsupportedError: an element type that pyruntime has not.
    """
    what = what or tensor.name
    dtype = dtype_of(tensor.data_type, what)
    shape = tuple(int(d) for d in tensor.dims)
    if any(d < 0 for d in shape):
        raise ModelError(f"tensor {what!r}: shape {shape}")
    count = math.prod(shape)
    if dtype is DType.STRING:
        return _texts(tensor, shape, what)
    size = -(-count * dtype.width // 8)
    if tensor.data_location == TensorProto.EXTERNAL:
        flat = _of_bytes(_external(tensor, folder, what, size), dtype, count)
    elif tensor.HasField("raw_data"):
        raw = np.frombuffer(_sized(tensor.raw_data, size, shape, what), np.uint8)
        flat = _of_bytes(raw, dtype, count)
    else:
        flat = _of_field(tensor, dtype, count)
    if flat.size != count:
        raise ModelError(f"tensor {what!r}: {flat.size} elements for shape {shape}")
    return flat.reshape(shape)


def _texts(tensor: TensorProto, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """Strings, which a file has in one way alone."""
    try:
        texts = [raw.decode() for raw in tensor.string_data]
    except UnicodeDecodeError as error:
        raise ModelError(f"tensor {what!r}: a string is not UTF-8: {error}") from None
    if len(texts) != math.prod(shape):
        raise ModelError(f"tensor {what!r}: {len(texts)} strings for shape {shape}")
    flat = np.empty(len(texts), object)
    flat[:] = texts
    return flat.reshape(shape)


def dense_of(sparse: SparseTensorProto, folder: Path | None, what: str) -> NDArray[Any]:
    """A sparse tensor with its zeros. Raises ModelError for indices outside its shape, or over 1 GiB."""
    values = array_of(sparse.values, folder, what)
    indices = array_of(sparse.indices, folder, what)
    shape = tuple(int(d) for d in sparse.dims)
    count = math.prod(shape)
    if any(d < 0 for d in shape) or count * values.itemsize > _DENSE_BYTES_LIMIT:
        raise ModelError(f"sparse tensor {what!r}: shape {shape}")
    if indices.ndim == 2 and indices.shape[1] == len(shape):
        if ((indices < 0) | (indices >= np.array(shape))).any():
            raise ModelError(f"sparse tensor {what!r}: index outside its shape {shape}")
        indices = np.ravel_multi_index(tuple(indices.T), shape)
    if indices.shape != values.shape or indices.ndim != 1 or ((indices < 0) | (indices >= count)).any():
        raise ModelError(f"sparse tensor {what!r}: indices do not fit its values and shape {shape}")
    dense = np.zeros(count, values.dtype)
    dense[indices] = values
    return dense.reshape(shape)


def _sized(raw: bytes, expected: int, shape: tuple[int, ...], what: str) -> bytes:
    if len(raw) != expected:
        raise ModelError(f"tensor {what!r}: {len(raw)} bytes, but shape {shape} takes {expected}")
    return raw


def _of_bytes(raw: NDArray[np.uint8], dtype: DType, count: int) -> NDArray[Any]:
    if dtype.width < 8:
        return _unpacked(raw, dtype, count)
    # any nonzero byte is true, while NumPy's own bool bytes are 0 and 1 only
    return raw != 0 if dtype is DType.BOOL else raw.view(np.dtype(dtype.value).newbyteorder("<"))


def _unpacked(raw: NDArray[np.uint8], dtype: DType, count: int) -> NDArray[Any]:
    """Elements shorter than a byte, of which each holds several, the first in its lowest bits."""
    shifts = np.arange(0, 8, dtype.width, dtype=np.uint8)
    elements = ((raw[:, None] >> shifts) & ((1 << dtype.width) - 1)).reshape(-1)[:count]
    return elements.astype(np.int8).view(dtype.value)


def _of_field(tensor: TensorProto, dtype: DType, count: int) -> NDArray[Any]:
    field, stored = _FIELDS.get(dtype, ("int32_data", "int32"))
    data = np.array(getattr(tensor, field), dtype=stored)
    if dtype.width < 8:
        return _unpacked(data.astype(np.uint8), dtype, count)
    if dtype is DType.F16 or dtype.code:  # bit patterns
        return data.astype(f"uint{dtype.bits}").view(dtype.value)
    return data.astype(dtype.value, copy=False)


def _external(tensor: TensorProto, folder: Path | None, what: str, expected: int) -> NDArray[np.uint8]:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise ModelError(
            f"tensor {what!r} lies in the file {location!r}: give the model's path, not its bytes"
        )
    try:
        path = (folder / location).resolve()
        there = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, links in a circle
        raise ModelError(f"tensor {what!r}: external data {location!r}: {error}") from None
    if not location or Path(location).is_absolute() or not path.is_relative_to(folder.resolve()):
        raise ModelError(f"tensor {what!r}: external data {location!r} is outside the model's folder")
    if not there:
        raise ModelError(f"tensor {what!r}: its external data {path} is missing")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", expected))
    except ValueError:
        raise ModelError(f"tensor {what!r}: external data at offset {entries.get('offset')!r}") from None
    size = path.stat().st_size
    if length != expected or offset < 0 or offset + length > size:
        raise ModelError(
            f"tensor {what!r}: takes {expected} bytes, but its external data is {length} bytes at {offset} "
            f"of {path}, which has {size}"
        )
    if not length:
        return np.empty(0, np.uint8)
    return np.asarray(np.memmap(path, np.uint8, "r", offset, (length,)))
