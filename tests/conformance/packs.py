"""Cases compiled to packs, some dozens to a pack with an entry each, and run in sessions on our targets."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pyruntime_converter.build import build_pack
from pyruntime_converter.frontends.onnx import read
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.options import Told
from pyruntime_converter.passes import optimise
from pyruntime_shaders.emit import render_programs

import pyruntime
from pyruntime.errors import UnsupportedError
from pyruntime.ir.graph import Graph
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Model
from pyruntime.pack.targets import Dispatch
from tests.conformance.chromium import in_chromium
from tests.conformance.engine import Verdict
from tests.conformance.judge import Outcome, failed, mismatch, skipped
from tests.conformance.suite import Case, named

Target = Literal["wasm", "webgpu"]
STRICT = "webgpu-strict"  # the same runs, but for what is refused where host steps are forbidden
# feeds, and the entry's name, to outputs by name
Run = Callable[[Mapping[str, Any], str], Mapping[str, Any]]
Open = Callable[[Path, Target], AbstractContextManager[Run]]


@contextmanager
def natively(pack: Path, target: Target) -> Iterator[Run]:
    """A session in this process."""
    with pyruntime.load(pack, device=target, threads=1 if target == "wasm" else None) as session:
        yield lambda feeds, entry: session.run(feeds, entry=entry)


class Host(NamedTuple):
    """Where packs run, and the names by which what they come to there is told."""

    device: Target
    open: Open
    names: tuple[str, ...]


HOSTS = (
    Host("wasm", natively, ("wasm",)),
    Host("webgpu", natively, ("webgpu", STRICT)),
    Host("wasm", in_chromium, ("wasm-chromium",)),
    Host("webgpu", in_chromium, ("webgpu-chromium",)),
)


class Packs:
    """Our own targets: each pack is built once, and run on all hosts that the asked names need."""

    def __init__(self, asked: Sequence[str], hosts: Sequence[Host] = HOSTS) -> None:
        self.targets = tuple(asked)
        self._hosts = tuple(h for h in hosts if not set(h.names).isdisjoint(asked))
        self._strictly: dict[str, Outcome] = {}  # what is refused where host steps are forbidden, by test

    def case(self, test: str) -> Case:
        """As `Engine`."""
        return named(test)

    def build(self, cases: Sequence[Case], pack: Path, devices: Sequence[str]) -> None:
        """Compile cases to one pack with an entry each, named as the case; a single one is `main`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build_pack(
                [graph(c) for c in cases], pack, Model("conformance", "onnx", "0" * 64), targets=devices
            )

    def ran(self, case: Case, run: Run, entry: str, device: Target) -> Outcome:
        """What all data sets of a case come to on a device; whatever is raised is a finding about it."""
        for inputs, wanted in case.data_sets:
            results = run(case.feeds(inputs), entry)
            different = mismatch(case, wanted, [results[name] for name in case.outputs])
            if different:
                return failed(different)
        return Outcome("passed")

    def judge(self, cases: Sequence[Case]) -> Iterator[Verdict | str]:
        """As `Engine`; each case is imported and lowered alone first, so that what it refuses is its own."""
        able: dict[tuple[Host, ...], list[Case]] = {}
        for case in cases:
            yield case.name
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of NumPy, where constants fold to NaN
                refused, strictly = _refusals(case, _devices(self._hosts))
            if strictly is not None:
                self._strictly[case.name] = strictly
            for host in self._hosts:
                if host.device in refused:
                    yield from self._verdicts(case, host, refused[host.device])
            left = tuple(h for h in self._hosts if h.device not in refused)
            if left:
                able.setdefault(left, []).append(case)
        for hosts, members in able.items():
            yield from self._run(members, hosts)

    def _run(self, cases: Sequence[Case], hosts: Sequence[Host]) -> Iterator[Verdict | str]:
        """One pack of all, or, where that fails, one of each half."""
        yield cases[0].name
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            pack = Path(folder) / "cases.pack"
            devices = _devices(hosts)
            try:
                self.build(cases, pack, devices)
            except Exception as error:  # noqa: BLE001 - whatever a case provokes is a finding about it
                if len(cases) > 1:
                    middle = len(cases) // 2
                    yield from self._run(cases[:middle], hosts)
                    yield from self._run(cases[middle:], hosts)
                elif len(devices) > 1:
                    for device in devices:
                        yield from self._run(cases, [h for h in hosts if h.device == device])
                else:
                    for host in hosts:
                        yield from self._verdicts(cases[0], host, _outcome(error))
                return
            for host in hosts:
                yield from self._run_pack(cases, pack, host)

    def _run_pack(self, cases: Sequence[Case], pack: Path, host: Host) -> Iterator[Verdict | str]:
        """All cases in one session, or, after one that failed, the others in a new one."""
        left = list(cases)
        while left:
            yield left[0].name
            try:
                with host.open(pack, host.device) as run:
                    while left:
                        case = left[0]
                        yield case.name
                        found = self._ran(case, run, "main" if len(cases) == 1 else case.name, host.device)
                        left.pop(0)
                        counted = _counted(found, pack, cases.index(case), host.device)
                        yield from self._verdicts(case, host, counted)
                        if found.reason.startswith("RunError"):
                            break  # what a trap leaves behind is not the next case's fault
            except Exception as error:  # noqa: BLE001 - as above: the session does not open
                if len(cases) == 1:
                    yield from self._verdicts(cases[0], host, _outcome(error))
                    return
                for case in left:
                    yield from self._run([case], [host])
                return

    def _verdicts(self, case: Case, host: Host, outcome: Outcome) -> Iterator[Verdict]:
        """By each name that was asked for; what needs no host steps is one run with and without them."""
        for name in host.names:
            told = self._strictly.get(case.name, outcome) if name == STRICT else outcome
            if name in self.targets:
                yield Verdict(case.name, name, told)

    def _ran(self, case: Case, run: Run, entry: str, device: Target) -> Outcome:
        try:
            return self.ran(case, run, entry, device)
        except Exception as error:  # noqa: BLE001 - as above
            return _outcome(error)


