"""Processes that judge batches of cases; one that dies or hangs costs the test that it was at, no more."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic

from tests.conformance.engine import Engine, Verdict, patience
from tests.conformance.judge import failed

# what makes an engine in a process, and its arguments
Making = tuple[Callable[..., Engine], tuple[object, ...]]
SECONDS = 300.0  # of a free processor without a word, after which a process counts as hanging
_SPAWN = multiprocessing.get_context("spawn")  # threads and devices of this process do not survive a fork


@dataclass
class Job:
    """Tests that an engine judges together."""

    engine: str
    tests: list[str]


@dataclass
class _Worker:
    """A process, the job that it is at, and what of it is still to come."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    at: str = ""
    heard: float = 0.0
    open: dict[str, set[str]] = field(default_factory=dict)  # test -> targets


def judge(
    jobs: Sequence[Job],
    engines: Mapping[str, Making],
    processes: int = 2,
) -> Iterator[Verdict]:
    """Verdicts as they come.

    Args:
        jobs: in the order in which they are begun.
        engines: by the name in jobs: what makes one in a process, and its arguments; both are pickled.
        processes: how many work at once.
    """
    targets = {name: set(make(*arguments).targets) for name, (make, arguments) in engines.items()}
    waiting = deque(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or any(w.job for w in workers):
            while waiting and len(workers) < processes:
                workers.append(_start(engines))
            for worker in workers:
                if worker.job is None and waiting:
                    _give(worker, waiting.popleft(), targets)
            ready = wait([w.pipe for w in workers if w.job], timeout=1.0)
            for worker in list(workers):
                if worker.pipe in ready:
                    try:
                        said = worker.pipe.recv()
                    except EOFError:
                        worker.process.join()
                        said = f"the process died (exit code {worker.process.exitcode})"
                    else:
                        yield from _heard(worker, said)
                        continue
                elif worker.job is None or monotonic() - worker.heard < patience(SECONDS):
                    continue
                else:
                    said = f"no answer in {SECONDS:.0f} s"
                workers.remove(worker)
                yield from _lost(worker, said, waiting)
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.process.join()


def _start(engines: Mapping[str, Making]) -> _Worker:
    here, there = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_work, args=(there, engines), daemon=True)
    process.start()
    there.close()
    return _Worker(process, here)


def _give(worker: _Worker, job: Job, targets: dict[str, set[str]]) -> None:
    worker.job, worker.at, worker.heard = job, job.tests[0], monotonic()
    worker.open = {test: set(targets[job.engine]) for test in job.tests}
    worker.pipe.send((job.engine, job.tests))


def _heard(worker: _Worker, said: Verdict | str | None) -> Iterator[Verdict]:
    """Take in what a worker says: a verdict, the test that it turns to, or that it is done."""
    worker.heard = monotonic()
    if said is None:
        worker.job = None
    elif isinstance(said, str):
        worker.at = said
    else:
        worker.open[said.test].discard(said.target)
        yield said


def _lost(worker: _Worker, reason: str, waiting: deque[Job]) -> Iterator[Verdict]:
    """End a process; what it was at has failed, and another does the rest of its job."""
    worker.process.kill()
    worker.process.join()
    job = worker.job
    assert job is not None
    for target in sorted(worker.open.pop(worker.at, ())):
        yield Verdict(worker.at, target, failed(reason))
    # one by one, since a test may have been halfway on its other targets
    waiting.extendleft(Job(job.engine, [test]) for test, left in worker.open.items() if left)


def _work(pipe: Connection, engines: Mapping[str, Making]) -> None:
    """What a process does: jobs, until the pipe ends."""
    made: dict[str, Engine] = {}
    while True:
        try:
            engine, tests = pipe.recv()
        except EOFError:
            return
        if engine not in made:
            make, arguments = engines[engine]
            made[engine] = make(*arguments)
        maker = made[engine]
        for said in maker.judge([maker.case(t) for t in tests]):
            pipe.send(said)
        pipe.send(None)
