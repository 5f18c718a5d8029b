"""RESULTS.md and results.svg from results.json: a pure function of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.court.engines import OURS
from benchmarks.court.plot import plot
from benchmarks.court.results import PATH
from benchmarks.court.verdicts import told, verdicts

Row = Mapping[str, Any]


def number(value: Any, digits: int = 3) -> str:
    """To so many significant digits, without an exponent."""
    if value is None:
        return ""
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _interval(row: Row, name: str, low: str, high: str) -> str:
    if name not in row:
        return ""
    return f"{number(row[name])} ({number(row[low])} to {number(row[high])})"


def _megabytes(value: Any) -> str:
    return "" if value is None else number(value / 1e6)


def table(headings: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are text."""
    rule = ["---"] * left + ["---:"] * (len(headings) - left)
    clean = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, rule, *clean))


def _line(row: Row) -> list[str]:
    if "error" in row:
        return [row["engine"], row["dtype"], "failed", *[""] * 7]
    return [
        f"**{row['engine']}**" if row["engine"] == OURS else row["engine"],
        row["dtype"],
        _interval(row, "median_ms", "low_ms", "high_ms"),
        _interval(row, "ratio", "ratio_low", "ratio_high"),
        f"{row['share_of_fma']:.0%}" if "share_of_fma" in row else "",
        number(row["first_ms"]),
        number(row.get("cold_start_ms")),
        _megabytes(row.get("bytes_loaded")),
        number(row["code_gzip"] / 1e3) if "code_gzip" in row else "",
        _megabytes(row.get("peak_memory")),
    ]


INTRODUCTION = (
    "Written by `make bench` from results.json; [README.md](README.md) says how they are measured and what"
    " the columns mean. Times are medians with 95 % intervals."
)
LEFT = 2  # columns of text
HEADINGS = (
    "engine",
    "dtype",
    "median ms (95 %)",
    "times ours (95 %)",
    "of FMA",
    "first ms",
    "cold start ms",
    "loaded MB",
    "code kB gzip",
    "peak MB",
)


def _groups(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Rows by benchmark, then by host, device and threads."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        threads = "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"
        where = f"{row['host'].capitalize()}, {row['device']}, {threads}"
        found.setdefault(row["benchmark"], {}).setdefault(where, []).append(row)
    return found


def _rank(row: Row) -> tuple[Any, ...]:
    return (row["dtype"], "error" in row, row.get("median_ms", 0))


def markdown(results: Mapping[str, Any]) -> str:
    """RESULTS.md."""
    rows = results["rows"]
    runs = sorted({row["run"] for row in rows})
    parts = [
        "# Results",
        INTRODUCTION,
        f"Runs: {', '.join(runs) or 'none'}.",
        "![Times of all engines](results.svg)",
        "## Targets",
        table(
            ("target", "wanted", "measured", ""),
            [(v.target, v.wanted, v.measured, told(v)) for v in verdicts(results)],
            4,
        ),
        "## Limits",
        _limits(results["limits"]),
    ]
    for benchmark, groups in _groups(rows).items():
        parts.append(f"## {benchmark}")
        for where, group in groups.items():
            ordered = sorted(group, key=_rank)
            parts += [where, table(HEADINGS, [_line(row) for row in ordered], LEFT)]
            failed = [
                f"- {row['engine']}, {row['dtype']}: {' '.join(row['error'].split())}"
                for row in ordered
                if "error" in row
            ]
            if failed:
                parts.append("\n".join(failed))
    return "\n\n".join(parts) + "\n"


def _limits(limits: Mapping[str, Any]) -> str:
    lines = []
    for run, found in limits.items():
        for host, by_threads in found.items():
            if host == "machine":
                continue
            for threads, rates in by_threads.items():
                cells = (_interval(rates, n, f"{n}_low", f"{n}_high") for n in ("fma_gflops", "copy_gb_s"))
                lines.append([run, host, threads, *cells])
    text = table(("run", "host", "threads", "multiply-adds, GFLOP/s", "copy, GB/s"), lines, 2)
    machines = [
        f"{run}: {m['cpu']}, {m['cores']} cores, Chromium {m['chromium']}, Node {m['node']}."
        for run, found in limits.items()
        if (m := found.get("machine"))
    ]
    return "\n\n".join([text, *machines])


def print_rows(results: Mapping[str, Any], console: Console) -> None:
    """The newest run's rows, a table for each benchmark and place."""
    newest = max((row["run"] for row in results["rows"]), default="")
    for benchmark, groups in _groups([r for r in results["rows"] if r["run"] == newest]).items():
        for where, group in groups.items():
            shown = Table(title=f"{benchmark}. {where}", title_justify="left")
            for at, heading in enumerate(HEADINGS):
                shown.add_column(heading, justify="left" if at < LEFT else "right")
            for row in sorted(group, key=_rank):
                cells = _line(row)
                shown.add_row(*(cell.strip("*") for cell in cells[: len(HEADINGS)]))
            console.print(shown)
            for row in group:
                if "error" in row:
                    console.print(f"{row['engine']}, {row['dtype']}: {row['error']}", markup=False)


def write_report(results: Mapping[str, Any], folder: Path = PATH.parent) -> None:
    """Write RESULTS.md and results.svg."""
    (folder / "RESULTS.md").write_text(markdown(results))
    (folder / "results.svg").write_text(plot(results["rows"]))
