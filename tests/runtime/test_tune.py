"""What `pyruntime tune` finds and stores; a clock of these tests says what is fast: no time is measured."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import pyruntime
from pyruntime.pack.program import BoundDispatch
from pyruntime.pack.targets import Tuned
from pyruntime.runtime.bench.profile import Budget
from pyruntime.runtime.gpu_names import Identity, best_for, identify
from pyruntime.runtime.proof import agree
from tests.converter.compare import assert_close
from tests.frontends.onnx_models import random, runtime, same
from tests.packs.crowded import crowded
from tests.passes.net import Net

pytestmark = pytest.mark.webgpu

OTHER = Identity("nvidia", "ampere", "NVIDIA GeForce RTX 3080")
ROWS, DEPTH, COLUMNS = 9, 20, 16
MANY = 1  # the command of the form for so many rows
X = np.random.default_rng(1).standard_normal((ROWS, DEPTH), np.float32)
W = np.random.default_rng(2).standard_normal((DEPTH, COLUMNS), np.float32)
EXPECTED = np.maximum(X @ W, 0)

Speeds = Callable[[str], float]


class FakeClock:
    """Says how long shaders take by their names; alternatives are called `NAME of FILE`."""

    name = "fake"

    def __init__(self, speeds: Speeds, fails_at: int = -1) -> None:
        self._speeds, self._fails_at, self.runs = speeds, fails_at, 0

    def run(self, session: Any, number: int, entry: Any, bound: Any) -> list[tuple[BoundDispatch, float]]:
        self.runs += 1
        if self.runs == self._fails_at:
            raise KeyboardInterrupt
        plan, done = session._start(number, entry, bound), list[BoundDispatch]()
        while True:
            done += [c for c in plan.program.commands if isinstance(c, BoundDispatch)]
            if plan.program.pause is None:
                return [(d, self._speeds(session._variant.shaders[d.shader].name)) for d in done]
            plan = session._resumed(number, entry, plan.program.pause, session._encoded(plan))


def preferring(name: str) -> FakeClock:
    return FakeClock(lambda shader: 1.0 if shader.startswith(f"{name} of") else 2.0)


def preferring_any() -> FakeClock:
    return FakeClock(lambda shader: 1.0 if " of " in shader else 2.0)


@pytest.fixture(scope="module")
def tunable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = relu(x @ w), where x has any number of rows; not to be changed."""
    folder = tmp_path_factory.mktemp("tunable")
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("MatMul", ["x", "w"], ["product"]),
            onnx.helper.make_node("Relu", ["product"], ["y"]),
        ],
        "product",
        [onnx.helper.make_tensor_value_info("x", float32, ["rows", DEPTH])],
        [onnx.helper.make_tensor_value_info("y", float32, ["rows", COLUMNS])],
        [onnx.numpy_helper.from_array(W, "w")],
    )
    onnx.save(onnx.helper.make_model(graph, ir_version=10), folder / "m.onnx")
    pyruntime.convert(folder / "m.onnx", folder / "m.pack", targets=("webgpu",), tunable=True)
    pyruntime.convert(folder / "m.onnx", folder / "m.zip", targets=("webgpu",), tunable=True)
    return folder / "m.pack"


@pytest.fixture
def pack(tunable: Path, tmp_path: Path) -> Path:
    shutil.copytree(tunable, tmp_path / "m.pack")
    return tmp_path / "m.pack"


def tuned(
    pack: Path, clock: FakeClock, gpu: Identity | None = None, feeds: Any = None, rounds: int = 2
) -> Any:
    from pyruntime.runtime.tune import tune

    fed, budget = feeds or {"x": X}, Budget(rounds=rounds)
    return tune(pack, lambda *_: fed, budget, lambda _: None, clock=clock, gpu=gpu)


def target_of(pack: Path) -> dict[str, Any]:
    target: dict[str, Any] = json.loads((pack / "pack.json").read_text())["targets"]["webgpu"]
    return target


def candidates_of(pack: Path) -> Any:
    return json.loads((pack / target_of(pack)["candidates"]["file"]).read_text())


def names_of(pack: Path) -> list[str]:
    """Shaders that may do the product where rows are as many as here: more than a few, and not very many."""
    content = candidates_of(pack)
    found = [content["shaders"][c[1]]["name"] for c in content["variants"][0][0] if c[0] == MANY]
    assert len(found) > 3
    return found


