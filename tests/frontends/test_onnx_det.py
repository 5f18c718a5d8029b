"""Det: what NumPy gives, on NumPy and on devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyruntime.errors import InputError, ModelError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import imported, one_node, random, run, same


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (4, 4), (7, 7), (40, 40), (5, 3, 3), (2, 3, 5, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_det(shape: tuple[int, ...], dtype: str) -> None:
    x = random(*shape, low=-1, high=1).astype(dtype)
    got = run(one_node("Det", {"x": x}, opset=22), {"x": x})["out"]
    with np.errstate(over="ignore"):
        wanted = np.linalg.det(x.astype(np.float64)).astype(dtype)
    assert (got.dtype, got.shape) == (x.dtype, wanted.shape)
    np.testing.assert_allclose(got, wanted, rtol=2e-3 if dtype == "float16" else 1e-3, atol=1e-4)


def test_pivots() -> None:
    """Zeros where an elimination without pivots would divide, permutations, and singular matrices."""
    shuffled = np.stack([np.eye(5)[np.random.default_rng(i).permutation(5)] for i in range(20)])
    singular = np.stack([np.ones((5, 5)), np.zeros((5, 5)), np.diag([1, 2, 0, 4, 5])])
    x = np.concatenate([shuffled, singular]).astype(np.float32)
    got = run(one_node("Det", {"x": x}), {"x": x})["out"]
    np.testing.assert_array_equal(got, np.linalg.det(x).round())
    x[:, 2, 3] = np.nan
    assert np.isnan(run(one_node("Det", {"x": x}), {"x": x})["out"][0])


def test_det_of_nothing() -> None:
    for shape in ((0, 3, 3), (2, 0, 0)):
        x = np.zeros(shape, np.float32)
        np.testing.assert_array_equal(run(one_node("Det", {"x": x}), {"x": x})["out"], np.ones(shape[:1]))


@pytest.mark.parametrize("device", DEVICES)
def test_det_on_devices(device: Device, tmp_path: Path) -> None:
    """Of sizes that only a run tells."""
    x = random(5, 6, 6)
    proto = one_node("Det", {"x": x}, shapes={"x": ["batch", "n", "n"]})
    same(on_device(proto, {"x": x}, device, tmp_path), {"out": np.linalg.det(x)}, 1e-4)


def test_matrices_that_are_not_square() -> None:
    with pytest.raises(ModelError, match="2 x 3"):
        imported(one_node("Det", {"x": random(2, 3)}))
    proto = one_node("Det", {"x": random(3, 3)}, shapes={"x": ["n", "m"]})
    with pytest.raises(InputError, match="n rows and m columns"):
        run(proto, {"x": random(3, 2)})
