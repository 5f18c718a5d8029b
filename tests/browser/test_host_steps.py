"""WebGPU packs with steps on the CPU in Chromium: as ONNX Runtime, on the page's thread and in a Worker."""

from __future__ import annotations

import base64
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyruntime
from tests.browser import golden
from tests.browser.server import Server
from tests.frontends.mixed_models import MODELS, Case
from tests.frontends.onnx_models import runtime
from tests.runtime.test_host_steps import accumulating, packed, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

DEVICES: tuple[dict[str, Any], ...] = ({"device": "webgpu"}, {"device": "webgpu", "worker": True})


@pytest.fixture(scope="module")
def mixed(server: Server) -> dict[str, Case]:
    """All models, whose packs are served below /other/mixed/."""
    made = {}
    for name, make in MODELS.items():
        folder = server.folders["/other/"] / "mixed" / name
        folder.mkdir(parents=True, exist_ok=True)
        made[name] = make()
        packed(folder, made[name])
    return made


@pytest.mark.parametrize("options", DEVICES)
@pytest.mark.parametrize("name", list(MODELS))
def test_models(page: Page, mixed: dict[str, Case], name: str, options: dict[str, Any]) -> None:
    proto, every = mixed[name]
    made = page.evaluate(
        "([url, options, feeds]) => harness.runAll(url, options, feeds)",
        [f"/other/mixed/{name}/pack/", options, [golden.encode(f) for f in (*every, *every)]],
    )
    assert made["report"]["hostSteps"] > 0
    assert made["report"]["device"] == "webgpu"
    for outputs, feeds in zip(made["outputs"], (*every, *every), strict=True):
        same({k: golden.decode(t) for k, t in outputs.items()}, runtime(proto, feeds))


def test_code_is_loaded_when_it_is_needed(
    open_page: Callable[[str], Page], server: Server, mixed: dict[str, Case]
) -> None:
    """By a page with a strict policy, too; a pack without host steps asks for nothing more."""
    page = open_page("/strict.html")
    fetched = []
    for url in ("/packs/affine/", "/other/mixed/crossing_twice/pack/"):
        server.requests.clear()
        page.evaluate("async (url) => (await harness.load(url, { device: 'webgpu' })).dispose()", url)
        fetched.append([r for r in server.requests if r.endswith(("/host.js", "/host.wasm"))])
    assert [len(f) for f in fetched] == [0, 2]


def test_states(page: Page, server: Server) -> None:
    """They go on, and what is saved goes on in Python, too; an aborted run leaves them whole."""
    proto, (first,) = case = accumulating()
    folder = server.folders["/other/"] / "accumulating"
    folder.mkdir(exist_ok=True)
    path, _ = packed(folder, case, state={"s": "next", "t": "after"})
    made = page.evaluate(
        """async (feeds) => {
            const session = await harness.load("/other/accumulating/pack/", { device: "webgpu" });
            const { x } = harness.decodeAll(feeds);
            const outputs = [];
            for (let i = 0; i < 3; i++) outputs.push(harness.encodeAll(await session.run({ x })));
            const abort = new AbortController();
            const aborted = session.run({ x }, { signal: abort.signal }).then(() => 1, () => 0);
            abort.abort();
            const counted = 3 + await aborted;
            const saved = await session.state.save();
            session.dispose();
            return { outputs, counted, saved: btoa(String.fromCharCode(...saved)) };
        }""",
        golden.encode({"x": first["x"]}),
    )
    states = {k: first[k] for k in ("s", "t")}
    for outputs in made["outputs"]:
        wanted = runtime(proto, {"x": first["x"], **states})
        same({k: golden.decode(t) for k, t in outputs.items()}, {"y": wanted["y"]})
        states = {"s": wanted["next"], "t": wanted["after"]}
    with pyruntime.load(path, device="webgpu") as session:
        session.state.load(base64.b64decode(made["saved"]))
        times = session.state.get("s")[0, 0] / first["x"][0, 0]
        assert round(float(times)) in (3, 4)
        np.testing.assert_allclose(session.state.get("s"), first["x"] * round(float(times)), rtol=1e-5)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(last=99), "there are no steps 0 to 99"),
        (lambda c: c["to"][0].__setitem__(5, "float64"), "float64 of arena is never transferred"),
        (lambda c: c["to"][0].__setitem__(4, ["q"]), "q"),
        (lambda c: c["to"][0].__setitem__(1, 99), "there is no arena 99"),
    ],
)
def test_damaged_commands(
    page: Page, server: Server, mixed: dict[str, Case], edit: Callable[[Any], None], message: str
) -> None:
    folder = server.folders["/other/"] / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(server.folders["/other/"] / "mixed" / "crossing_twice" / "pack", folder)
    manifest = json.loads((folder / "pack.json").read_text())
    commands = manifest["targets"]["webgpu"]["variants"][0]["entries"][0]["commands"]
    edit(next(c for c in commands if c["op"] == "host"))
    (folder / "pack.json").write_text(json.dumps(manifest))
    error = page.evaluate("() => harness.caught(() => harness.load('/other/damaged/', { device: 'webgpu' }))")
    assert error["code"] == "pack-invalid"
    assert message in error["message"]
