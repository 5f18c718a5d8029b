"""results.json: rows and limits of runs, in which a later run replaces the rows that it measured anew."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.court.limits import Rates
from benchmarks.court.rows import Row
from benchmarks.court.statistics import estimate

PATH = Path(__file__).parents[1] / "results.json"
KEY = ("benchmark", "engine", "device", "dtype", "threads", "host")
Results = dict[str, Any]


def read(path: Path = PATH) -> Results:
    """What is there; without a file, nothing."""
    if not path.is_file():
        return {"limits": {}, "rows": []}
    found: Results = json.loads(path.read_text())
    return found


def write(results: Results, path: Path = PATH) -> None:
    """Replace the file as a whole, or not at all."""
    beside = path.with_suffix(".tmp")
    rows = ",\n".join(f"    {json.dumps(row)}" for row in results["rows"])
    limits = json.dumps(results["limits"], indent=2).replace("\n", "\n  ")
    beside.write_text(f'{{\n  "limits": {limits},\n  "rows": [\n{rows}\n  ]\n}}\n')
    beside.replace(path)


def merge(results: Results, run: str, limits: Mapping[str, Any], rows: Sequence[Row]) -> Results:
    """The results with a run's rows in the place of those that it measured anew.

    Each row names its run; `limits` holds by run what the machine could do then, for the runs that rows name.
    Rows come out sorted by their key.
    """
    fresh = {tuple(row[k] for k in KEY) for row in rows}
    kept = [row for row in results["rows"] if tuple(row[k] for k in KEY) not in fresh]
    together = sorted([*kept, *rows], key=lambda row: [_order(row[k]) for k in KEY])
    known = {**results["limits"], **({run: limits} if rows else {})}
    named = {row["run"] for row in together}
    return {"limits": {r: known[r] for r in sorted(known) if r in named}, "rows": together}


def _order(value: Any) -> list[Any]:
    """matmul-64 before matmul-512."""
    parts = str(value).replace("x", "-").split("-")
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]


def summary(rates: Mapping[str, Sequence[Rates]]) -> dict[str, Any]:
    """By host and threads the median of each limit over all rounds of a run, with its interval."""
    found: dict[str, Any] = {}
    for host, rounds in rates.items():
        for threads in sorted({t for r in rounds for t in r}):
            for name in ("fma_gflops", "copy_gb_s"):
                e = estimate([r[threads][name] for r in rounds if threads in r])
                to = found.setdefault(host, {}).setdefault(threads, {})
                to |= {
                    name: round(e.median, 2),
                    f"{name}_low": round(e.low, 2),
                    f"{name}_high": round(e.high, 2),
                }
    return found


def machine(chromium: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"cpu": cpu, "cores": os.cpu_count(), "chromium": chromium, "node": node}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
