"""What the listener hears in samples: loudness by pitch, frame by frame, and how it learns to name them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo_site.recurrent import Adam, Array, Parameters, forward, gradients, initial, softmax
from demo_site.sounds.synthesis import CLASSES, QUIET, RATE, Labels, Take, record

WINDOW, HOP = 512, 256  # samples
BANDS = 48
LOWEST, HIGHEST = 60.0, 7600.0  # hertz
FLOOR = 1e-6  # added to the power of each band before the logarithm
MIDDLE, SPREAD = -7.0, 6.0  # of the logarithms, roughly
FEWEST = 3  # frames in a row that make a sound


class Settings(NamedTuple):
    """How much to hear, and how boldly to learn."""

    takes: int = 60  # of each class
    units: int = 48
    epochs: int = 15
    batch: int = 32
    rate: float = 1e-2
    warm: int = 20  # steps in which the rate rises
    loudness: float = 0.15  # how much louder or softer a take is each time, in units of the bands
    seed: int = 7


DEFAULTS = Settings()


def window() -> Array:
    """A periodic Hann window, [WINDOW]."""
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def filters() -> Array:
    """How much each bin of a spectrum counts in each band, [WINDOW // 2 + 1, BANDS]: mel triangles."""
    ends = 2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)
    edges = 700 * (10 ** (np.linspace(ends[0], ends[1], BANDS + 2) / 2595) - 1)
    pitch = np.arange(WINDOW // 2 + 1)[:, None] * RATE / WINDOW
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (pitch - low) / (middle - low), (high - pitch) / (high - middle)
    triangles: Array = np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
    return triangles


def bands(samples: NDArray[np.float32]) -> Array:
    """The spectrogram of samples from the beginning on, silence before: [len(samples) // HOP, BANDS]."""
    after = np.concatenate([np.zeros(WINDOW - HOP, np.float32), samples])
    frames = np.lib.stride_tricks.sliding_window_view(after, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * window(), axis=1)) ** 2
    seen: Array = ((np.log(power @ filters() + FLOOR) - MIDDLE) / SPREAD).astype(np.float32)
    return seen


class Heard(NamedTuple):
    """Takes as the network gets them."""

    bands: Array
    """[frames, takes, BANDS]"""

    labels: Labels
    """What each frame is, [frames, takes]."""


def takes(each: int, seed: int) -> Iterator[Take]:
    """As many of each class, in the order of CLASSES."""
    rng = np.random.default_rng(seed)
    return (record(rng, name) for name in CLASSES for _ in range(each))


def hear(recorded: Iterator[Take]) -> Heard:
    """Spectrograms and labels of takes, all of one length."""
    pairs = [(bands(take.samples), take.labels[HOP - 1 :: HOP]) for take in recorded]
    return Heard(np.stack([b for b, _ in pairs], axis=1), np.stack([labels for _, labels in pairs], axis=1))


def train(
    heard: Heard, settings: Settings = DEFAULTS, tell: Callable[[float], None] | None = None
) -> Parameters:
    """Adam, with a rate that rises shortly and sinks along a cosine; depends on the arguments alone.

    `tell` hears what share of the work is done.
    """
    rng = np.random.default_rng(settings.seed)
    parameters = initial(rng, BANDS, settings.units, len(CLASSES))
    optimizer = Adam(parameters)
    state = np.zeros((settings.batch, settings.units), np.float32)
    per_epoch = heard.labels.shape[1] // settings.batch
    steps = settings.epochs * per_epoch
    for step in range(steps):
        if step % per_epoch == 0:
            order = rng.permutation(heard.labels.shape[1])
        chosen = order[step % per_epoch * settings.batch :][: settings.batch]
        louder = rng.normal(0, settings.loudness, (1, settings.batch, 1)).astype(np.float32)
        _, slopes, _ = gradients(parameters, heard.bands[:, chosen] + louder, state, heard.labels[:, chosen])
        sinking = 0.5 * (1 + np.cos(np.pi * step / steps))
        optimizer.step(slopes, settings.rate * min(1, (step + 1) / settings.warm) * sinking)
        if tell is not None:
            tell((step + 1) / steps)
    return parameters


def shares(parameters: Parameters, spectrogram: Array) -> Array:
    """How likely each class is in each frame: [frames, takes, BANDS] to [frames, takes, classes]."""
    state = np.zeros((spectrogram.shape[1], len(parameters.inner)), np.float32)
    return softmax(forward(parameters, spectrogram, state).logits)


def sounds_in(likely: Array) -> list[str]:
    """The sounds that make FEWEST frames or more, in order, of [frames, classes]; as web/ear.js does it."""
    found: list[str] = []
    run, before = 0, -1
    for best in likely.argmax(axis=1):
        run = run + 1 if best == before else 1
        before = int(best)
        if run == FEWEST:
            found.append(CLASSES[before])
    return [name for name in found if name != QUIET]


def accuracy(parameters: Parameters, heard: Heard) -> tuple[float, float]:
    """The share of frames, and of takes, that are named right; a take by the sound of most of its frames."""
    best = shares(parameters, heard.bands).argmax(axis=2)
    of_takes = [_most(column) == _most(labels) for column, labels in zip(best.T, heard.labels.T, strict=True)]
    return float(np.mean(best == heard.labels)), float(np.mean(of_takes))


def _most(frames: Labels) -> int:
    counts = np.bincount(frames, minlength=len(CLASSES))
    counts[0] = 0
    return int(counts.argmax()) if counts.max() >= FEWEST else 0
