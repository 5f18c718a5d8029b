"""A race: contestants alive side by side, in turns, with the machine's limits measured in every round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.court.engines import Contestant
from benchmarks.court.hosts import ContestError, Entered
from benchmarks.court.limits import Rates

ROUND_MS = 60.0  # how long a turn takes at least: many times the clock's step
WARM_MS, WARM_RUNS = 300.0, 3  # engines replace slow code by fast while it runs
WARM_MOST_MS = 5000.0
MOST_SECONDS = 60.0  # for one contestant's rounds; a slower one has fewer, and its row says so
FEWEST = 5


class Opener(Protocol):
    """Opens contestants, by the kind of host that they ask for."""

    def __call__(self, contestant: Contestant) -> Entered:
        """Raises ContestError."""


class Limit(Protocol):
    """What measures the limits of one host."""

    def __call__(self) -> Rates:
        """By threads."""


@dataclass
class Outcome:
    """How a contestant did: times in ms per run by round, or an error."""

    contestant: Contestant
    entered: Entered | None = None
    runs: int = 1
    rounds: int = 0
    times: list[float] = field(default_factory=list)
    memory: int | None = None
    error: str | None = None


@dataclass
class Raced:
    """Outcomes, and by host the limits of each round."""

    outcomes: list[Outcome]
    limits: dict[str, list[Rates]]


def enter(contestants: Sequence[Contestant], opener: Opener, tell: Callable[[str], None]) -> list[Outcome]:
    """Open all; those that fail have an error."""
    outcomes = []
    for contestant in contestants:
        tell(f"open {contestant}")
        outcome = Outcome(contestant)
        try:
            outcome.entered = opener(contestant)
        except ContestError as error:
            outcome.error = str(error)
        outcomes.append(outcome)
    return outcomes


@contextmanager
def guarded(outcome: Outcome) -> Iterator[None]:
    """Around what is done with a contestant; what goes wrong is its error."""
    try:
        yield
    except ContestError as error:
        outcome.error = str(error)


def warm(outcome: Outcome, rounds: int) -> None:
    """Run until fast code has replaced slow, and find how many runs make a turn."""
    assert outcome.entered is not None
    times: list[float] = []
    while (len(times) < WARM_RUNS and sum(times) < WARM_MOST_MS) or sum(times) < WARM_MS:
        times.append(outcome.entered.round(1))
    least = max(min(times), 1e-3)
    outcome.runs = max(1, min(1000, round(ROUND_MS / least)))
    turn = outcome.runs * least / 1e3
    outcome.rounds = max(min(rounds, FEWEST), min(rounds, int(MOST_SECONDS / turn)))


def race(
    outcomes: Sequence[Outcome],
    limits: Mapping[str, Limit],
    rounds: int,
    tell: Callable[[str], None],
    settle: Callable[[], None] = lambda: None,
) -> dict[str, list[Rates]]:
    """Give each that is alive its turns, in alternating order; fills `times` and gives the limits by host.

    `settle` comes before each turn and before the limits.
    """
    for outcome in outcomes:
        if outcome.error is None:
            tell(f"warm up {outcome.contestant}")
            with guarded(outcome):
                warm(outcome, rounds)
    measured: dict[str, list[Rates]] = {host: [] for host in limits}
    for limit in limits.values():
        limit()
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for host, limit in limits.items():
            settle()
            measured[host].append(limit())
        # each first as often as last: the machine's other load hits all alike
        for outcome in outcomes if number % 2 == 0 else reversed(outcomes):
            entered = outcome.entered
            if outcome.error is None and entered is not None and number < outcome.rounds:
                settle()
                with guarded(outcome):
                    outcome.times.append(entered.round(outcome.runs))
    return measured
