"""WebGPU packs with steps on the CPU, against ONNX Runtime: crossings, loops, states, what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save
from pyruntime_converter.build import build_pack

import pyruntime
from pyruntime.errors import PackError, PackVersionError, RunError, StateError, UnsupportedError
from pyruntime.pack.schema import Model
from tests.frontends.mixed_models import DOUBLE, FLOAT, MODELS, Case
from tests.frontends.onnx_models import Array, imported, model, random, runtime

pytestmark = [pytest.mark.webgpu, pytest.mark.wasm]
node = helper.make_node


def packed(folder: Path, case: Case, **options: object) -> tuple[Path, pyruntime.Report]:
    """A pack for WebGPU alone, and what convert reported."""
    save(case[0], folder / "model.onnx")
    options = {"targets": ("webgpu",), **options}
    return folder / "pack", pyruntime.convert(folder / "model.onnx", folder / "pack", **options)


def same(got: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    for name, wanted in expected.items():
        assert (got[name].dtype, got[name].shape) == (wanted.dtype, wanted.shape), name
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(
                got[name], wanted, rtol=2e-3 if wanted.itemsize == 2 else 2e-5, atol=1e-5
            )
        else:
            np.testing.assert_array_equal(got[name], wanted)


@pytest.mark.parametrize("name", list(MODELS))
def test_models(tmp_path: Path, name: str) -> None:
    """Every set of feeds, and then all again."""
    case = MODELS[name]()
    proto, every = case
    path, report = packed(tmp_path, case)
    assert report.host_steps
    assert {"host.wasm", "pack.json"} <= set(report.files)
    with pyruntime.load(path, device="webgpu") as session:
        assert session.report.host_steps == len(report.host_steps)
        assert set(session.report.steps) >= {h.step for h in report.host_steps}
        for feeds in (*every, *every):
            same(session.run(feeds), runtime(proto, feeds))


def test_report_names_nodes_and_reasons(tmp_path: Path) -> None:
    case = MODELS["crossing_twice"]()
    path, report = packed(tmp_path, case)
    told = {origin: h.reason for h in report.host_steps for origin in h.origins}
    assert told["CumSum sums"] == told["ReduceSum total"] == "WebGPU has no float64"
    # a product stays on the GPU, whatever reads it
    assert not {"MatMul a", "MatMul c"} & told.keys()
    assert report.notes == (
        f"webgpu: {len(report.host_steps)} steps run on the CPU, in 2 places; see host_steps",
    )
    stated = json.loads((path / "pack.json").read_text())
    assert stated["requires"] == ["host"]
    assert [h["step"] for h in stated["report"]["host_steps"]] == [h.step for h in report.host_steps]


def test_products_stay_on_the_gpu(tmp_path: Path) -> None:
    """Neither a cast of theirs nor an addition to them in float64 takes them along."""
    x = random(2, 3, 8, 8)
    nodes = [
        node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 3, 1]),
        node("Cast", ["t"], ["wide"], to=DOUBLE),
        node("Add", ["wide", "bias"], ["y"]),
    ]
    weights = {"k": random(4, 3, 3, 3, seed=1), "bias": np.linspace(0, 1, 4)}
    case = model(nodes, {"x": x}, ["y"], weights=weights), [{"x": x}]
    path, report = packed(tmp_path, case)
    assert {o for h in report.host_steps for o in h.origins} == {"Cast wide", "Add y"}
    with pyruntime.load(path, device="webgpu") as session:
        assert session.report.dispatches == 1
        same(session.run({"x": x}), runtime(case[0], {"x": x}))


def test_what_lies_between_stays_there(tmp_path: Path) -> None:
    """An addition in float32 between two of float64 costs no crossing."""
    nodes = [
        node("CumSum", ["x", "axis"], ["a"]),
        node("Cast", ["a"], ["b"], to=FLOAT),
        node("CumSum", ["b", "axis"], ["c"]),
        node("ReduceSum", ["b"], ["t"], keepdims=1),
        node("Cast", ["b"], ["d"], to=DOUBLE),
        node("CumSum", ["d", "axis"], ["y"]),
    ]
    x = random(3, 4).astype(np.float64)
    case = model(nodes, {"x": x}, ["y"], opset=13, weights={"axis": np.array(1)}), [{"x": x}]
    path, _ = packed(tmp_path, case)
    commands = json.loads((path / "pack.json").read_text())["targets"]["webgpu"]["variants"][0]["entries"][0]
    assert [c["op"] for c in commands["commands"]].count("host") == 1
    with pyruntime.load(path, device="webgpu") as session:
        same(session.run({"x": x}), runtime(case[0], {"x": x}))


def test_forbidden(tmp_path: Path) -> None:
    """All nodes are named, with what to do, and nothing is written."""
    case = MODELS["crossing_twice"]()
    with pytest.raises(UnsupportedError, match="WebGPU has no float64") as raised:
        packed(tmp_path, case, host_steps=False)
    assert "CumSum 'sums'" in str(raised.value)
    assert "ReduceSum 'total'" in str(raised.value)
    assert "Allow host steps" in str(raised.value)
    assert not (tmp_path / "pack").exists()


def test_integers_cross_whole(tmp_path: Path) -> None:
    """What the GPU computes of 64-bit integers stays there, and they need not fit 32 bits on either side."""
    path, report = packed(tmp_path, MODELS["crossing_integers"]())
    assert not {"Mod places", "Gather y"} & {o for h in report.host_steps for o in h.origins}
    assert not any("32-bit" in note for note in report.notes)
    entry = json.loads((path / "pack.json").read_text())["targets"]["webgpu"]["variants"][0]["entries"][0]
    crossing = [t[5] for c in entry["commands"] if c["op"] == "host" for t in (*c["from"], *c["to"])]
    assert crossing == ["int64"]


def test_nothing_crosses_that_is_not_there_yet(tmp_path: Path) -> None:
    """The GPU writes to what the host makes, too: until then its place there is another tensor's."""
    nodes = [
        node("Cast", ["z"], ["short"], to=TensorProto.INT16),
        node("ReverseSequence", ["x", "lengths"], ["turned"], batch_axis=1, time_axis=0),
        node("ScatterND", ["short", "at", "least"], ["a"], reduction="min"),
        node("ReduceSum", ["turned"], ["b"], keepdims=0),
        node("Mish", ["turned"], ["c"]),
    ]
    doubles = random(7, 1).astype(np.float64)
    feeds: dict[str, Array] = {"x": doubles, "least": np.array([[-1]], np.int16), "z": doubles * 9}
    weights = {"lengths": np.array([7]), "at": np.array([[[5, -1]]])}
    path, _ = packed(tmp_path, (model(nodes, feeds, ["a", "b", "c"], opset=18, weights=weights), [feeds]))
    short = (doubles * 9).astype(np.int16)
    short[5, 0] = min(short[5, 0], -1)
    c = doubles[::-1] * np.tanh(np.log1p(np.exp(doubles[::-1])))
    with pyruntime.load(path, device="webgpu") as session:
        same(session.run(feeds), {"a": short, "b": np.asarray(doubles.sum()), "c": c})
    crossing = [[c["from"], c["to"]] for c in hosts(json.loads((path / "pack.json").read_text()))]
    assert [[[t[5] for t in side] for side in each] for each in crossing] == [
        [["int32"], ["int16"]],
        [[], []],
    ]


