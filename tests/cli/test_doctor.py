"""`pyruntime doctor`: each probe where the thing is there, missing and broken, and the verdict."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pyruntime.cli import device_probes, probes
from pyruntime.cli.findings import Diagnosis, Finding, Group
from pyruntime.errors import CompilerError
from tests.cli.conftest import Invoke

OK, MISSING = Finding("a", "ok", "1.0"), Finding("b", "missing", cost="slow", remedy="pip install b")
BROKEN = Finding("c", "broken", detail="it crashed")


def diagnosis(*trials: Finding) -> Diagnosis:
    return Diagnosis([Group("Compilers", "one", [OK, MISSING])], Group("Trials", "one", trials))


@pytest.mark.parametrize(
    ("need", "findings", "shown"),
    [
        ("all", [OK, MISSING], ["ok", "missing"]),
        ("one", [OK, MISSING, BROKEN], ["ok", "limited", "broken"]),
        ("one", [MISSING, BROKEN], ["missing", "broken"]),
        ("none", [MISSING, BROKEN], ["limited", "broken"]),
    ],
)
def test_missing_is_red_only_where_it_is_needed(need: Any, findings: list[Finding], shown: list[str]) -> None:
    group = Group("g", need, findings)
    assert [group.shown_state(f) for f in findings] == shown


def test_a_healthy_machine(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "diagnose", lambda _: diagnosis(OK, MISSING))
    result = invoke("doctor")
    assert result.exit_code == 0
    for part in ("Compilers", "✔", "●", "slow", "→ pip install b", "run on a."):
        assert part in result.stdout
    told = json.loads(invoke("doctor", "--json").stdout)
    assert (told["healthy"], told["devices"]) == (True, ["a"])
    assert [f["shown"] for f in told["groups"][0]["findings"]] == ["ok", "limited"]


def test_a_machine_where_nothing_runs(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "diagnose", lambda _: diagnosis(MISSING, BROKEN))
    result = invoke("doctor")
    assert result.exit_code == 4
    assert "✘" in result.stdout
    assert "it crashed" in result.stdout
    assert invoke("doctor", "--json").exit_code == 4


def test_everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("packages", "compilers", "programs"):
        monkeypatch.setattr(probes, name, lambda name=name: Group(name, "all", [OK]))
    for name in ("devices", "trials"):
        monkeypatch.setattr(device_probes, name, lambda name=name: Group(name, "all", [OK]))
    told: list[str] = []
    found = probes.diagnose(told.append)
    assert [g.title for g in found.groups] == ["packages", "compilers", "devices", "programs"]
    assert (found.trials.title, len(told)) == ("trials", 5)


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {f.state for f in probes.packages().findings} == {"ok"}
    monkeypatch.setattr(probes, "installed", lambda name: name != "onnx")
    monkeypatch.setattr(probes, "OLDEST_PYTHON", (99, 0))
    states = {f.name: f.state for f in probes.packages().findings}
    assert (states["Python"], states["onnx"], states["numpy"]) == ("broken", "missing", "ok")


def test_versions() -> None:
    assert probes.version_of("numpy") == np.__version__
    assert probes.number("Mozilla Firefox 145.0.1esr\n") == "145.0.1"
    assert probes.number("v24\n") == "v24"


@pytest.mark.usefixtures("compiler")
def test_compilers_are_tried_and_the_cache_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYRUNTIME_CACHE", str(tmp_path))
    monkeypatch.delenv(probes.CHOICE, raising=False)
    found = {f.name: f for f in probes.compilers().findings}
    assert list(found) == ["emcc", "clang", "zig"]
    assert found["clang"].state == "ok"
    assert "builds Wasm (simd, relaxed, simd-threads, relaxed-threads)" in found["clang"].detail
    assert not list(tmp_path.glob("objects/*"))
    assert os.environ["PYRUNTIME_CACHE"] == str(tmp_path)


TOOLCHAIN = "pyruntime_wasm.toolchain"


class Toolchain(ModuleType):
    """A stand-in that knows one compiler, which may fail."""

    def __init__(self, usable: str, fails: bool = False) -> None:
        super().__init__(TOOLCHAIN)
        self.usable, self.fails = usable, fails

    def find_compiler(self, name: str) -> Any:
        if name != self.usable:
            raise CompilerError(f"No C compiler for Wasm was found. Tried:\n  {name}: too old\nInstall one.")
        return type("Compiler", (), {"version": f"{name} version 22.1"})

    def build(self, sources: dict[str, str], compiler: Any) -> dict[str, bytes]:
        if self.fails:
            raise CompilerError("it crashed")
        return {"simd": b""}


def test_compilers_that_are_missing_or_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(probes.CHOICE, raising=False)
    monkeypatch.delenv("PYRUNTIME_CACHE", raising=False)
    monkeypatch.setitem(sys.modules, TOOLCHAIN, Toolchain("zig"))
    emcc, _, zig = probes.compilers().findings
    assert (emcc.state, emcc.detail, emcc.cost) == ("missing", "too old", "not needed, since there is zig")
    assert (zig.state, zig.version) == ("ok", "22.1")
    monkeypatch.setitem(sys.modules, TOOLCHAIN, Toolchain("zig", fails=True))
    emcc, _, zig = probes.compilers().findings
    assert (zig.state, zig.detail, emcc.cost) == ("broken", "it crashed", probes.WEBGPU_ONLY)
    assert "PYRUNTIME_CACHE" not in os.environ


def test_a_chosen_compiler_that_cannot_be_used_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, TOOLCHAIN, Toolchain("zig"))
    monkeypatch.setenv(probes.CHOICE, "mycc")
    chosen = probes.compilers().findings[0]
    assert (chosen.name, chosen.state) == ("PYRUNTIME_CC=mycc", "broken")
    monkeypatch.setenv(probes.CHOICE, "zig")
    assert probes.compilers().findings[0].state == "ok"


def test_without_the_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, TOOLCHAIN, None)
    (finding,) = probes.compilers().findings
    assert (finding.state, finding.remedy) == ("broken", probes.CONVERTER)


@pytest.mark.parametrize(
    ("says", "state", "version"),
    [
        ("Chromium 156.0.1 Debian", "ok", "156.0.1"),
        ("Chromium 90.1", "limited", "90.1"),
        ("eh?", "broken", "eh?"),
    ],
)
def test_programs(monkeypatch: pytest.MonkeyPatch, says: str, state: str, version: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "google-chrome" else None)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, says, ""))
    chromium, firefox, _ = probes.programs().findings
    assert (chromium.state, chromium.version, firefox.state) == (state, version, "missing")


def test_a_program_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, ["firefox"])

    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(subprocess, "run", fails)
    assert {f.state for f in probes.programs().findings} == {"broken"}


@pytest.mark.wasm
def test_wasmtime() -> None:
    (finding, *_) = device_probes.devices().findings
    assert (finding.name, finding.state, finding.detail) == ("wasmtime", "ok", "SIMD, relaxed SIMD")


@pytest.mark.wasm
@pytest.mark.parametrize(("refused", "state"), [("relaxed", "limited"), ("", "broken")])
def test_wasmtime_without_simd(monkeypatch: pytest.MonkeyPatch, refused: str, state: str) -> None:
    import wasmtime

    def refuse(engine: object, text: str) -> None:
        if refused in text:
            raise wasmtime.WasmtimeError("not on this processor")

    monkeypatch.setattr(wasmtime, "wat2wasm", lambda text: text)
    monkeypatch.setattr(wasmtime.Module, "validate", refuse)
    monkeypatch.setattr(device_probes, "_adapters", list)
    assert device_probes.devices().findings[0].state == state


def test_without_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_probes, "installed", lambda _: False)
    findings = device_probes.devices().findings
    assert [f.state for f in findings] == ["missing", "missing"]
    assert [f.remedy for f in findings] == ["pip install pyruntime[wasm]", "pip install pyruntime[webgpu]"]


def adapter(name: str, kind: str, backend: str = "Vulkan") -> dict[str, Any]:
    features = ["shader-f16", "subgroup", "texture-atomic"]
    return {"name": name, "backend": backend, "type": kind, "features": features, "binding": 2**31}


@pytest.mark.parametrize(
    ("answer", "states"),
    [
        ({"error": "driver crashed"}, ["broken"]),
        ({"adapters": []}, ["missing"]),
        ({"adapters": [adapter("GPU", "DiscreteGPU"), adapter("pipe", "CPU")]}, ["ok", "limited"]),
        ({"adapters": [adapter("GPU", "DiscreteGPU"), adapter("GPU", "DiscreteGPU", "OpenGL")]}, ["ok"]),
    ],
)
def test_adapters(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], states: list[str]) -> None:
    monkeypatch.setattr(device_probes, "installed", lambda name: name == "wgpu")
    monkeypatch.setattr(device_probes, "version_of", lambda _: "0.32")
    monkeypatch.setattr(device_probes, "ask", lambda _: answer)
    findings = device_probes.devices().findings[1:]
    assert [f.state for f in findings] == states
    if answer.get("adapters") and len(findings) == 1:
        assert findings[0].detail == "Vulkan and OpenGL, shader-f16, subgroups, bindings up to 2.1 GB"


@pytest.mark.parametrize(
    ("name", "told"), [("llvmpipe (LLVM 15.0.6, 256 bits)", True), ("SwiftShader", False)]
)
def test_what_is_wrong_on_a_software_device(monkeypatch: pytest.MonkeyPatch, name: str, told: bool) -> None:
    monkeypatch.setattr(device_probes, "installed", lambda name: name == "wgpu")
    monkeypatch.setattr(device_probes, "version_of", lambda _: "0.32")
    monkeypatch.setattr(device_probes, "ask", lambda _: {"adapters": [adapter(name, "CPU")]})
    (_, found) = device_probes.devices().findings
    assert found.state == "limited"
    assert ("65,535 turns" in str(found)) == told


@pytest.mark.webgpu
def test_adapters_are_listed_by_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    listed = device_probes.ask("pyruntime.cli.adapters")["adapters"]
    assert listed
    assert set(listed[0]) == {"name", "backend", "type", "features", "binding"}


def answers(code: str) -> Callable[..., Any]:
    """subprocess.run, but for any words it runs this Python code."""
    run = subprocess.run
    return lambda _, **options: run([sys.executable, "-c", code], **options)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os; os.abort()", "code -6"),
        ("raise ImportError('no driver')", "ImportError: no driver"),
        ("import time; time.sleep(60)", "no answer in 1 s"),
    ],
)
def test_a_process_that_dies_is_an_answer(monkeypatch: pytest.MonkeyPatch, code: str, error: str) -> None:
    monkeypatch.setattr(device_probes, "SECONDS", 1 if "sleep" in code else 60)
    monkeypatch.setattr(subprocess, "run", answers(code))
    assert error in device_probes.ask("any.module")["error"]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"convert": 0.5, "run": 0.001}, "ok"),
        ({"error": "wgpu is not installed", "code": "device"}, "missing"),
        ({"error": "the result is wrong"}, "broken"),
    ],
)
def test_trials(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], state: str) -> None:
    monkeypatch.setattr(device_probes, "ask", lambda *_: answer)
    assert {f.name: f.state for f in device_probes.trials().findings} == dict.fromkeys(
        ("wasm", "webgpu"), state
    )


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("wasm", marks=pytest.mark.wasm),
        pytest.param("webgpu", marks=pytest.mark.webgpu),
    ],
)
def test_the_small_model_runs(device: str, request: pytest.FixtureRequest) -> None:
    if device == "wasm":
        request.getfixturevalue("compiler")
    answer = device_probes.ask("pyruntime.cli.trial", device)
    assert set(answer) == {"convert", "run"}, answer


def test_the_small_model_without_onnx(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from pyruntime.cli import trial

    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(sys, "argv", ["trial", "wasm"])
    trial.main()
    assert json.loads(capsys.readouterr().out)["code"] == "import"
