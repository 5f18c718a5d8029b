"""One run of the court: each race opened, visited cold, run in turns, compared and turned into rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.court.agreement import Agreement, compare
from benchmarks.court.arena import Arena, Cold
from benchmarks.court.benchmark import Benchmark
from benchmarks.court.engines import ENGINES, Contestant
from benchmarks.court.hosts import ContestError
from benchmarks.court.limits import Rates
from benchmarks.court.race import Outcome, enter, guarded, race
from benchmarks.court.rows import Row, race_rows
from benchmarks.court.schedule import Race

Tell = Callable[[str], None]
SETTLED = (
    0.1  # seconds; threads of some engines look for work for 15 ms after their turn, in that of the next
)
SLOW_MS = 10_000.0  # an engine that takes longer from navigation to the first result is visited once


class Run:
    """Races of one run; `limits` gathers what was measured of the machine by host."""

    def __init__(self, arena: Arena, name: str, rounds: int, visits: int) -> None:
        self.arena = arena
        self.name = name
        self.rounds = rounds
        self.visits = visits
        self.limits: dict[str, list[Rates]] = {}

    def race(self, benchmark: Benchmark, planned: Race, tell: Tell) -> list[Row]:
        """The rows of one race."""
        cold = self._cold(benchmark, planned, tell) if planned.cold else {}
        with ExitStack() as stack:
            outcomes = enter(planned.everyone, lambda c: self.arena.open(benchmark, c), tell)
            for outcome in outcomes:
                if outcome.entered is not None:
                    stack.callback(outcome.entered.close)
            agreements = {o.contestant: a for o in outcomes if (a := _agreement(benchmark, o)) is not None}
            limits = {}
            for host in sorted({c.host for c in planned.everyone}):
                limits[host] = self.arena.limits(host, planned.threads)
                stack.callback(limits[host].close)
            settle = (lambda: time.sleep(SETTLED)) if planned.threads > 1 else (lambda: None)
            rates = race(outcomes, limits, self.rounds, tell, settle)
            for outcome in outcomes:
                if outcome.error is None and outcome.entered is not None:
                    with guarded(outcome):
                        outcome.memory = outcome.entered.memory()
        for host, rounds in rates.items():
            self.limits.setdefault(host, []).extend(rounds)
        return race_rows(benchmark, planned, outcomes, rates, cold, agreements, self.name)

    def _cold(self, benchmark: Benchmark, planned: Race, tell: Tell) -> dict[Contestant, list[Cold]]:
        """Visits in turns, of slow engines fewer; one that fails is visited no more."""
        visits: dict[Contestant, list[Cold]] = {
            c: [] for c in planned.contestants if c.host == "chromium" and benchmark.missing(c) is None
        }
        for number in range(self.visits):
            for contestant in list(visits) if number % 2 == 0 else list(reversed(visits)):
                tell(f"visit {number + 1} of {self.visits}, {contestant}")
                try:
                    if number == 0 or visits[contestant][0].milliseconds < SLOW_MS:
                        visits[contestant].append(self.arena.cold(benchmark, contestant))
                except ContestError:
                    del visits[contestant]
        return visits


def _agreement(benchmark: Benchmark, outcome: Outcome) -> Agreement | None:
    """How an engine's first result agrees; a disagreement is the contestant's error, and it runs no more."""
    if outcome.entered is None:
        return None
    engine = ENGINES[outcome.contestant.engine]
    outputs = benchmark.outputs(engine.layout, outcome.entered.outputs)
    found = compare(outputs, benchmark.reference, outcome.contestant.dtype)
    if found.problem is not None:
        outcome.error = f"disagrees with the reference: {found.problem}"
    return found
