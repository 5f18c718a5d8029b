"""The exported ONNX model computes what the NumPy network does."""

import numpy as np
import onnx.reference
import pytest

from demo_site.digits.export import to_onnx
from demo_site.digits.network import SIDE, Array, Parameters, initial, probabilities
from demo_site.packing import disagreement


@pytest.fixture
def parameters() -> Parameters:
    """Random weights, biases too: those of a new network are all zero."""
    rng = np.random.default_rng(3)
    made = initial(rng)
    return Parameters(*(p + rng.normal(0, 0.05, p.shape).astype(np.float32) for p in made))


@pytest.fixture
def images() -> Array:
    return np.random.default_rng(4).uniform(0, 1, (5, SIDE, SIDE)).astype(np.float32)


def test_onnx_reference(parameters: Parameters, images: Array) -> None:
    expected = probabilities(parameters, images)
    evaluator = onnx.reference.ReferenceEvaluator(to_onnx(parameters))
    (found,) = map(np.asarray, evaluator.run(None, {"image": images[:, None]}))
    np.testing.assert_allclose(found.astype(np.float32), expected, atol=1e-6)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 1e-3, "the images must tell weights apart"


def test_onnxruntime(parameters: Parameters, images: Array) -> None:
    pytest.importorskip("onnxruntime")
    model, feeds = to_onnx(parameters), {"image": images[:, None]}
    expected = probabilities(parameters, images)
    found = disagreement(model, feeds, {"probabilities": expected})
    assert found is not None
    assert found < 1e-6
    wrong = disagreement(model, feeds, {"probabilities": expected[::-1]})
    assert wrong is not None
    assert wrong > 1e-3
    assert disagreement(model, feeds, {"probabilities": expected[:1]}) == np.inf
