"""64-bit integers past 32 bits on WebGPU in Chromium, against NumPy, on the page's thread and in a Worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from tests.browser import golden
from tests.browser.server import Server
from tests.frontends.onnx_models import model
from tests.frontends.pair_models import MODELS
from tests.runtime.test_host_steps import packed, same

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("name", "worker"), [*((name, False) for name in MODELS), ("moved", True)])
def test_models(page: Page, server: Server, name: str, worker: bool) -> None:
    proto, every = MODELS[name]()
    folder = server.folders["/other/"] / "pairs" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        packed(folder, (proto, []), host_steps=False)
    made = page.evaluate(
        "([url, options, feeds]) => harness.runAll(url, options, feeds)",
        [
            f"/other/pairs/{name}/pack/",
            {"device": "webgpu", "worker": worker},
            [golden.encode(f) for f, _ in every],
        ],
    )
    assert made["report"]["hostSteps"] == 0
    for outputs, (_, wanted) in zip(made["outputs"], every, strict=True):
        same({k: golden.decode(t) for k, t in outputs.items()}, wanted)


def test_words_and_states(page: Page, server: Server) -> None:
    """What only indexes is refused past 32 bits; a state is not."""
    folder = server.folders["/other/"] / "words"
    folder.mkdir(exist_ok=True)
    nodes = [helper.make_node("Gather", ["table", "i"], ["y"]), helper.make_node("Add", ["s", "x"], ["next"])]
    feeds = {"i": np.array([1]), "s": np.array([0]), "x": np.array([0])}
    proto = model(nodes, feeds, ["y", "next"], weights={"table": np.zeros((2, 3), np.float32)})
    packed(folder, (proto, []), host_steps=False, state={"s": "next"})
    made: dict[str, Any] = page.evaluate(
        """async () => {
            const session = await harness.load("/other/words/pack/", { device: "webgpu" });
            const one = (value) => ({ data: BigInt64Array.of(value), shape: [1] });
            const fed = (i, x) => ({ i: one(i), x: one(x) });
            for (let n = 0; n < 3; n++) await session.run(fed(1n, 2n ** 61n - 1n));
            const error = await harness.caught(() => session.run(fed(2n ** 40n, 0n)));
            const sum = (await session.state.get("s")).data[0];
            await session.state.set("s", one(-(2n ** 62n)));
            await session.run(fed(0n, -1n));
            const set = (await session.state.get("s")).data[0];
            session.dispose();
            return { error, sum: `${sum}`, set: `${set}` };
        }"""
    )
    assert made["error"]["code"] == "input"
    assert "fits 32 bits on WebGPU, got 1099511627776" in made["error"]["message"]
    assert (int(made["sum"]), int(made["set"])) == (3 * (2**61 - 1), -(2**62) - 1)
