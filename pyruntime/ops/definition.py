"""What an op is: base class of all definitions, elementwise definitions from expression trees, discovery."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime.ir.scalar import Load, Scalar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

REQUIRED = object()


class OpError(ValueError):
    """Inputs or attributes that the op's specification does not allow; the front end adds the node's name."""


@dataclass(frozen=True)
class TensorType:
    """A dtype and a symbolic shape: what inference gives for each output."""

    dtype: DType
    shape: Shape


@dataclass(frozen=True)
class Case:
    """One example that every target must compute: the source of unit tests, golden packs and benches.

    Attributes:
        inputs: for each input the dtype and concrete shape, an array with the very elements, or None.
        attrs: the op's attributes.
        symbols: axes to make symbolic when converting, as {(input, axis): name}: the pack then runs at
            this size and others.
        low, high: range of random elements (floats and integers).
        label: tells the cases of one op apart; part of test ids and of the golden pack's name.
    """

    inputs: tuple[Any, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    symbols: Mapping[tuple[int, int], str] = field(default_factory=dict)
    low: float = -3.0
    high: float = 3.0


class OpDef:
    """Base class: one subclass per op, one instance of each is made by discovery."""

    name: ClassVar[str]
    attrs: ClassVar[Mapping[str, Any]] = {}  # attribute -> default, REQUIRED where there is none
    contents: ClassVar[bool] = False  # the reference also works on object arrays of dims
    tolerance: ClassVar[float] = 1e-5  # relative to the largest magnitude, f32, any target
    cases: ClassVar[Sequence[Case]] = ()

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        """Types of the outputs. Raises OpError for inputs that the op does not take."""
        raise NotImplementedError

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        """The op on NumPy arrays: the meaning of the op, slow and plain."""
        raise NotImplementedError


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that NumPy-style broadcasting gives. A symbol against 1 stays.

    Raises OpError naming both dims where they cannot be known to be equal, as two unlike symbols.
    """
    rank = max((len(s) for s in shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for axis, dim in enumerate(shape, rank - len(shape)):
            if result[axis] == 1:
                result[axis] = dim
            elif dim not in (1, result[axis]):
                raise OpError(
                    f"shapes {' and '.join(map(str, shapes))} differ at axis {axis}: {result[axis]}, {dim}"
                )
    return tuple(result)


class Elementwise(OpDef):
    """An op that computes each output element from the inputs' elements at the broadcast position."""

    def build(self, args: Sequence[Scalar], attrs: Mapping[str, Any]) -> Scalar:
        """The tree for one element; args are the loaded inputs. Raises TypeError for unfit dtypes."""
        raise NotImplementedError

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        """Broadcast shape, and the tree's dtype."""
        present = [v for v in inputs if v is not None]
        try:
            tree = self.build([Load(v.dtype, i) for i, v in enumerate(present)], attrs)
        except TypeError as error:
            raise OpError(str(error)) from None
        return [TensorType(tree.dtype, broadcast([v.shape for v in present]))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        """The tree evaluated with NumPy."""
        import numpy as np

        from pyruntime.ops.evaluate import evaluate

        arrays = [a for a in inputs if a is not None]
        tree = self.build([Load(DType(a.dtype.name), i) for i, a in enumerate(arrays)], attrs)
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        return [np.broadcast_to(evaluate(tree, arrays), shape).astype(tree.dtype.value)]


def row(
    name: str,
    build: Callable[..., Scalar],
    *,
    cases: Sequence[Case],
    attrs: Mapping[str, Any] | None = None,
    tolerance: float = 1e-5,
    contents: bool = False,
) -> type[Elementwise]:
    """An elementwise op in one line: `build(*args, **attrs)` gives the tree."""

    def build_method(_: Elementwise, args: Sequence[Scalar], values: Mapping[str, Any]) -> Scalar:
        return build(*args, **values)

    return type(
        name,
        (Elementwise,),
        {
            "__doc__": f"Elementwise {name}.",
            "name": name,
            "attrs": dict(attrs or {}),
            "cases": tuple(cases),
            "tolerance": tolerance,
            "contents": contents,
            "build": build_method,
        },
    )


@functools.cache
def definitions() -> Mapping[str, OpDef]:
    """All op definitions by name, found in the modules of this package in a fixed order."""
    import pyruntime.ops as package

    found: dict[str, OpDef] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        members = vars(importlib.import_module(f"{package.__name__}.{module}")).values()
        for member in [m for value in members for m in (value if isinstance(value, list) else [value])]:
            if not (isinstance(member, type) and issubclass(member, OpDef) and "name" in vars(member)):
                continue
            if not isinstance(found.setdefault(member.name, member()), member):
                raise TypeError(f"two definitions of {member.name}")
    return dict(sorted(found.items()))


def definition(name: str) -> OpDef:
    """The definition of op `name`. Raises KeyError when there is none."""
    return definitions()[name]


def complete(name: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """attrs with the op's defaults filled in. Raises OpError for a missing or unknown attribute."""
    allowed = definition(name).attrs
    unknown = sorted(set(attrs) - set(allowed))
    if unknown:
        raise OpError(f"{name} has no attribute {', '.join(unknown)}")
    result = {**allowed, **attrs}
    missing = [k for k, v in result.items() if v is REQUIRED]
    if missing:
        raise OpError(f"{name} lacks attribute {', '.join(missing)}")
    return result
