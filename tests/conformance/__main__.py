"""Judges ONNX's backend suite: `python -m tests.conformance --only 'scatter|topk' --targets wasm,webgpu`.

Without --only and --targets all tests are judged on all targets, and what was found is written; with
--browser also in Chromium. A run of Chromium's targets alone is written beside what is there.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Collection, Sequence

import onnx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tests.browser.fixtures import built
from tests.conformance import results, support
from tests.conformance.engine import Verdict
from tests.conformance.judge import Outcome, Status
from tests.conformance.packs import Packs
from tests.conformance.peers import PEERS, AbsentError, Peer, version
from tests.conformance.results import OURS, PAGES, Found, counts
from tests.conformance.suite import cases
from tests.conformance.workers import Job, Making, judge

BATCH = 40  # cases to a pack
LISTED = 20  # tests that no longer pass, before the list is cut
ALL = (*OURS, *PAGES, *PEERS)
STYLES: dict[Status, str] = {"passed": "green", "failed": "red", "skipped": "yellow"}


def main() -> None:
    """Judge what is asked for, and tell."""
    asked = _arguments()
    console = Console()
    before = results.kept()
    found: Found = {} if asked.only else dict(before)
    versions, absent = _peers([p for p in PEERS if p in asked.targets])
    targets = [t for t in asked.targets if t in (*OURS, *PAGES)]
    suite, known = f"onnx {onnx.__version__}", results.stored().get("versions", [])
    anew = asked.only or asked.peers or suite not in known
    targets += [peer for peer, number in versions.items() if anew or f"{peer} {number}" not in known]
    chosen = [c.name for c in cases() if re.search(asked.only, c.name)]
    if not set(targets).isdisjoint(PAGES):
        built()  # here, lest several processes build it
    console.print(f"{len(chosen)} of {len(cases())} tests on {', '.join(targets)}")
    start = time.perf_counter()
    verdicts = _judged(chosen, targets, asked.processes, console)
    judged = results.gathered(verdicts)
    found |= judged
    if asked.only or asked.verbose:
        _list(verdicts, console, asked.verbose)
    console.print(_totals({t: found[t] for t in ALL if t in found}, judged))
    console.print(f"{time.perf_counter() - start:.0f} s")
    for peer, reason in absent.items():
        console.print(f"{peer}: {reason}")
    lost = results.lost(before, judged)
    if lost:
        console.print(f"[red]{len(lost)} tests that passed do not:")
        console.print("\n".join(lost[:LISTED]), markup=False)
    if not asked.only and _whole(asked.targets):
        if lost and not asked.accept:
            sys.exit("nothing is written: mend them, or ACCEPT=1 takes the shorter list")
        stale = set(PAGES) - set(asked.targets)
        ordered = {t: found[t] for t in ALL if t in found and t not in absent and t not in stale}
        results.write(ordered, targets, absent, {"onnx": onnx.__version__, **versions})
        support.write()
    if lost:
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="tests whose name has a match")
    parser.add_argument("--targets", metavar="NAME,...", help=f"of {', '.join(ALL)}")
    parser.add_argument("--browser", action="store_true", help=f"on {' and '.join(PAGES)}, too")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--peers", action="store_true", help="judge peers of an unchanged version again, too")
    parser.add_argument("--accept", action="store_true", help="write a list on which less passes than before")
    parser.add_argument("-v", "--verbose", action="store_true", help="list what passes, too")
    asked = parser.parse_args()
    asked.targets = asked.targets.split(",") if asked.targets else [*OURS, *PEERS]
    asked.targets += [t for t in PAGES if asked.browser and t not in asked.targets]
    unknown = set(asked.targets) - {*ALL}
    if unknown:
        parser.error(f"targets {', '.join(sorted(unknown))}: there are {', '.join(ALL)}")
    return asked


def _whole(targets: Sequence[str]) -> bool:
    """Whether what was found can stand in the list: all native targets, or those in pages alone."""
    native, pages = set(OURS).intersection(targets), set(PAGES).intersection(targets)
    return native == {*OURS} or (not native and pages == {*PAGES})


def _peers(names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The versions of peers, and why others are absent."""
    versions, absent = {}, {}
    for name in names:
        try:
            versions[name] = version(name)
        except AbsentError as error:
            absent[name] = str(error)
    return versions, absent


def _judged(tests: Sequence[str], targets: Sequence[str], processes: int, console: Console) -> list[Verdict]:
    """All verdicts; our targets share packs, each peer is an engine of its own."""
    engines: dict[str, Making] = {}
    ours = [t for t in targets if t in (*OURS, *PAGES)]
    if ours:
        engines["packs"] = (Packs, (ours,))
    for peer in targets:
        if peer in PEERS:
            engines[peer] = Peer, (peer,)
    batches = [list(tests[i : i + BATCH]) for i in range(0, len(tests), BATCH)]
    jobs = [Job(engine, batch) for engine in engines for batch in batches]
    verdicts = []
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(tests) * len(targets))
        for verdict in judge(jobs, engines, processes):
            verdicts.append(verdict)
            progress.update(task, advance=1, description=f"{verdict.target} {verdict.test}")
    return verdicts


def _list(verdicts: Sequence[Verdict], console: Console, verbose: bool) -> None:
    """A line for each test and what it came to; targets on which it came to the same share one."""
    alike: dict[tuple[str, Outcome], list[str]] = {}
    for verdict in sorted(verdicts):
        plain = Outcome(verdict.outcome.status, verdict.outcome.reason)
        alike.setdefault((verdict.test, plain), []).append(verdict.target)
    for (test, outcome), where in alike.items():
        if outcome.status != "passed" or verbose:
            status = (outcome.status, STYLES[outcome.status])
            console.print(
                Text.assemble(status, f" {test} on {', '.join(where)}  {outcome.reason}"), soft_wrap=True
            )


def _totals(found: Found, judged: Collection[str]) -> Table:
    table = Table(box=None)
    table.add_column("target")
    for status in (*STYLES, "without dispatch", "on the host"):
        table.add_column(status, justify="right")
    for target, outcomes in found.items():
        apart = results.apart(outcomes) if target.startswith("webgpu") and target in judged else {}
        told = [
            str(apart.get("passed_without_dispatch", "")),
            f"{apart['host_share']:.1%}" if apart else "",
        ]
        table.add_row(target, *(str(n) for n in counts(outcomes).values()), *told)
    return table


if __name__ == "__main__":
    main()
