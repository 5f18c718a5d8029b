"""Runs random models on our targets, as the conformance suite's cases are run, and on NumPy.

`numpy` is the program that lowering makes, interpreted in the memory that each target's plan gives it, where
what a step writes poisons whatever shares its bytes: it needs no compiler, and finds what passes, lowering
and plans break.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.memory import plan_coloured, plan_single
from pyruntime_converter.passes import optimise
from pyruntime_converter.targets import wasm
from pyruntime_wasm import toolchain

from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ir.program import Placement
from pyruntime.ops.run_graph import bind_symbols
from tests.conformance.engine import Verdict
from tests.conformance.judge import Outcome, failed, skipped
from tests.conformance.packs import Packs, Run, Target, graph
from tests.conformance.suite import Case
from tests.converter.planned import run_in
from tests.fuzz.models import Made, model
from tests.fuzz.truth import judge

NUMPY = "numpy"
UNDECIDED = "undecided"
REFUSED = (UnsupportedError, InputError)
# WebGPU's own functions and quotients are coarser than those of other devices
_LOOSENESS = {"wasm": 1.0, NUMPY: 1.0, "webgpu": 4.0}


def case_of(name: str, made: Made) -> Case:
    """A model as a case: for each run what is fed, and what each output must be."""
    judgement = judge(made.proto, made.feeds)
    outputs = [o.name for o in made.proto.graph.output]
    inputs = [v.name for v in made.proto.graph.input]
    unknown: list[Any] = [None] * len(outputs)
    wanted = [[run[n] for n in outputs] for run in judgement.runs] or [unknown] * len(made.feeds)
    sets = zip(made.feeds, wanted, strict=True)
    model_bytes = made.proto.SerializeToString()
    return Case(name, "fuzz", model_bytes, tuple(([f[n] for n in inputs], w) for f, w in sets), 0.0, 0.0)


@functools.lru_cache(maxsize=64)
def named(name: str) -> Case:
    """The case of a random model's name."""
    return case_of(name, model(name))


def outcome(case: Case, run: Run, entry: str, device: str) -> Outcome:
    """What all runs of a case come to on a device; undecided where no reference decides anything."""
    decided = 0
    for inputs, wanted in case.data_sets:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = run(case.feeds(inputs), entry)
        for name, expected in zip(case.outputs, wanted, strict=True):
            if expected is None:
                continue
            decided += bool(expected.decided.any() or not expected.decided.size)
            different = expected.mismatch(
                np.asarray(results[name]), _LOOSENESS[device], finite=device == "webgpu"
            )
            if different:
                return failed(f"{name}: {different}")
    return Outcome("passed") if decided else Outcome("skipped", UNDECIDED)


class Fuzzed(Packs):
    """Packs of random models.

    Args:
        asked: the targets.
        full: compile for Wasm as users do. Otherwise with little optimisation and in one variant, in less
            time, since it is not the C compiler that is tried here.
    """

    def __init__(self, asked: Sequence[str], full: bool = False) -> None:
        super().__init__(asked)
        self._full = full

    def case(self, test: str) -> Case:
        """As `Engine`."""
        return named(test)

    def build(self, cases: Sequence[Case], pack: Path, devices: Sequence[str]) -> None:
        """As `Packs`."""
        with nullcontext() if self._full else _quickly():
            super().build(cases, pack, devices)

    def ran(self, case: Case, run: Run, entry: str, device: Target) -> Outcome:
        """As `Packs`; a session may refuse inputs, such as integers of 64 bits that WebGPU has as words."""
        try:
            return outcome(case, run, entry, device)
        except REFUSED as error:
            return skipped(error)


@contextmanager
def _quickly() -> Iterator[None]:
    # without any optimisation all vectors of a kernel lie on the stack, which long ones overflow
    flags = (*toolchain._FLAGS, "-O1")
    with patch.object(toolchain, "_FLAGS", flags), patch.object(wasm, "VARIANTS", {"simd": ()}):
        yield


class Planned:
    """Programs interpreted in planned memory."""

    targets: tuple[str, ...] = (NUMPY,)

    def case(self, test: str) -> Case:
        """As `Engine`."""
        return named(test)

    def judge(self, cases: Sequence[Case]) -> Iterator[Verdict | str]:
        """As `Engine`."""
        for case in cases:
            yield case.name
            yield Verdict(case.name, NUMPY, planned(case))


def planned(case: Case) -> Outcome:
    """What a case comes to on NumPy."""
    try:
        with interpreted(case) as runs:
            for run in runs:
                found = outcome(case, run, "main", NUMPY)
                if found.status != "passed":
                    break
            return found
    except REFUSED as error:
        return skipped(error)
    except Exception as error:  # noqa: BLE001 - whatever a model provokes is a finding about it
        return failed(error)


@contextmanager
def interpreted(case: Case) -> Iterator[list[Run]]:
    """The program of a case in the memory of each plan."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        imported = graph(case)
        names = list(imported.output_names)
        optimise(imported)
        program = lower(imported)
        placements = [plan_single(program, base=0, fixed={}, scratch=lambda _: 0), plan_coloured(program)]

        def runner(placement: Placement) -> Run:
            def run(feeds: Mapping[str, Any], entry: str) -> Mapping[str, Any]:
                arrays = {n: np.asarray(a) for n, a in feeds.items()}
                inputs = [arrays[v.name] for v in imported.inputs]
                symbols = bind_symbols(imported, arrays)
                return dict(zip(names, run_in(program, placement, inputs, symbols), strict=True))

            return run

        yield [runner(p) for p in placements]
