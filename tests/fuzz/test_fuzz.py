"""A sample of random models on every target, and that what is wrong would be found.

`make fuzz` judges more of them; `python -m tests.fuzz --again FILE` one that it wrote down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from onnx import helper
from pyruntime_converter import memory
from pyruntime_converter.lowering import lower

from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Placement, Program
from tests.conformance.judge import Outcome
from tests.frontends.onnx_models import one_node
from tests.fuzz import engine, shrink
from tests.fuzz.__main__ import TARGETS, main, outcomes, verdicts_of
from tests.fuzz.engine import UNDECIDED, case_of, planned
from tests.fuzz.known import build
from tests.fuzz.models import Made, model, models, named
from tests.fuzz.truth import Expected, judge

SAMPLE = [named(0, i) for i in range(80)]


def told(outcomes: Sequence[Outcome]) -> Counter[str]:
    """How many are undecided, and how many are refused."""
    return Counter(
        UNDECIDED if o.reason == UNDECIDED else "refused" for o in outcomes if o.status == "skipped"
    )


@pytest.mark.slow
@pytest.mark.wasm
@pytest.mark.webgpu
def test_sample_agrees() -> None:
    verdicts = list(verdicts_of(SAMPLE, TARGETS))
    assert len(verdicts) == len(SAMPLE) * len(TARGETS)
    wrong = [v for v in verdicts if v.outcome.status == "failed"]
    assert not wrong, "\n".join(f"{v.test} on {v.target}: {v.outcome.reason}" for v in wrong)
    found = {t: told([v.outcome for v in verdicts if v.target == t]) for t in TARGETS}
    # a sample that is refused or left open tells nothing; WebGPU has no float64
    assert all(f[UNDECIDED] <= 0.05 * len(SAMPLE) for f in found.values()), found
    assert found["wasm"]["refused"] <= 0.05 * len(SAMPLE), found
    assert found["webgpu"]["refused"] <= 0.3 * len(SAMPLE), found


@settings(max_examples=60, derandomize=True)  # a gate: `make fuzz` looks for more
@given(models(6))
def test_any_program_agrees(made: Made) -> None:
    outcome = planned(case_of("fuzz", made))
    assert outcome.status != "failed", outcome.reason


def test_models_hang_on_their_names_alone() -> None:
    before = model(SAMPLE[3])
    model.cache_clear()
    after = model(SAMPLE[3])
    assert before.proto.SerializeToString() == after.proto.SerializeToString()
    for old, new in zip(before.feeds, after.feeds, strict=True):
        assert {n: a.tobytes() for n, a in old.items()} == {n: a.tobytes() for n, a in new.items()}


# ---- that what is wrong would be found


def test_a_broken_memory_plan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(program: Program) -> Placement:
        placement = planning(program)
        return replace(placement, offsets=dict.fromkeys(placement.offsets, 0))

    planning = memory.plan_coloured
    monkeypatch.setattr(engine, "plan_coloured", crowded)
    assert any(planned(engine.named(name)).status == "failed" for name in SAMPLE[:20])


def test_a_lost_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(graph: Graph) -> Program:
        program = lowering(graph)
        last = max((i for i, s in enumerate(program.steps) if isinstance(s, KernelCall)), default=None)
        if last is not None:
            del program.steps[last]
        return program

    lowering = lower.lower
    monkeypatch.setattr(engine, "lower", forgetful)
    assert sum(planned(engine.named(name)).status == "failed" for name in SAMPLE[:10]) >= 5


def only(made: Made) -> Expected:
    """What the last output must be in the first run."""
    *_, expected = judge(made.proto, made.feeds).runs[0].values()
    assert expected is not None
    return expected


def of(*ops: str, x: Sequence[float], dtype: str = "float32") -> Made:
    """Operators of one input one after the other."""
    names = ["x", *(f"y{i}" for i in range(len(ops)))]
    nodes = [helper.make_node(op, [names[i]], [names[i + 1]]) for i, op in enumerate(ops)]
    array = np.array(x, dtype)
    info = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    return Made(build(nodes, {"x": info}, {}, names[-1:]), [{"x": array}])


def test_bounds_are_those_of_rounding() -> None:
    made = of("Exp", "Neg", x=[0.1, 1.0, 2.5])
    expected = only(made)
    right = -np.exp(made.feeds[0]["x"])
    assert not expected.mismatch(right)
    assert not expected.mismatch(right * np.float32(1 + 1e-6))
    assert "3 of 3 elements" in expected.mismatch(right * np.float32(1 + 1e-4))
    assert "dtype float64" in expected.mismatch(right.astype(np.float64))
    assert "shape (1, 3)" in expected.mismatch(right[None])


def test_exact_values_decide_what_rounds() -> None:
    made = of("Neg", "Floor", x=[0.125, 1.0, 2.5])
    assert only(made).decided.all()


def test_what_rounding_may_change_is_undecided() -> None:
    made = of("Exp", "Floor", x=[0.0, 1.0, 2.5])  # 1 or just below
    assert only(made).decided.tolist() == [False, True, True]


def test_references_that_differ_decide_nothing() -> None:
    """ONNX Runtime reckons SAME padding without the dilation."""
    x = np.ones((1, 1, 7), np.float32)
    given: dict[str, Any] = {"kernel_shape": [2], "strides": [2], "dilations": [2], "auto_pad": "SAME_LOWER"}
    node = helper.make_node("AveragePool", ["x"], ["y"], **given)
    info = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    made = Made(build([node], {"x": info}, {}, ["y"]), [{"x": x}])
    assert judge(made.proto, made.feeds).runs[0]["y"] is None
    assert planned(case_of("fuzz", made)).reason == UNDECIDED


def test_special_numbers_are_told_apart() -> None:
    made = of("Abs", x=[np.nan, -np.inf, 1.0])
    expected = only(made)
    assert not expected.mismatch(np.array([np.nan, np.inf, 1], np.float32))
    assert expected.mismatch(np.array([0, np.inf, 1], np.float32))
    assert expected.mismatch(np.array([np.nan, np.nan, 1], np.float32))
    assert not expected.mismatch(np.array([0, 0, 1], np.float32), finite=True)


@pytest.mark.wasm
def test_long_kernels_fit_the_stack_that_packs_have() -> None:
    """39 products and their sums, each rounded to float16: some hundred vectors in one loop."""
    x = np.linspace(-2, 2, 34 * 40).reshape(34, 40).astype(np.float16)
    sizes = {"sizes": np.array([34, 2])}
    proto = one_node(
        "Resize", {"x": x}, opset=23, weights=sizes, inputs=["x", "", "", "sizes"], mode="linear", antialias=1
    )
    (outcome,) = outcomes(Made(proto, [{"x": x}]), ["wasm"])
    assert outcome.status == "passed", outcome.reason


@pytest.mark.wasm
def test_models_are_judged_again_as_users_compile_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shrink.write(of("Neg", x=[1.0]), tmp_path, "kept", "wrong").with_suffix(".onnx")
    monkeypatch.setenv("PYRUNTIME_CACHE", str(tmp_path))  # main sets it
    monkeypatch.setattr(engine, "_quickly", pytest.fail)
    monkeypatch.setattr("sys.argv", ["fuzz", "--again", str(path), "--target", "wasm", "--full"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def test_wrong_models_are_made_small_and_kept(tmp_path: Path) -> None:
    made = next(m for m in map(model, SAMPLE) if len(m.proto.graph.node) > 8 and has(m, "MatMul"))
    small = shrink.shrunk(made, lambda m: has(m, "MatMul"))
    assert [n.op_type for n in small.proto.graph.node] == ["MatMul"]
    shrink.write(small, tmp_path, "small", "wrong")
    again = shrink.load(tmp_path / "small.onnx")
    assert planned(case_of("fuzz", again)).status == "passed"
    assert "MatMul" in (tmp_path / "small.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.int4])
def test_feeds_of_any_type_are_kept(tmp_path: Path, dtype: type) -> None:
    x: NDArray[Any] = np.array([[1.5, -2, np.nan if dtype is not ml_dtypes.int4 else 3]]).astype(dtype)
    proto = one_node("Identity", {"x": x}, opset=23)
    shrink.write(Made(proto, [{"x": x}]), tmp_path, "kept", "wrong")
    (feeds,) = shrink.load(tmp_path / "kept.onnx").feeds
    assert feeds["x"].dtype == x.dtype
    np.testing.assert_array_equal(feeds["x"].view(np.uint8), x.view(np.uint8))


def has(made: Made, op: str) -> bool:
    """Whether a model has this operator."""
    return any(n.op_type == op for n in made.proto.graph.node)
