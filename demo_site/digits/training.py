"""Trains the digit classifier on scikit-learn's digits, warped a little so that it knows other hands too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo_site.digits.drawing import drawings
from demo_site.digits.network import CLASSES, SIDE, Array, Parameters, gradients, initial, probabilities

Labels = NDArray[np.int64]


class Digits(NamedTuple):
    """Images [n, 8, 8] from 0 to 1 with labels, to train on and to test on."""

    images: Array
    labels: Labels
    test_images: Array
    test_labels: Labels


class Settings(NamedTuple):
    """How long and how boldly to train."""

    epochs: int = 20
    drawings: int = 90  # of each digit, beside the data set's
    batch: int = 64
    rate: float = 4e-3
    smoothing: float = 0.05  # of the labels: bars that say 100 % to everything tell little
    seed: int = 7


DEFAULTS = Settings()


def load_digits(seed: int = 7, test_share: float = 0.2) -> Digits:
    """scikit-learn's 1,797 digits of 8 x 8, shuffled and split."""
    from sklearn.datasets import load_digits as load

    data = load()
    order = np.random.default_rng(seed).permutation(len(data.target))
    images = (data.images[order] / 16).astype(np.float32)
    labels = data.target[order].astype(np.int64)
    held_out = round(len(labels) * test_share)
    return Digits(images[held_out:], labels[held_out:], images[:held_out], labels[:held_out])


def warp(images: Array, rng: np.random.Generator) -> Array:
    """Each image shifted, turned, slanted, scaled, and with a thinner or thicker stroke, at random."""
    n = len(images)

    def spread(width: float) -> Array:
        return rng.uniform(-width, width, (n, 1, 1)).astype(np.float32)

    turn, slant = spread(0.22), spread(0.2)
    wide, high = np.exp(spread(0.18)), np.exp(spread(0.1))
    centre = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - np.float32(centre)
    # where each pixel of the result comes from
    from_x = (np.cos(turn) * x + (np.sin(turn) + slant) * y) / wide + centre + spread(0.6)
    from_y = (np.cos(turn) * y - np.sin(turn) * x) / high + centre + spread(0.4)
    ink: Array = sample(images, from_y, from_x) ** np.exp(spread(0.4))
    return ink


def sample(images: Array, y: Array, x: Array) -> Array:
    """The images' values at real coordinates [n, 8, 8], bilinear; paper outside."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    y, x = np.clip(y + 1, 0, SIDE + 0.99), np.clip(x + 1, 0, SIDE + 0.99)
    row, column = y.astype(np.intp), x.astype(np.intp)
    down, right = y - row, x - column
    image = np.arange(len(images))[:, None, None]

    def at(r: NDArray[np.intp], c: NDArray[np.intp]) -> Array:
        return padded[image, r, c]

    upper = at(row, column) * (1 - right) + at(row, column + 1) * right
    lower = at(row + 1, column) * (1 - right) + at(row + 1, column + 1) * right
    ink: Array = np.clip(upper * (1 - down) + lower * down, 0, 1).astype(np.float32)
    return ink


def train(
    digits: Digits, settings: Settings = DEFAULTS, tell: Callable[[float], None] | None = None
) -> Parameters:
    """Adam with a rate that sinks along a cosine; the result depends on the arguments alone.

    Beside the digits of the data set it learns drawings of its own, so that it knows hands which that lacks.
    `tell` hears what share of the work is done.
    """
    rng = np.random.default_rng(settings.seed)
    drawn, wanted = drawings(rng, settings.drawings)
    images, labels = np.concatenate([digits.images, drawn]), np.concatenate([digits.labels, wanted])
    parameters = initial(rng)
    mean = [np.zeros_like(p) for p in parameters]
    square = [np.zeros_like(p) for p in parameters]
    targets = np.eye(CLASSES, dtype=np.float32) * (1 - settings.smoothing) + settings.smoothing / CLASSES
    steps = settings.epochs * -(-len(labels) // settings.batch)
    for step, chosen in enumerate(batches(len(labels), settings, rng)):
        _, slopes = gradients(parameters, warp(images[chosen], rng), targets[labels[chosen]])
        rate = settings.rate * 0.5 * (1 + np.cos(np.pi * step / steps))
        for p, g, m, s in zip(parameters, slopes, mean, square, strict=True):
            m += 0.1 * (g - m)
            s += 0.01 * (g * g - s)
            unbiased = m / (1 - 0.9 ** (step + 1)), s / (1 - 0.99 ** (step + 1))
            p -= (rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)).astype(np.float32)
        if tell is not None:
            tell((step + 1) / steps)
    return parameters


def batches(count: int, settings: Settings, rng: np.random.Generator) -> Iterator[Labels]:
    """The numbers of all `count` images once an epoch, in an order of its own, a batch at a time."""
    for _ in range(settings.epochs):
        order = rng.permutation(count)
        for start in range(0, count, settings.batch):
            yield order[start : start + settings.batch]


def accuracy(parameters: Parameters, images: Array, labels: Labels) -> float:
    """The share of images whose likeliest digit is their label."""
    return float(np.mean(probabilities(parameters, images).argmax(axis=1) == labels))
