"""What the results must show: each target as a line with what was measured, and whether that is enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.court.engines import IN_WORKER, OURS, OWN_INT8
from benchmarks.court.statistics import geometric_mean

MODELS = ("mobilenetv2", "resnet50", "detector", "minilm-128", "lstm")
PEER = "onnxruntime-web"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One line: what is asked, what was measured, and whether it holds; None where it was not measured."""

    target: str
    wanted: str
    measured: str
    passed: bool | None


class Rows:
    """Rows by what they are."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self.all: Sequence[Row] = results["rows"]

    def find(
        self,
        benchmark: str,
        engine: str = OURS,
        dtype: str = "f32",
        threads: int = 1,
        host: str = "chromium",
        device: str = "wasm",
    ) -> Row | None:
        """The row, if it is there; it may be one that failed."""
        wanted = (benchmark, engine, dtype, threads, host, device)
        keys = ("benchmark", "engine", "dtype", "threads", "host", "device")
        return next((row for row in self.all if wanted == tuple(row[k] for k in keys)), None)

    def peers(self, benchmark: str, dtype: str) -> list[Row]:
        """All other engines on one thread in Chromium that did not fail."""
        engines = dict.fromkeys(r["engine"] for r in self.all if r["engine"] not in (OURS, IN_WORKER))
        found = (self.find(benchmark, e, dtype) for e in engines)
        return [r for r in found if r is not None and "error" not in r]


def _least(
    target: str,
    wanted: float,
    values: Iterable[tuple[str, float | None]],
    text: str = "{:.2f}",
    *,
    most: bool = False,
) -> Verdict:
    """Every value must be at least `wanted` (at most, with `most`).

    NaN stands for a row of ours that failed, and so does not reach it; None for what is missing, which leaves
    the verdict open.
    """
    items = list(values)
    known = [v for _, v in items if v is not None]
    sign = "at most" if most else "at least"

    def shown(value: float | None) -> str:
        return "none" if value is None else "failed" if math.isnan(value) else text.format(value)

    measured = ", ".join(f"{name} {shown(v)}".strip() for name, v in items)
    holds = all(v <= wanted if most else v >= wanted for v in known)
    passed = None if not items or (holds and len(known) < len(items)) else holds
    return Verdict(target, f"{sign} {text.format(wanted)}", measured or "none", passed)


def _get(row: Row | None, field: str) -> float | None:
    if row is None:
        return None
    if "error" in row:
        return math.nan if row["engine"] == OURS else None
    value = row.get(field)
    return None if value is None else float(value)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    if any(math.isnan(v) for v in known):
        return math.nan
    return geometric_mean(known) if known and len(known) == len(values) else None


def _matmuls(rows: Rows) -> list[Verdict]:
    names = [r["benchmark"] for r in rows.all if r["benchmark"].startswith("matmul-") and r["engine"] == OURS]
    sizes = sorted({n for n in names if n.removeprefix("matmul-").isdigit()}, key=lambda n: int(n[7:]))
    large = [n for n in sizes if 512 <= int(n[7:]) <= 2048]
    odd = [n for n in sizes if int(n[7:]) % 2]
    few = [n for n in dict.fromkeys(names) if n.startswith("matmul-64x")]
    at_512 = _get(rows.find("matmul-512"), "share_of_fma")

    def against(name: str) -> float | None:
        share = _get(rows.find(name), "share_of_fma")
        return share / at_512 if share is not None and at_512 is not None else None

    return [
        _least(
            "f32 matmul 512 to 2048, share of the multiply-add limit",
            0.85,
            [(n, _get(rows.find(n), "share_of_fma_low")) for n in large],
            "{:.0%}",
        ),
        _least(
            "64 rows and odd sizes, rate relative to matmul-512 (medians)",
            0.6,
            [(n, against(n)) for n in (*few, *odd)],
            "{:.0%}",
        ),
        _least(
            "matmul-64, what a call costs in all included",
            0.6,
            [("", against("matmul-64"))],
            "{:.0%}",
        ),
    ]


def _ours(rows: Rows, benchmark: str, dtype: str = "f32") -> float | None:
    """NaN where our row failed."""
    row = rows.find(benchmark, dtype=dtype)
    return math.nan if row is not None and "error" in row else None


def _best_peer(
    rows: Rows, benchmark: str, dtype: str = "f32", field: str = "ratio"
) -> tuple[str, float | None]:
    """The fastest other engine, by the median ratio, and the lower end of how many times ours it takes."""
    name = f"{benchmark} own" if field == "ratio_own" else benchmark
    if _ours(rows, benchmark, OWN_INT8 if field == "ratio_own" else dtype) is not None:
        return name, math.nan
    peers = [r for r in rows.peers(benchmark, dtype) if field in r]
    if not peers:
        return name, None
    best = min(peers, key=lambda r: r[field])
    return f"{name} ({best['engine']})", float(best[f"{field}_low"])


def _models(rows: Rows) -> list[Verdict]:
    over = {m: _ours(rows, m) or _get(rows.find(m, PEER), "ratio_low") for m in MODELS}
    best = [_best_peer(rows, m) for m in MODELS]
    return [
        _least(
            f"{len(MODELS)} models, geometric mean of {PEER}'s time over ours (lower ends)",
            1.6,
            [("mean", _mean(list(over.values())))],
        ),
        _least(
            "the same against the best peer of each",
            1.25,
            [("mean", _mean([v for _, v in best]))],
        ),
        _least("none of them below, best peer (lower ends)", 1.1, best),
        _least(
            "MiniLM-128, times its operations at the limit",
            1.3,
            [("", _inverse(_get(rows.find("minilm-128"), "share_of_fma_low")))],
            most=True,
        ),
    ]


def _inverse(value: float | None) -> float | None:
    return None if value is None else (1 / value if value else math.inf)


def _int8(rows: Rows) -> list[Verdict]:
    gain = "gain_over_f32_low"
    quantised = (r["benchmark"] for r in rows.all if r.get("quantisation") == "static")
    comes = list(dict.fromkeys(quantised))
    own = rows.find("minilm-128", dtype=OWN_INT8)
    return [
        _least("MiniLM-128 by our own quantisation, over our f32", 2.0, [("", _get(own, gain))]),
        _least("its cosine with the f32 reference", 0.99, [("", _get(own, "cosine"))], "{:.4f}"),
        _least(
            "MobileNetV2 by our own quantisation, over our f32",
            1.4,
            [("", _get(rows.find("mobilenetv2", dtype=OWN_INT8), gain))],
        ),
        _least(
            "models that come quantised (QDQ), over our f32",
            1.3,
            [(n, _get(rows.find(n, dtype="int8"), gain)) for n in comes],
        ),
        _least(
            "int8, the best peer's over ours (lower ends; own: by our quantisation)",
            1.3,
            [
                *(_best_peer(rows, n, "int8", "ratio_own") for n in ("minilm-128", "mobilenetv2")),
                *(_best_peer(rows, n, "int8") for n in comes),
            ],
        ),
    ]


def _rest(rows: Rows) -> list[Verdict]:
    def part(benchmark: str, field: str) -> float | None:
        ours, theirs = _get(rows.find(benchmark), field), _get(rows.find(benchmark, PEER), field)
        return ours / theirs if ours is not None and theirs else None

    memory = [(m, part(m, "peak_memory")) for m in MODELS]
    native = [
        (r["benchmark"], _get(r, "over_chromium_high"))
        for r in rows.all
        if r["host"] == "native" and r["benchmark"] in MODELS
    ]
    return [
        _least(
            "two threads, share of the loop's own scaling (medians)",
            0.9,
            [(n, _get(rows.find(n, threads=2), "scaling_share")) for n in ("resnet50", "minilm-256")],
            "{:.0%}",
        ),
        _least(
            f"cold start of MobileNetV2, part of {PEER}'s",
            1 / 3,
            [("", part("mobilenetv2", "cold_start_ms"))],
            most=True,
        ),
        _least(
            f"cold start of MiniLM-128, part of {PEER}'s",
            0.5,
            [("", part("minilm-128", "cold_start_ms"))],
            most=True,
        ),
        _least(f"peak Wasm memory, part of {PEER}'s", 1.0, memory, most=True),
        _least("natively in wasmtime, times Chromium's (upper ends)", 1.8, native, most=True),
    ]


SECTIONS: Sequence[Callable[[Rows], list[Verdict]]] = (_matmuls, _models, _int8, _rest)


def verdicts(results: Mapping[str, Any]) -> list[Verdict]:
    """All lines."""
    rows = Rows(results)
    return [verdict for section in SECTIONS for verdict in section(rows)]


def told(verdict: Verdict) -> str:
    """In a word."""
    return {True: "pass", False: "falls short", None: "not measured"}[verdict.passed]


def print_verdicts(results: Mapping[str, Any], console: Console) -> None:
    """As a table."""
    table = Table(title="Targets, on one thread in Chromium unless said", title_justify="left")
    for heading in ("target", "wanted", "measured", ""):
        table.add_column(heading)
    colours = {True: "green", False: "red", None: "yellow"}
    for verdict in verdicts(results):
        colour = colours[verdict.passed]
        table.add_row(
            verdict.target, verdict.wanted, verdict.measured, f"[{colour}]{told(verdict)}[/{colour}]"
        )
    console.print(table)
    runs = {row["run"] for row in results["rows"]}
    if len(runs) > 1:
        console.print(f"The rows are from {len(runs)} runs; ratios are always within one.")
