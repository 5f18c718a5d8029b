"""What became of many damaged inputs: counted by kind, with the worst of each, and the faults to keep."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.hostile.lines import Line, lines
from tests.hostile.manifests import FIELDS
from tests.hostile.worker import PARSERS, ROOT, Outcome, Task

LARGE = 1 << 16  # bytes from which on memory over the file's size says something


class Input(NamedTuple):
    """A damaged input.

    Attributes:
        kind: what it is, and how it was damaged.
        seconds: of processor time that it may take.
        fields: of pack.json's schema, those that were changed.
    """

    kind: str
    task: Task
    seconds: float
    fields: Sequence[str] = ()


@dataclass
class Kind:
    """Of one kind of input: how many became what, and the most that one took."""

    became: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    memory: int = 0
    times: float = 0.0  # memory over the size of a file that is not small

    def add(self, given: Input, outcome: Outcome) -> None:
        """Count one."""
        self.became[outcome.kind] += 1
        self.seconds = max(self.seconds, outcome.seconds)
        self.memory = max(self.memory, outcome.memory)
        if given.task.bytes >= LARGE:
            self.times = max(self.times, outcome.memory / given.task.bytes)


@dataclass
class Findings:
    """What became of all inputs.

    Attributes:
        kinds: by kind of input.
        fields: how often each of the schema's was changed.
        reached: lines of the parsers.
        faults: how often which, by the last lines of what they say.
    """

    kinds: dict[str, Kind] = field(default_factory=dict)
    fields: Counter[str] = field(default_factory=Counter)
    reached: set[Line] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, given: Input, outcome: Outcome) -> bool:
        """Count what became of one. Whether it is a fault like none before."""
        self.kinds.setdefault(given.kind, Kind()).add(given, outcome)
        self.fields.update(given.fields)
        self.reached.update(outcome.reached)
        if outcome.kind != "fault":
            return False
        last = outcome.reason.strip().splitlines()[-1]
        self.faults[last] += 1
        return self.faults[last] == 1

    def covered(self) -> dict[str, tuple[int, int]]:
        """For each folder of parsers the lines reached, and all."""
        found: dict[str, tuple[int, int]] = {}
        reached = Counter(file for file, _ in self.reached)
        for path in PARSERS:
            name = str(path.parent.relative_to(ROOT))
            some, every = found.get(name, (0, 0))
            found[name] = some + reached[str(path)], every + len(lines(path))
        return found

    def summary(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {
            "inputs": sum(k.became.total() for k in self.kinds.values()),
            "faults": dict(self.faults.most_common()),
            "kinds": {
                name: {
                    "became": dict(kind.became.most_common()),
                    "most_seconds": round(kind.seconds, 3),
                    "most_memory": kind.memory,
                    "most_memory_over_large_file": round(kind.times, 2),
                }
                for name, kind in sorted(self.kinds.items())
            },
            "lines": {name: {"reached": some, "of": every} for name, (some, every) in self.covered().items()},
            "schema_fields": {
                "changed": len(FIELDS & self.fields.keys()),
                "of": len(FIELDS),
                "never": sorted(FIELDS - self.fields.keys()),
            },
        }

    def print(self, console: Console) -> None:
        """The figures as tables."""
        table = Table("input", "tried", "became", "most seconds", "most MB")
        for name, kind in sorted(self.kinds.items()):
            became = ", ".join(f"{what} {count:,}" for what, count in kind.became.most_common())
            took = f"{kind.seconds:.2f}", f"{kind.memory / 1e6:.1f}"
            table.add_row(name, f"{kind.became.total():,}", became, *took)
        console.print(table)
        for folder, (some, every) in self.covered().items():
            console.print(f"{folder}: {some:,} of {every:,} lines")
        never = sorted(FIELDS - self.fields.keys())
        console.print(f"fields of pack.json: {len(FIELDS) - len(never)} of {len(FIELDS)}", *never)
        for reason, count in self.faults.most_common():
            console.print(f"{count} x {reason}", markup=False)


def keep(given: Input, reason: str, folder: Path) -> Path:
    """Write a fault's files to a folder of their own in `folder`, and beside it why it is one."""
    digest = hashlib.sha256(repr(given.task).encode()).hexdigest()
    path = folder / digest[:12]
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    for name, data in given.task.files.items():
        (path / (name or "archive")).write_bytes(data)
    path.with_suffix(".txt").write_text(f"{given.kind}, {given.task.work}\n{reason}\n")
    return path
