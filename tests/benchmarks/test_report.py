"""The table, the plot and the verdicts, from results made up by hand."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from benchmarks.court import plot, report
from benchmarks.court.verdicts import MODELS, Verdict, verdicts

SVG = "{http://www.w3.org/2000/svg}"


def row(benchmark: str, engine: str = "pyruntime", **more: Any) -> dict[str, Any]:
    made = {"benchmark": benchmark, "engine": engine, "device": "wasm", "dtype": "f32", "threads": 1}
    made |= {"host": "chromium", "run": "1", "first_ms": 5.0}
    made |= {"median_ms": 2.0, "low_ms": 1.5, "high_ms": 2.5}
    return {**made, **more}


def failed(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "error": "out of memory"}


def ratio(median: float, low: float, high: float) -> dict[str, float]:
    return {"ratio": median, "ratio_low": low, "ratio_high": high}


def results(*rows: dict[str, Any]) -> dict[str, Any]:
    rates = {"fma_gflops": 50.0, "fma_gflops_low": 49.0, "fma_gflops_high": 51.0}
    rates |= {"copy_gb_s": 10.0, "copy_gb_s_low": 9.0, "copy_gb_s_high": 11.0}
    machine = {"cpu": "a processor", "cores": 2, "chromium": "1", "node": "v24"}
    return {"limits": {"1": {"machine": machine, "chromium": {"1": rates}}}, "rows": list(rows)}


def line(target: str, *rows: dict[str, Any]) -> Verdict:
    found = [v for v in verdicts(results(*rows)) if target in v.target]
    assert len(found) == 1, [v.target for v in found]
    return found[0]


def five(low: float, **others: float) -> list[dict[str, Any]]:
    """Ours and onnxruntime-web's row of each model, with lower ends of ratios."""
    rows = []
    for model in MODELS:
        least = others.get(model.replace("-", "_"), low)
        rows += [row(model), row(model, "onnxruntime-web", **ratio(least + 0.2, least, least + 0.4))]
    return rows


def test_without_rows_nothing_is_measured() -> None:
    assert {v.passed for v in verdicts(results())} == {None}


@pytest.mark.parametrize(("low", "passed"), [(1.61, True), (1.59, False)])
def test_the_mean_is_of_lower_ends(low: float, passed: bool) -> None:
    verdict = line("geometric mean", *five(low))
    assert verdict.passed is passed
    assert f"{low:.2f}" in verdict.measured


def test_the_mean_needs_every_model() -> None:
    assert line("geometric mean", *five(3)[:-2]).passed is None


def test_a_failed_peer_leaves_the_mean_open_and_a_failed_row_of_ours_decides_it() -> None:
    rows = five(3)
    assert line("geometric mean", *rows[:-1], failed(rows[-1])).passed is None
    ours = rows.index(row("lstm"))
    for target in ("geometric mean", "none of them below", "the same against the best peer"):
        verdict = line(target, *rows[:ours], failed(rows[ours]))
        assert verdict.passed is False
        assert "failed" in verdict.measured


def test_failed_rows_of_ours_fall_short() -> None:
    ours = failed(row("minilm-128", dtype="int8-dynamic"))
    assert [v.passed for v in verdicts(results(ours)) if "own quantisation" in v.target] == [False, None]
    assert line("its cosine", ours).passed is False
    assert "minilm-128 own failed" in line("the best peer's over ours", ours).measured


def test_int8_is_compared_by_kind() -> None:
    theirs = ratio(1.5, 1.4, 1.6) | {f"ratio_own{end}": 1.2 for end in ("", "_low", "_high")}
    kinds: dict[str, Any] = {"dtype": "int8", "quantisation": "static"}
    rows = [row("resnet50", **kinds, gain_over_f32_low=1.2), row("mobilenetv2", "litert", **kinds, **theirs)]
    rows.append(row("lstm", dtype="int8", quantisation="dynamic", gain_over_f32_low=1.0))
    verdict = line("the best peer's over ours", *rows)
    assert verdict.passed is False
    assert verdict.measured == (
        "minilm-128 own none, mobilenetv2 own (litert) 1.20, resnet50 none, mobilenetv2 (litert) 1.40"
    )
    assert line("that come quantised", *rows).measured == "resnet50 1.20, mobilenetv2 none"


