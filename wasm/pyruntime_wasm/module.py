"""Programs to Wasm modules: kernels shared by key, and model.c, which calls them in order (ABI 1).

Addresses and kernel parameters that depend on the symbols' values are computed once, by `plan`, into a table;
all others are constants in the code. A step that is worth it is shared by the threads there are, in parts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyruntime.ir.dims import Atom, Dim, Expr, align, floordiv, maximum, minimum
from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Jump, Placement, Program, Read, Set
from pyruntime.ir.symbols import symbols_of
from pyruntime.ir.views import Tensor, View
from pyruntime_wasm.kernels import SHARED, Argument, Scratch, Share, kernel_for, render_template
from pyruntime_wasm.toolchain import STACK_BYTES, WEIGHTS_BASE, build, find_compiler

ABI = 1
# the least work of a part, as in Share: about what it takes to wake a thread
GRAIN = 1 << 17
_LIMIT = 1 << 32
_C_TYPES = {
    DType.BOOL: "uint8_t",
    **{d: f"{d.value}_t" for d in PLAIN if d.is_integer},
}
_ALIGNMENT = 64
_SHORT = 1 << 50  # what sizes and their products are below, in a memory that is not too large
# so many kernels of a template share a translation unit: small ones gather, large ones compile in parallel
_PER_UNIT = {"map": 32, "row": 16}
_PER_UNIT_OTHERS = 2


@dataclass
class _Kernels:
    """The distinct kernels of a module, in order of first use."""

    names: dict[tuple[str, Hashable], str] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)  # by template
    parameters: dict[str, int] = field(default_factory=dict)  # how many, by name

    def name_of(self, call: KernelCall, parameters: int) -> str:
        """The function that runs call, rendered when it is new."""
        kernel = kernel_for(call)
        key = (call.template, kernel.key(call))
        if key not in self.names:
            sources = self.sources.setdefault(call.template, [])
            name = f"{call.template}_{len(sources)}"
            sources.append(kernel.render(call, name))
            self.names[key] = name
            self.parameters[name] = parameters
        name = self.names[key]
        assert self.parameters[name] == parameters, f"{call.name}: calls of one key differ in signature"
        return name

    def units(self) -> dict[str, str]:
        """Translation units by name."""
        found = {}
        for template, sources in self.sources.items():
            count = _PER_UNIT.get(template, _PER_UNIT_OTHERS)
            for i in range(0, len(sources), count):
                text = "\n".join(['#include "scalar.h"\n#include "cut.h"\n', *sources[i : i + count]])
                found[f"{template}_{i // count}"] = text
        return found


def long_sum(terms: Sequence[str]) -> str:
    """Terms added up with saturation, halves of them first: compilers take no deep nest of calls."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"long_add({long_sum(terms[:middle])}, {long_sum(terms[middle:])})"


def _is_long(dim: Expr) -> bool:
    """Whether operands of a sum of products may be more than sizes are: numbers that are fed."""
    ends = (end for monomial, _ in dim.terms for atom in monomial for end in atom.bounds if end is not None)
    return any(abs(end) > _SHORT for end in ends)