def files_of(pack: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in pack.iterdir()}


def rewritten(pack: Path, place: Callable[[Any], Any], edit: Callable[[Any], object]) -> None:
    """Change a file that pack.json names, and its hash there."""
    manifest = json.loads((pack / "pack.json").read_text())
    told = place(manifest["targets"]["webgpu"])
    content = json.loads((pack / told["file"]).read_text())
    edit(content)
    data = json.dumps(content).encode()
    (pack / told["file"]).write_bytes(data)
    told |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (pack / "pack.json").write_text(json.dumps(manifest))


def check(pack: Path, *, uses: str = "") -> None:
    """The pack's result is right, by a shader of this name, or by its defaults."""
    with pyruntime.load(pack, device="webgpu") as session:
        assert session.report.tuned is bool(uses)
        entry = session._variant.entries[0]  # type: ignore[attr-defined]  # a WebGpuSession
        shaders = session._variant.shaders  # type: ignore[attr-defined]
        used = [shaders[c.shader].name for c in entry.commands]
        assert [name.partition(" of ")[0] for name in used if " of " in name] == ([uses] if uses else [])
        for rows in (ROWS, 1, 100):
            fed = np.resize(X, (rows, DEPTH))
            made = session.run({"x": fed})["y"]
            np.testing.assert_allclose(made, np.maximum(fed @ W, 0), rtol=1e-4, atol=1e-4)


def test_the_winner_is_stored_and_used(pack: Path) -> None:
    shaders = names_of(pack)
    before = files_of(pack)
    found = tuned(pack, preferring(shaders[-1]))
    assert (found.clock, found.rounds, found.stored) == ("fake", 2, 1)
    assert (found.before, found.after, found.symbols) == (2.0, 1.0, {"rows": ROWS})
    (step,) = found.steps
    assert (step.seconds, step.best, step.shader, step.refused) == (2.0, 1.0, shaders[-1], 0)
    check(pack, uses=shaders[-1])
    after = files_of(pack)
    (new,) = after.keys() - before.keys()
    assert new.startswith("tuned-")
    content = json.loads(after[new])
    assert [s["name"] for s in content["shaders"]] == [shaders[-1]]
    assert [len(entries[0]) for entries in content["variants"]] == [1]
    assert {n: d for n, d in after.items() if n in before and n != "pack.json"} == {
        n: d for n, d in before.items() if n != "pack.json"
    }
    (told,) = target_of(pack)["tuned"]
    assert told["device"] == found.gpu.device
    assert told["file"] == new


def test_defaults_that_are_best_stay(pack: Path) -> None:
    before = files_of(pack)
    found = tuned(pack, FakeClock(lambda _: 1.0))
    assert (found.stored, found.before, found.after) == (0, 1.0, 1.0)
    assert files_of(pack) == before
    check(pack)


def test_a_gain_within_the_noise_is_none(pack: Path) -> None:
    assert tuned(pack, FakeClock(lambda shader: 0.97 if " of " in shader else 1.0)).stored == 0


def test_what_helps_alone_and_not_together_is_not_stored(pack: Path) -> None:
    name = names_of(pack)[0]

    def slower(shader: str) -> float:
        return 0.5 if shader.startswith(f"{name} of") and clock.runs < last else 1.0

    clock, last = FakeClock(slower), 1000
    assert tuned(shutil.copytree(pack, pack.parent / "copy.pack"), clock).stored == 1
    last = clock.runs - 3  # of the comparison in the end
    clock.runs = 0
    assert tuned(pack, clock).stored == 0


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda code: code.replace("+ left", "- left").replace("+ a_", "- a_"),
        lambda code: code.replace("fn main", "fn main_of_nothing"),
        lambda code: "fn" + code,
    ],
    ids=["wrong", "without-entry-point", "no-wgsl"],
)
def test_what_is_wrong_here_is_refused(pack: Path, spoilt: Callable[[str], str]) -> None:
    content = candidates_of(pack)
    name = next(name for name in names_of(pack) if name.startswith("direct"))
    number = next(i for i, s in enumerate(content["shaders"]) if s["name"] == name)

    def spoil(content: Any) -> None:
        shader = content["shaders"][number]
        assert spoilt(shader["code"]) != shader["code"]
        shader["code"] = spoilt(shader["code"])

    rewritten(pack, lambda target: target["candidates"], spoil)
    found = tuned(pack, preferring(name))
    (step,) = found.steps
    assert (found.stored, step.refused, step.shader) == (0, 1, "")
    check(pack)


