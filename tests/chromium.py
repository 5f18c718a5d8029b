"""How Chromium is started where a page is tested, measured or shown: headless, quiet, WebGPU in software."""

FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",  # the software adapter that Chromium carries itself
)
