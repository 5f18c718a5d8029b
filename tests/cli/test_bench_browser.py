"""`pyruntime bench --browser`: the page in Chromium, and machines without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyruntime
from pyruntime.cli import browsers
from pyruntime.runtime.bench import browser
from tests.cli.conftest import Invoke
from tests.frontends.control_models import MODELS
from tests.state.streams import STREAMS

QUICK = ("--browser", "chromium", "-d", "wasm", "-t", 1, "-n", 5, "--json")


def told(invoke: Invoke, *arguments: object) -> dict[str, Any]:
    result = invoke("bench", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.browser
@pytest.mark.usefixtures("compiler")
def test_a_model(invoke: Invoke, model: Path) -> None:
    found = told(invoke, model, "-s", "rows=3", *QUICK)
    assert found["place"].startswith("Chromium ")
    assert (found["device"], found["rounds"], found["symbols"]) == ("wasm", 5, {"rows": 3})
    assert found["variant"] == ["relaxed-simd"]
    (step,) = found["steps"]
    assert (step["template"], step["operations"], step["calls"]) == ("matmul", 48, 1)
    assert step["seconds"] < found["seconds"] + 1e-5
    assert found["limits"]["multiply_adds_per_second"] > 1e8
    assert len(found["limits"]["copies"]) == 4


@pytest.mark.browser
@pytest.mark.usefixtures("compiler")
def test_jumps_lead_where_they_lead_natively(invoke: Invoke, tmp_path: Path) -> None:
    proto, every = MODELS["loop-while"]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=("wasm",))
    np.savez(tmp_path / "x.npz", **dict(every[0]))  # type: ignore[arg-type]  # names of inputs
    calls = [
        {
            s["step"]: s["calls"]
            for s in told(invoke, tmp_path / "m.pack", "-i", tmp_path / "x.npz", *how)["steps"]
        }
        for how in (QUICK, QUICK[2:])
    ]
    assert calls[0] == calls[1]
    assert max(calls[0].values()) > 1


@pytest.mark.browser
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", ["cell", "cache"])
def test_states(invoke: Invoke, tmp_path: Path, name: str) -> None:
    stream = next(s for s in (make() for make in STREAMS) if s.name == name)
    pyruntime.convert(stream.save(tmp_path), tmp_path / "p.pack", state=stream.state, **stream.options)
    sizes = ("-s", "past_sequence_length=7") if name == "cache" else ()
    found = told(invoke, tmp_path / "p.pack", *sizes, *QUICK)
    assert found["symbols"].get("past_sequence_length", 7) == 7
    if name == "cache":
        full = invoke("bench", tmp_path / "p.pack", "-s", "past_sequence_length=23", *QUICK)
        assert full.exit_code == 5
        assert "is full" in full.stdout


@pytest.mark.browser
def test_threads(invoke: Invoke, packs: Path) -> None:
    found = told(invoke, packs / "team", "-s", "n=3", *QUICK, "-t", 3)
    assert found["threads"] == 3
    assert "threads" in found["variant"]
    assert told(invoke, packs / "team", "-s", "n=3", *QUICK)["threads"] == 1


@pytest.mark.browser
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", ["if-data", "loop-while", "cell"])
def test_webgpu(invoke: Invoke, tmp_path: Path, name: str) -> None:
    if name in MODELS:
        proto, every = MODELS[name]
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        source, options, feeds = tmp_path / "m.onnx", {}, every[0]
    else:
        stream = next(s for s in (make() for make in STREAMS) if s.name == name)
        source, options = stream.save(tmp_path), {"state": stream.state, **stream.options}
        feeds = stream.steps(1)[0]
    pyruntime.convert(source, tmp_path / "m.pack", targets=("webgpu",), **options)
    np.savez(tmp_path / "x.npz", **dict(feeds))  # type: ignore[arg-type]  # names of inputs
    found = told(invoke, tmp_path / "m.pack", "-i", tmp_path / "x.npz", *QUICK, "-d", "webgpu")
    assert (found["device"], found["rounds"]) == ("webgpu", 5)
    assert found["limits"]["multiply_adds_per_second"] > 1e6
    assert found["steps"]
    assert all(s["seconds"] >= 0 and s["bytes"] is not None for s in found["steps"])
    assert (max(s["calls"] for s in found["steps"]) > 1) is (name == "loop-while")


@pytest.mark.browser
def test_what_fails_there_is_told_here(invoke: Invoke, packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "PROBES", {})  # the page then takes a variant of no features
    assert told(invoke, packs / "affine", *QUICK)["variant"] == []
    whole = browser._wasm_job

    def wrong(*arguments: Any) -> Any:
        job, content = whole(*arguments)
        return {**job, "steps": ["one"]}, content

    monkeypatch.setattr(browser, "_wasm_job", wrong)
    result = invoke("bench", packs / "affine", *QUICK)
    assert result.exit_code == 1
    message = json.loads(result.stdout)["error"]["message"]
    assert message.startswith("in Chromium ")
    assert message.endswith("it is another module")


@pytest.mark.parametrize("name", ["netscape", "firefox", "auto"])
def test_a_browser_that_is_not_there(
    invoke: Invoke, packs: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browsers, "_places", lambda _: iter(()))
    result = invoke("bench", packs / "affine", "-b", name)
    assert result.exit_code == 4, result.output
    assert "--browser" in result.stderr or "give auto" in result.stderr


def test_a_browser_that_does_not_answer(invoke: Invoke, packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "FIRST_LIMIT", 0.2)
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    result = invoke("bench", packs / "affine", "-b", "default")
    assert result.exit_code == 4
    assert "no browser has asked for the page" in " ".join(result.stderr.split())
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    assert "no default browser" in invoke("bench", packs / "affine", "-b", "default").stderr


def test_how_browsers_are_started(tmp_path: Path) -> None:
    command = browsers._command(Path("/usr/bin/firefox"), True, tmp_path, "http://x/")
    assert command[1:] == ["--headless", "--no-remote", "--profile", str(tmp_path), "http://x/"]
    assert 'user_pref("dom.webgpu.enabled", true);' in (tmp_path / "user.js").read_text()
    command = browsers._command(Path("/usr/bin/chromium"), False, tmp_path, "http://x/")
    assert f"--user-data-dir={tmp_path}" in command
    assert command[-1] == "http://x/"