def test_entries_of_which_one_needs_the_host(tmp_path: Path) -> None:
    x = random(2, 5)
    plain = imported(model([node("Relu", ["x"], ["y"])], {"x": x}, ["y"]))
    plain.name = "plain"
    (proto, every) = MODELS["crossing_twice"]()
    mixed = imported(proto)
    mixed.name = "mixed"
    build_pack([plain, mixed], tmp_path / "pack", Model("two", "onnx", "0" * 64), targets=("webgpu",))
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        assert session.report.host_steps == 0
        same(session.run({"x": x}), {"y": np.maximum(x, 0)})
        same(session.run(every[0], entry="mixed"), runtime(proto, every[0]))


def accumulating(**first: Array) -> Case:
    """A state in float32 whose next value is computed in float64, and another that the GPU makes."""
    nodes = [
        node("Cast", ["s"], ["wide"], to=DOUBLE),
        node("Cast", ["x"], ["more"], to=DOUBLE),
        node("Add", ["wide", "more"], ["sum"]),
        node("Cast", ["sum"], ["next"], to=FLOAT),
        node("MatMul", ["t", "w"], ["grown"]),
        node("Add", ["grown", "x"], ["after"]),
        node("Add", ["next", "after"], ["y"]),
    ]
    feeds = {"x": random(2, 3, seed=1), "s": np.zeros((2, 3), np.float32), "t": np.zeros((2, 3), np.float32)}
    return model(nodes, feeds, ["y", "next", "after"], opset=18, weights={"w": random(3, 3, seed=2)}), [feeds]


