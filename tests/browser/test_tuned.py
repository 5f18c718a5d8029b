"""WebGPU in Chromium: shaders that a pack has for GPUs of this name run in place of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyruntime
from pyruntime.errors import PackError
from tests.browser import golden
from tests.browser.server import Server
from tests.frontends.form_models import expected, rows, two_forms
from tests.packs.tuned import tune_first
from tests.runtime.test_host_steps import same
from tests.runtime.test_tune import rewritten

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LOAD = """async ([url, every, options]) => {
    const compiled = [];
    const original = GPUDevice.prototype.createComputePipelineAsync;
    GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
        compiled.push(descriptor.label);
        return original.call(this, descriptor);
    };
    try {
        const session = await harness.load(url, { device: "webgpu", ...options });
        const { tuned, engine, bytesLoaded, bytesCached } = session.report;
        const made = [];
        for (const feeds of every) made.push(harness.encodeAll(await session.run(harness.decodeAll(feeds))));
        session.dispose();
        return { tuned, engine, bytesLoaded, bytesCached, made, compiled };
    } catch (error) {
        return { code: error.code, message: error.message };
    } finally {
        GPUDevice.prototype.createComputePipelineAsync = original;
    }
}"""
COUNTS = (9, 2)


@pytest.fixture(scope="module")
def tunable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack with something to try; not to be changed."""
    folder = tmp_path_factory.mktemp("tunable")
    (folder / "m.onnx").write_bytes(two_forms().SerializeToString())
    pyruntime.convert(folder / "m.onnx", folder / "pack", targets=("webgpu",), tunable=True)
    return folder / "pack"


@pytest.fixture
def pack(server: Server, tunable: Path) -> Path:
    folder = server.folders["/other/"] / "tuned"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tunable, folder)
    return folder


def tried(page: Page, every: bool = True, **options: Any) -> Any:
    """What loading the pack and running it comes to, or the error."""
    feeds = [golden.encode({"x": rows(count)}) for count in COUNTS] if every else []
    return page.evaluate(LOAD, ["/other/tuned/", feeds, options])


def loaded(page: Page, every: bool = True, **options: Any) -> Any:
    """What comes of it where nothing is wrong."""
    found = tried(page, every, **options)
    assert "message" not in found, found
    return found


def check(found: Any) -> None:
    for count, outputs in zip(COUNTS, found["made"], strict=True):
        same({k: golden.decode(t) for k, t in outputs.items()}, expected(rows(count)))


def test_what_is_best_on_this_gpu_runs(page: Page, server: Server, pack: Path) -> None:
    server.requests.clear()
    base = loaded(page)
    check(base)
    assert base["tuned"] is False
    assert not any(path.endswith("tuned.js") for path in server.requests)
    name = tune_first(pack, *base["engine"].split())
    (told,) = json.loads((pack / "pack.json").read_text())["targets"]["webgpu"]["tuned"]
    found = loaded(page)
    check(found)
    assert found["tuned"] is True
    assert name in found["compiled"]
    assert found["bytesLoaded"] == base["bytesLoaded"] + told["bytes"]
    assert not any("candidates" in path for path in server.requests)
    assert loaded(page, every=False, worker=True)["tuned"] is True


def test_what_is_best_is_kept_in_the_cache(page: Page, server: Server, pack: Path) -> None:
    tune_first(pack, *loaded(page, every=False)["engine"].split())
    first = loaded(page, every=False, cache="tuned")
    assert (first["tuned"], first["bytesCached"]) == (True, 0)
    server.requests.clear()
    again = loaded(page, every=False, cache="tuned")
    assert again["tuned"] is True
    assert again["bytesCached"] == again["bytesLoaded"] == first["bytesLoaded"]
    assert [path for path in server.requests if path.startswith("/other/")] == ["/other/tuned/pack.json"]


def test_what_is_best_elsewhere_does_not(page: Page, pack: Path) -> None:
    tune_first(pack, "nvidia", "ampere")
    assert loaded(page, every=False)["tuned"] is False


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["variants"][0][0][0].__setitem__(0, 99), "command 99 is no dispatch"),
        (lambda c: c["variants"][0][0][0].__setitem__(1, 99), "is past the last of"),
        (lambda c: c["variants"][0][0][0][2].append(1), "words: expected"),
        (lambda c: c["variants"].append([]), "not those of the pack"),
        (lambda c: c["variants"].__setitem__(0, []), "not those of the pack"),
        (lambda c: c["variants"][0][0][0][3].__setitem__(0, "unheard"), "unheard"),
        (lambda c: c["shaders"][0].pop("code"), r"shaders[0].code: expected a string"),
    ],
)
def test_a_file_that_contradicts_the_pack(
    page: Page, pack: Path, edit: Callable[[Any], object], message: str
) -> None:
    tune_first(pack, *loaded(page, every=False)["engine"].split())
    rewritten(pack, lambda target: target["tuned"][0], edit)
    found = tried(page)
    assert found["code"] == PackError.code
    assert message in found["message"]
    assert "tuned-" in found["message"]


def test_a_damaged_file(page: Page, pack: Path) -> None:
    tune_first(pack, *loaded(page, every=False)["engine"].split())
    (file,) = pack.glob("tuned-*.json")
    file.write_bytes(file.read_bytes().replace(b"fn main", b"fn nain"))
    assert tried(page)["code"] == pyruntime.HashError.code
    file.unlink()
    assert tried(page)["code"] == pyruntime.MissingFileError.code
