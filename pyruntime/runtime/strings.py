"""Strings that users feed and get, as arrays of str objects or nested lists: rows of bytes in packs."""

from __future__ import annotations

import math
from typing import Any

from pyruntime.errors import InputError, RunError
from pyruntime.ir.strings import END, WIDTH_STEP, decode, encode
from pyruntime.pack.schema import Spec
from pyruntime.runtime.nested import flat, shape_of
from pyruntime.runtime.tensors import Tensor


def as_rows(value: Any, spec: Spec) -> Tensor:
    """What the user feeds as uint8 [*shape, width]. Raises InputError for anything but str.

    Taken are a str, (nested lists of) them, and what NumPy can turn into an array of them.
    """
    if hasattr(value, "__array__"):
        shape, strings = _of_array(value)
    elif isinstance(value, (str, list, tuple)):
        shape = shape_of(value, spec)
        strings = list(flat(value, shape, spec))
    else:
        raise InputError(f"input {spec.name!r}: expected strings, got {type(value).__name__}")
    for element in strings:
        if not isinstance(element, str):
            raise InputError(f"input {spec.name!r}: expected strings, got {element!r:.60}")
    try:
        data, width = encode(strings, WIDTH_STEP)
    except UnicodeEncodeError as error:
        raise InputError(f"input {spec.name!r}: {error.object!r:.60} is no text: {error.reason}") from None
    return Tensor(memoryview(data), (*shape, width), "uint8")


def _of_array(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and elements."""
    import numpy as np

    array = np.asarray(value)
    return array.shape, array.ravel().tolist()


def check_bytes(tensor: Tensor, spec: Spec, low: int, high: int) -> None:
    """Raise InputError where a string has bytes outside of a range, that of ASCII for instance."""
    allowed = bytes([*range(low, high + 1), END])
    if bytes(tensor.data).translate(None, allowed):
        count = math.prod(tensor.shape[:-1])
        strings = decode(tensor.data, tensor.shape[-1], count)
        strange = next(s for s in strings if s.encode().translate(None, allowed))
        plain = {(0, 0x7F): ", which is ASCII", (0, 0xC3): ", which is Latin-1"}.get((low, high), "")
        raise InputError(
            f"input {spec.name!r} takes strings whose bytes are from {low} to {high}{plain};"
            f" got {strange!r:.60}"
        )


def to_strings(tensor: Tensor, name: str) -> Any:
    """An array of str objects; nested lists where there is no NumPy. Raises RunError for invalid UTF-8."""
    *shape, width = tensor.shape
    try:
        strings = decode(tensor.data, width, math.prod(shape))
    except UnicodeDecodeError as error:
        raise RunError(f"output {name!r} has a string that is not UTF-8: {error}") from None
    try:
        import numpy as np
    except ModuleNotFoundError:
        return _nested(strings, shape)
    array = np.empty(len(strings), object)
    array[:] = strings
    return array.reshape(shape)


def _nested(strings: list[str], shape: list[int]) -> Any:
    if not shape:
        return strings[0]
    size = math.prod(shape[1:])
    return [_nested(strings[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]