def test_states(tmp_path: Path) -> None:
    """They go on from run to run, are saved and loaded, and are reset."""
    proto, (first,) = case = accumulating()
    path, _ = packed(tmp_path, case, state={"s": "next", "t": "after"})
    steps = [{"x": random(2, 3, seed=n)} for n in range(4)]
    expected, states = [], {k: first[k] for k in ("s", "t")}
    for step in steps:
        made = runtime(proto, {**step, **states})
        states = {"s": made["next"], "t": made["after"]}
        expected.append({"y": made["y"]})
    with pyruntime.load(path, device="webgpu") as session, pyruntime.load(path, device="webgpu") as other:
        for step, wanted in zip(steps[:2], expected, strict=False):
            same(session.run(step), wanted)
        other.state.load(session.state.save())
        for each in (session, other):
            for step, wanted in zip(steps[2:], expected[2:], strict=True):
                same(each.run(step), wanted)
            np.testing.assert_allclose(each.state.get("s"), states["s"], rtol=1e-5)
        session.state.reset()
        same(session.run(steps[0]), expected[0])


def test_wide_states_are_refused(tmp_path: Path) -> None:
    x = random(3).astype(np.float64)
    case = model([node("Add", ["s", "x"], ["next"])], {"x": x, "s": x}, ["next"]), [{"x": x}]
    with pytest.raises(UnsupportedError, match="state 's': WebGPU has no float64"):
        packed(tmp_path, case, state={"s": "next"})


def test_a_failing_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named; the next run is right again, and states that it may have torn are told."""
    from pyruntime.runtime.host import HostModule

    proto, (first,) = case = accumulating()
    path, _ = packed(tmp_path, case, state={"s": "next", "t": "after"})
    with pyruntime.load(path, device="webgpu") as session:
        called = HostModule._call
        session.run({"x": first["x"]})

        def failing(self: HostModule, name: str, *arguments: int) -> int:
            return -3 if name == "run" else called(self, name, *arguments)

        monkeypatch.setattr(HostModule, "_call", failing)
        with pytest.raises(RunError, match="failed on the host: code -3"):
            session.run({"x": first["x"]})
        monkeypatch.undo()
        committed = session._committed
        if committed:
            with pytest.raises(StateError):
                session.run({"x": first["x"]})
        session.state.reset()
        same(session.run({"x": first["x"]}), {"y": runtime(proto, first)["y"]})


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda m: m["requires"].clear(), PackError, "requires 'host'"),
        (lambda m: m["requires"].append("more"), PackVersionError, "more"),
        (lambda m: m["targets"]["webgpu"].pop("host"), PackError, "there are no host steps"),
        (lambda m: hosts(m)[0].update(last=99), PackError, "there are no steps 0 to 99"),
        (lambda m: hosts(m)[0]["to"][0].__setitem__(5, "float64"), PackError, "float64 of arena is never"),
        (lambda m: hosts(m)[0]["to"][0].__setitem__(4, ["q"]), PackError, "symbol 'q'"),
        (
            lambda m: hosts(m)[1]["from"][0].__setitem__(slice(2), ["weights", 0]),
            PackError,
            "never transferred",
        ),
    ],
)
def test_manifests_that_contradict_themselves(
    tmp_path: Path, edit: object, error: type[Exception], message: str
) -> None:
    path, _ = packed(tmp_path, MODELS["crossing_twice"]())
    manifest = json.loads((path / "pack.json").read_text())
    edit(manifest)  # type: ignore[operator]  # a function
    (path / "pack.json").write_text(json.dumps(manifest))
    with pytest.raises(error, match=message):
        pyruntime.load(path, device="webgpu")


def hosts(manifest: dict) -> list[dict]:  # type: ignore[type-arg]  # JSON
    """The host commands of a pack."""
    commands = manifest["targets"]["webgpu"]["variants"][0]["entries"][0]["commands"]
    return [c for c in commands if c["op"] == "host"]
