"""results.json: what a partial run keeps, and that the file is replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.court import results

EMPTY: results.Results = {"limits": {}, "rows": []}


def row(benchmark: str, engine: str = "pyruntime", run: str = "", **more: Any) -> dict[str, Any]:
    key = {"benchmark": benchmark, "engine": engine, "device": "wasm", "dtype": "f32"}
    return {**key, "threads": 1, "host": "chromium", "run": run, **more}


def test_a_partial_run_replaces_its_rows_and_keeps_the_others() -> None:
    first = results.merge(
        EMPTY, "1", {"chromium": 1}, [row("lstm", run="1", median_ms=9), row("resnet50", run="1")]
    )
    second = results.merge(first, "2", {"chromium": 2}, [row("lstm", run="2", median_ms=8)])
    assert second["rows"] == [row("lstm", run="2", median_ms=8), row("resnet50", run="1")]
    assert second["limits"] == {"1": {"chromium": 1}, "2": {"chromium": 2}}


def test_limits_of_runs_without_rows_are_dropped() -> None:
    first = results.merge(EMPTY, "1", {}, [row("lstm", run="1")])
    second = results.merge(first, "2", {}, [row("lstm", run="2")])
    assert list(second["limits"]) == ["2"]


def test_a_failed_row_replaces_an_older_success() -> None:
    first = results.merge(EMPTY, "1", {}, [row("lstm", run="1", median_ms=9)])
    second = results.merge(first, "2", {}, [row("lstm", run="2", error="out of memory")])
    assert second["rows"] == [row("lstm", run="2", error="out of memory")]


def test_rows_are_in_order_of_size() -> None:
    names = ["matmul-1024", "matmul-64", "lstm", "matmul-8x1024", "matmul-512"]
    merged = results.merge(EMPTY, "1", {}, [row(name, run="1") for name in names])
    assert [r["benchmark"] for r in merged["rows"]] == [
        "lstm",
        "matmul-8x1024",
        "matmul-64",
        "matmul-512",
        "matmul-1024",
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert results.read(path) == EMPTY
    made = results.merge(EMPTY, "1", {"chromium": {}}, [row("lstm", run="1", error='"quoted"')])
    results.write(made, path)
    assert results.read(path) == made
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.write(results.merge(EMPTY, "1", {}, [row("lstm", run="1")]), path)
    with pytest.raises(TypeError):
        results.write({"limits": {}, "rows": [{"median_ms": object()}]}, path)
    assert json.loads(path.read_text())["rows"] == [row("lstm", run="1")]


def test_limits_are_medians_over_all_rounds() -> None:
    rounds = [{"1": {"fma_gflops": float(x), "copy_gb_s": 2.0}} for x in (1, 3, 2)]
    found = results.summary({"chromium": rounds})
    assert found["chromium"]["1"]["fma_gflops"] == 2
    assert found["chromium"]["1"]["copy_gb_s_high"] == 2
