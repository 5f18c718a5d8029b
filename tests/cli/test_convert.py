"""`pyruntime convert`: what it asks of the converter, and what it shows."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import pyruntime
from pyruntime.cli import conversion
from pyruntime.cli.progress import ConversionProgress
from pyruntime.errors import CompilerError, UnsupportedError
from pyruntime.pack.reader import Pack
from pyruntime.pack.report import KernelStep, Report
from tests.cli.conftest import Invoke
from tests.frontends.onnx_models import random
from tests.garden.folders import Model
from tests.passes.net import Net


def test_a_model_becomes_a_pack(invoke: Invoke, model: Path) -> None:
    result = invoke("convert", model, "--target", "webgpu")
    assert result.exit_code == 0, result.output
    assert Path("fc.pack/pack.json").is_file()
    for part in ("fc.pack", "opset 17 · ", "for webgpu", "rows × 4", "pack.json", "MatMul + Add + Relu"):
        assert part in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_report_as_json(invoke: Invoke, model: Path) -> None:
    result = invoke(
        "convert", model, "out.zip", "-t", "webgpu", "--name", "mine", "--weights", "f16", "--json"
    )
    told = json.loads(result.stdout)
    assert (told["name"], told["targets"], told["path"]) == ("mine", ["webgpu"], "out.zip")
    assert told["files"]
    assert Path("out.zip").is_file()


def test_a_folder_becomes_a_pack_with_its_tokenizer(invoke: Invoke) -> None:
    Model().write(Path("tiny.bert"))
    Path("words.txt").write_text("a small boat")
    result = invoke("convert", "tiny.bert", "--asset", "words.txt", "-t", "webgpu")
    assert result.exit_code == 0, result.output
    for part in ("tiny.bert.pack", "huggingface · ", "batch × sequence", "last_hidden_state", "tokenizer-"):
        assert part in result.stdout
    with Pack("tiny.bert.pack") as pack:
        assert [a.name for a in pack.manifest.assets] == [
            "tokenizer.json",
            "tokenizer_config.json",
            "words.txt",
        ]
        assert pack.read(pack.manifest.assets[-1]) == b"a small boat"


def test_quantising(invoke: Invoke) -> None:
    """The report counts what became integers, and what did not for each reason."""
    net = Net({"x": random(2, 48)})
    out = net("MatMul", net("Relu", net("MatMul", "x", net.weight(48, 64))), net.weight(64, 3))
    Path("layers.onnx").write_bytes(net.proto(out).SerializeToString())
    result = invoke("convert", "layers.onnx", "-t", "webgpu", "--quantize", "int8")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "in integers 1" in lines
    assert "not: too small: 64 terms, 3 outputs 1" in lines


def test_an_asset_that_is_not_there(invoke: Invoke, model: Path) -> None:
    result = invoke("convert", model, "--asset", "none.txt", "-t", "webgpu")
    assert (result.exit_code, "none.txt" in result.stderr) == (1, True), result.output


@pytest.mark.wasm
@pytest.mark.usefixtures("compiler")
def test_a_folder_is_run(invoke: Invoke) -> None:
    Model().write(Path("tiny"))
    result = invoke("run", "tiny", "-r", "-s", "batch=2", "-s", "sequence=5", "-d", "wasm")
    assert result.exit_code == 0, result.output
    assert "2 × 5 × 36" in result.stdout


def test_quiet_prints_nothing(invoke: Invoke, model: Path) -> None:
    result = invoke("convert", model, "--quiet", "-t", "webgpu")
    assert (result.exit_code, result.output) == (0, "")


def test_an_archive_is_shown_without_gzip(invoke: Invoke, model: Path) -> None:
    result = invoke("convert", model, "out.zip", "-t", "webgpu")
    assert result.exit_code == 0, result.output
    assert "out.zip" in result.stdout


def test_a_pack_is_replaced_only_by_force(invoke: Invoke, model: Path) -> None:
    Path("empty").mkdir()
    assert invoke("convert", model, "empty", "-q", "-t", "webgpu").exit_code == 0
    refused = invoke("convert", model, "empty", "-q", "-t", "webgpu")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert invoke("convert", model, "empty", "-q", "-t", "webgpu", "--force").exit_code == 0


def test_force_spares_what_is_no_pack(invoke: Invoke, model: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert invoke("convert", model, "mine", "--force", "-t", "webgpu").exit_code == 1
    assert Path("mine/thesis.txt").read_text() == "years of work"
    unforced = invoke("convert", model, "mine", "-t", "webgpu")
    assert unforced.exit_code == 2
    assert "is not a pack" in unforced.stderr
    assert "--force" not in unforced.stderr


@pytest.mark.parametrize("command", ["check", "convert", "diff"])
def test_a_pack_is_no_model(invoke: Invoke, packs: Path, command: str) -> None:
    result = invoke(command, packs / "affine")
    assert result.exit_code == 1
    assert "a pack, which is converted already" in " ".join(result.stderr.split())


def test_options_reach_the_converter(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def convert(source: Path, out: Path, **options: Any) -> None:
        asked.update(options, source=source, out=out)
        options["progress"]("read", 0, 1, "m.onnx")
        raise CompilerError("none here")

    monkeypatch.setattr(pyruntime, "convert", convert)
    arguments = ("-t", "wasm", "-t", "webgpu", "-t", "wasm", "--compiler", "zig", "--weights", "f16")
    kept = ("--state", "a=b", "--state", "c = d", "--capacity", "past=8", "--symbol", "batch=1")
    told = ("--elements", "x=[[2]]", "--elements", "o=null", "--value", "on=true")
    result = invoke("convert", "sub/m.onnx", *arguments, *kept, *told, "--quantize", "int8")
    assert (result.exit_code, "none here" in result.stderr) == (4, True)
    del asked["progress"]
    assert asked == {
        "source": Path("sub/m.onnx"),
        "out": Path("m.pack"),
        "targets": ("wasm", "webgpu"),
        "weights": "f16",
        "name": None,
        "compiler": "zig",
        "assets": {},
        "state": {"a": "b", "c": "d"},
        "capacity": {"past": 8},
        "symbols": {"batch": 1},
        "elements": {"x": [[2]], "o": None},
        "values": {"on": True},
        "host_steps": True,
        "quantize": "int8",
        "tunable": False,
    }


def test_nodes_that_cannot_be_converted_are_listed(invoke: Invoke, strange: Path) -> None:
    result = invoke("convert", strange)
    assert result.exit_code == 3, result.output
    for part in ("2 nodes", "first", "Frobnicate", "second", "Twiddle", "reason"):
        assert part in result.stderr
    told = json.loads(invoke("convert", strange, "--json").stdout)["error"]
    assert [n["node"] for n in told["nodes"]] == ["first", "second"]
    assert (told["code"], told["exit"]) == ("unsupported", 3)


def test_one_node_is_told_line_by_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(*_: object, **__: object) -> None:
        raise UnsupportedError("LSTM", "", "it is not supported", "Export it unrolled.")

    monkeypatch.setattr(pyruntime, "convert", convert)
    result = invoke("convert", "m.onnx")
    for part in ("(no name)", "LSTM", "it is not supported", "Export it unrolled."):
        assert part in result.stderr


@pytest.mark.parametrize("content", [None, b"", b"no model at all"])
def test_a_missing_or_damaged_model(invoke: Invoke, content: bytes | None) -> None:
    if content is not None:
        Path("m.onnx").write_bytes(content)
    result = invoke("convert", "m.onnx")
    assert (result.exit_code, "model-invalid" in result.stderr) == (1, True), result.output


def report(path: Path, kernels: int) -> Report:
    steps = [
        KernelStep(f"conv {i}", "conv", tuple(f"Conv n{j}" for j in range(i)), f"{i * 1000}*batch", "8")
        for i in range(kernels)
    ]
    files = {p.name: p.stat().st_size for p in path.iterdir()}
    notes = ("x is int64; it is kept as 32 bits on WebGPU.",)
    return Report(
        "m", str(path), "onnx", 0, 1.25, 9, steps, ("batch",), 1234, files, 3, ("webgpu", "wasm"), notes
    )


@pytest.mark.parametrize("kernels", [0, 1, 20])
def test_reports_of_any_size(packs: Path, kernels: int) -> None:
    console = Console(file=(text := io.StringIO()), width=100)
    conversion.show(report(packs / "affine", kernels), console)
    shown = text.getvalue()
    assert "entry stretch" in shown
    assert "kept as 32 bits" in shown
    assert ("of 20 conv" in shown) == (kernels == 20)
    assert ("more" in shown) == (kernels == 20)
    assert f"{kernels} kernel call{'' if kernels == 1 else 's'}" in shown


def test_progress_on_a_terminal() -> None:
    console = Console(file=(text := io.StringIO()), width=100, force_terminal=True)
    with ConversionProgress(console) as progress:
        progress("read", 0, 1, "m.onnx")
        progress("compile", 3, 12, "conv_3")
        progress("compile", 12, 12, "done")
        progress("write", 1, 1, "m.pack")
    assert "compile" in text.getvalue()
    assert "12/12" in text.getvalue()


@pytest.mark.parametrize(("terminal", "quiet"), [(False, False), (True, True)])
def test_no_progress_elsewhere(terminal: bool, quiet: bool) -> None:
    console = Console(file=(text := io.StringIO()), width=100, force_terminal=terminal)
    with ConversionProgress(console, quiet=quiet) as progress:
        progress("read", 0, 1, "m.onnx")
    assert text.getvalue().strip() == ""
