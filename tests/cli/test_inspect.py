"""`pyruntime inspect`: numbers that can be told by hand, reasons, older packs, and a page by itself."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pyruntime.cli.inspection import gather, page
from pyruntime.cli.inspection.layers import draw
from pyruntime.cli.inspection.modules import module_of
from pyruntime.errors import PackError
from pyruntime.pack.account import accounts, costs_of
from pyruntime.pack.reader import Pack
from tests.cli.conftest import Invoke
from tests.cli.test_picture import Elements
from tests.frontends.mixed_models import crossing_twice
from tests.frontends.onnx_models import random
from tests.packs.crowded import crowded
from tests.passes.net import Net
from tests.state import streams


def layers() -> Net:
    """x[5, 64] by a weight, softmax, which two products read, whose results are added up."""
    net = Net({"x": random(5, 64)}, {"x": ["rows", 64]})
    rows = net("Softmax", net("MatMul", "x", net.weight(64, 32)))
    net("Add", net("MatMul", rows, net.weight(32, 8)), net("MatMul", rows, net.weight(32, 8)))
    return net


def packed(invoke: Invoke, net: Net, *options: object) -> Path:
    """A pack of a model, in the present folder, whose output is that of the last node."""
    Path("net.onnx").write_bytes(net.proto(net.nodes[-1].output[0]).SerializeToString())
    result = invoke("convert", "net.onnx", "net.pack", "-q", "--force", *(options or ("-t", "webgpu")))
    assert result.exit_code == 0, result.output
    return Path("net.pack")


def told(invoke: Invoke, *arguments: object) -> dict[str, Any]:
    result = invoke("inspect", *arguments, "--json")
    assert result.exit_code == 0, result.output
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def on(made: Mapping[str, Any], target: str = "webgpu") -> dict[str, Any]:
    """What is told of the only entry on a target."""
    (entry,) = made["entries"]
    found: dict[str, Any] = entry["targets"][target]
    return found


def test_numbers_of_a_small_model(invoke: Invoke) -> None:
    """A softmax stands between a product and two that read it; the last adds up."""
    made = told(invoke, packed(invoke, layers()), "-s", "rows=5")
    totals, steps = on(made)["totals"], on(made)["steps"]
    assert made["entries"][0]["symbols"] == {"rows": 5}
    assert [s["template"] for s in steps] == ["matmul", "row", "matmul", "matmul"]
    assert (totals["dispatches"], totals["exact"], totals["few"]) == (4, True, 4)
    assert totals["operations"] == 2 * 5 * 64 * 32 + 2 * 2 * 5 * 32 * 8
    assert totals["least"] == 4 * (5 * 64 + 64 * 32 + 2 * 32 * 8 + 5 * 8)
    first, second, added = 5 * 64 + 64 * 32 + 5 * 32, 5 * 32 + 32 * 8 + 5 * 8, 5 * 8
    assert totals["fused"] == 4 * (first + 2 * second + added)
    assert totals["bytes"] == totals["fused"] + 4 * 2 * 5 * 32
    assert totals["bytes_over_fused"] == pytest.approx(totals["bytes"] / totals["fused"], abs=1e-4)
    assert [(s["boundary"], s["why"]) for s in steps] == [
        ("operand", "a reduction takes whole rows of it"),
        ("readers", "2 steps read it; to compute it again costs more than to store it"),
        ("kernels", "its reader already waits on another product, and a kernel computes one"),
        ("output", "it is an output of the model"),
    ]
    assert steps[1]["readers"] == [steps[2]["name"], steps[3]["name"]]
    # too little for more workgroups
    assert totals["tails"] == [s["name"] for s in steps if s["template"] == "matmul"]
    assert totals["small"] == []


@pytest.mark.parametrize(("k", "told_as"), [(256, "tails"), (32768, "small")])
def test_products_in_few_workgroups(invoke: Invoke, k: int, told_as: str) -> None:
    """Of eight columns there are few, however much there is to compute for each."""
    net = Net({"x": random(5, k)})
    net("MatMul", "x", net.weight(k, 8))
    totals = on(told(invoke, packed(invoke, net)))["totals"]
    assert {name: len(totals[name]) for name in ("tails", "small")} == {"tails": 0, "small": 0, told_as: 1}


def test_reasons(invoke: Invoke) -> None:
    """Two readers over unlike shapes, two products under one sum, and an output."""
    net = Net({"x": random(6, 48)})
    shared = net("Relu", net("MatMul", "x", net.weight(48, 48)))
    left = net("MatMul", shared, net.weight(48, 48))
    right = net("MatMul", net("Softmax", shared), net.weight(48, 48))
    net("Add", left, right)
    entry = on(told(invoke, packed(invoke, net)))
    found = [(s["boundary"], s["template"]) for s in entry["steps"]]
    assert found == [("readers", "matmul"), ("operand", "row"), ("kernels", "matmul"), ("output", "matmul")]
    assert entry["steps"][0]["why"].startswith("2 steps read it")


def test_memory_of_a_chain(invoke: Invoke) -> None:
    """Softmaxes over unlike axes: at each step what is read and what is written live, and no more."""
    net = Net({"x": random(64, 128)})
    value = "x"
    for axis in (0, 1, 0, 1):
        value = net("Softmax", value, axis=axis)
    held = on(told(invoke, packed(invoke, net)))["memory"]
    assert held["live"] == [2 * 64 * 128 * 4] * 4
    assert (held["peak"], sum(held["arenas"])) == (2 * 64 * 128 * 4,) * 2


def test_steps_that_read_the_arena_that_they_write(invoke: Invoke) -> None:
    pack = packed(invoke, crowded())
    held = on(told(invoke, pack))["memory"]
    assert sum(held["arenas"]) <= 1.15 * held["peak"]
    assert len(held["beside"]) == 1
    assert "1 step reads the arena that it writes" in " ".join(invoke("inspect", pack).stdout.split())


def test_sizes_that_there_are_not(invoke: Invoke) -> None:
    result = invoke("inspect", packed(invoke, layers()), "-s", "columns=4")
    assert result.exit_code == 2
    assert "the symbols are rows" in result.stderr


def test_a_model_is_converted_first(invoke: Invoke, compiler: None) -> None:
    Path("net.onnx").write_bytes(layers().proto(layers().nodes[-1].output[0]).SerializeToString())
    made = told(invoke, "net.onnx", "-s", "rows=3")
    assert (made["path"], made["targets"]) == ("net.onnx", ["webgpu", "wasm"])
    assert [f["name"] for f in made["files"]][:2] == ["pack.json", "shaders.base.wgsl"]
    assert all(m["functions"] > 3 and 0 < m["code"] < m["bytes"] for m in made["modules"])
    assert made["entries"][0]["targets"].keys() == {"webgpu", "wasm"}


def levelled() -> Net:
    """A dynamically quantised product of x[rows, 256], whose levels WebGPU does not store."""
    net = Net({"x": random(6, 256)}, {"x": ["rows", 256]})
    levels, scale, zero = net.many("DynamicQuantizeLinear", "x", outputs=3)
    weight = np.arange(-64, 64, dtype=np.int8).repeat(128).reshape(256, 64)
    product = net("MatMulInteger", levels, weight, zero)
    net("Softmax", net("Mul", net("Cast", product, to=onnx.TensorProto.FLOAT), scale))
    return net


def test_the_steps_of_each_device(invoke: Invoke, compiler: None) -> None:
    """Of a pack for both they are those of packs for one alone."""
    pack = packed(invoke, levelled(), "-t", "webgpu", "-t", "wasm").rename("both.pack")
    both = told(invoke, pack, "-s", "rows=6")
    for target in ("webgpu", "wasm"):
        alone = told(invoke, packed(invoke, levelled(), "-t", target), "-s", "rows=6")
        for what in ("totals", "steps", "memory"):
            assert on(both, target)[what] == on(alone, target)[what], (target, what)
    on_gpu, on_cpu = ([s["name"] for s in on(both, t)["steps"]] for t in ("webgpu", "wasm"))
    assert len(on_gpu) < len(on_cpu)
    with Pack(pack) as opened:  # what `bench` takes
        assert [c.step for c in costs_of(opened.manifest, 0, "webgpu")] == on_gpu
        assert [c.step for c in costs_of(opened.manifest, 0, "wasm")] == on_cpu
    assert on(both)["totals"]["bytes"] != on(both, "wasm")["totals"]["bytes"]
    assert (on(both)["totals"]["dispatches"], on(both, "wasm")["totals"]["dispatches"]) == (len(on_gpu), None)


def test_the_steps_of_one_device(invoke: Invoke, compiler: None) -> None:
    pack = packed(invoke, layers(), "-t", "webgpu", "-t", "wasm")
    assert told(invoke, "net.onnx", "-d", "webgpu")["targets"] == ["webgpu"]
    made = told(invoke, pack, "-d", "wasm")
    assert (made["targets"], [*made["entries"][0]["targets"]]) == (["webgpu", "wasm"], ["wasm"])
    assert (made["kernels"], len(made["modules"]) > 0) == ([], True)
    assert told(invoke, pack, "-d", "webgpu")["modules"] == []
    shown = invoke("inspect", pack).stdout
    assert shown.index("steps on webgpu") < shown.index("steps on wasm")
    assert "steps on wasm" not in invoke("inspect", pack, "-d", "webgpu").stdout
    refused = invoke("inspect", packed(invoke, layers()), "-d", "wasm")
    assert refused.exit_code == 2
    assert "net.pack is for webgpu alone" in " ".join(refused.stderr.replace("│", "").split())


def test_equal_programs_are_told_once(invoke: Invoke, compiler: None) -> None:
    with Pack(packed(invoke, layers(), "-t", "webgpu", "-t", "wasm")) as pack:
        manifest = pack.manifest
    assert manifest.report is not None
    assert manifest.report["webgpu"] == [None]
    assert accounts(manifest, "webgpu") == accounts(manifest, "wasm") != [None]


def test_packs_from_before_each_device_had_its_steps(invoke: Invoke, compiler: None) -> None:
    """What they tell is Wasm's; of WebGPU it is known what is dispatched, and not what that moves."""
    path = packed(invoke, levelled(), "-t", "webgpu", "-t", "wasm")
    manifest = json.loads((path / "pack.json").read_text())
    del manifest["report"]["webgpu"]
    (path / "pack.json").write_text(json.dumps(manifest))
    made = told(invoke, path, "-s", "rows=6")
    assert on(made, "wasm")["totals"]["bytes"] > 0
    totals = on(made)["totals"]
    assert (totals["operations"], totals["bytes"], totals["fused"], on(made)["memory"]) == (None,) * 4
    assert totals["dispatches"] == len(on(made)["steps"]) > 0
    assert invoke("inspect", path, "--html", "page.html").stdout.count("convert the model anew") == 1


