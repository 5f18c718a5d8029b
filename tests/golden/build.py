"""Writes the golden packs, inputs and outputs as JSON beside each: `python -m tests.golden.build OUTDIR`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyruntime_converter.build import build_pack
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_shaders.emit import render_programs

from pyruntime.errors import UnsupportedError
from pyruntime.pack.schema import Model
from tests.browser.golden import encode
from tests.golden.cases import Golden, Run, goldens, groups
from tests.golden.whole import Whole, wholes

GAPS = Path(__file__).with_name("webgpu_gaps.txt")
NO_SOURCE = "0" * 64  # the packs come from no model file


def webgpu_gaps() -> dict[str, str]:
    """Cases that WebGPU cannot compute, with the reason."""
    found: dict[str, str] = {}
    every: list[Golden | Whole] = [*goldens(), *wholes()]
    for golden in every:
        graph = golden.graph()
        optimise(graph)
        try:
            render_programs([lower(graph)])
        except UnsupportedError as error:
            found[golden.name] = error.reason
    return found


def format_gaps(gaps: Mapping[str, str]) -> str:
    """The text of the committed list."""
    return "".join(f"{name}: {reason}\n" for name, reason in sorted(gaps.items()))


def write_packs(folder: Path) -> list[str]:
    """All packs under folder; their names. A pack NAME has its cases in NAME.cases.json."""
    gaps = {line.partition(":")[0] for line in GAPS.read_text().splitlines()}
    names: list[str] = []
    packs: list[tuple[str, Sequence[Golden | Whole]]] = [*groups(), ("control", list(wholes()))]
    for name, cases in packs:
        split = {
            name: [c for c in cases if c.name not in gaps],
            f"{name}-wasm": [c for c in cases if c.name in gaps],
        }
        for pack, members in split.items():
            if members:
                targets = ("wasm",) if pack.endswith("-wasm") else ("webgpu", "wasm")
                graphs = [m.graph() for m in members]
                build_pack(graphs, folder / pack, Model(pack, "ops", NO_SOURCE), targets=targets)
                (folder / f"{pack}.cases.json").write_text(json.dumps(listed(members)) + "\n")
                names.append(pack)
    return names


def listed(cases: Sequence[Golden | Whole]) -> list[dict[str, Any]]:
    """Cases with all their runs."""
    single = len(cases) == 1  # whose entry is then called main
    return [
        {
            "case": c.name,
            "entry": "main" if single else c.name,
            "tolerance": c.tolerance,
            "runs": [_run(r) for r in c.runs()],
        }
        for c in cases
    ]


def _run(run: Run) -> dict[str, Any]:
    return {"feeds": encode(run.feeds), "outputs": encode(run.outputs)}


if __name__ == "__main__":
    print("\n".join(write_packs(Path(sys.argv[1]))))
