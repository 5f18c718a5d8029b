"""Compile trained models to packs of WGSL and Wasm, and run them."""
