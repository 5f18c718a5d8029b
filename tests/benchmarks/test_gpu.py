"""`python -m benchmarks.gpu` on whatever device there is: a name, and a row for each model."""

from __future__ import annotations

import pytest

from benchmarks import gpu
from pyruntime.runtime.bench.profile import Budget
from pyruntime.runtime.gpu_device import adapter


@pytest.mark.webgpu
def test_a_model_is_timed() -> None:
    told = gpu.profile(gpu.SMALL["minilm, tiny"](), Budget(rounds=1))
    name, steps, run, *others = gpu.row("minilm", told)
    assert name == "minilm"
    assert run
    assert len(others) == 4
    assert bool(steps) == (told.limits is not None)  # neither without timestamps


@pytest.mark.webgpu
def test_what_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu, "SMALL", {"matmul-64": gpu.SMALL["matmul-64"]})
    monkeypatch.setattr("sys.argv", ["gpu", "--small", "--rounds", "1"])
    gpu.main()
    printed = capsys.readouterr().out
    assert adapter().name.split()[0] in printed
    assert "matmul-64" in printed