def test_tables(invoke: Invoke) -> None:
    result = invoke("inspect", packed(invoke, layers()), "-s", "rows=5")
    assert result.exit_code == 0, result.output
    for part in (
        "pack format 0; this version reads format 0",
        "dispatches",
        "the fused lower bound of",
        "over 1 % of the operations in under 64 workgroups, since each of 64 would have fewer than 1,024",
        "a reduction takes whole rows of it",
        "row_0",
        "panels8",
        "shaders.base.wgsl",
    ):
        assert part in result.stdout, part
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_a_pack_that_tells_nothing_of_its_steps(invoke: Invoke, packs: Path) -> None:
    """Made by hand, or by another version: what is known is shown, and what is not is said."""
    made = told(invoke, packs / "affine")
    assert [s["name"] for s in made["entries"][0]["targets"]["wasm"]["steps"]] == ["affine", "relu"]
    result = invoke("inspect", packs / "affine", "--html", "page.html")
    assert result.exit_code == 0, result.output
    assert "convert the model anew" in result.stdout
    assert "convert the model anew" in Path("page.html").read_text()


def test_reports_that_contradict_themselves_count_as_none(invoke: Invoke) -> None:
    with Pack(packed(invoke, layers())) as pack:
        manifest = pack.manifest
    assert manifest.report is not None
    (row,) = manifest.report["programs"]
    assert accounts(manifest, "webgpu")[0] is not None
    damages: list[Mapping[str, Any]] = [
        {"flows": row["flows"][1:]},
        {"outputs": [99]},
        {"tensors": [["float33", 4]]},
        {"inputs": 7},
        {"least": ["*"]},
        {"boundaries": {}},
        {"flows": 3},
        {"costs": [["matmul", "matmul", "strange", 1]]},
        {"costs": 3},
    ]
    for damage in damages:
        damaged = replace(manifest, report={"programs": [{**row, **damage}]})
        assert accounts(damaged, "webgpu") == [None], damage
    assert accounts(replace(manifest, report={"programs": {}}), "webgpu") == [None]
    assert accounts(replace(manifest, report=None), "webgpu") == [None]


