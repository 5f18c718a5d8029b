"""What was found, as it is kept: results.json has the totals, tests.tsv every test, one a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from tests.conformance.engine import Verdict
from tests.conformance.judge import Outcome, Status

HERE = Path(__file__).parent
RESULTS, TESTS = HERE / "results.json", HERE / "tests.tsv"
OURS = ("wasm", "webgpu", "webgpu-strict")
PAGES = ("wasm-chromium", "webgpu-chromium")  # the same packs through the JavaScript runtime
APART = ("host_share", "passed_without_dispatch")
STATUSES: tuple[Status, ...] = get_args(Status)

Found = dict[str, dict[str, Outcome]]  # target -> test -> outcome


def gathered(verdicts: Iterable[Verdict]) -> Found:
    """Verdicts by target and test."""
    found: Found = {}
    for verdict in verdicts:
        found.setdefault(verdict.target, {})[verdict.test] = verdict.outcome
    return found


def counts(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    """How many tests passed, failed and were skipped."""
    seen = Counter(o.status for o in outcomes.values())
    return {status: seen[status] for status in STATUSES}


def apart(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    """Of what passed on WebGPU: the share of steps on the host, and tests that run nothing there."""
    passed = [o for o in outcomes.values() if o.status == "passed"]
    nodes = sum(o.nodes for o in passed)
    share = round(sum(o.host for o in passed) / nodes, 4) if nodes else 0.0
    return dict(zip(APART, (share, sum(not o.dispatched for o in passed)), strict=True))


def totals(found: Found, judged: Collection[str], before: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of each target; how many steps ran where is known of those judged now, else as it was."""
    made: dict[str, Any] = {"total": len({test for outcomes in found.values() for test in outcomes})}
    for target, outcomes in found.items():
        steps = apart(outcomes) if target in judged else before.get(target, {})
        told = {name: steps[name] for name in APART if name in steps} if target.startswith("webgpu") else {}
        made[target] = {**counts(outcomes), **told}
    return made


def versions(new: Mapping[str, str], before: Mapping[str, Any], found: Collection[str]) -> list[str]:
    """Versions of the suite and of the peers that the list has: the new ones, and those kept."""
    known = dict(line.rsplit(" ", 1) for line in before.get("versions", ())) | dict(new)
    return [f"{name} {number}" for name, number in known.items() if name == "onnx" or name in found]


def stored() -> dict[str, Any]:
    """What results.json holds; empty where there is none."""
    made: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    return made


def text(found: Found) -> str:
    """The text of tests.tsv: a column for each target, then the reasons, each with whose it is."""
    targets = list(found)
    lines = ["\t".join(["test", *targets, "reasons"])]
    for test in sorted({test for outcomes in found.values() for test in outcomes}):
        outcomes = {t: found[t][test] for t in targets if test in found[t]}
        reasons: dict[str, list[str]] = {}
        for target, outcome in outcomes.items():
            if outcome.reason:
                reasons.setdefault(outcome.reason, []).append(target)
        told = " | ".join(f"{', '.join(who)}: {reason}" for reason, who in reasons.items())
        statuses = [outcomes[t].status if t in outcomes else "" for t in targets]
        lines.append("\t".join([test, *statuses, told]))
    return "\n".join(lines) + "\n"


def kept() -> Found:
    """What tests.tsv has, without counts of steps; empty where there is none."""
    if not TESTS.is_file():
        return {}
    head, *lines = TESTS.read_text(encoding="utf-8").splitlines()
    targets = head.split("\t")[1:-1]
    found: Found = {target: {} for target in targets}
    for line in lines:
        test, *statuses, told = line.split("\t")
        reasons = _reasons(told, targets)
        for target, status in zip(targets, statuses, strict=True):
            if status:
                found[target][test] = Outcome(_status(status), reasons.get(target, ""))
    return found


def _status(text: str) -> Status:
    return next(s for s in STATUSES if s == text)


def _reasons(told: str, targets: Sequence[str]) -> dict[str, str]:
    """By target; a reason may itself hold what parts reasons."""
    found: dict[str, str] = {}
    last: list[str] = []
    for part in told.split(" | ") if told else ():
        who, colon, reason = part.partition(": ")
        named = who.split(", ")
        if colon and set(named) <= set(targets):
            last = named
            found |= dict.fromkeys(named, reason)
        else:
            found |= {target: f"{found[target]} | {part}" for target in last}
    return found


def lost(before: Found, after: Found) -> list[str]:
    """Tests of our targets that passed before and were judged again, and do not pass any more."""
    return [
        f"{test} on {target}: {now.reason}"
        for target in (*OURS, *PAGES)
        for test, outcome in before.get(target, {}).items()
        if outcome.status == "passed"
        and (now := after.get(target, {}).get(test)) is not None
        and now.status != "passed"
    ]


def write(
    found: Found, judged: Collection[str], absent: Mapping[str, str], numbers: Mapping[str, str]
) -> None:
    """Write both files: all that was found, which of it was judged now, and why others are absent."""
    before = stored()
    TESTS.write_text(text(found), encoding="utf-8")
    made = totals(found, judged, before)
    made |= {name: {"absent": reason} for name, reason in absent.items()}
    made["versions"] = versions(numbers, before, found)
    body = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in made.items())
    RESULTS.write_text("{\n" + body + "\n}\n", encoding="utf-8")
