"""Nested lists as tensors: their shape, and their elements in row-major order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyruntime.errors import InputError
from pyruntime.pack.schema import Spec

_DEEPEST = 64


def shape_of(value: Any, spec: Spec) -> tuple[int, ...]:
    """The shape of lists as the first elements tell it. Raises InputError for what is nested too deeply."""
    shape: list[int] = []
    while isinstance(value, (list, tuple)):
        if len(shape) > _DEEPEST:
            raise InputError(f"input {spec.name!r}: the list is nested too deeply")
        shape.append(len(value))
        if not value:
            # what follows cannot be seen; the declared shape says how it would go on
            shape += [d for d in spec.shape[len(shape) :] if isinstance(d, int)]
            break
        value = value[0]
    return tuple(shape)


def flat(value: Any, shape: tuple[int, ...], spec: Spec) -> Iterator[Any]:
    """The elements. Raises InputError for lists of other lengths than `shape` has."""
    if not shape:
        yield value
        return
    if not isinstance(value, (list, tuple)) or len(value) != shape[0]:
        raise InputError(f"input {spec.name!r}: the lists are of unequal lengths")
    for element in value:
        yield from flat(element, shape[1:], spec)
