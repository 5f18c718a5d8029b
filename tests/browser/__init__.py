"""The JavaScript runtime in Chromium: packs on WebGPU and Wasm, errors, leaks, policies."""
