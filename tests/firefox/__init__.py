"""Packs in Firefox, whose WebGPU compiles shaders by naga; skipped where there is no Firefox."""
