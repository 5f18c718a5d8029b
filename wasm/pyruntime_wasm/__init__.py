"""C SIMD templates, their wrappers, and the toolchain that makes Wasm of them."""
