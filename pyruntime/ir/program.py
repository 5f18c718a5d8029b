"""What lowering makes of a graph: steps in order and their tensors, and where a target keeps these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.ranges import Range, largest
from pyruntime.ir.symbols import symbols_of
from pyruntime.ir.views import Tensor


@dataclass(frozen=True, eq=False)
class Carried:
    """A state that a program reads and leaves changed.

    Attributes:
        tensor: its memory, row-major in `shape` whatever the present length.
        shape: the largest shape.
        axis: the axis along which it grows, if any.
        length, next: the size along that axis before and after a run.
        initial: the weight that it begins as; zeros where there is none.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    axis: int | None = None
    length: Dim = 0
    next: Dim = 0
    initial: Tensor | None = None


class Boundary(StrEnum):
    """Why what a kernel computes goes to memory instead of into another kernel; `pyruntime inspect` tells it.

    OPERAND stands for what readers take from memory in an order of their own (windows, tiles, rows, indices),
    ALONE for kernels that take nothing else into themselves, WIDTH for readers in float64, which a GPU leaves
    to the CPU.
    """

    OUTPUT = "output"
    STATE = "state"
    READERS = "readers"
    OPERAND = "operand"
    KERNELS = "kernels"
    SHAPE = "shape"
    TENSORS = "tensors"
    PASSES = "passes"
    LAYOUT = "layout"
    JOINED = "joined"
    CONTROL = "control"
    WIDTH = "width"
    ALONE = "alone"


@dataclass(frozen=True)
class Set:
    """Give a symbol of the program's own a value."""

    symbol: str
    value: Dim

    @property
    def name(self) -> str:
        """What the step is called in packs."""
        return f"set {self.symbol}"


@dataclass(frozen=True)
class Read:
    """Give a symbol of the program's own the value of element `offset` of an integer or bool tensor."""

    symbol: str
    tensor: Tensor
    offset: Dim

    @property
    def name(self) -> str:
        """What the step is called in packs."""
        return f"read {self.symbol}"


@dataclass(frozen=True)
class Jump:
    """Go on at step `to` (the number of steps: the end), unless `unless` is not zero."""

    to: int
    unless: Dim = 0

    @property
    def name(self) -> str:
        """What the step is called in packs."""
        return f"jump {self.to}"


Step = KernelCall | Set | Read | Jump


@dataclass
class Program:
    """What runs for one entry: the steps in order, and the tensors that the host fills and reads.

    The first `sizes` of the symbols are sizes of inputs, at least 0 or 1; others are lengths of states and
    elements of inputs. Steps may set further symbols, which count iterations or are sizes that data decide;
    `ranges` has what they stay in, where known. `output_shapes` are the outputs' shapes as the user sees
    them, over all symbols; where there are none, an output counts as one axis of all its elements. `commit`
    numbers the first step that overwrites what a state held; there is none where states are only appended to.
    `boundaries` has why each call stores what it computes, by the call's name.
    """

    name: str
    symbols: list[str]
    inputs: list[Tensor]
    outputs: list[Tensor]
    steps: list[Step] = field(default_factory=list)
    output_shapes: list[tuple[Dim, ...]] = field(default_factory=list)
    others: int = 0
    states: list[Carried] = field(default_factory=list)
    commit: int | None = None
    ranges: dict[str, Range] = field(default_factory=dict)
    boundaries: dict[str, Boundary] = field(default_factory=dict)

    @property
    def sizes(self) -> int:
        """How many of the symbols are sizes."""
        return len(self.symbols) - self.others

    @property
    def calls(self) -> list[KernelCall]:
        """The steps that compute, in order."""
        return [s for s in self.steps if isinstance(s, KernelCall)]

    @property
    def own_symbols(self) -> list[str]:
        """Symbols that steps set, in order of appearance."""
        return list(dict.fromkeys(s.symbol for s in self.steps if isinstance(s, (Set, Read))))

    def bytes_for(self, size: Dim) -> Dim:
        """The most that a size becomes in any run. Raises UnsupportedError where that is not known."""
        own = symbols_of(size).difference(self.symbols)
        if not own:
            return size
        most = None if own - self.ranges.keys() else largest(size, self.ranges)
        if most is None:
            reason = f"a size ({size}) depends on iterations or data, and how far is not known before it runs"
            raise UnsupportedError("Loop", self.name, reason, "Export with results of one shape.")
        return most

    def loops(self) -> list[tuple[int, int]]:
        """First and last step of each loop: a jump backwards, and where it goes."""
        return [(s.to, i) for i, s in enumerate(self.steps) if isinstance(s, Jump) and s.to <= i]

    def weights(self) -> list[Tensor]:
        """The weights that calls read, in order of first use, and those that states begin as."""
        read = [v.tensor for c in self.calls for v in c.reads()]
        read += [s.initial for s in self.states if s.initial is not None]
        return [t for t in dict.fromkeys(read) if t.kind == "weight"]


@dataclass
class Placement:
    """Where one target keeps a program's tensors: the memory plan's result, for one entry.

    On Wasm there is one arena (0) and offsets are addresses from the start of memory, weights included.
    On WebGPU a temporary lies in arena `arena_of[tensor]` at a multiple of 256.
    """

    offsets: dict[Tensor, Dim]
    scratch: list[Dim]  # per step: offset of a call's scratch (Wasm)
    arena_bytes: list[Dim]  # per arena; on Wasm one, the bytes of the whole memory
    arena_of: dict[Tensor, int] = field(default_factory=dict)

    def beside(self, tensors: Sequence[Tensor]) -> frozenset[Tensor]:
        """Of the tensors of a call, the last of which it writes, those that it reads in the same arena."""
        *read, written = tensors
        arena = self.arena_of.get(written)
        return frozenset(t for t in read if arena is not None and self.arena_of.get(t) == arena)
