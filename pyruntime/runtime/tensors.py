"""What sessions tell of tensors, and tensors where there is no NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        name: as in the user's model.
        dtype: NumPy's name of the element type.
        shape: a size per axis: an integer, or an expression over symbols such as "batch" or "2 * n".
        default: what all elements of an input are when it is not fed; None where it must be fed.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    default: float | int | None = None


@dataclass(frozen=True)
class ListSpec:
    """What a model takes or gives as a list of tensors: a sequence, or an optional that is absent.

    Attributes:
        name: as in the user's model: `session.run({"x": [a, b]})`.
        of: whether it is fed or given.
        first: where its first tensor is among the session's `inputs` or `outputs`; the others follow.
        length: how many there are. None for an optional that is absent: it is left out, and given as None.
    """

    name: str
    of: Literal["inputs", "outputs"]
    first: int
    length: int | None


@dataclass(frozen=True)
class Tensor:
    """A dense tensor without NumPy.

    Attributes:
        data: the elements' bytes in row-major order, little-endian; bool takes one byte.
        shape: size of each axis.
        dtype: NumPy's name of the element type.
    """

    data: memoryview
    shape: tuple[int, ...]
    dtype: str
