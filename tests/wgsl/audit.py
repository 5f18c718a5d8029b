"""Runs kernels of cases as a GPU with other subgroups might: what is wrong or races is told.

`python -m tests.wgsl.audit [FAMILY]` takes the kernels and alternatives of all cases, in minutes; tests take
a sample (`test_kernels.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyruntime_shaders.division import alternatives
from pyruntime_shaders.emit import kernels_for
from pyruntime_shaders.module import Kernel
from pyruntime_shaders.storage import Form

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor
from pyruntime.ops.interpret import allocate, run_call
from pyruntime.pack.sections import features_of
from tests.kernels import (
    cases_left,
    test_asides,
    test_extremes,
    test_forms,
    test_prologues,
    test_split_attention,
)
from tests.kernels.case import Array, Case
from tests.kernels.test_forms import half
from tests.kernels.test_webgpu import all_cases
from tests.kernels.webgpu_harness import TOLERANCE, compare
from tests.wgsl.emulate import LIMIT, run
from tests.wgsl.machine import Subgroups

SOFTWARE = (Subgroups(4), Subgroups(16))  # lavapipe's and SwiftShader's are of 4 to 16
# of Apple, NVIDIA and AMD, Intel, Adreno; and members that are no neighbours, of which WGSL says nothing
HARDWARE = (Subgroups(32), Subgroups(64), Subgroups(8), Subgroups(128), Subgroups(32, shuffled=True))
FEATURES = frozenset({"subgroups", "packed_4x8_integer_dot_product"})


@dataclass
class Work:
    """Calls in order, memory before and how it lies on the GPU, and after each call by reference."""

    name: str
    calls: Sequence[KernelCall]
    before: Mapping[Tensor, Array]
    symbols: Mapping[str, int]
    held: Mapping[Tensor, Form] = field(default_factory=dict)
    after: list[Mapping[Tensor, Array]] = field(default_factory=list)

    @staticmethod
    def of(case: Case, calls: Sequence[KernelCall] = (), held: Mapping[Tensor, Form] | None = None) -> Work:
        """Of a case: its call, or others instead."""
        calls, held = calls or [case.call], held or {}
        memory = {t: a.ravel().copy() for t, a in case.inputs.items()}
        for tensor in (t for call in calls for t in call.tensors()):
            memory.setdefault(tensor, allocate(tensor, case.symbols))
        rounded = {t: half(a) if t.dtype.is_float and t in held else a for t, a in memory.items()}
        name = _named(f"{case.call.template} {case.name}", held)
        return Work(name, calls, rounded, case.symbols, held)

    def expected(self, number: int) -> Mapping[Tensor, Array]:
        """Memory after so many calls."""
        if not self.after:
            memory = {t: a.copy() for t, a in self.before.items()}
            self.after.append(dict(memory))
            for call in self.calls:
                tensor = call.output.tensor
                memory[tensor] = memory[tensor].copy()
                run_call(call, memory, self.symbols)
                if self.held.get(tensor) == "halves":
                    memory[tensor] = half(memory[tensor])
                self.after.append(dict(memory))
        return self.after[number]


def _named(name: str, held: Mapping[Tensor, Form]) -> str:
    return ", ".join([name, *sorted(set(held.values()))])


def _of_floats(call: KernelCall) -> Iterator[Mapping[Tensor, Form]]:
    """The forms in which the floats of a call may lie, beside words."""
    yield dict.fromkeys(test_forms.floats(call.tensors()[:-1]), "packed")
    yield dict.fromkeys(test_forms.floats(call.tensors()), "halves")


def works() -> Iterator[Work]:
    """All cases that WGSL computes, over words, and those of many kernels over other forms, too."""
    for case in all_cases():
        if not case.wasm_only and _computed(case.call):
            yield Work.of(case)
    for case in test_asides.cases():
        for held in ({}, *_of_floats(case.call)):
            yield replace(Work.of(case, held=held), name=_named(f"row {case.name}, asides", held))
    for case in test_extremes.cases():
        for held in ({}, *_of_floats(case.call)):
            name = _named(f"{case.call.template} {case.name}", held)
            yield replace(Work.of(case, held=held), name=name)
    for case in test_prologues.quantising():
        levels: Mapping[Tensor, Form] = dict.fromkeys(test_forms.octets(case.call.tensors()[:-1]), "packed")
        _, halves = _of_floats(case.call)
        for held in ({}, levels, {**halves, **levels}):
            name = f"{case.call.template} {case.name}, prologue of {len(case.call.tensors())}"
            yield replace(Work.of(case, held=held), name=_named(name, held))
    for case in test_split_attention.cases():
        yield Work.of(case, test_split_attention.parts_of(case))
    for case in (*test_forms.different(), *cases_left.cases()):
        for held in _of_floats(case.call):
            yield Work.of(case, held=held)
    for case in test_forms.integers():
        yield Work.of(case, held=dict.fromkeys(test_forms.octets(case.call.tensors()[:-1]), "packed"))


def _computed(call: KernelCall) -> bool:
    try:
        return bool(kernels_for(call))
    except UnsupportedError:
        return False


def groups(kernel: Kernel, symbols: Mapping[str, int]) -> int:
    """Workgroups of a dispatch."""
    x, y, z = (evaluate(g, symbols) for g in kernel.workgroups)
    return x * y * z


def faults(
    work: Work,
    number: int,
    others: Sequence[Kernel] = (),
    subgroups: Subgroups | None = None,
    deep: int = LIMIT,
) -> list[str]:
    """What is wrong with one of the calls, with other kernels than its own, and subgroups or none.

    `deep`: as for `emulate.run`.
    """
    call = work.calls[number]
    actual = {t: a.copy() for t, a in work.expected(number).items() if t in call.tensors()}
    found: dict[str, int] = {}
    features = FEATURES if subgroups else ()
    for kernel in others or kernels_for(call):
        told = run(kernel, actual, work.symbols, work.held, features, subgroups, deep=deep)
        found = {what: found.get(what, 0) + told.get(what, 0) for what in {**found, **told}}
    wrong = [f"{what}, {count} times" for what, count in found.items()]
    output = call.output.tensor
    tolerance = TOLERANCE[DType.F16] if work.held.get(output) == "halves" else None
    try:
        compare(call, actual[output], work.expected(number + 1)[output], tolerance)
    except AssertionError as error:
        wrong.append(" ".join(str(error).split()))
    return wrong


def forms(call: KernelCall) -> Iterator[list[Kernel]]:
    """The kernels of a call, and then with each alternative in turn."""
    kernels = kernels_for(call)
    yield kernels
    for number, others in enumerate(alternatives(call)):
        for other in others:
            yield [*kernels[:number], other, *kernels[number + 1 :]]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", nargs="?", default="")
    parser.add_argument("--most", type=int, default=400, help="workgroups of a kernel that is tried")
    given = parser.parse_args()
    tried, wrong, seen = 0, 0, set[object]()
    for work in works():
        if not work.name.startswith(given.family):
            continue
        for number, call in enumerate(work.calls):
            for turn, kernels in enumerate(forms(call)):
                busy = [k for k in kernels if groups(k, work.symbols)]
                key = (tuple(k.key for k in busy), *sorted(set(work.held.values())))
                # alternatives once, for whichever case comes first
                if (turn and key in seen) or sum(groups(k, work.symbols) for k in busy) > given.most:
                    continue
                seen.add(key)
                several = any(features_of(k.render()) for k in busy)
                ways = [(None, LIMIT), *((s, LIMIT) for s in (SOFTWARE + HARDWARE if several else ()))]
                if any(dict(k.values).get("outer_axes") for k in busy):
                    ways.append((HARDWARE[0] if several else None, 1))
                for subgroups, deep in ways:
                    tried += 1
                    for what in faults(work, number, kernels, subgroups, deep):
                        wrong += 1
                        print(f"{work.name}, {call.name}, form {turn}, {subgroups}: {what[:300]}", flush=True)
    print(f"{tried} runs, {wrong} faults")


if __name__ == "__main__":
    main()
