"""Turns, failures and ratios of a race, with contestants that only pretend to compute; nothing is timed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.court import tensors
from benchmarks.court.__main__ import surviving
from benchmarks.court.agreement import Agreement
from benchmarks.court.benchmark import Benchmark, Port
from benchmarks.court.engines import ENGINES, IN_WORKER, OURS, OWN_INT8, Contestant
from benchmarks.court.hosts import ContestError
from benchmarks.court.limits import Rates
from benchmarks.court.race import FEWEST, MOST_SECONDS, ROUND_MS, Outcome, enter, race, warm
from benchmarks.court.rows import race_rows
from benchmarks.court.schedule import ALONE, Choice, races

THEIRS = Contestant("onnxruntime-web", "f32", "chromium")


@dataclass
class Pretender:
    """Takes `ms` a run, by its own account; from round `fails` on it throws."""

    name: str
    ms: float
    log: list[str] = field(default_factory=list)
    fails: int | None = None
    facts: dict[str, Any] = field(default_factory=lambda: {"open_ms": 1.0, "first_ms": 2.0})
    outputs: tensors.Tensors = field(default_factory=dict)
    rounds: int = 0

    def round(self, runs: int) -> float:
        self.rounds += 1
        if self.fails is not None and self.rounds > self.fails:
            raise ContestError("out of memory")
        self.log.append(self.name)
        return self.ms

    def memory(self) -> int:
        return 5

    def close(self) -> None:
        self.log.append(f"close {self.name}")


def silent(text: str) -> None:
    del text


def entered(*pretenders: Pretender, contestants: Sequence[Contestant] = (ALONE, THEIRS)) -> list[Outcome]:
    return [Outcome(c, p) for c, p in zip(contestants, pretenders, strict=True)]


def test_turns_alternate_and_limits_are_measured_in_each_round() -> None:
    log: list[str] = []
    outcomes = entered(Pretender("a", 60, log), Pretender("b", 120, log))
    rates = race(outcomes, {"chromium": lambda: {"1": {"fma_gflops": float(len(log))}}}, 4, silent)
    turns = log[-8:]
    assert turns == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert [o.times for o in outcomes] == [[60] * 4, [120] * 4]
    assert len(rates["chromium"]) == 4
    assert len({r["1"]["fma_gflops"] for r in rates["chromium"]}) == 4


def test_what_a_turn_leaves_behind_settles_before_the_next() -> None:
    log: list[str] = []
    outcomes = entered(Pretender("a", 60, log), Pretender("b", 60, log))

    def limit() -> Rates:
        log.append("limit")
        return {}

    race(outcomes, {"chromium": limit}, 1, silent, lambda: log.append("settle"))
    assert log[log.index("settle") :] == ["settle", "limit", "settle", "a", "settle", "b"]


def test_one_that_fails_stops_and_the_others_go_on() -> None:
    outcomes = entered(Pretender("a", 400), Pretender("b", 400, fails=5))
    race(outcomes, {}, 6, silent)
    assert outcomes[0].error is None
    assert len(outcomes[0].times) == 6
    assert outcomes[1].error == "out of memory"


def test_one_that_cannot_be_opened_has_the_reason() -> None:
    def opener(contestant: Contestant) -> Pretender:
        if contestant == THEIRS:
            raise ContestError("no such operator")
        return Pretender("a", 1)

    ours, theirs = enter([ALONE, THEIRS], opener, silent)
    assert ours.error is None
    assert theirs.error == "no such operator"


@pytest.mark.parametrize(("ms", "runs"), [(0.01, 1000), (1.0, ROUND_MS), (59, 1), (5000, 1)])
def test_a_turn_is_long_enough_for_the_clock(ms: float, runs: float) -> None:
    outcome = Outcome(ALONE, Pretender("a", ms))
    warm(outcome, 15)
    assert outcome.runs == runs


def test_slow_engines_have_fewer_rounds_and_no_fewer_than_some() -> None:
    slow, slower = Outcome(ALONE, Pretender("a", 10_000)), Outcome(ALONE, Pretender("a", 50_000))
    warm(slow, 15)
    warm(slower, 15)
    assert slow.rounds == int(MOST_SECONDS / 10)
    assert slower.rounds == FEWEST


@pytest.fixture
def benchmark_folder(tmp_path: Path) -> Benchmark:
    folder = tmp_path / "lstm"
    folder.mkdir()
    image = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    tensors.write(folder / "feeds.safetensors", {"x": image, "ids": np.array([[3, 4]])})
    tensors.write(folder / "outputs.safetensors", {"y": image})
    last = {"name": "x_nhwc", "of": "x", "axes": [0, 2, 3, 1]}
    ids = {"name": "ids", "of": "ids", "dtype": "int32"}
    layout = {"inputs": [last, ids], "outputs": [{"name": "y:0", "of": "y", "axes": [0, 2, 3, 1]}]}
    about = {"name": "lstm", "operations": 2e8, "weight_bytes": 4e6, "layouts": {"tflite": layout}}
    about["formats"] = {"tflite": {"missing": "no LSTM"}}
    (folder / "benchmark.json").write_text(json.dumps(about))
    return Benchmark(folder)


def test_layouts_turn_feeds_and_outputs(benchmark_folder: Benchmark) -> None:
    image = benchmark_folder.feeds["x"]
    x, ids = (p.given(benchmark_folder.feeds[p.of]) for p in benchmark_folder.ports("tflite", "inputs"))
    assert x.shape == (1, 3, 4, 2)
    assert (x[0, 2, 3] == image[0, :, 2, 3]).all()
    assert (str(ids.dtype), ids.tolist()) == ("int32", [[3, 4]])
    flat = np.ascontiguousarray(image.transpose(0, 2, 3, 1)).reshape(-1)
    for name in ("y:0", "StatefulPartitionedCall:0"):
        assert (benchmark_folder.outputs("tflite", {name: flat})["y"] == image).all()
    assert benchmark_folder.outputs("tflite", {"y:0": flat[1:]}) == {}
    assert (benchmark_folder.outputs("onnx", {"y": image.reshape(-1)})["y"] == image).all()


def test_ports_without_axes_leave_arrays_alone() -> None:
    array = np.arange(6).reshape(2, 3)
    assert (Port("a", "a").back(Port("a", "a").given(array).reshape(-1), (2, 3)) == array).all()


def test_missing_models_have_the_reason(benchmark_folder: Benchmark) -> None:
    missing = benchmark_folder.missing(Contestant("litert", "f32", "chromium"))
    assert missing == "there is no model.tflite: no LSTM"
    assert benchmark_folder.missing(ALONE) == "there is no model.onnx"


def test_safetensors_survive(tmp_path: Path) -> None:
    kept: tensors.Tensors = {
        "a": np.ones((2, 3), np.float32),
        "b": np.array([], np.int64),
        "c": np.array(True),
    }
    tensors.write(tmp_path / "t.safetensors", kept)
    found = tensors.read(tmp_path / "t.safetensors")
    assert list(found) == list(kept)
    for name, array in kept.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert (found[name] == array).all()


def test_rows_have_ratios_by_round_and_shares_of_the_limit(benchmark_folder: Benchmark) -> None:
    planned = races("lstm", Choice(("onnxruntime-web",), ("chromium",), ("f32",)))[0]
    outcomes = entered(Pretender("a", 10), Pretender("b", 20))
    rates = [{"1": {"fma_gflops": 40.0, "copy_gb_s": 10.0}}] * 6
    race(outcomes, {}, 6, silent)
    agreements = {o.contestant: Agreement(0.0, 1.0, None) for o in outcomes}
    rows = race_rows(benchmark_folder, planned, outcomes, {"chromium": rates}, {}, agreements, "now")
    ours, theirs = rows
    assert [r["engine"] for r in rows] == [OURS, "onnxruntime-web"]
    assert (ours["median_ms"], ours["gflops"], ours["share_of_fma"], ours["rounds"]) == (10, 20, 0.5, 6)
    assert (theirs["ratio"], theirs["ratio_low"], theirs["share_of_limit"]) == (2, 2, 0.25)
    assert "ratio" not in ours
    assert "cold_start_ms" not in ours


def test_a_failed_row_has_its_error_and_no_times(benchmark_folder: Benchmark) -> None:
    planned = races("lstm", Choice((), ("chromium",), ("f32",)))[0]
    outcomes = [Outcome(c, error="broken") for c in planned.contestants]
    for row in race_rows(benchmark_folder, planned, outcomes, {}, {}, {}, "now"):
        assert row["error"] == "broken"
        assert "median_ms" not in row


def test_int8_races_have_our_f32_as_reference_and_two_threads_our_one() -> None:
    planned = {r.title: r for r in races("resnet50", Choice())}
    assert list(planned) == ["f32", "int8", "node", "two threads"]
    for title in ("int8", "two threads"):
        assert planned[title].reference == ALONE
        assert planned[title].everyone[0] == ALONE
        assert ALONE not in planned[title].contestants
    assert Contestant(OURS, OWN_INT8, "chromium") in planned["int8"].contestants
    assert Contestant(OURS, "f32", "native") in planned["f32"].contestants
    assert {c.threads for c in planned["two threads"].contestants} == {2}
    assert "two threads" not in {r.title for r in races("lstm", Choice())}


def test_ours_in_a_worker_runs_the_same_pack_once(benchmark_folder: Benchmark) -> None:
    worker = Contestant(IN_WORKER, "f32", "chromium")
    assert [r.title for r in races("resnet50", Choice()) if worker in r.contestants] == ["f32"]
    assert benchmark_folder.model(worker) == benchmark_folder.model(ALONE)
    assert IN_WORKER not in {c.engine for r in races("lstm", Choice(device="webgpu")) for c in r.contestants}
    two = next(r for r in races("resnet50", Choice()) if r.title == "two threads")
    assert IN_WORKER not in {c.engine for c in two.contestants}


def test_choices_narrow_races_and_keep_ours() -> None:
    planned = races("resnet50", Choice(engines=("tfjs",), hosts=("node",), dtypes=("f32",)))
    assert [[str(c) for c in r.contestants] for r in planned] == [
        ["pyruntime f32 on wasm, node", "tfjs f32 on wasm, node"]
    ]
    assert {c.device for r in races("lstm", Choice(device="webgpu")) for c in r.contestants} == {"webgpu"}
    assert races("lstm", Choice(threads=(3,))) == []


def test_single_products_are_raced_and_not_visited() -> None:
    cold = {name: [r.title for r in races(name, Choice()) if r.cold] for name in ("lstm", "matmul-1x1024")}
    assert cold == {"lstm": ["f32", "int8"], "matmul-1x1024": []}
    assert {r.title for r in races("matmul-1x1024", Choice())} == {"f32", "int8", "node"}


def test_a_race_that_is_lost_ends_no_other() -> None:
    told, lost = io.StringIO(), list[str]()
    for title in ("lstm, f32", "lstm, int8"):
        with surviving(title, lost, Console(file=told)):
            if title.endswith("f32"):
                raise ContestError("the page has crashed")
    assert lost == ["lstm, f32"]
    assert "the page has crashed" in told.getvalue()


def test_every_engine_has_an_opener() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "court" / "js" / "engines"
    for engine in ENGINES:
        for device in ("wasm", "webgpu"):
            assert (folder / Contestant(engine, "f32", "chromium", device=device).opener).is_file()