def _devices(hosts: Sequence[Host]) -> list[Target]:
    return list(dict.fromkeys(h.device for h in hosts))


def graph(case: Case) -> Graph:
    """A case's model as the front end reads it; everything that the suite feeds is an input.

    What sequences and optionals hold is told, as users tell it, and small integers too where the model with
    any of them is refused.
    """
    try:
        return read(case.model, case.name, Told(elements=case.elements))
    except UnsupportedError as error:
        if not case.values:
            raise
        try:
            return read(case.model, case.name, Told(elements=case.elements, values=case.values))
        except UnsupportedError:
            raise error from None


def _refusals(case: Case, devices: Sequence[Target]) -> tuple[dict[Target, Outcome], Outcome | None]:
    """The devices for which a case does not lower, and what WebGPU refuses where host steps are forbidden."""
    try:
        imported = graph(case)
        optimise(imported)
        program = lower(imported)
    except Exception as error:  # noqa: BLE001 - whatever a case provokes is a finding about it
        return dict.fromkeys(devices, _outcome(error)), None
    if "webgpu" in devices:
        try:
            render_programs([program])
        except UnsupportedError as error:
            return {}, _outcome(error)
        except Exception as error:  # noqa: BLE001 - as above
            return {"webgpu": _outcome(error)}, None
    return {}, None


def _outcome(error: Exception) -> Outcome:
    return skipped(error) if isinstance(error, UnsupportedError) else failed(error)


def _counted(outcome: Outcome, pack: Path, entry: int, device: Target) -> Outcome:
    """The outcome with what was executed where."""
    with Pack(pack) as opened:
        targets = opened.manifest.targets
    if device == "wasm" or targets.webgpu is None:
        return outcome
    commands = targets.webgpu.variants[0].entries[entry].commands
    steps = {c.step for c in commands if isinstance(c, Dispatch)}
    host = 0 if targets.webgpu.host is None else len(targets.webgpu.host.entries[entry].steps)
    return outcome._replace(nodes=len(steps) + host, host=host, dispatched=bool(steps))