@pytest.mark.parametrize("at", [1, 6, 12])
def test_an_interruption_loses_nothing(pack: Path, at: int) -> None:
    name = names_of(pack)[0]
    tuned(pack, preferring(name))
    before = files_of(pack)
    with pytest.raises(KeyboardInterrupt):
        tuned(pack, FakeClock(lambda _: 1.0, fails_at=at))
    assert files_of(pack) == before
    check(pack, uses=name)


@pytest.mark.parametrize(("kind", "fails_at"), [("m.pack", 0), ("m.pack", 1), ("m.zip", 0)])
def test_a_disk_that_is_full_loses_nothing(
    tunable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, fails_at: int
) -> None:
    pack = tmp_path / kind
    if kind == "m.zip":
        shutil.copy(tunable.parent / kind, pack)
    else:
        shutil.copytree(tunable, pack)
    everything = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    left, replace = [fails_at], Path.replace

    def full(self: Path, target: Path) -> Path:
        if not left.pop():
            raise OSError(28, "No space left on device")
        left.append(0)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    name = names_of(tunable)[0]
    with pytest.raises(pyruntime.PackError, match="No space left"):
        tuned(pack, preferring(name))
    monkeypatch.undo()
    kept = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert {p: kept[p] for p in everything} == everything
    assert all(p.name.startswith("tuned-") for p in kept.keys() - everything.keys())
    check(pack)


def test_tuning_again_replaces_what_was_found(pack: Path) -> None:
    first, *_, last = names_of(pack)
    tuned(pack, preferring(first))
    (old,) = target_of(pack)["tuned"]
    tuned(pack, preferring(last))
    (new,) = target_of(pack)["tuned"]
    assert new["file"] != old["file"]
    assert not (pack / old["file"]).exists()
    check(pack, uses=last)
    tuned(pack, FakeClock(lambda _: 1.0))
    assert "tuned" not in target_of(pack)
    assert not (pack / new["file"]).exists()
    check(pack)


def test_each_gpu_has_its_own(pack: Path) -> None:
    first, *_, last = names_of(pack)
    tuned(pack, preferring(first), OTHER)
    check(pack)
    tuned(pack, preferring(last))
    check(pack, uses=last)
    assert [t["vendor"] == "nvidia" for t in target_of(pack)["tuned"]] == [False, True]


def test_an_archive(tunable: Path, tmp_path: Path) -> None:
    pack = tmp_path / "m.zip"
    shutil.copy(tunable.parent / "m.zip", pack)
    first, *_, last = names_of(tunable)
    for name in (first, last):
        tuned(pack, preferring(name))
        check(pack, uses=name)
    assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


def test_what_a_newer_version_wrote_stays(pack: Path) -> None:
    manifest = json.loads((pack / "pack.json").read_text())
    manifest["targets"]["webgpu"]["of the future"] = [1, {"two": 3}]
    (pack / "pack.json").write_text(json.dumps(manifest))
    tuned(pack, preferring(names_of(pack)[0]))
    assert target_of(pack)["of the future"] == [1, {"two": 3}]


def looped(dtype: Any) -> Any:
    """Three times h = tanh(h @ w), where the loop's end is known from data alone, and y = h."""
    helper, of = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    square = (W[:COLUMNS] / 4).astype(dtype)
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["h", "w"], ["product"]),
            helper.make_node("Tanh", ["product"], ["next"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("h", of, [ROWS, COLUMNS]),
        ],
        [
            helper.make_tensor_value_info("on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", of, [ROWS, COLUMNS]),
        ],
        [onnx.numpy_helper.from_array(square, "w")],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Cast", ["most"], ["count"], to=onnx.TensorProto.INT64),
            helper.make_node("Loop", ["count", "", "x"], ["y"], body=body),
        ],
        "looped",
        [helper.make_tensor_value_info("x", of, [ROWS, COLUMNS])],
        [helper.make_tensor_value_info("y", of, [ROWS, COLUMNS])],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_programs_that_loop_and_halves(tmp_path: Path, dtype: Any) -> None:
    (tmp_path / "m.onnx").write_bytes(looped(dtype).SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=("webgpu",), tunable=True)
    x = X[:, :COLUMNS].astype(dtype)
    x[0, 0] = 3.25
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        assert session.report.reads == 1
        expected = session.run({"x": x})["y"]
    found = tuned(tmp_path / "m.pack", preferring_any(), feeds={"x": x}, rounds=1)
    assert {step.step.split()[0] for step in found.steps if step.shader} == {"matmul", "row"}
    assert [step.refused for step in found.steps] == [0] * len(found.steps)
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        assert session.report.tuned
        assert ("shader-f16" in session.report.variant) <= (dtype is np.float16)
        made = session.run({"x": x})["y"]
    np.testing.assert_allclose(made, expected, rtol=4e-3, atol=4e-3)
    h = x.astype(np.float64)
    for _ in range(3):
        h = np.tanh(h @ (W[:COLUMNS] / 4))
    np.testing.assert_allclose(made, h, rtol=0, atol=1e-4 if dtype is np.float32 else 1e-2)


