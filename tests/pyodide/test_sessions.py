"""Packs run from Python in Node and in a page, on each device, in a Worker and without."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pyruntime import SessionReport
from tests.browser import golden
from tests.browser.server import Server
from tests.converter.compare import assert_close
from tests.pyodide.hosts import Host, call

PLACES = [
    pytest.param("node_host", {"device": "wasm"}, id="node"),
    *(
        pytest.param("tab", {"device": d, "worker": worker}, id=f"{d}-{where}", marks=pytest.mark.browser)
        for d in ("wasm", "webgpu")
        for where, worker in (("worker", True), ("page", False))
    ),
]
Options = dict[str, Any]


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Host:
    """The host that a place names."""
    found: Host = request.getfixturevalue(request.param)
    return found


places = pytest.mark.parametrize(("place", "options"), PLACES, indirect=["place"])


def test_surroundings(host: Host) -> None:
    """No NumPy, and nothing that a page has no use for is imported."""
    version = importlib.metadata.version("pyruntime")
    told = call(host, "surroundings")
    assert told == {"version": version, "numpy": False, "platform": "emscripten", "needless": []}


def check(host: Host, url: str, options: Options, folder: Path, name: str) -> int:
    """Run all cases of a pack; how many outputs were compared."""
    count = 0
    for case in golden.cases(folder, name):
        feeds = [golden.encode(given) for given, _ in case.runs]
        made = call(host, "run", url=url, options={**options, "entry": case.entry}, feeds=feeds)
        assert made["device"] == options["device"]
        assert made["threads"] == options.get("threads", 1)
        for (_, expected), outputs in zip(case.runs, made["outputs"], strict=True):
            assert outputs.keys() == expected.keys()
            for key, array in expected.items():
                assert_close(golden.decode(outputs[key]), array, case.tolerance)
                count += 1
    return count


@places
def test_handmade(place: Host, options: Options, server: Server, packs: Path) -> None:
    """Every dtype, entry and size gives the recorded outputs, as Tensors over memoryviews of their own."""
    for name in ["affine", "dtypes", *(["double"] if options["device"] == "wasm" else [])]:
        assert check(place, f"{server.url}/packs/{name}/", options, packs, name)


@places
def test_golden(place: Host, options: Options, server: Server, sample: Path) -> None:
    """A sample of the cases that every runtime passes."""
    assert check(place, f"{server.url}/sample/sample/", options, sample, "sample") > 20


@places
def test_what_a_session_tells(place: Host, options: Options, server: Server) -> None:
    """The same names as native sessions."""
    told = call(place, "report", url=f"{server.url}/packs/affine/", options=options)
    report = told.pop("report")
    assert told == {
        "inputs": [["x", "float32", ["batch", 4]]],
        "outputs": [["y", "float32", ["batch", 3]]],
        "entries": ["main", "stretch", "trap"],
        "grown": True,
        "progress": True,
    }
    gpu = options["device"] == "webgpu"
    assert report.keys() == {field.name for field in dataclasses.fields(SessionReport)}
    assert report["engine"]
    assert report["memory_bytes"] > 20_000 * 16
    assert report["variant"] in ([], ["relaxed-simd"])
    assert report["threads_reason"]
    expected = {
        "device": options["device"],
        "reason": "asked for",
        "dispatches": 2 if gpu else 0,
        "host_steps": 0,
        "steps": ["affine", "relu"],
        "weights_bytes": 512 if gpu else 60,
        "threads": 1,
    }
    assert {key: report[key] for key in expected} == expected


@places
def test_loading_errors(place: Host, options: Options, server: Server, packs: Path) -> None:
    """Python's classes, with the codes and the texts of the JavaScript runtime."""
    folder = server.folders["/other/"]
    damaged = folder / "damaged"
    shutil.copytree(packs / "affine", damaged, dirs_exist_ok=True)
    (weights,) = damaged.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    newer = folder / "newer"
    newer.mkdir(exist_ok=True)
    manifest = json.loads((packs / "affine" / "pack.json").read_text())
    (newer / "pack.json").write_text(json.dumps({**manifest, "format": 7}))
    for path, more, name, code, words in (
        ("nothing", {}, "MissingFileError", "pack-missing-file", "404"),
        ("damaged", {}, "HashError", "pack-hash", "chunk 0"),
        ("newer", {}, "PackVersionError", "pack-version", "format 7"),
        ("damaged", {"device": "gpu"}, "DeviceError", "device", 'got "gpu"'),
        ("damaged", {"entry": "zzz"}, "InputError", "input", "main, stretch, trap"),
    ):
        url = f"{server.url}/other/{path}/"
        error = call(place, "load_error", url=url, options={**options, **more})
        assert error[:2] == [name, code]
        assert words in error[2]


@places
def test_errors_of_runs(place: Host, options: Options, server: Server) -> None:
    """The texts of native sessions, since the same Python checks what is fed."""
    url = f"{server.url}/packs/affine/"
    errors = call(place, "run_errors", url=url, options=options)
    assert errors.pop("closed") == ["DisposedError", "disposed", "the session is closed"]
    assert {error[0] for error in errors.values()} == {"InputError"}
    for key, words in {
        "missing": "input 'x' is missing; the inputs are 'x'",
        "unknown": "there is no input 'z'",
        "dtype": "input 'x': expected float32 of shape (batch, 4), got int32 of shape (4)",
        "shape": "axis 1 must be 4",
        "entry": "load the pack again with entry='stretch'",
        "no entry": "there is no entry 'zzz'; the pack has 'main', 'stretch', 'trap'",
    }.items():
        assert words in errors[key][2]
    if options["device"] == "wasm":
        name, code, text = call(place, "trap", url=url, options=options)
        assert (name, code) == ("RunError", "run")
        assert "step 0 (trap)" in text


@places
def test_assets(place: Host, options: Options, server: Server) -> None:
    """Files of the pack, plainly where Python can wait, else awaited."""
    waits = "worker" in options  # Chromium
    made = call(place, "assets", url=f"{server.url}/sample/sample/", options=options)
    missing = made.pop()
    assert made == ["words.txt", "words", waits, False]
    assert missing[:2] == ["InputError", "input"]


@places
def test_runs_queue_and_can_be_cancelled(place: Host, options: Options, server: Server) -> None:
    assert call(place, "queue", url=f"{server.url}/packs/affine/", options=options)
    assert call(place, "cancelled_load", url=f"{server.url}/packs/affine/", options=options)
