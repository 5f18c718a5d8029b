"""What tests.tsv says passes does pass: a sample of it, in which each operator comes at least once.

`make conformance` judges all tests, and refuses to write a list on which less passes.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.defs import OpSchema

from pyruntime.cli import operators
from tests.browser.fixtures import package
from tests.conformance import results, support
from tests.conformance.judge import Outcome
from tests.conformance.packs import Packs
from tests.conformance.results import OURS, PAGES
from tests.conformance.suite import Case, cases
from tests.conformance.workers import Job, judge
from tests.frontends.onnx_models import one_node

__all__ = ["package"]

BATCH = 24


def by_chance(case: Case) -> bytes:
    """An order that hangs on the tests' names alone."""
    return hashlib.sha256(case.name.encode()).digest()


def by_size(case: Case) -> tuple[int, str]:
    """The smallest models first."""
    return len(case.model), case.name


def sample(
    listed: Collection[str], traits: Callable[[Case], Collection[str]], order: Callable[[Case], Any]
) -> list[str]:
    """Of these tests a few that have all their traits."""
    chosen, covered = list[str](), set[str]()
    for case in sorted(cases(), key=order):
        if case.name in listed and not covered.issuperset(traits(case)):
            chosen.append(case.name)
            covered.update(traits(case))
    return sorted(chosen)


def lost(names: Sequence[str], targets: Sequence[str], listed: Mapping[str, Collection[str]]) -> list[str]:
    """What is listed for a target and does not pass there."""
    jobs = [Job("packs", list(names[i : i + BATCH])) for i in range(0, len(names), BATCH)]
    verdicts = list(judge(jobs, {"packs": (Packs, (targets,))}))
    assert len(verdicts) == len(names) * len(targets)
    lost = [v for v in verdicts if v.test in listed[v.target] and v.outcome.status != "passed"]
    return [f"{v.test} on {v.target}: {v.outcome.reason}" for v in lost]


def passed() -> dict[str, set[str]]:
    """The tests that the list says pass, by target."""
    return {t: {n for n, o in found.items() if o.status == "passed"} for t, found in results.kept().items()}


@pytest.mark.slow
@pytest.mark.wasm
@pytest.mark.webgpu
def test_sample_of_what_passes() -> None:
    listed = passed()
    names = sample(set[str]().union(*(listed[t] for t in OURS)), lambda case: case.ops, by_chance)
    missing = lost(names, OURS, listed)
    assert not missing, "\n".join(missing)


def crossing(case: Case) -> set[str]:
    """What of a case a page sees: the element types that go in and come out, and control flow."""
    flow = {"If", "Loop", "Scan"}.intersection(case.ops)
    sides = {"in": case.fed, "out": case.proto.graph.output}
    return flow | {
        f"{side} {v.type.tensor_type.elem_type}"
        for side, values in sides.items()
        for v in values
        if v.type.HasField("tensor_type")
    }


@pytest.mark.slow
@pytest.mark.browser
def test_sample_in_pages(package: Path) -> None:
    """What passes natively passes in JavaScript: each element type both ways, and control flow."""
    native = passed()
    listed = dict(zip(PAGES, (native["wasm"], native["webgpu"]), strict=True))
    names = sample(native["wasm"], crossing, by_size)
    missing = lost(names, PAGES, listed)
    assert not missing, "\n".join(missing)


def test_totals_are_those_of_the_list() -> None:
    """results.json and tests.tsv were written together."""
    found, totals = results.kept(), results.stored()
    assert totals["total"] == len(cases())
    for target, outcomes in found.items():
        assert totals[target].items() >= results.counts(outcomes).items()


def test_a_run_of_some_targets_keeps_what_is_known_of_others() -> None:
    """Counts of steps are not in tests.tsv: of targets that were not judged they stay as stored."""
    old, new = Outcome("passed"), Outcome("passed", nodes=8, host=2, dispatched=True)
    before: dict[str, Any] = {
        "webgpu": {"host_share": 0.5, "passed_without_dispatch": 7},
        "versions": ["onnx 1.0", "peer 2.0"],
    }
    made = results.totals({"webgpu": {"a": old}, "webgpu-chromium": {"a": new}}, {"webgpu-chromium"}, before)
    assert made["webgpu"] == {**results.counts({"a": old}), **before["webgpu"]}
    assert made["webgpu-chromium"] == {
        **results.counts({"a": new}),
        "host_share": 0.25,
        "passed_without_dispatch": 0,
    }
    told = results.versions({"onnx": "1.1"}, before, {"webgpu", "peer"})
    assert told == ["onnx 1.1", "peer 2.0"]
    assert results.versions({"onnx": "1.1"}, before, {"webgpu"}) == ["onnx 1.1"]


def test_page_of_operators_is_that_of_the_table() -> None:
    """docs/operators.md and what `pyruntime ops` prints were written together."""
    assert support.PAGE.read_text(encoding="utf-8") == support.page(operators.stored())


PROBED = 150  # dtypes of type parameters that are tried anew, of 2,354


@pytest.mark.slow
def test_sample_of_the_dtypes() -> None:
    """What the table says converts does, and what it says does not is refused; `support` tries all."""
    known, told = support.schemas(), operators.stored()["operators"]
    rows = [
        (name, parameter, dtype, targets)
        for name in sorted(known)
        for parameter, dtypes in listed_dtypes(known[name], told[name])
        for dtype, targets in sorted(dtypes.items())
    ]
    chosen = random.Random(28).sample(rows, PROBED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {row[:3]: support.taking(row[0], known[row[0]], *row[1:3]) for row in chosen}
    assert found == {row[:3]: row[3] for row in chosen}


def listed_dtypes(schema: OpSchema, told: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, list[str]]]]:
    """The dtypes of each type parameter, as operators.json has them."""
    if told["dtypes"]:
        yield next(iter(support.parameters(schema))), told["dtypes"]
    yield from told["others"].items()


def test_each_operator_is_tried() -> None:
    """No operator is without a model to try dtypes with, but those that take maps or nothing typed."""
    told = operators.stored()["operators"]
    assert told.keys() == support.schemas().keys()
    assert not [name for name, row in told.items() if not row["dtypes"] and not row["others"]]


def test_dtypes_are_taken_by_the_gpu_or_by_its_host() -> None:
    """What is tried for the table: float64 runs on the CPU where a pack runs on WebGPU."""
    taken = {
        dtype: list(support._accepting(one_node("Exp", {"x": np.ones(3, dtype)})))
        for dtype in ("float32", "float64")
    }
    assert taken == {"float32": ["wasm", "webgpu"], "float64": ["wasm", "host"]}
