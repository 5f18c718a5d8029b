"""Rows of results.json from what a race measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.court.agreement import Agreement
from benchmarks.court.arena import Cold
from benchmarks.court.benchmark import Benchmark
from benchmarks.court.engines import OURS, OWN_INT8, Contestant
from benchmarks.court.limits import Rates
from benchmarks.court.race import Outcome
from benchmarks.court.schedule import ALONE, Race
from benchmarks.court.statistics import Estimate, estimate, ratios

Row = dict[str, Any]


def _short(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")


def _fields(name: str, found: Estimate) -> Row:
    return {name: _short(found.median), f"{name}_low": _short(found.low), f"{name}_high": _short(found.high)}


def _limit_ms(benchmark: Benchmark, dtype: str, rates: Mapping[str, float]) -> float:
    """The least time that it takes: all operations in f32, or reading all weights, whichever is more."""
    compute = benchmark.operations / rates["fma_gflops"] / 1e6
    weights = benchmark.weight_bytes / (1 if dtype == "f32" else 4)
    return max(compute, weights / rates["copy_gb_s"] / 1e6)


def _ratios(outcome: Outcome, others: Mapping[Contestant, Outcome], limits: Sequence[Rates]) -> Row:
    """Ratios by round: an engine's time over ours; of ours, what threads, int8 and the browser gain."""
    contestant, found = outcome.contestant, {}

    def times(other: Contestant) -> list[float]:
        return others[other].times if other in others and not others[other].error else []

    if contestant.engine != OURS:
        kinds = {"ratio": contestant.dtype}
        if contestant.dtype == "int8":
            kinds["ratio_own"] = OWN_INT8
        for name, dtype in kinds.items():
            if ours := times(replace(contestant, engine=OURS, dtype=dtype)):
                found.update(_fields(name, ratios(outcome.times, ours)))
        return found
    alone = times(ALONE)
    if not alone or contestant == ALONE or contestant.device != ALONE.device:
        return found
    if contestant.host == "native":
        found.update(_fields("over_chromium", ratios(outcome.times, alone)))
    elif contestant.threads > 1:
        loops = [r[str(contestant.threads)]["fma_gflops"] / r["1"]["fma_gflops"] for r in limits]
        found.update(_fields("scaling", ratios(alone, outcome.times)))
        found.update(_fields("loop_scaling", estimate(loops)))
        shares = [a / t / s for a, t, s in zip(alone, outcome.times, loops, strict=False)]
        found.update(_fields("scaling_share", estimate(shares)))
    elif contestant.dtype != "f32" and contestant.host == ALONE.host:
        found.update(_fields("gain_over_f32", ratios(alone, outcome.times)))
    return found


def row(
    benchmark: Benchmark,
    outcome: Outcome,
    others: Mapping[Contestant, Outcome],
    limits: Sequence[Rates],
    cold: Sequence[Cold],
    agreement: Agreement | None,
    run: str,
) -> Row:
    """The row of one contestant."""
    c = outcome.contestant
    made: Row = {
        "benchmark": benchmark.name,
        "engine": c.engine,
        "device": c.device,
        "dtype": c.dtype,
        "threads": c.threads,
        "host": c.host,
        "run": run,
    }
    if c.dtype == "int8":
        made["quantisation"] = benchmark.quantisation
    if agreement is not None and agreement.problem is None:
        made |= {"max_difference": _short(agreement.difference), "cosine": _short(agreement.cosine)}
    if outcome.error is not None:
        return made | {"error": outcome.error}
    time = estimate(outcome.times)
    assert outcome.entered is not None
    made |= {
        "median_ms": _short(time.median),
        "low_ms": _short(time.low),
        "high_ms": _short(time.high),
        "least_ms": _short(min(outcome.times)),
        "rounds": len(outcome.times),
        "runs_per_round": outcome.runs,
        "open_ms": _short(outcome.entered.facts["open_ms"]),
        "first_ms": _short(outcome.entered.facts["first_ms"]),
        "gflops": _short(benchmark.operations / time.median / 1e6),
    }
    if outcome.memory is not None:
        made["peak_memory"] = outcome.memory
    if cold:
        start = estimate([visit.milliseconds for visit in cold])
        made |= {
            "cold_start_ms": _short(start.median),
            "cold_start_low_ms": _short(start.low),
            "cold_start_high_ms": _short(start.high),
            "bytes_loaded": cold[0].bytes_loaded,
            "code_bytes": cold[0].code_bytes,
            "code_gzip": cold[0].code_gzip,
        }
    rates = [r[str(c.threads)] for r in limits] if c.device == "wasm" else []
    if rates:
        adds = [
            benchmark.operations / t / 1e6 / r["fma_gflops"]
            for t, r in zip(outcome.times, rates, strict=False)
        ]
        share = [_limit_ms(benchmark, c.dtype, r) / t for t, r in zip(outcome.times, rates, strict=False)]
        made |= _fields("share_of_fma", estimate(adds)) | _fields("share_of_limit", estimate(share))
    return made | _ratios(outcome, others, limits)


def race_rows(
    benchmark: Benchmark,
    race: Race,
    outcomes: Sequence[Outcome],
    limits: Mapping[str, Sequence[Rates]],
    cold: Mapping[Contestant, Sequence[Cold]],
    agreements: Mapping[Contestant, Agreement],
    run: str,
) -> list[Row]:
    """The rows of all but the reference."""
    others = {o.contestant: o for o in outcomes}
    return [
        row(
            benchmark,
            others[c],
            others,
            limits.get(c.host, ()),
            cold.get(c, ()),
            agreements.get(c),
            run,
        )
        for c in race.contestants
    ]
