"""The digit network: gradients by differences, export against onnxruntime, drawings that scale alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from demo_site.digits.drawing import styles, to_image
from demo_site.digits.export import disagreement, to_onnx
from demo_site.digits.network import CLASSES, SIDE, Parameters, gradients, initial, probabilities


def _wide(parameters: Parameters) -> Parameters:
    """In double precision, so that differences are not rounding."""
    return Parameters(*(p.astype(np.float64) for p in parameters))  # type: ignore[arg-type]


def test_gradients() -> None:
    rng = np.random.default_rng(3)
    parameters = _wide(initial(rng, (2, 3)))
    images = rng.uniform(0, 1, (4, SIDE, SIDE))
    targets = np.eye(CLASSES)[[1, 7, 7, 0]]
    _, slopes = gradients(parameters, images, targets)  # type: ignore[arg-type]
    for parameter, slope in zip(parameters, slopes, strict=True):
        place = tuple(int(rng.integers(n)) for n in parameter.shape)
        losses = []
        for step in (1e-5, -1e-5):
            kept = parameter[place]
            parameter[place] += step
            losses.append(gradients(parameters, images, targets)[0])  # type: ignore[arg-type]
            parameter[place] = kept
        assert abs((losses[0] - losses[1]) / 2e-5 - slope[place]) < 1e-4 * max(1, abs(slope[place]))


def test_export_equals_onnxruntime(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    parameters = initial(rng)
    images = rng.uniform(0, 1, (3, SIDE, SIDE)).astype(np.float32)
    onnx.save(to_onnx(parameters), tmp_path / "digits.onnx")
    error = disagreement(tmp_path / "digits.onnx", images, probabilities(parameters, images))
    assert error is not None
    assert error < 1e-5


def test_images_do_not_hang_on_place_and_size() -> None:
    for _, strokes in styles():
        image = to_image(strokes)
        assert image.shape == (SIDE, SIDE)
        assert 0.2 < image.mean() < 0.6
        moved = [stroke * 3.7 + (11, -5) for stroke in strokes]
        np.testing.assert_allclose(to_image(moved), image, atol=1e-5)
