"""WebGPU in Chromium: of a step with several forms only those are compiled that a run's sizes need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import golden
from tests.browser.server import Server
from tests.frontends.form_models import expected, rows, two_forms
from tests.runtime.test_host_steps import packed, same

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_forms_are_compiled_when_sizes_need_them(page: Page, server: Server) -> None:
    folder = server.folders["/other/"] / "forms"
    folder.mkdir(exist_ok=True)
    packed(folder, (two_forms(), []))
    counts = (9, 30, 2, 9)
    compiled, made = page.evaluate(
        """async (every) => {
            const compiled = [[]];
            const original = GPUDevice.prototype.createComputePipelineAsync;
            GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
                compiled.at(-1).push(descriptor.label.replace(/_\\d+$/, ""));
                return original.call(this, descriptor);
            };
            const session = await harness.load("/other/forms/pack/", { device: "webgpu" });
            const made = [];
            for (const feeds of every) {
                compiled.push([]);
                made.push(harness.encodeAll(await session.run(harness.decodeAll(feeds))));
            }
            await session.dispose();
            GPUDevice.prototype.createComputePipelineAsync = original;
            return [compiled, made];
        }""",
        [golden.encode({"x": rows(count)}) for count in counts],
    )
    assert compiled[0]
    assert not {"direct", "matvec"} & set(compiled[0])
    assert compiled[1:] == [["direct"], [], ["matvec"], []]
    for count, outputs in zip(counts, made, strict=True):
        same({k: golden.decode(t) for k, t in outputs.items()}, expected(rows(count)))
