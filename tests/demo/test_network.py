"""The digit network: gradients against finite differences, training that learns and repeats itself."""

import numpy as np
import pytest

from demo_site.digits.network import CLASSES, SIDE, Parameters, gradients, initial, patches, scatter
from demo_site.digits.training import Digits, Settings, accuracy, load_digits, train

BRIEF = Settings(epochs=2, drawings=4)


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def test_gradients() -> None:
    """Of a few weights of each kind, in float64: a kink of ReLU or pooling between the steps is unlikely."""
    rng = np.random.default_rng(1)
    parameters = Parameters(*(p.astype(np.float64) for p in initial(rng, filters=(3, 4))))  # type: ignore[arg-type]
    for bias in (parameters.bias1, parameters.bias2, parameters.bias3):
        bias += rng.normal(0, 0.1, bias.shape)
    images = rng.uniform(0, 1, (4, SIDE, SIDE))
    targets = rng.dirichlet(np.ones(CLASSES), 4)
    _, slopes = gradients(parameters, images, targets)  # type: ignore[arg-type]
    step = 1e-6
    for name, values, slope in zip(Parameters._fields, parameters, slopes, strict=True):
        assert slope.shape == values.shape
        for place in rng.permutation(values.size)[:6]:
            spot = np.unravel_index(place, values.shape)
            kept = values[spot]
            values[spot] = kept + step
            above, _ = gradients(parameters, images, targets)  # type: ignore[arg-type]
            values[spot] = kept - step
            below, _ = gradients(parameters, images, targets)  # type: ignore[arg-type]
            values[spot] = kept
            assert slope[spot] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-7), name


def test_scatter_is_the_transpose_of_patches() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 5, 4, 3)).astype(np.float32)
    y = rng.normal(size=(2 * 5 * 4, 9 * 3)).astype(np.float32)
    assert np.sum(patches(x) * y) == pytest.approx(np.sum(x * scatter(y, x.shape)), rel=1e-4)


def test_no_digit_is_both_learnt_and_tested(digits: Digits) -> None:
    assert len(digits.labels) + len(digits.test_labels) == 1797
    learnt = {image.tobytes() for image in digits.images}
    shared = sum(image.tobytes() in learnt for image in digits.test_images)
    assert shared <= 1  # the data set itself holds a few equal images


def test_training_learns(digits: Digits) -> None:
    shares: list[float] = []
    trained = train(digits, BRIEF, shares.append)
    assert accuracy(trained, digits.test_images, digits.test_labels) > 0.7
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_training_depends_on_its_arguments_alone(digits: Digits) -> None:
    few = Digits(digits.images[:64], digits.labels[:64], digits.test_images, digits.test_labels)
    first, second = (train(few, Settings(epochs=1, drawings=1)) for _ in range(2))
    other = train(few, Settings(epochs=1, drawings=1, seed=8))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first.conv1, other.conv1)