@dataclass
class _Entry:
    """One entry as the template prints it: values that are constants or slots of its table."""

    number: int
    program: Program
    placement: Placement
    grain: int
    slots: dict[tuple[str, Dim], str] = field(default_factory=dict)  # (check, dim) -> C expression

    @property
    def symbols(self) -> list[str]:
        """The host's symbols, then those that steps set."""
        return [*self.program.symbols, *self.program.own_symbols]

    def value(self, dim: Dim, check: str) -> str:
        """A C expression for a dim that `check`, a function of the template, narrows to 32 bits."""
        if isinstance(dim, int):
            # beyond the limits the arena is too, and plan refuses it before any use
            return str((dim + (1 << 31)) % _LIMIT - (1 << 31)) if check == "address" else str(dim)
        return self.slots.setdefault((check, dim), f"v[{len(self.slots)}]")

    def address(self, tensor: Tensor, offset: Dim = 0) -> str:
        """The address of a tensor's element `offset`."""
        return self.value(self.placement.offsets[tensor] + offset * tensor.dtype.bytes, "address")

    def argument(self, step: int, argument: Argument) -> list[str]:
        """What the call at `step` passes for one of its arguments."""
        match argument:
            case Scratch():
                leads = self.value(self.placement.scratch[step], "address")
                return [leads if argument is SHARED else f"(scratch ? scratch : {leads})"]
            case View():
                return [self.address(argument.tensor, argument.offset)]
            case Share():
                units = self.value(argument.units, "parameter")
                return [
                    self.value(argument.axis, "parameter"),
                    *(f"team_share({units}, {part}, parts)" for part in ("part", "part + 1")),
                    *(() if argument.phases is None else ("phase",)),
                ]
        return [self.value(argument, "parameter")]

    def dim(self, dim: Dim) -> str:
        """A C expression of type int64_t for a dim, over the array `d` of the symbols' values."""
        if isinstance(dim, int):
            return f"{dim}ll"
        mul, terms = ("long_mul" if _is_long(dim) else "mul"), []
        for monomial, coefficient in dim.terms:
            factors = [self._atom(a) for a in monomial]
            text = factors[0] if factors else f"{coefficient}ll"
            for factor in factors[1:]:
                text = f"{mul}({text}, {factor})"
            terms.append(f"{mul}({text}, {coefficient}ll)" if factors and coefficient != 1 else text)
        if mul == "mul":
            return " + ".join(terms)
        return long_sum(terms)

    def _atom(self, atom: Atom) -> str:
        if not atom.op:
            return f"d[{self.symbols.index(atom.name)}]"
        function = {"//": "floordiv", "%": "mod", "min": "least", "max": "most"}[atom.op]
        return f"{function}({', '.join(self.dim(a) for a in atom.args)})"

    def parameters(self, kernels: _Kernels) -> Mapping[str, object]:
        """What templates/model.c.j2 prints for this entry."""
        steps: list[object] = []
        for number, step in enumerate(self.program.steps):
            if not isinstance(step, KernelCall):
                steps.append(self.control(number, step))
                continue
            arguments = kernel_for(step).arguments(step)
            values = [value for a in arguments for value in self.argument(number, a)]
            parts = self.value(shared_parts(step, self.grain), "count")
            phases = next((a.phases for a in arguments if isinstance(a, Share) and a.phases is not None), 1)
            often = self.value(phases, "parameter")
            name = kernels.name_of(step, len(values))
            steps.append(("call", name, values, "" if parts in ("0", "1") else parts, often))
        program, own = self.program, set(self.program.own_symbols)
        shapes = program.output_shapes or [(t.elements,) for t in program.outputs]
        assert len(shapes) == len(program.outputs), f"{program.name}: {len(shapes)} output shapes"
        return {
            "number": self.number,
            "symbols": len(self.symbols),
            "sizes": program.sizes,
            "steps": steps,
            "inputs": [self.address(t) for t in program.inputs],
            "outputs": [self.address(t) for t in program.outputs],
            "output_dims": [[self.dim(d) for d in shape] for shape in shapes],
            "bytes": self.dim(self.placement.arena_bytes[0]),
            "thread_bytes": self.dim(thread_bytes(program, self.grain)),
            "slots": [
                (check, self.dim(dim), sorted(self.symbols.index(n) for n in symbols_of(dim) & own))
                for check, dim in self.slots
            ],
            "own": [self.symbols.index(name) for name in program.own_symbols],
        }

    def control(self, number: int, step: Set | Read | Jump) -> tuple[object, ...]:
        """A step that the lead takes alone."""
        match step:
            case Jump():
                return "jump", self.dim(step.unless), step.to, step.to <= number
            case Set():
                return "set", self.symbols.index(step.symbol), self.dim(step.value)
            case Read():
                place = self.address(step.tensor, step.offset)
                return "read", self.symbols.index(step.symbol), _C_TYPES[step.tensor.dtype], place


def shared_parts(call: KernelCall, grain: int = GRAIN) -> Dim:
    """The most parts in which a call is worth running at once; 0 or 1 where it is not to be shared."""
    for argument in kernel_for(call).arguments(call):
        if isinstance(argument, Share):
            return minimum(argument.units, floordiv(argument.work, grain))
    return 1


def thread_bytes(program: Program, grain: int = GRAIN) -> Dim:
    """Memory that each thread beyond the first needs, to be aligned; 0 where no step is shared."""
    needs = [
        program.bytes_for(kernel_for(c).scratch(c))
        for c in program.calls
        if shared_parts(c, grain) not in (0, 1)
    ]
    largest: Dim = 0
    for need in needs:
        largest = maximum(largest, need)
    return align(largest, _ALIGNMENT) + STACK_BYTES + _ALIGNMENT if needs else 0


def render_module(entries: Iterable[tuple[Program, Placement]], grain: int = GRAIN) -> dict[str, str]:
    """C sources by unit name: `model`, and kernels.

    Args:
        entries: programs with their placements; a placement's `offsets` and `scratch` are addresses, and its
            `arena_bytes[0]` is the memory that the host has to provide for one thread.
        grain: the least work of a part of a step.
    """
    kernels = _Kernels()
    rendered = [_Entry(i, *entry, grain).parameters(kernels) for i, entry in enumerate(entries)]
    model = render_template("model", abi=ABI, stack=STACK_BYTES, entries=rendered, kernels=kernels.parameters)
    return {"model": model, **kernels.units()}


def build_module(
    entries: Sequence[tuple[Program, Placement]],
    variants: Sequence[str] = ("relaxed", "simd"),
    compiler: str | None = None,
    grain: int = GRAIN,
) -> dict[str, bytes]:
    """The Wasm module of each variant; `compiler` is as for `find_compiler`. Raises CompilerError."""
    return build(render_module(entries, grain), variants, find_compiler(compiler))


__all__ = ["ABI", "WEIGHTS_BASE", "build_module", "render_module", "shared_parts", "thread_bytes"]
