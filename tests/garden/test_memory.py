"""Converting a folder takes little memory: the weights are mapped, and packed shard by shard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.garden.folders import Model, Sizes

SCRIPT = """
import sys
from pathlib import Path

import pyruntime_converter.build  # what importing takes is not counted

def peak():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

before = peak()
pyruntime_converter.build.convert(*sys.argv[1:3], targets=("webgpu",), weights=sys.argv[3])
print(peak() - before)
"""
SIZES = Sizes(hidden=512, heads=8, inner=2048, layers=5)  # 16 million parameters


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc tells the peak of a process")
@pytest.mark.parametrize(("dtype", "kept"), [("F32", "f32"), ("BF16", "f32"), ("F16", "f16")])
def test_peak(tmp_path: Path, dtype: str, kept: str) -> None:
    """At most three times the weights, in a process of its own."""
    folder = Model(sizes=SIZES, pooler=False).write(tmp_path / "model", dtype=dtype)
    weights = (folder / "model.safetensors").stat().st_size
    arguments = [sys.executable, "-c", SCRIPT, str(folder), str(tmp_path / "pack"), kept]
    told = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    print(f"{dtype} kept as {kept}: peak {int(told) / weights:.2f} times {weights >> 20} MiB")
    assert int(told) <= 3 * weights