def test_states_and_loops(invoke: Invoke, tmp_path: Path) -> None:
    """A cache that grows: lengths are 0 unless asked for, and its tensors are drawn as states."""
    cache = streams.cache()
    options = [f"--state={i}={o}" for i, o in cache.state.items()]
    sizes = ["--capacity=past_sequence_length=8", "--symbol=batch=1"]
    result = invoke("convert", cache.save(tmp_path), "c.pack", *options, *sizes, "-t", "webgpu", "-q")
    assert result.exit_code == 0, result.output
    made = told(invoke, "c.pack", "-s", "past_sequence_length=3")
    assert made["requires"] == ["state"]
    assert made["entries"][0]["symbols"]["past_sequence_length"] == 3
    assert {t["name"] for t in made["entries"][0]["tensors"] if t["kind"] == "state"} == set(cache.state)
    assert told(invoke, "c.pack")["entries"][0]["symbols"]["past_sequence_length"] == 0


def test_loops_and_steps_on_the_cpu(invoke: Invoke, compiler: None) -> None:
    """A loop that data end counts each step once; float64 in its body is computed on the CPU."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Softmax", ["c"], ["next"], name="inner", axis=0),
            helper.make_node("Cast", ["next"], ["wide"], name="wide", to=onnx.TensorProto.DOUBLE),
            helper.make_node("ReduceMax", ["wide"], ["top"], name="top", keepdims=0),
            helper.make_node("Less", ["top", "limit"], ["on"], name="less"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("c", floats, [4, 40]),
        ],
        [
            helper.make_tensor_value_info("on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", floats, [4, 40]),
        ],
        [onnx.numpy_helper.from_array(np.array(0.5), "limit")],
    )
    net = Net({"x": random(4, 40)})
    net("Loop", np.array(7, np.int64), np.array(True), "x", body=body)
    entry = on(told(invoke, packed(invoke, net)))
    totals, steps = entry["totals"], {s["name"]: s for s in entry["steps"]}
    assert not totals["exact"]
    assert {s["boundary"] for s in entry["steps"] if "inner" in s["name"]} <= {"control", "readers"}
    assert all(s["calls"] is None for s in entry["steps"])
    left = {name for name, step in steps.items() if step["host"]}
    assert left
    assert all(steps[name]["dispatches"] == [] and "float64" in steps[name]["host"] for name in left)
    result = invoke("inspect", "net.pack", "--html", "page.html")
    assert "on the CPU" in result.stdout
    assert "data decide what runs" in result.stdout
    assert "on the CPU since" in Path("page.html").read_text()


@pytest.mark.shared
def test_sizes_that_the_model_takes(invoke: Invoke, shared_models: Path) -> None:
    """Silero's padding and strides leave windows of few samples without an output."""
    arguments = ("-t", "webgpu", "-q", "--state=state=stateN", "--symbol=batch=1")
    result = invoke("convert", shared_models / "silero_vad_half.onnx", "vad.pack", *arguments)
    assert result.exit_code == 0, result.output
    made = told(invoke, "vad.pack")
    (whole,), entry = made["entries"], on(made)
    assert (whole["refused"], whole["symbols"]["sequence"] > 1) == ([], True)
    assert all(s["calls"] == 1 and s["bytes"] > 0 for s in entry["steps"])
    assert entry["totals"]["bytes"] >= entry["totals"]["fused"] >= entry["totals"]["least"] > 0
    (large,) = told(invoke, "vad.pack", "-s", "sequence=704")["entries"]
    assert len([r for r in large["refused"] if "'/decoder/If'" in r]) == 1
    small = invoke("inspect", "vad.pack", "-s", "sequence=1")
    assert small.exit_code == 2, small.output
    told_so = " ".join(small.output.replace("│", "").split())
    assert "does not take sequence = 1" in told_so
    assert "a window of 256 does not fit" in told_so


