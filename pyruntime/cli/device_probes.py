"""What `pyruntime doctor` tries: the Wasm engine, WebGPU adapters, and a small model on each device."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyruntime.cli.findings import Finding, Group
from pyruntime.cli.look import bytes_text, seconds_text
from pyruntime.cli.probes import installed, version_of
from pyruntime.errors import CompilerError, DeviceError

SECONDS = 300  # for a process of its own, which may compile shaders in software
TRIED = ("wasm", "webgpu")

# what an engine must validate for a feature that packs use
WASM_FEATURES: Mapping[str, str] = {
    "SIMD": "(module (func (param v128) (result v128) (i8x16.popcnt (local.get 0))))",
    "relaxed SIMD": "(module (func (param v128 v128 v128) (result v128)"
    " (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2))))",
}
# WebGPU features that matter to packs: wgpu's name -> the standard's
GPU_FEATURES: Mapping[str, str] = {
    "shader-f16": "shader-f16",
    "subgroup": "subgroups",
    "timestamp-query": "timestamp-query",
}
NO_WASM, NO_WEBGPU = (f'device="{device}" does not work in Python' for device in TRIED)
DRIVER = "install a Vulkan, Metal or DirectX 12 driver; one in software: apt-get install mesa-vulkan-drivers"
# errors of the small model that mean that something is not there, rather than broken
ABSENT = (DeviceError.code, CompilerError.code, "import")


def devices() -> Group:
    """What packs can run on in this Python."""
    return Group("Run packs in Python (one is enough)", "one", [_wasmtime(), *_adapters()])


def _wasmtime() -> Finding:
    if not installed("wasmtime"):
        return Finding("wasmtime", "missing", cost=NO_WASM, remedy="pip install pyruntime[wasm]")
    import wasmtime

    engine = wasmtime.Engine()

    def validates(text: str) -> bool:
        try:
            wasmtime.Module.validate(engine, wasmtime.wat2wasm(text))
        except wasmtime.WasmtimeError:
            return False
        return True

    has = [feature for feature, text in WASM_FEATURES.items() if validates(text)]
    version, told = version_of("wasmtime"), ", ".join(has) or "no SIMD"
    if "SIMD" not in has:
        return Finding("wasmtime", "broken", version, told, NO_WASM, "pip install --upgrade wasmtime")
    if len(has) < len(WASM_FEATURES):
        return Finding("wasmtime", "limited", version, told, "slower", "pip install --upgrade wasmtime")
    return Finding("wasmtime", "ok", version, told)


def _adapters() -> list[Finding]:
    """One finding per WebGPU adapter, or one that says why there is none."""
    if not installed("wgpu"):
        return [Finding("WebGPU", "missing", cost=NO_WEBGPU, remedy="pip install pyruntime[webgpu]")]
    version = f"wgpu {version_of('wgpu')}"
    answer = ask("pyruntime.cli.adapters")
    if "error" in answer:
        return [Finding("WebGPU", "broken", version, answer["error"], NO_WEBGPU, DRIVER)]
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for adapter in answer["adapters"]:
        by_name.setdefault(adapter["name"], []).append(adapter)
    if not by_name:
        return [Finding("WebGPU", "missing", version, "wgpu finds no adapter", NO_WEBGPU, DRIVER)]
    return [_adapter(adapters, version) for adapters in by_name.values()]


def _adapter(adapters: Sequence[Mapping[str, Any]], version: str) -> Finding:
    """One finding for an adapter that is there through one or several backends, the best first."""
    best = adapters[0]
    backends = " and ".join(dict.fromkeys(a["backend"] for a in adapters))
    features = [name for feature, name in GPU_FEATURES.items() if feature in best["features"]]
    detail = ", ".join([backends, *features, f"bindings up to {bytes_text(best['binding'])}"])
    if best["type"] == "CPU":
        slow = "it computes in software: right, but slow"
        if "llvmpipe" in best["name"]:
            slow = "it computes in software: slow, and wrong where loops of a thread take over 65,535 turns"
        return Finding(best["name"], "limited", version, detail, slow, "use a GPU and its driver for speed")
    return Finding(best["name"], "ok", version, detail)


def ask(module: str, *arguments: str) -> dict[str, Any]:
    """What a module prints as JSON in a process of its own, so that a driver's crash ends only that.

    Where it prints none, {"error": why}.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *arguments],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {SECONDS} s"}
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:]
        return {"error": (last or [f"the process ended with code {done.returncode}"])[0]}
    return answer


def trials() -> Group:
    """Converts a small model and runs it on each device, and compares what comes out."""
    with ThreadPoolExecutor() as pool:
        return Group("A small model, converted and run (one is enough)", "one", list(pool.map(_trial, TRIED)))


def _trial(device: str) -> Finding:
    answer = ask("pyruntime.cli.trial", device)
    if "error" in answer:
        absent = answer.get("code") in ABSENT
        return Finding(device, "missing" if absent else "broken", detail=answer["error"])
    times = f"converted in {seconds_text(answer['convert'])}, ran in {seconds_text(answer['run'])}"
    return Finding(device, "ok", detail=f"right result; {times}")
