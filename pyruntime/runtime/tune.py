"""Finds out which of a pack's alternative shaders are best on the GPU at hand, and stores that there."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyruntime.errors import DeviceError, PackError, RunError
from pyruntime.pack.alternatives import (
    Alternative,
    Alternatives,
    Extended,
    decode_alternatives,
    extended,
)
from pyruntime.pack.amend import set_tuned
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Entry
from pyruntime.pack.targets import Dispatch
from pyruntime.runtime.bench.gpu_timer import Clock, clock_of
from pyruntime.runtime.bench.profile import Budget, Feeder, Progress
from pyruntime.runtime.bench.states import grown
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.gpu_names import Identity
from pyruntime.runtime.proof import agree, right
from pyruntime.runtime.tensors import Tensor
from pyruntime.runtime.webgpu import WebGpuSession

LEAST_SHARE = 0.01  # of the time of all steps: what takes less is not worth trying
LEAST_GAIN = 0.05  # of a step's time: what gains less may be noise
LOOKS = 3  # runs that tell which steps matter
WARM_UP = 1  # rounds that count for nothing

Column = dict[int, Alternative]  # by command what does it


@dataclass(frozen=True)
class TunedStep:
    """A step that was worth trying.

    Attributes:
        step: its name, as in the report of a session.
        seconds: of the default, all calls in a run.
        best: of what is stored, the default where nothing was clearly better.
        shader: what that is; "" for the default.
        tried: how many shaders were timed beside the default.
        refused: how many did not compile here, or gave another result.
    """

    step: str
    seconds: float
    best: float
    shader: str
    tried: int
    refused: int


@dataclass(frozen=True)
class Tuning:
    """What was found. Times are of all dispatches of a run, before and after, in the same rounds.

    Attributes:
        gpu: what it was found on.
        engine: the same by its full name.
        clock: what told the time: "timestamp-query", or "waiting" where the GPU tells none.
        rounds: how often all was timed.
        steps: those that matter, by their time.
        before: seconds of all steps of a run by the defaults.
        after: the same with what is stored.
        symbols: the sizes at which it was measured.
    """

    gpu: Identity
    engine: str
    clock: str
    rounds: int
    steps: tuple[TunedStep, ...]
    before: float
    after: float
    symbols: Mapping[str, int]

    @property
    def stored(self) -> int:
        """How many steps have another shader now."""
        return sum(bool(step.shader) for step in self.steps)


def tune(
    path: str | os.PathLike[str],
    feeder: Feeder,
    budget: Budget,
    progress: Progress,
    *,
    sizes: Mapping[str, int] | None = None,
    gpu: Identity | None = None,
    clock: Clock | None = None,
) -> Tuning:
    """Try what the pack at `path` has for its first entry, and store the winners for this GPU there.

    A shader is taken if it gives the default's result and is faster by more than noise; all that are taken
    together must give the program's results, and be faster. Where nothing is better, the pack has nothing
    for this GPU afterwards. The pack changes at the very end, in one step.

    Args:
        path: a pack that was converted with `tunable`.
        feeder: gives the inputs.
        budget: how long to time.
        progress: hears the part that is done.
        sizes: of states that grow, by the symbols.
        gpu: for what the winners are stored, by default for the GPU at hand.
        clock: what tells the time, by default the device's.

    Raises:
        DeviceError: there is no GPU, or the pack has no WebGPU target.
        PackError: the pack has nothing to try, is damaged, or cannot be written.
        InputError, StateError, MemoryLimitError, RunError: as a run does.
    """
    with Pack(path) as pack:
        target = pack.manifest.targets.webgpu
        if target is None:
            raise DeviceError(f"{path} was not converted for webgpu")
        if target.candidates is None:
            raise PackError(f"{path} has nothing to try: convert it as tunable, or tune the model's file")
        file = target.candidates.file
        candidates = decode_alternatives(pack.read(target.candidates), file)
        with WebGpuSession(pack, None, "to be tuned", tuned=False) as session:
            number, entry = session._find(None)
            session._kept.sizes = grown(entry, session._kept.sizes, sizes or {})
            bound = session._kept.bind(entry, feeder(session.inputs, session.state.symbols))
            work = _Work(session, pack, candidates, file, number, entry, bound, clock or clock_of(session))
            with session.using(), session._gpu.guarded(f"entry {entry.name!r}"):
                found, winners = work.done(budget, progress, gpu or session._gpu.adapter.identity)
            best = candidates.only({(session._number, number): winners}) if winners else None
    set_tuned(Path(path), *found.gpu, best)
    progress(1.0)
    return found


class _Work:
    """One entry of a session with all that may be tried."""

    def __init__(
        self,
        session: WebGpuSession,
        pack: Pack,
        candidates: Alternatives,
        file: str,
        number: int,
        entry: Entry,
        bound: Bound,
        clock: Clock,
    ) -> None:
        self._session, self._manifest, self._file = session, pack.manifest, file
        self._candidates, self._clock = candidates, clock
        self._number, self._entry, self._bound = number, entry, bound
        self._code = pack.read(session._variant)
        self._own = len(session._variant.shaders)
        self._base = self._with({})
        session._take(self._base.target)
        session._pipelines.extend(session._variant, self._base.code)

    def done(self, budget: Budget, progress: Progress, gpu: Identity) -> tuple[Tuning, Sequence[Alternative]]:
        """What was found, and the winners."""
        expected = self._outputs(self._base)
        rows = self._worth_trying()
        offered = {c: len(options) for c, options in rows.items()}
        if not rows:
            budget = Budget(rounds=1)
        self._prove(rows, lambda part: progress(0.3 * part))
        # column j has option j of every step, so that one run times one of each
        columns = [self._base, *map(self._with, _columns(rows))]
        times: list[dict[int, list[float]]] = [{} for _ in columns]
        rounds = self._rounds(columns, times, budget, lambda part: progress(0.3 + 0.6 * part))
        winners = _winners(rows, times)
        before, after = self._compared(winners, expected, rounds)
        if after >= before:
            winners, after = {}, before
        steps = []
        for command, options in rows.items():
            usual, won = statistics.median(times[0][command]), winners.get(command)
            best, shader = usual, ""
            if won is not None:
                best = statistics.median(times[1 + options.index(won)][command])
                shader = self._candidates.shaders[won.shader].name
            refused = offered[command] - len(options)
            steps.append(TunedStep(self._name(command), usual, best, shader, len(options), refused))
        found = Tuning(
            gpu,
            self._session.report.engine,
            self._clock.name,
            rounds,
            tuple(sorted(steps, key=lambda s: -s.seconds)),
            before,
            after,
            dict(self._bound.symbols),
        )
        return found, [*winners.values()]

    def _name(self, command: int) -> str:
        dispatch = self._session._variant.entries[self._number].commands[command]
        assert isinstance(dispatch, Dispatch)  # as `extended` has checked
        return dispatch.step

    def _with(self, column: Column) -> Extended:
        """The program with some commands done by alternatives."""
        picked = {self._number: column}
        number = self._session._number
        return extended(self._manifest, number, self._code, self._candidates, self._file, picked)

    def _take(self, made: Extended) -> None:
        self._session._drop_plans()
        self._session._take(made.target)
        self._session._reset_states()

    def _outputs(self, made: Extended) -> Sequence[Tensor]:
        self._take(made)
        found = self._session._execute(self._number, self._entry, self._bound)
        self._session._reset_states()
        return found

    def _timed(self, made: Extended) -> dict[int, float]:
        """Seconds of each command in one run."""
        self._take(made)
        found: dict[int, float] = {}
        for dispatch, seconds in self._clock.run(self._session, self._number, self._entry, self._bound):
            found[dispatch.command] = found.get(dispatch.command, 0.0) + seconds
        return found

    def _worth_trying(self) -> dict[int, list[Alternative]]:
        """Alternatives of the commands that take a part of the time that matters."""
        looks = [self._timed(self._base) for _ in range(WARM_UP + LOOKS)][WARM_UP:]
        usual = {c: statistics.median(look.get(c, 0.0) for look in looks) for c in looks[0]}
        least = LEAST_SHARE * sum(usual.values())
        offered = self._candidates.of(self._session._number, self._number)
        return {c: list(offered[c]) for c in offered if usual.get(c, 0.0) >= max(least, 1e-12)}

    def _prove(self, rows: dict[int, list[Alternative]], progress: Progress) -> None:
        """Leave only what compiles here, and gives what the default gives in its place."""
        self._take(self._base)
        total, seen = sum(map(len, rows.values())) or 1, 0
        for options in rows.values():
            for option in [*options]:
                try:
                    self._session._pipelines.get(self._own + option.shader)
                except RunError:
                    options.remove(option)
                progress(0.5 * (seen := seen + 1) / total)
        columns = [*_columns(rows)]
        made = [self._with(column) for column in columns]
        results = {c: self._candidates.shaders[o[0].shader].result for c, o in rows.items() if o}
        found = right(
            self._session, self._number, self._entry, self._bound, [m.target for m in made], results
        )
        for command, verdicts in found:
            options = rows[command]
            tried = dict(zip([column.get(command) for column in columns], verdicts, strict=True))
            options[:] = [o for o in options if tried[o]]
            progress(0.5 + 0.5 * (seen := seen + 1) / (total + len(rows)))

    def _rounds(
        self,
        columns: Sequence[Extended],
        times: Sequence[dict[int, list[float]]],
        budget: Budget,
        progress: Progress,
    ) -> int:
        """Time all columns in turns; how often."""
        rounds, began = -WARM_UP, time.perf_counter()
        while rounds < 0 or budget.spent(rounds, time.perf_counter() - began) < 1:
            for column, taken in zip(columns, times, strict=True):
                for command, seconds in self._timed(column).items():
                    if rounds >= 0:
                        taken.setdefault(command, []).append(seconds)
            if rounds < 0:
                began = time.perf_counter()
            rounds += 1
            progress(budget.spent(rounds, time.perf_counter() - began) if rounds else 0.0)
        return rounds

    def _compared(self, winners: Column, expected: Sequence[Tensor], rounds: int) -> tuple[float, float]:
        """Seconds of all steps by the defaults and by the winners. Raises RunError where results differ."""
        made = self._with(winners)
        for spec, one, other in zip(self._entry.outputs, expected, self._outputs(made), strict=True):
            if one.shape != other.shape or not agree(one.data, other.data, one.dtype):
                raise RunError(f"output {spec.name!r} differs with what is fastest; nothing was stored")
        before, after = [], []
        for _ in range(rounds):
            before.append(sum(self._timed(self._base).values()))
            after.append(sum(self._timed(made).values()))
        return statistics.median(before), statistics.median(after)


def _columns(rows: Mapping[int, Sequence[Alternative]]) -> Iterator[Column]:
    """Option after option of all commands at once."""
    for j in range(max(map(len, rows.values()), default=0)):
        yield {command: options[j] for command, options in rows.items() if j < len(options)}


def _winners(
    rows: Mapping[int, Sequence[Alternative]], times: Sequence[Mapping[int, Sequence[float]]]
) -> Column:
    """What is clearly faster than the default, by medians."""
    found: Column = {}
    for command, options in rows.items():
        usual, *others = [statistics.median(t[command]) for t in times[: 1 + len(options)]]
        best = min(others, default=usual)
        if best < (1 - LEAST_GAIN) * usual:
            found[command] = options[others.index(best)]
    return found
