"""What is told of damaged input: the lines that it reached, what became of it, the first of each fault."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.hostile.findings import Findings, Input, keep
from tests.hostile.lines import Traced, lines
from tests.hostile.worker import Outcome, Task

SOURCE = """
LIMIT = 3


def sign(x):
    if x < 0:
        return -1
    return [0 for _ in range(LIMIT)] and 1


class Held:
    SIZE = 4

    def get(self):
        return self.SIZE
"""


def test_lines_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("module", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert lines(path) == {6, 7, 8, 15}
    traced = Traced([path])
    for value, reached in ((1, [6, 8]), (2, []), (-1, [7])):
        with traced:
            module.sign(value)
        assert traced.reached == [(str(path), line) for line in reached]
        traced.reached.clear()
    module.Held().get()
    assert not traced.reached


def test_findings(tmp_path: Path) -> None:
    found = Findings()
    task = Task("wasm", {"pack.json": b"{}"}, own=True)
    given = Input("pack: fields", task, 1.0, ["Spec.name"])
    assert not found.add(given, Outcome("pack-invalid", seconds=0.5, memory=7))
    assert not found.add(given, task.wasteful("took 9 bytes"))
    crash = Outcome("fault", "Traceback\nKeyError: 'x'", seconds=0.25)
    assert found.add(given, crash)
    assert not found.add(given, crash)
    told = found.summary()
    assert told["inputs"] == 4
    assert told["faults"] == {"KeyError: 'x'": 2}
    assert told["kinds"]["pack: fields"]["became"] == {"fault": 2, "pack-invalid": 1, "waste": 1}
    assert told["kinds"]["pack: fields"]["most_seconds"] == 0.5
    assert told["schema_fields"]["changed"] == 1
    kept = keep(given, crash.reason, tmp_path)
    assert (kept / "pack.json").read_bytes() == b"{}"
    assert kept.with_suffix(".txt").read_text().endswith("KeyError: 'x'\n")