def test_steps_that_read_the_arena_that_they_write(tmp_path: Path) -> None:
    """What takes their places binds it as written, too."""
    net = crowded()
    model = net.proto(net.nodes[-1].output[0])
    onnx.save(model, tmp_path / "m.onnx")
    (expected,) = ReferenceEvaluator(model).run(None, net.feeds)
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=("webgpu",), tunable=True)
    beside = [s["bindings"] for s in candidates_of(tmp_path / "m.pack")["shaders"]]
    assert any(b.count("read_write") > 1 for b in beside)
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        (made,) = session.run(net.feeds).values()
        assert_close(made, np.asarray(expected), 1e-5)
    found = tuned(tmp_path / "m.pack", preferring_any(), feeds=net.feeds, rounds=1)
    assert found.stored == 5
    assert [step.refused for step in found.steps] == [0] * 5
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        (made,) = session.run(net.feeds).values()
        assert_close(made, np.asarray(expected), 1e-5)


def divided() -> Net:
    """Attention of one query to many keys, the largest of all elements, and a pool."""
    net = Net(
        {"q": random(2, 1, 16), "k": random(2, 16, 640), "v": random(2, 640, 16), "x": random(1, 8, 9, 11)}
    )
    weights = net("Softmax", net("MatMul", "q", "k"), axis=-1)
    net("MatMul", weights, "v")
    net("ReduceMax", net("Exp", "v"), keepdims=0)
    net("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return net


def test_all_that_is_divided_has_something_to_try(tmp_path: Path) -> None:
    """Runs of keys and what brings them together, parts of a long row, pools."""
    net = divided()
    outputs = [n.output[0] for n in net.nodes if n.op_type in ("ReduceMax", "MaxPool")]
    outputs.append(net.nodes[2].output[0])
    (tmp_path / "m.onnx").write_bytes(net.proto(*outputs).SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=("webgpu",), tunable=True)
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        expected = session.run(net.feeds)
    found = tuned(tmp_path / "m.pack", preferring_any(), feeds=net.feeds, rounds=1)
    kinds = {"attention", "pool", "row"}
    steps = {s.step: s for s in found.steps if s.step.split(" ")[0] in kinds}
    assert {name.split(" ")[0] for name in steps} == kinds
    assert {"runs of keys", "together"} <= {name.partition(", ")[2] for name in steps}
    assert any(name.endswith("(parts)") for name in steps)
    assert all(s.shader and s.tried and not s.refused for s in steps.values())
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        assert session.report.tuned
        same(session.run(net.feeds), expected, 1e-5)
        same(session.run(net.feeds), runtime(net.proto(*outputs), net.feeds), 1e-5)


def test_the_clocks_of_devices(pack: Path) -> None:
    from pyruntime.runtime.bench.gpu_timer import Timestamps, Waits
    from pyruntime.runtime.webgpu import WebGpuSession

    with pyruntime.load(pack, device="webgpu") as session:
        assert isinstance(session, WebGpuSession)
        number, entry = session._find(None)
        bound = session._kept.bind(entry, {"x": X})
        for clock in (Timestamps(session._device), Waits(session._device)):
            ((dispatch, seconds),) = clock.run(session, number, entry, bound)
            assert dispatch.command == MANY
            assert 0 <= seconds < 60


def test_packs_without_anything_to_try(tunable: Path, tmp_path: Path) -> None:
    pyruntime.convert(tunable.parent / "m.onnx", tmp_path / "m.pack", targets=("webgpu",))
    assert "candidates" not in target_of(tmp_path / "m.pack")
    with pytest.raises(pyruntime.PackError, match="nothing to try"):
        tuned(tmp_path / "m.pack", FakeClock(lambda _: 1.0))


def broken_command(content: Any) -> None:
    content["variants"][0][0][0][0] = 99


def broken_words(content: Any) -> None:
    content["variants"][0][0][0][2].append(1)


def broken_variants(content: Any) -> None:
    content["variants"].append([])


def broken_symbol(content: Any) -> None:
    content["variants"][0][0][0][3][0] = "unheard"


def broken_shader(content: Any) -> None:
    del content["shaders"][0]["result"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (broken_command, "command 99 is no dispatch"),
        (broken_words, "words: expected"),
        (broken_variants, "not those of the pack"),
        (broken_symbol, "'unheard'"),
        (broken_shader, r"shaders\[0\]: 'result' is missing"),
    ],
)
def test_a_file_that_contradicts_the_pack(pack: Path, edit: Callable[[Any], None], message: str) -> None:
    tuned(pack, preferring(names_of(pack)[0]))
    rewritten(pack, lambda target: target["tuned"][0], edit)
    with pytest.raises(pyruntime.PackError, match=message):
        pyruntime.load(pack, device="webgpu")


