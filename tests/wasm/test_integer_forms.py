"""Products of short integers where the engine's relaxed dot product is another than this machine's own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import wasm_harness
from tests.wasm.test_kernels import cases

pytestmark = pytest.mark.wasm

EVERY = 5  # of the cases, every so many


def test_signed_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deterministic relaxed operations read both operands of a dot product as signed, as Arm does."""
    import wasmtime

    config = wasmtime.Config()
    config.wasm_threads = True
    config.shared_memory = True
    config.wasm_relaxed_simd_deterministic = True
    engine = wasmtime.Engine(config)
    monkeypatch.setattr(wasm_harness, "_engine", lambda: engine)
    chosen = cases("integer")[::EVERY]
    suite = wasm_harness.build(chosen, ["relaxed"])
    for case in chosen:
        actual, expected = suite.run(case, "relaxed")
        np.testing.assert_array_equal(actual, expected, err_msg=case.name)
