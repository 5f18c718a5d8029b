"""A small convolutional network in NumPy: its forward pass, and the gradients that training needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SIDE = 8  # images are SIDE x SIDE, one channel, 0 (paper) to 1 (ink)
CLASSES = 10
OFFSETS = tuple(np.ndindex(3, 3))  # of a 3 x 3 kernel, by row and column
# the four pixels of every pooled 2 x 2 block
CORNERS = tuple(
    (slice(None), slice(row, None, 2), slice(column, None, 2)) for row, column in np.ndindex(2, 2)
)


class Parameters(NamedTuple):
    """The network's weights; a convolution's are [9 * channels, filters], channels innermost."""

    conv1: Array
    bias1: Array
    conv2: Array
    bias2: Array
    dense: Array
    bias3: Array


def initial(rng: np.random.Generator, filters: tuple[int, int] = (12, 24)) -> Parameters:
    """Random weights after He, zero biases."""
    first, second = filters

    def weights(rows: int, columns: int) -> Array:
        return rng.normal(0, np.sqrt(2 / rows), (rows, columns)).astype(np.float32)

    def bias(size: int) -> Array:
        return np.zeros(size, np.float32)

    area = len(OFFSETS)
    return Parameters(
        weights(area, first),
        bias(first),
        weights(first * area, second),
        bias(second),
        weights((SIDE // 2) ** 2 * second, CLASSES),
        bias(CLASSES),
    )


def patches(x: Array) -> Array:
    """The 3 x 3 surroundings of every pixel: [n, h, w, c] to [n * h * w, 9 * c]."""
    _, h, w, c = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.concatenate([padded[:, r : r + h, q : q + w] for r, q in OFFSETS], axis=3).reshape(-1, 9 * c)


def scatter(columns: Array, shape: tuple[int, ...]) -> Array:
    """The transpose of `patches`: adds every patch back to the pixels that it came from."""
    n, h, w, c = shape
    parts = columns.reshape(n, h, w, len(OFFSETS), c)
    padded = np.zeros((n, h + 2, w + 2, c), columns.dtype)
    for part, (r, q) in enumerate(OFFSETS):
        padded[:, r : r + h, q : q + w] += parts[:, :, :, part]
    return padded[:, 1:-1, 1:-1]


def softmax(logits: Array) -> Array:
    """Probabilities, along the last axis."""
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


class Trace(NamedTuple):
    """What a forward pass leaves for the backward pass."""

    columns1: Array
    hidden1: Array
    columns2: Array
    hidden2: Array
    pooled: Array
    flat: Array
    logits: Array


def forward(p: Parameters, images: Array) -> Trace:
    """Conv, ReLU, conv, ReLU, max pooling, dense; `images` is [n, 8, 8]."""
    n = len(images)
    columns1 = patches(images[..., None])
    hidden1 = np.maximum(columns1 @ p.conv1 + p.bias1, 0).reshape(n, SIDE, SIDE, -1)
    columns2 = patches(hidden1)
    hidden2 = np.maximum(columns2 @ p.conv2 + p.bias2, 0).reshape(n, SIDE, SIDE, -1)
    pooled = np.maximum.reduce([hidden2[place] for place in CORNERS])
    flat = pooled.transpose(0, 3, 1, 2).reshape(n, -1)  # channels outermost, as ONNX flattens
    return Trace(columns1, hidden1, columns2, hidden2, pooled, flat, flat @ p.dense + p.bias3)


def probabilities(p: Parameters, images: Array) -> Array:
    """[n, 8, 8] to [n, 10]."""
    return softmax(forward(p, images).logits)


def gradients(p: Parameters, images: Array, targets: Array) -> tuple[float, Parameters]:
    """The mean cross-entropy against `targets` ([n, 10], rows that add up to 1), and its gradients."""
    n, half = len(images), SIDE // 2
    t = forward(p, images)
    predicted = softmax(t.logits)
    loss = -float(np.mean(np.sum(targets * np.log(predicted + 1e-9), axis=1)))

    logits: Array = (predicted - targets) / np.float32(n)
    pooled = (logits @ p.dense.T).reshape(n, -1, half, half).transpose(0, 2, 3, 1)
    spread = np.zeros_like(t.hidden2)
    for place in CORNERS:
        here = t.hidden2[place]
        spread[place] = pooled * ((here == t.pooled) & (here > 0))  # ties are zeros, but for rounding
    hidden2 = spread.reshape(n * SIDE * SIDE, -1)
    hidden1 = scatter(hidden2 @ p.conv2.T, t.hidden1.shape) * (t.hidden1 > 0)
    hidden1 = hidden1.reshape(n * SIDE * SIDE, -1)
    return loss, Parameters(
        t.columns1.T @ hidden1,
        hidden1.sum(axis=0),
        t.columns2.T @ hidden2,
        hidden2.sum(axis=0),
        t.flat.T @ logits,
        logits.sum(axis=0),
    )