def test_the_best_peer_is_the_fastest_of_each_model() -> None:
    rows = [*five(1.6), row("lstm", "litert", **ratio(1.1, 1.05, 1.2))]
    verdict = line("none of them below", *rows)
    assert verdict.passed is False
    assert "lstm (litert) 1.05" in verdict.measured


def test_one_short_value_decides_whatever_is_missing() -> None:
    rows = [row("matmul-512", share_of_fma_low=0.9), row("matmul-1024", share_of_fma_low=0.8)]
    assert line("f32 matmul 512 to 2048", *rows).passed is False
    assert line("f32 matmul 512 to 2048", *rows[:1]).passed is True


def test_cold_start_is_a_part_of_theirs() -> None:
    rows = [
        row("mobilenetv2", cold_start_ms=100.0),
        row("mobilenetv2", "onnxruntime-web", cold_start_ms=310.0),
    ]
    assert line("cold start of MobileNetV2", *rows).passed is True
    rows[0]["cold_start_ms"] = 110.0
    assert line("cold start of MobileNetV2", *rows).passed is False


def test_two_threads_and_native_rows_are_found() -> None:
    names = ("resnet50", "minilm-256")
    shares = [row(n, threads=2, scaling_share=s) for n, s in zip(names, (0.95, 0.91), strict=True)]
    assert line("two threads", *shares).passed is True
    assert line("natively", row("lstm", host="native", over_chromium_high=1.9)).passed is False


def test_tables_show_numbers_intervals_and_failures() -> None:
    text = report.markdown(
        results(
            row("lstm", share_of_fma=0.5, bytes_loaded=3_000_000, code_gzip=50_000, peak_memory=8_000_000),
            row("lstm", "litert", **ratio(1.25, 1.2, 1.3)),
            row("lstm", "tfjs") | {"error": "no kernel | for LSTM\nat all"},
        )
    )
    assert "| **pyruntime** | f32 | 2 (1.5 to 2.5) |  | 50% | 5 |  | 3 | 50 | 8 |" in text
    assert "1.25 (1.2 to 1.3)" in text
    assert "- tfjs, f32: no kernel | for LSTM at all" in text
    assert "50 (49 to 51)" in text
    for part in text.split("\n\n"):
        lines = [x for x in part.splitlines() if x.startswith("|")]
        assert len({x.replace("\\|", "").count("|") for x in lines}) <= 1, part


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.0123456, "0.0123"), (12.345, "12.3"), (1234.5, "1,234")]
)
def test_numbers_have_three_digits_and_no_exponent(value: float | None, text: str) -> None:
    assert report.number(value) == text


def test_ours_in_a_worker_is_no_peer() -> None:
    rows = [row(m, "litert", **ratio(2, 2, 2)) for m in MODELS]
    rows += [row(m, "pyruntime-worker", **ratio(1.01, 1.01, 1.01)) for m in MODELS]
    assert line("none of them below", *rows).passed is True


def test_the_plot_is_an_image_with_a_mark_for_each_row() -> None:
    rows = [row("lstm"), row("lstm", "litert", **ratio(1.5, 1.4, 1.6)), row("lstm", "tfjs", error="failed")]
    rows.append(row("lstm", "onnxruntime-web", host="node", **ratio(3, 3, 3)))
    root = ET.fromstring(plot.plot(rows))
    marks = {t.text: float(c.attrib["cx"]) for c in root.iter(f"{SVG}circle") for t in c.iter(f"{SVG}title")}
    assert list(marks) == ["pyruntime: 2 ms", "litert: 2 ms"]
    assert marks["pyruntime: 2 ms"] < marks["litert: 2 ms"]
    assert len(root.findall(f".//{SVG}line[@stroke-width='3']")) == 1


def test_an_empty_plot_is_an_image_too() -> None:
    assert ET.fromstring(plot.plot([])).tag == f"{SVG}svg"
