"""Kernels in an interpreter with subgroups as real GPUs have them: right, without races, each barrier needed.

A sample; `python -m tests.wgsl.audit` takes all.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping

import pytest
from pyruntime_shaders.division import alternatives
from pyruntime_shaders.emit import kernels_for
from pyruntime_shaders.module import Kernel

from pyruntime.pack.sections import features_of, resolve
from tests.wgsl.audit import FEATURES, HARDWARE, SOFTWARE, Work, faults, groups, works
from tests.wgsl.emulate import run
from tests.wgsl.machine import Subgroups

FAMILIES = (
    *("attention", "conv", "cumulate", "map", "matmul", "numerals", "pool"),
    *("recurrence", "row", "scatter", "sort", "suppression"),
)
EACH = 5  # calls of a family
MOST = 24  # workgroups
BARRIER = re.compile(r"(?:workgroup|storage)Barrier\(\);")


@functools.cache
def by_name() -> Mapping[str, Work]:
    """All that there is."""
    return {work.name: work for work in works()}


def _several(kernel: Kernel) -> bool:
    return bool(features_of(kernel.render()))


def test_every_family_is_there() -> None:
    assert {work.calls[0].template for work in by_name().values()} == {*FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_sample(family: str) -> None:
    """Small calls, the first with all subgroups, others with one kind each."""
    found = [w for w in by_name().values() if w.calls[0].template == family and not w.held]
    found = [w for w in found if "long" not in w.name]
    found = [w for w in found if sum(groups(k, w.symbols) for c in w.calls for k in kernels_for(c)) <= MOST]
    kinds = itertools.cycle((*HARDWARE, *SOFTWARE))
    for work in found[3 :: -(-len(found) // EACH)]:
        for number, call in enumerate(work.calls):
            assert faults(work, number) == [], work.name
            if any(map(_several, kernels_for(call))):
                assert faults(work, number, subgroups=next(kinds)) == [], work.name


@pytest.mark.parametrize("form", ["packed", "halves"])
def test_forms(form: str) -> None:
    """Where several elements share a word, or none does."""
    found = [w for w in by_name().values() if form in w.held.values()]
    found = [w for w in found if sum(groups(k, w.symbols) for k in kernels_for(w.calls[0])) <= MOST]
    assert len(found) > 50
    for work in found[:: len(found) // 20]:
        subgroups = HARDWARE[0] if any(map(_several, kernels_for(work.calls[0]))) else None
        assert faults(work, 0, subgroups=subgroups) == [], work.name


@pytest.mark.parametrize("kind", [*HARDWARE, *SOFTWARE])
@pytest.mark.parametrize(
    "name", ["attention width 20, one query", "row softmax (4, 67) over (1,)", "matmul batch 2"]
)
def test_subgroups(name: str, kind: Subgroups) -> None:
    """One row of a workgroup's, several, and batches that a workgroup takes one after the other."""
    work = by_name()[name]
    assert all(map(_several, kernels_for(work.calls[0])))
    assert faults(work, 0, subgroups=kind, deep=1) == []


@pytest.mark.parametrize(
    "name",
    [
        *("matmul batch 19", "matmul batch 2", "matmul slices, batch"),
        *("matmul threes () 51x33x40", "row softmax (4, 67) over (1,)"),
        *("matmul 300x130x64, 1 by 16", "matmul 40 rows, 2 by 16"),
    ],
)
def test_alternatives(name: str) -> None:
    """Other patches of the result."""
    work = by_name()[name]
    (call,) = work.calls
    kernels, tried = kernels_for(call), 0
    for number, others in enumerate(alternatives(call)):
        for other in others[:: max(len(others) // 4, 1)]:
            made = [*kernels[:number], other, *kernels[number + 1 :]]
            subgroups = Subgroups(64, shuffled=True) if _several(other) else None
            assert faults(work, 0, made, subgroups, deep=1) == []
            tried += 1
    assert tried


# what only guards memory that another barrier guards, too: its number in the shader
SPARE = {"attention width 20": {8}}


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("attention width 20", ()),
        ("row softmax (4, 67) over (1,)", ()),
        ("row softmax (4, 67) over (1,)", FEATURES),
        ("matmul batch 2", ()),
        ("matmul batch 2", FEATURES),
        ("matmul batch 19", ()),
        ("matmul slices, batch", ()),
        ("matmul batch (2, 3), 1 by 16", ()),
        ("attention width 80, 2 by 16", ()),
        ("recurrence plain 7, 1, 5", ()),
        ("sort sorted (1, 7, 1) False", ()),
        ("suppression boxes (1, 1, 7, 7)", ()),
    ],
)
def test_without_a_barrier_there_is_a_race(name: str, features: frozenset[str]) -> None:
    """Each that is taken out of a real shader is missed, so that a missing one would be."""
    work = by_name()[name]
    (call,) = work.calls
    (kernel,) = (k for k in kernels_for(call) if groups(k, work.symbols))

    def raced(lost: int) -> bool:
        def edit(text: str) -> str:
            turn = itertools.count()
            return BARRIER.sub(lambda found: "" if next(turn) == lost else found[0], text)

        actual = {t: a.copy() for t, a in work.expected(0).items()}
        subgroups = HARDWARE[0] if features else None
        return bool(run(kernel, actual, work.symbols, None, features, subgroups, edit, deep=1))

    count = len(BARRIER.findall(resolve(kernel.render(), features)))
    assert not raced(count)
    assert {n for n in range(count) if not raced(n)} == SPARE.get(name, set())