def test_a_damaged_file(pack: Path) -> None:
    tuned(pack, preferring(names_of(pack)[0]))
    file = pack / target_of(pack)["tuned"][0]["file"]
    file.write_bytes(file.read_bytes().replace(b"fn main", b"fn nain"))
    with pytest.raises(pyruntime.HashError, match="tuned-"):
        pyruntime.load(pack, device="webgpu")
    file.unlink()
    with pytest.raises(pyruntime.MissingFileError, match="tuned-"):
        pyruntime.load(pack, device="webgpu")


@pytest.mark.parametrize(
    ("info", "vendor", "architecture"),
    [
        ({"vendor_id": 0x10DE, "device_id": 0x2206}, "nvidia", "ampere"),
        ({"vendor_id": 0x10DE, "device_id": 0x2330}, "nvidia", ""),
        ({"vendor_id": 0x1002, "device_id": 0x73BF}, "amd", "rdna-2"),
        ({"vendor_id": 0x8086, "device_id": 0x9A49}, "intel", "gen-12lp"),
        ({"vendor_id": 0x1AE0, "device_id": 0xC0DE}, "google", "swiftshader"),
        ({"vendor_id": 0x10005, "device_id": 0}, "mesa", "software"),
        ({"vendor_id": 0x106B, "device_id": 0}, "apple", ""),
        ({"vendor_id": 0x1234, "device_id": 0x2206}, "", ""),
        ({}, "", ""),
    ],
)
def test_names_of_gpus(info: Mapping[str, int], vendor: str, architecture: str) -> None:
    assert identify({**info, "device": "Name"}) == (vendor, architecture, "Name")
    assert identify(info).device == ""


def test_the_very_gpu_comes_before_one_like_it() -> None:
    def of(vendor: str, architecture: str, device: str) -> Tuned:
        return Tuned("tuned.json", 1, "0" * 64, vendor, architecture, device)

    alike, same = of("nvidia", "ampere", "RTX 3060"), of("nvidia", "ampere", OTHER.device)
    assert best_for([alike, same], OTHER) is same
    assert best_for([of("amd", "ampere", "x"), alike], OTHER) is alike
    assert best_for([of("nvidia", "ampere", "")], OTHER) is not None
    unknown = Identity("apple", "", "Apple M1")
    assert best_for([of("apple", "", "Apple M2"), of("apple", "", "")], unknown) is None
    assert best_for([], OTHER) is None


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ([1.0, 2.0], [1.0, 2.00001], True),
        ([1.0, 2.0], [1.0, 2.01], False),
        ([np.nan, np.inf, 1], [np.nan, np.inf, 1], True),
        ([np.inf, 1], [-np.inf, 1], False),
        ([np.nan, 1], [np.inf, 1], False),
        ([1.0, 1], [np.nan, 1], False),
        ([], [], True),
    ],
)
def test_agreement(expected: list[float], actual: list[float], same: bool) -> None:
    one, other = (np.array(a, np.float32).tobytes() for a in (expected, actual))
    assert agree(one, other, "float32") is same
    assert agree(one, other, "int32") is (one == other)
