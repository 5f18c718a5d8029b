"""What was measured of a pack, and what it comes to: times of steps beside the least that they can take."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyruntime.pack.expressions import Evaluator
from pyruntime.pack.program import size
from pyruntime.pack.schema import Cost
from pyruntime.runtime.tensors import TensorSpec

Progress = Callable[[float], None]  # told the part that is done, 0 to 1
# feeds for inputs, where symbols that states bind have these sizes
Feeder = Callable[[Sequence[TensorSpec], Mapping[str, int]], Mapping[str, Any]]

SHORT = 1e-4  # seconds: 20 ticks of the clock in a page
LEAST_ROUNDS = 5
MOST_ROUNDS = 2000


@dataclass(frozen=True)
class Budget:
    """How long to measure: so many rounds, or as many as fit these seconds, and a few in any case."""

    seconds: float = 3.0
    rounds: int | None = None

    def spent(self, rounds: int, seconds: float) -> float:
        """The part of it that is used up; 1 and more is the end."""
        if self.rounds is not None:
            return rounds / self.rounds
        return min(rounds / LEAST_ROUNDS, max(seconds / self.seconds, rounds / MOST_ROUNDS))


@dataclass
class Samples:
    """Seconds of each round, as a device's driver measured them, and rates of the limits' loops.

    Attributes:
        whole: of runs of the whole program.
        steps: for each step by its name, of all its calls in a run done step by step.
        calls: how often a run comes by it.
        empty: of a call that does nothing: what is to be taken off every call.
        multiply_adds, dots: operations a second.
        copies: for bytes that are read and written, bytes a second.
    """

    whole: list[float] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    empty: list[float] = field(default_factory=list)
    multiply_adds: list[float] = field(default_factory=list)
    dots: list[float] = field(default_factory=list)
    copies: dict[int, list[float]] = field(default_factory=dict)

    def add_steps(self, taken: Iterable[tuple[str, float]]) -> None:
        """Note one run: each step that it came by, as often as it did, and the seconds there."""
        seconds: dict[str, float] = {}
        self.calls = {}
        for name, spent in taken:
            seconds[name] = seconds.get(name, 0.0) + spent
            self.calls[name] = self.calls.get(name, 0) + 1
        for name, spent in seconds.items():
            self.steps.setdefault(name, []).append(spent)


def midmean(samples: Sequence[float]) -> float:
    """The mean of the middle half: as robust as a median, and not bound to the ticks of a coarse clock."""
    ordered = sorted(samples)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return math.fsum(middle) / len(middle)


def quarter(ordered: Sequence[float]) -> float:
    """The mean of the first quarter of sorted samples: the best, and not one strange reading."""
    first = ordered[: max(len(ordered) // 4, 1)]
    return math.fsum(first) / len(first)


def at_best(times: Sequence[float]) -> float:
    """A time without what else the machine did; short ones are hardly interrupted, and count ticks."""
    usual = midmean(times)
    return usual if usual < SHORT else quarter(sorted(times))


@dataclass(frozen=True)
class Limits:
    """What the engine did at best, in the same minutes, on as many threads.

    Attributes:
        multiply_adds: multiplications and additions of float32 a second.
        dots: those of bytes a second.
        copies: (bytes read and written, bytes a second), ascending: small ones stay in the caches.
        kind: how products and sums were computed.
    """

    multiply_adds: float
    dots: float
    copies: tuple[tuple[int, float], ...]
    kind: str

    def floor(self, operations: float, moved: float, *, integers: bool = False) -> float:
        """The least seconds that a step can take: for its operations or for its bytes, the longer."""
        rate = self.dots if integers else self.multiply_adds
        return max(operations / rate, moved / self.bandwidth(moved))

    def bandwidth(self, moved: float) -> float:
        """Bytes a second of a copy of about as many bytes: between two measured sizes by their logarithms."""
        sizes = [s for s, _ in self.copies]
        after = bisect.bisect_left(sizes, moved)
        if after in (0, len(sizes)):
            return self.copies[min(after, len(sizes) - 1)][1]
        (low, slow), (high, fast) = self.copies[after - 1 : after + 1]
        share = math.log(moved / low) / math.log(high / low)
        return math.exp((1 - share) * math.log(slow) + share * math.log(fast))


@dataclass(frozen=True)
class StepTime:
    """One step of the program in one run.

    Attributes:
        name, template: as the pack has them; the template is "control" for what only decides how to go
            on, and "" where the pack does not tell.
        calls: how often a run comes by.
        seconds, least: of all its calls, usually and at best.
        operations, bytes: of all its calls; None where the pack does not tell.
        floor: the least seconds that the limits allow; None where they cannot be compared.
    """

    name: str
    template: str
    calls: int
    seconds: float
    least: float
    operations: int | None = None
    bytes: int | None = None
    floor: float | None = None

    @property
    def share(self) -> float | None:
        """The part of the limit that is reached at best, 0 to about 1."""
        return None if self.floor is None or self.least <= 0 else self.floor / self.least

    @property
    def speed(self) -> float | None:
        """Operations a second at best; None for a step that does not count them."""
        return self.operations / self.least if self.operations and self.least > 0 else None


@dataclass(frozen=True)
class Profile:
    """What one device did. `steps` is empty where they cannot be timed apart; `notes` then says why."""

    device: str
    place: str  # "native", or the browser's name
    engine: str
    threads: int
    variant: tuple[str, ...]
    symbols: Mapping[str, int]
    rounds: int
    seconds: float  # of a whole run
    least: float
    steps: tuple[StepTime, ...]
    limits: Limits | None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return math.fsum(s.seconds for s in self.steps)

    @property
    def share(self) -> float | None:
        """The part of the limit that the whole run reaches: what its steps could take, by its time."""
        floors = [s.floor for s in self.steps if s.floor is not None]
        return math.fsum(floors) / self.least if floors and self.least > 0 else None

    @property
    def templates(self) -> list[StepTime]:
        """The steps of each template together, those that take longest first."""
        found: dict[str, list[StepTime]] = {}
        for step in self.steps:
            found.setdefault(step.template, []).append(step)
        sums = [together(name or "others", steps) for name, steps in found.items()]
        return sorted(sums, key=lambda s: -s.seconds)


def together(name: str, steps: Sequence[StepTime]) -> StepTime:
    """The sum of some steps; what one of them does not tell, it does not either."""

    def total(values: Sequence[int | None]) -> int | None:
        known = [v for v in values if v is not None]
        return sum(known) if len(known) == len(values) else None

    floors = [s.floor for s in steps if s.floor is not None]
    return StepTime(
        name,
        steps[0].template,
        sum(s.calls for s in steps),
        math.fsum(s.seconds for s in steps),
        math.fsum(s.least for s in steps),
        total([s.operations for s in steps]),
        total([s.bytes for s in steps]),
        math.fsum(floors) if len(floors) == len(steps) else None,
    )


def profile_of(samples: Samples, costs: Sequence[Cost], limits: Limits | None, **facts: Any) -> Profile:
    """What samples come to; `facts` are the fields of a Profile that they do not tell."""
    return Profile(
        rounds=len(samples.whole),
        seconds=midmean(samples.whole),
        least=at_best(samples.whole),
        steps=steps_of(samples, costs, facts["symbols"], limits),
        limits=limits,
        **facts,
    )


def limits_of(samples: Samples, kind: str) -> Limits:
    """The limits that the loops showed."""

    def best(rates: Sequence[float]) -> float:
        return quarter(sorted(rates, reverse=True))

    copies = tuple((moved, best(rates)) for moved, rates in sorted(samples.copies.items()))
    return Limits(best(samples.multiply_adds), best(samples.dots), copies, kind)


def steps_of(
    samples: Samples, costs: Sequence[Cost], symbols: Mapping[str, int], limits: Limits | None
) -> tuple[StepTime, ...]:
    """Each step's time without that of calling it, beside what it costs at these sizes."""
    known, values = {c.step: c for c in costs}, Evaluator(symbols)
    empty = midmean(samples.empty) if samples.empty else 0.0
    made = []
    for name, times in samples.steps.items():
        calls, cost = samples.calls[name], known.get(name)
        usual, least = (max(t - empty * calls, 0.0) for t in (midmean(times), at_best(times)))
        if cost is None:
            template = "control" if name.split(" ")[0] in ("set", "read", "jump") else ""
            made.append(StepTime(name, template, calls, usual, least))
            continue
        operations, moved = (size(e, values) for e in (cost.operations, cost.bytes))
        integers = cost.template.endswith("_integer")
        floor = None if limits is None else calls * limits.floor(operations, moved, integers=integers)
        counts = (operations * calls, moved * calls)
        made.append(StepTime(name, cost.template, calls, usual, least, *counts, floor))
    return tuple(made)


def to_dict(profile: Profile) -> dict[str, Any]:
    """Plain containers, for JSON; seconds, operations and bytes, and shares from 0 to about 1."""
    limits = profile.limits
    return {
        "device": profile.device,
        "place": profile.place,
        "engine": profile.engine,
        "threads": profile.threads,
        "variant": list(profile.variant),
        "symbols": dict(profile.symbols),
        "rounds": profile.rounds,
        "seconds": profile.seconds,
        "least": profile.least,
        "sum_of_steps": profile.total,
        "share": profile.share,
        "limits": None
        if limits is None
        else {
            "kind": limits.kind,
            "multiply_adds_per_second": limits.multiply_adds,
            "dots_per_second": limits.dots,
            "copies": [{"bytes": moved, "bytes_per_second": rate} for moved, rate in limits.copies],
        },
        "steps": [
            {
                "step": s.name,
                "template": s.template,
                "calls": s.calls,
                "seconds": s.seconds,
                "least": s.least,
                "operations": s.operations,
                "bytes": s.bytes,
                "operations_per_second": s.speed,
                "floor": s.floor,
                "share": s.share,
            }
            for s in profile.steps
        ],
        "notes": list(profile.notes),
    }
