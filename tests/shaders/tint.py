"""Compiles WGSL in headless Chromium: what Tint, Chrome's compiler, has to say about every shader."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from tests.chromium import FLAGS

ORIGIN = "http://127.0.0.1/"  # WebGPU needs a secure context

_COMPILE = """
async (shaders) => {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) throw new Error("no WebGPU adapter");
    const requiredFeatures = ["subgroups"].filter((name) => adapter.features.has(name));
    const device = await adapter.requestDevice({ requiredFeatures });
    const found = [];
    for (const [name, code, whole] of shaders) {
        device.pushErrorScope("validation");
        const module = device.createShaderModule({ code });
        const { messages } = await module.getCompilationInfo();
        for (const m of messages) found.push(`${name}:${m.lineNum}:${m.linePos}: ${m.type}: ${m.message}`);
        if (!messages.some((m) => m.type === "error")) {
            try {
                const compute = { module, entryPoint: "main" };
                if (whole) await device.createComputePipelineAsync({ layout: "auto", compute });
            } catch (error) {
                found.push(`${name}: pipeline: ${error.message}`);
            }
        }
        const error = await device.popErrorScope();
        if (error && !found.some((m) => m.startsWith(`${name}:`))) found.push(`${name}: ${error.message}`);
    }
    return found;
}
"""


def compile_in_chromium(
    shaders: Iterable[tuple[str, str]], pipelines: Callable[[str], bool] = lambda _: True
) -> list[str]:
    """Compile each shader under default limits.

    Args:
        shaders: pairs of a name and the WGSL of a module with entry point `main`.
        pipelines: of which names to make compute pipelines too, which takes SwiftShader a second each.

    Returns:
        The compiler's errors and warnings, each opening with the shader's name; none when all is well.

    Raises:
        RuntimeError: Chromium is not installed. Mark tests with `browser`.
    """
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        raise RuntimeError("chromium is not on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS])
        try:
            page = browser.new_page()
            page.route(f"{ORIGIN}**", lambda route: route.fulfill(content_type="text/html", body="<p>"))
            page.goto(ORIGIN)
            messages: list[str] = page.evaluate(_COMPILE, [[*s, pipelines(s[0])] for s in shaders])
        finally:
            browser.close()
    return messages
