"""What cannot be known while converting and yet decides how: assumed, and the model converted anew each time.

A branch may depend on sizes in a way that changes ranks behind it (TorchScript's `if x.shape[-1] == 1`, then
squeeze). Then the model is converted once under each outcome. Where one of them converts, the other is no use
of the model, and inputs that would lead to it are refused. The contents of small inputs (a sample rate, a
target shape) become symbols as soon as something needs them. Where windows ask for a least size of an input,
smaller ones are refused, and all that follows knows it: that `conv(x)[:, :-1]` has one element less.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace

from pyruntime.errors import ModelError, PyRuntimeError, UnsupportedError, UnsupportedNodesError
from pyruntime.ir.conditions import Facts, assume, pins
from pyruntime.ir.dims import Atom, Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Constraint, Graph, Origin, Value
from pyruntime.ir.symbols import substitute
from pyruntime.ops.definition import definition

# conversions of one model: outcomes double
MAX_ATTEMPTS = 24
OPENED_ELEMENTS = 16  # an input with more elements is data, not a parameter
# what may be opened to symbols: for what must be known, for numbers of which fractions will do, and for sizes
# that a run can tell as well, where integers are data: they wrap around, which symbols do not
INTEGERS = frozenset(d for d in DType if d is DType.BOOL or (d.is_integer and d is not DType.U64))
NUMBERS = INTEGERS | {d for d in DType if d.is_float and (d.code is None or d is DType.BF16)}
TRUTHS = frozenset({DType.BOOL})
FIX_SIZES = "Export with fixed sizes, so that the branch is decided."


class LackingError(UnsupportedError):
    """What pyruntime lacks, whatever the sizes: no reason to take another branch."""

    @classmethod
    def of_operator(cls, op: str, node: str, domain: str, opset: int) -> LackingError:
        """What tells of a node whose operator is not known."""
        of = f" of {domain}" if domain else ""
        return cls(op, node, f"the operator is not supported (opset {opset}{of})")


class Undecided(Exception):  # noqa: N818 - internal signal, never seen by users
    """Whether condition (a dim, 0 or 1) holds decides how `origin` is converted."""

    def __init__(self, condition: Dim, origin: Origin) -> None:
        self.condition, self.origin = condition, origin
        super().__init__(f"{origin.op} {origin.name!r}: {condition}")


class Unopened(Exception):  # noqa: N818 - internal signal, never seen by users
    """The contents of these inputs are needed as symbols."""

    def __init__(self, inputs: frozenset[str]) -> None:
        self.inputs = inputs
        super().__init__(", ".join(sorted(inputs)))


@dataclass(frozen=True)
class Least:
    """That the size `name` of inputs is at least so much, as smaller ones are refused."""

    name: str
    size: int
    refusal: Constraint


class Bounded(Exception):  # noqa: N818 - internal signal, never seen by users
    """More is known of a size of the inputs."""

    def __init__(self, least: tuple[Least, ...]) -> None:
        self.least = least
        super().__init__(", ".join(f"{known.name} >= {known.size}" for known in least))


@dataclass(frozen=True)
class Assumptions:
    """Conditions with their outcomes, in the order of the nodes, and what else is known of inputs.

    Attributes:
        opened: names of inputs whose contents are symbols.
        least: of sizes of inputs, in the order of the nodes that ask for it.
    """

    outcomes: tuple[tuple[Dim, bool], ...] = ()
    opened: frozenset[str] = frozenset()
    least: tuple[Least, ...] = ()

    def bounded(self, least: Sequence[Least]) -> Assumptions:
        """The same where more is known of sizes. Raises ModelError if none are left for some outcome."""
        sizes = {known.name: symbol(known.name, (known.size, None)) for known in least}
        outcomes = tuple((substitute(condition, sizes), holds) for condition, holds in self.outcomes)
        if any(isinstance(condition, int) and condition != holds for condition, holds in outcomes):
            raise ModelError(f"no sizes are left: {least[-1].refusal.reason}")
        return replace(self, outcomes=outcomes, least=(*self.least, *least))

    @property
    def least_sizes(self) -> dict[str, int]:
        """By name, what sizes are at least."""
        return {known.name: known.size for known in self.least}  # the last is the most

    @property
    def facts(self) -> Facts:
        """Atoms that the outcomes fix."""
        found: dict[Atom, int] = {}
        for condition, holds in self.outcomes:
            found |= pins(condition, int(holds)) or {}
        return found

    def outcome(self, condition: Dim) -> bool | None:
        """What is assumed of a condition, with all facts put in; None where that is nothing."""
        known = (holds for made, holds in self.outcomes if condition in (made, assume(made, self.facts)))
        return next(known, None)

    def possible(self) -> bool:
        """Whether the last outcome can be at all."""
        return not self.outcomes or pins(self.outcomes[-1][0], int(self.outcomes[-1][1])) is not None


NOTHING_ASSUMED = Assumptions()


def openable(
    value: Value,
    inputs: Container[Value],
    sources: Mapping[Value, Value],
    dtypes: Container[DType] = INTEGERS,
) -> frozenset[str]:
    """Inputs whose contents alone decide value, and are not symbols yet; empty where there are others.

    Args:
        value: what has to be known.
        inputs: those of the model.
        sources: for inputs of subgraphs, the values around that they stand for.
        dtypes: those that the inputs may have.
    """
    found: set[str] = set()
    pending, seen = [value], set[Value]()
    while pending:
        present = pending.pop()
        known = (present.data, present.contents, present.ratios)
        if present in seen or any(k is not None for k in known):
            continue
        seen.add(present)
        if present.producer is not None and not present.producer.subgraphs:
            if not (DType.F32 in dtypes or definition(present.producer.op).contents):
                return frozenset()  # symbols would come no further
            pending += [v for v in present.producer.inputs if v is not None]
        elif present in sources:
            pending.append(sources[present])
        elif present in inputs and is_parameter(present, dtypes):
            found.add(present.name)
        else:
            return frozenset()
    return frozenset(found)


def is_parameter(value: Value, dtypes: Container[DType] = INTEGERS) -> bool:
    """Whether an input is small enough, and of a type, to be opened to symbols."""
    fixed = isinstance(value.elements, int) and value.elements <= OPENED_ELEMENTS
    return fixed and value.dtype in dtypes


def explore(
    convert: Callable[[Assumptions], Graph], given: Assumptions = NOTHING_ASSUMED
) -> tuple[Graph, Assumptions]:
    """The graph under the one outcome of each open condition that converts, with the constraints it takes.

    With it comes what holds whatever the outcomes are, from which the next exploration may begin.

    Raises:
        UnsupportedError: no outcome converts, or several do, or one lacks but an operator.
        ModelError: as convert.
    """
    explorer = _Explorer(convert, given)
    return explorer.under(given), explorer.certain


class _Explorer:
    def __init__(self, convert: Callable[[Assumptions], Graph], given: Assumptions) -> None:
        self._convert, self._attempts, self.certain = convert, 0, given

    def under(self, assumptions: Assumptions) -> Graph:
        self._attempts += 1
        while True:
            try:
                return self._convert(assumptions)
            except Unopened as need:
                assumptions = replace(assumptions, opened=assumptions.opened | need.inputs)
            except Bounded as known:
                assumptions = assumptions.bounded(known.least)
            except Undecided as open_:
                if self._attempts >= MAX_ATTEMPTS:
                    reason = f"more than {MAX_ATTEMPTS} ways through branches that depend on the input sizes"
                    raise LackingError(open_.origin.op, open_.origin.name, reason, FIX_SIZES) from None
                return self._either(assumptions, open_)
            if not assumptions.outcomes:
                self.certain = assumptions

    def _either(self, assumptions: Assumptions, open_: Undecided) -> Graph:
        """The graph under the outcome that converts."""
        origin, condition = open_.origin, open_.condition
        made: list[tuple[Assumptions, Graph]] = []
        failures: list[PyRuntimeError] = []
        for holds in (True, False):
            outcome = replace(assumptions, outcomes=(*assumptions.outcomes, (condition, holds)))
            if not outcome.possible():
                continue
            try:
                made.append((outcome, self.under(outcome)))
            except (UnsupportedError, ModelError) as error:
                failures.append(error)
        lacking = [e for e in failures if _lacking(e)]
        if lacking or not made:
            raise _nearest(lacking or failures)
        if len(made) > 1:
            reason = (
                f"its branches give unlike shapes, and both are possible: which one depends on {condition}"
            )
            raise LackingError(origin.op, origin.name, reason, FIX_SIZES)
        ((outcome, graph),) = made
        holds = outcome.outcomes[-1][1]
        symbols = {a: v for a, v in outcome.facts.items() if not a.op}  # they have left the graph
        value = assume(condition if holds else 1 - condition, symbols)
        if value != 1:
            why = f" ({failures[0]})" if failures else ""
            reason = (
                f"the model takes sizes for which {origin.op} {origin.name!r} takes its "
                f"{'first' if holds else 'second'} branch; the other has no meaning{why}"
            )
            graph.constraints.insert(0, Constraint(value, reason))
        return graph


def _lacking(error: PyRuntimeError) -> bool:
    entries = error.entries if isinstance(error, UnsupportedNodesError) else (error,)
    return any(isinstance(e, LackingError) for e in entries)


def _nearest(failures: Sequence[PyRuntimeError]) -> PyRuntimeError:
    """The error to tell when no outcome converts: the one that says most of what is missing."""

    def count(error: PyRuntimeError) -> int:
        if isinstance(error, UnsupportedNodesError):
            return len(error.entries)
        return 1 if isinstance(error, UnsupportedError) else 0

    return max(failures, key=count)