def test_the_page_is_whole_and_loads_nothing(invoke: Invoke) -> None:
    net = layers()
    net.nodes[0].name = '</script><b onclick="x">'
    result = invoke("inspect", packed(invoke, net), "-s", "rows=5", "--html", "page.html")
    assert result.exit_code == 0, result.output
    text = Path("page.html").read_text()
    elements = Elements(text)
    assert not elements.open
    assert not [
        t for t, a in elements.seen if "src" in a or (t == "a" and not str(a["href"]).startswith("#"))
    ]
    assert re.findall(r"url\(|@import|https?://", text) == []
    assert "<b onclick" not in text
    nodes = [a for t, a in elements.seen if t == "g" and str(a.get("class")).startswith("node")]
    assert len(nodes) == len(re.findall('data-name="', text)) >= 5
    assert text.count("</script>") == 2
    assert "@workgroup_size" in text


@pytest.mark.browser
def test_the_page_in_a_browser(invoke: Invoke, chromium: str) -> None:
    """Search, zoom, keyboard and sorting work from a file, without a request and without an error."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import FLAGS

    invoke("inspect", packed(invoke, layers()), "-s", "rows=5", "--html", "page.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        shown = browser.new_page(viewport={"width": 390, "height": 844})
        asked: list[str] = []
        errors: list[str] = []
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.goto(Path("page.html").resolve().as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        search = shown.locator("input[type=search]")
        search.fill("MATMUL")
        assert shown.locator(".found-count").inner_text() == "3 found"
        search.press("Enter")
        assert shown.locator(".found-count").inner_text() == "1 of 3"
        details = shown.locator(".details")
        assert "a reduction takes whole rows of it" in details.inner_text()
        details.locator("button", has_text="row").click()
        assert "2 steps read it" in details.inner_text()
        search.fill("w0 ")  # a weight: what the step says of it
        assert shown.locator(".found-count").inner_text() == "1 found"
        assert shown.locator(".graph.searching").count() == 1
        search.fill("nothing like it")
        assert shown.locator(".found-count").inner_text() == "0 found"
        assert shown.locator(".graph.searching").count() == 0  # all steps are as they were
        box = shown.locator(".graph svg").get_attribute("viewBox")
        shown.locator(".graph").focus()
        shown.keyboard.press("+")
        assert shown.locator(".graph svg").get_attribute("viewBox") != box
        shown.locator(".node").first.focus()
        shown.keyboard.press("Enter")
        assert "input x" in details.inner_text()
        column = shown.locator("#steps-0 th", has_text="moved")
        column.locator("button").click()
        assert column.get_attribute("aria-sort") == "descending"
        cells = shown.locator("#steps-0 tbody tr td:nth-child(7)")
        moved = [int(str(c.get_attribute("data-value"))) for c in cells.all()]
        assert moved == sorted(moved, reverse=True)
        browser.close()
    assert asked == [Path("page.html").resolve().as_uri()]
    assert errors == []


@pytest.mark.parametrize("seed", range(4))
def test_drawings_are_in_order_and_apart(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    sizes = {f"n{i}": (float(drawn.integers(40, 200)), 30.0) for i in range(80)}
    edges = [(f"n{drawn.integers(i)}", f"n{i}") for i in range(1, 80) for _ in range(2)]
    drawing = draw(sizes, edges)
    assert drawing == draw(sizes, edges)
    for source, target in edges:
        above, below = drawing.boxes[source], drawing.boxes[target]
        assert above.y + above.height / 2 < below.y - below.height / 2
        ends = drawing.edges[source, target]
        assert (ends[0][0], ends[-1][0]) == (above.x, below.x)
    for one, other in itertools.combinations(drawing.boxes.values(), 2):
        assert one.y != other.y or abs(one.x - other.x) >= (one.width + other.width) / 2 + 24 - 1e-6
    assert all(
        b.x - b.width / 2 >= 0 and b.x + b.width / 2 <= drawing.width + 1e-6 for b in drawing.boxes.values()
    )


def test_a_chain_is_drawn_straight() -> None:
    names = [f"n{i}" for i in range(300)]
    skips = [(names[i], names[i + 3]) for i in range(0, 290, 5)]
    drawing = draw(dict.fromkeys(names, (100.0, 30.0)), [*itertools.pairwise(names), *skips])
    assert drawing.width < 250
    assert draw({}, []).boxes == {}


def test_what_is_no_module() -> None:
    empty = b"\0asm\1\0\0\0"
    assert module_of("m.wasm", (), empty).functions == 0
    code = empty + bytes([10, 7, 2, 2, 0, 11, 2, 0, 11])
    assert (module_of("m.wasm", (), code).functions, module_of("m.wasm", (), code).longest) == (2, 2)
    for broken in (b"", b"wasm", code[:-1], empty + b"\x0a\xff\xff\xff\xff\xff\x01"):
        with pytest.raises(PackError, match=r"m\.wasm"):
            module_of("m.wasm", (), broken)


def test_the_same_pack_gives_the_same_page(invoke: Invoke) -> None:
    with Pack(packed(invoke, layers())) as pack:
        texts = {page.page(gather.inspect(pack, {"rows": 2})) for _ in range(2)}
    assert len(texts) == 1


def test_steps_on_the_host(invoke: Invoke) -> None:
    """They are in order with the others, once each, and what they alone touch takes nothing of the GPU."""
    proto, _ = crossing_twice()
    Path("net.onnx").write_bytes(proto.SerializeToString())
    assert invoke("convert", "net.onnx", "net.pack", "-q", "-t", "webgpu").exit_code == 0
    made = told(invoke, "net.pack", "-s", "n=3")
    entry = on(made)
    steps = [(s["template"], s["calls"], len(s["dispatches"])) for s in entry["steps"]]
    assert all(calls == 1 for _, calls, _ in steps)
    assert sum(dispatches for *_, dispatches in steps) == entry["totals"]["dispatches"] > 0
    assert ("cumulate", 1, 0) in steps
    assert entry["totals"]["exact"]
    assert "host.wasm" in {f["name"] for f in made["files"]}
