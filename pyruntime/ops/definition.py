"""What an op is: base class of all definitions, elementwise definitions from expression trees, discovery."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pyruntime.ir.dims import Dim, Expr, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Shape, Value
from pyruntime.ir.scalar import Load, Scalar, cast
from pyruntime.ir.symbols import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

REQUIRED = object()


class OpError(ValueError):
    """Inputs or attributes that the op's specification does not allow; the front end adds the node's name."""


class DTypeError(OpError):
    """Input dtypes that the op does not take, even where the model's own format allows them."""


@dataclass(frozen=True)
class TensorType:
    """A dtype and a symbolic shape: what inference gives for each output."""

    dtype: DType
    shape: Shape

    @property
    def elements(self) -> Dim:
        """Number of elements, as a dim."""
        return product(self.shape)


def symbolic(attribute: Any) -> bool:
    """Whether an attribute's value, or one inside it, is an expression over symbols."""
    if isinstance(attribute, Mapping):
        return any(symbolic(v) for v in attribute.values())
    if isinstance(attribute, tuple):
        return any(symbolic(v) for v in attribute)
    return isinstance(attribute, Expr)


def bind(attribute: Any, values: Mapping[str, int]) -> Any:
    """An attribute's value, or a mapping of them, with all dims evaluated, as `reference` takes them."""
    if isinstance(attribute, Mapping):
        return {k: bind(v, values) for k, v in attribute.items()}
    if isinstance(attribute, tuple):
        return tuple(bind(v, values) for v in attribute)
    return evaluate(attribute, values) if isinstance(attribute, Expr) else attribute


@dataclass(frozen=True, eq=False)
class Case:
    """One example that every target must compute: the source of unit tests, golden packs and benches.

    Attributes:
        inputs: for each input the dtype and concrete shape, an array with the very elements, or None.
        attrs: the op's attributes; dims in them may use the symbols.
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
    any_type: ClassVar[bool] = False  # also of types that kernels do not know: moves, or reads their codes
    tolerance: ClassVar[float] = 1e-5  # relative to the largest magnitude, f32, any target
    cases: ClassVar[Sequence[Case]] = ()

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        """Types of the outputs. Raises OpError for inputs that the op does not take."""
        raise NotImplementedError

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        """The op on NumPy arrays: the meaning of the op, slow and plain. Dims in attrs are integers here."""
        raise NotImplementedError

    def folds(self, inputs: Sequence[Value | None]) -> bool:
        """Whether the result for constant inputs is to be a constant at once."""
        del inputs
        return True

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """Whether outputs may have elements where an input has none, as a sum has and a position has not."""
        del attrs
        return False


def require(condition: bool, message: str) -> None:
    """Raises OpError with the message unless the condition holds."""
    if not condition:
        raise OpError(message)


def operands(inputs: Sequence[Value | None], least: int, most: int | None = None) -> list[Value | None]:
    """The inputs, with None for absent optional ones up to `most` (default `least`).

    Raises OpError where there are more, or one of the first `least` is absent.
    """
    most = least if most is None else most
    found = [*inputs, *[None] * (most - len(inputs))]
    require(
        len(found) == most and all(v is not None for v in found[:least]), f"takes {least} to {most} inputs"
    )
    return found


def present(inputs: Sequence[Value | None], count: int) -> list[Value]:
    """The inputs where none is optional. Raises OpError unless there are `count`."""
    return [v for v in operands(inputs, count) if v is not None]


def normal_axis(axis: int, rank: int) -> int:
    """axis, checked to be in [0, rank). Raises OpError otherwise: the front end normalises negative ones."""
    require(0 <= axis < rank, f"axis {axis} is not in 0 to {rank - 1}")
    return axis


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
        found = present(inputs, len(inputs))
        try:
            tree = self.build([Load(v.dtype, i) for i, v in enumerate(found)], attrs)
        except TypeError as error:
            raise DTypeError(str(error)) from None
        return [TensorType(tree.dtype, broadcast([v.shape for v in found]))]

    def reference(self, inputs: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[Array]:
        """The tree evaluated with NumPy; arrays of dims count as int64."""
        import numpy as np

        from pyruntime.ops.evaluate import evaluate as values_of

        arrays = [a for a in inputs if a is not None]
        dtypes = [DType.I64 if a.dtype == object else DType(a.dtype.name) for a in arrays]
        tree = self.build([Load(d, i) for i, d in enumerate(dtypes)], attrs)
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        return [np.broadcast_to(values_of(tree, arrays), shape).copy()]


def _in_single(build: Callable[..., Scalar]) -> Callable[..., Scalar]:
    """build for float16 operands too: computed in float32, rounded to float16 once at the end."""

    def wrapped(*args: Scalar, **attrs: Any) -> Scalar:
        if all(a.dtype is not DType.F16 for a in args):
            return build(*args, **attrs)
        tree = build(*(cast(a, DType.F32) if a.dtype is DType.F16 else a for a in args), **attrs)
        return cast(tree, DType.F16) if tree.dtype is DType.F32 else tree

    return wrapped


def row(
    name: str,
    build: Callable[..., Scalar],
    *,
    cases: Sequence[Case],
    attrs: Mapping[str, Any] | None = None,
    tolerance: float = 1e-5,
    contents: bool = False,
    exact: bool = False,
    any_type: bool = False,
) -> type[Elementwise]:
    """An elementwise op in one line: `build(*args, **attrs)` gives the tree.

    The tree is built with float32 for float16 operands, unless `exact`: then build sees float16.
    """
    wrapped = build if exact else _in_single(build)

    def build_method(_: Elementwise, args: Sequence[Scalar], values: Mapping[str, Any]) -> Scalar:
        return wrapped(*args, **values)

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
            "any_type": any_type,
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
