"""What an engine that is judged offers, whether it is a target of ours or a peer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from tests.conformance.judge import Outcome
from tests.conformance.suite import Case


class Verdict(NamedTuple):
    """What one test came to on one target."""

    test: str
    target: str
    outcome: Outcome


class Engine(Protocol):
    """Judges batches of cases. It lives in a process of its own, which may die."""

    targets: tuple[str, ...]

    def case(self, test: str) -> Case:
        """The case of a test's name."""
        ...

    def judge(self, cases: Sequence[Case]) -> Iterator[Verdict | str]:
        """A verdict for each case and target; before anything that may end the process, the test's name."""
        ...


def patience(seconds: float) -> float:
    """How long to wait for what takes these seconds of a free processor at most: longer where many wait."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
