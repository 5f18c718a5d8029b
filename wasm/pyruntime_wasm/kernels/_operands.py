"""C parameters of a kernel and the arguments for them, declared side by side so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Origin
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.views import View
from pyruntime_wasm.kernels import SCRATCH, SHARED, Argument, Share
from pyruntime_wasm.printer import SCALAR

# strides that decide the code; all others are parameters
_STATIC_STRIDES = (0, 1)


def total(terms: Sequence[str]) -> str:
    """A C sum of the terms that are not zero."""
    return " + ".join(t for t in terms if t != "0") or "0"


def scaled(index: str, stride: str) -> str:
    """A C product, or what it simplifies to."""
    if "0" in (index, stride):
        return "0"
    if stride == "1":
        return index
    return f"({index}) * {stride}" if not index.isidentifier() else f"{index} * {stride}"


@dataclass(frozen=True)
class Operand:
    """A view as a C pointer with a stride per axis, each a literal 0 or 1 or a parameter's name."""

    name: str
    dtype: DType
    strides: tuple[str, ...]

    def at(self, *indices: str) -> str:
        """The address of the element at these indices; axes left out are at 0."""
        return total([self.name, *(scaled(i, s) for i, s in zip(indices, self.strides, strict=False))])


@dataclass
class Parameters:
    """The signature of a kernel's C function, and what a call passes for it."""

    declarations: list[str] = field(default_factory=list)
    arguments: list[Argument] = field(default_factory=list)

    @property
    def signature(self) -> str:
        """The parameters as C."""
        return ", ".join(self.declarations)

    @property
    def names(self) -> list[str]:
        """What is declared, by its names in C."""
        return [declaration.split()[-1].lstrip("*") for declaration in self.declarations]

    def dim(self, name: str, value: Dim) -> str:
        """Declare a size; gives its name."""
        self.declarations.append(f"int32_t {name}")
        self.arguments.append(value)
        return name

    def view(self, name: str, view: View, *, written: bool = False) -> Operand:
        """Declare a pointer and the strides that are neither 0 nor 1."""
        stored = SCALAR.classes[view.tensor.dtype].stored
        self.declarations.append(f"{stored} *{name}" if written else f"const {stored} *{name}")
        self.arguments.append(view)
        strides = tuple(
            str(s) if isinstance(s, int) and s in _STATIC_STRIDES else self.dim(f"{name}_{axis}", s)
            for axis, s in enumerate(view.strides)
        )
        return Operand(name, view.tensor.dtype, strides)

    def scratch(self) -> str:
        """Declare the scratch memory; gives its name."""
        self.declarations.append("char *scratch")
        self.arguments.append(SCRATCH)
        return "scratch"

    def shared(self) -> str:
        """Declare the scratch memory that all parts see; gives its name."""
        self.declarations.append("char *shared")
        self.arguments.append(SHARED)
        return "shared"

    def share(self, share: Share) -> None:
        """Declare the part that is computed, for the loops of cut.h."""
        self.declarations += [f"int32_t {name}" for name in ("cut", "first", "last")]
        if share.phases is not None:
            self.declarations.append("int32_t phase")
        self.arguments.append(share)


def require_plain(call: KernelCall, view: View) -> None:
    """Raise UnsupportedError for a view with guards or indirection: lowering stores such operands first."""
    if view.guards or view.indirect:
        origin = call.origins[0] if call.origins else Origin(call.template, call.name)
        raise UnsupportedError(origin.op, origin.name, f"{view.tensor.name} is read through guards on Wasm")


def load(dtype: DType, address: str) -> str:
    """A C expression in scalar mode for the element at an address."""
    if dtype is DType.F16:
        return f"f32_from_f16_bits(*({address}))"
    return f"*({address}) != 0" if dtype is DType.BOOL else f"*({address})"


def store(dtype: DType, address: str, value: str) -> str:
    """A C statement in scalar mode that writes a value to an address."""
    return f"*({address}) = {f'f16_bits_from_f32({value})' if dtype is DType.F16 else value};"
