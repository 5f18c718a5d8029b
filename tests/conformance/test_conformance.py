"""What tests.tsv says passes does pass: a sample of it, in which each operator comes at least once.

`make conformance` judges all tests, and refuses to write a list on which less passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import pytest

from pyruntime.cli import operators
from tests.conformance import results, support
from tests.conformance.packs import Packs
from tests.conformance.results import OURS
from tests.conformance.suite import Case, cases
from tests.conformance.workers import Job, judge

BATCH = 24


def sample(listed: Collection[str]) -> list[Case]:
    """Of these tests a few that have all their operators; the choice hangs on the tests' names alone."""
    chosen, covered = list[Case](), set[str]()
    for case in sorted(cases(), key=lambda c: hashlib.sha256(c.name.encode()).digest()):
        if case.name in listed and not covered.issuperset(case.ops):
            chosen.append(case)
            covered.update(case.ops)
    return sorted(chosen, key=lambda c: c.name)


@pytest.mark.slow
@pytest.mark.wasm
@pytest.mark.webgpu
def test_sample_of_what_passes() -> None:
    listed = {t: {n for n, o in results.kept()[t].items() if o.status == "passed"} for t in OURS}
    names = [c.name for c in sample(set.union(*listed.values()))]
    jobs = [Job("packs", names[i : i + BATCH]) for i in range(0, len(names), BATCH)]
    verdicts = list(judge(jobs, {"packs": (Packs, (OURS,))}))
    assert len(verdicts) == len(names) * len(OURS)
    lost = [v for v in verdicts if v.test in listed[v.target] and v.outcome.status != "passed"]
    assert not lost, "\n".join(f"{v.test} on {v.target}: {v.outcome.reason}" for v in lost)


def test_totals_are_those_of_the_list() -> None:
    """results.json and tests.tsv were written together."""
    found, totals = results.kept(), results.stored()
    assert totals["total"] == len(cases())
    for target, outcomes in found.items():
        assert totals[target].items() >= results.counts(outcomes).items()


def test_page_of_operators_is_that_of_the_table() -> None:
    """docs/operators.md and what `pyruntime ops` prints were written together."""
    assert support.PAGE.read_text(encoding="utf-8") == support.page(operators.stored())
