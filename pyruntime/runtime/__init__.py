"""Running packs natively: sessions on WebGPU (wgpu-py) and Wasm (wasmtime)."""
