"""Sounds made from nothing: what the listener learns from, and what the page's buttons play."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]
Labels = NDArray[np.int64]

RATE = 16000
SECONDS = 2.048  # a power of two of samples
QUIET = "quiet"
WHOLE = 2**15  # what stands for 1 in 16 bits


class Take(NamedTuple):
    """A sound in its surroundings: samples from -1 to 1, and what is to be heard in each."""

    samples: NDArray[np.float32]
    labels: Labels


def _glide(rng: np.random.Generator, up: bool) -> Sound:
    """A whistle whose pitch goes by a third to two octaves, with a little breath and trembling."""
    t = _time(rng.uniform(0.35, 0.9))
    low = rng.uniform(600, 1300)
    way = t / t[-1] if up else 1 - t / t[-1]
    pitch = low * 2 ** (rng.uniform(0.5, 1.6) * way ** rng.uniform(0.7, 1.4))
    pitch *= 1 + 0.004 * np.sin(2 * np.pi * rng.uniform(4, 7) * t)
    return (_tone(pitch) + 0.15 * _tone(2 * pitch) + 0.03 * _noise(rng, len(t))) * _fade(len(t), 0.05)


def _siren(rng: np.random.Generator) -> Sound:
    """A pitch that swings or jumps between two, over and over."""
    t = _time(rng.uniform(1.0, 1.4))
    swing = np.sin(2 * np.pi * rng.uniform(1.6, 4) * t + rng.uniform(0, 2 * np.pi))
    if rng.random() < 0.4:
        swing = np.sign(swing)
    pitch = rng.uniform(600, 1000) * 2 ** (rng.uniform(0.25, 0.45) * swing)
    return _harmonics(pitch, rng.uniform(0.4, 0.7), 6) * _fade(len(t), 0.04)


def _hum(rng: np.random.Generator) -> Sound:
    """A steady low tone with few harmonics, as of a closed mouth or a transformer."""
    t = _time(rng.uniform(0.8, 1.4))
    pitch = rng.uniform(80, 260) * (1 + 0.006 * np.sin(2 * np.pi * rng.uniform(3, 6) * t))
    return _harmonics(pitch, rng.uniform(0.25, 0.5), 8) * _fade(len(t), 0.08)


def _voice(rng: np.random.Generator) -> Sound:
    """Syllables: a buzz whose pitch moves, through resonances that go from vowel to vowel."""
    pitch = rng.uniform(95, 230)
    stature = rng.uniform(0.9, 1.2)  # of the speaker: shorter ones have higher resonances
    parts = [_syllable(rng, pitch * rng.uniform(0.85, 1.2), stature) for _ in range(int(rng.integers(3, 6)))]
    return np.concatenate(
        [each for part in parts for each in (part, np.zeros(int(rng.uniform(0, 0.06) * RATE)))]
    )


VOWELS = np.array(
    [[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240]]
)
"""Three resonances of a, e, i, o and u, in hertz, as textbooks of phonetics have them."""


def _syllable(rng: np.random.Generator, pitch: float, stature: float) -> Sound:
    t = _time(rng.uniform(0.14, 0.28))
    way = t / t[-1]
    phase = np.cumsum(pitch * (1 + rng.uniform(-0.15, 0.15) * way)) / RATE
    first, last = VOWELS[rng.integers(len(VOWELS), size=2)] * stature
    voiced = np.zeros(len(t))
    for harmonic in range(1, 20):
        at = harmonic * pitch
        middles = first + (last - first) * way[:, None]
        gain = np.sum(np.array([1, 0.5, 0.25]) / (1 + ((at - middles) / (60 + 0.05 * middles)) ** 2), axis=1)
        voiced += gain * np.sin(2 * np.pi * harmonic * phase)
    voiced *= _fade(len(t), 0.03)
    if rng.random() < 0.4:
        hiss = np.diff(_noise(rng, int(rng.uniform(0.04, 0.1) * RATE) + 1)) * 0.3
        return np.concatenate([hiss * _fade(len(hiss), 0.01), voiced])
    return voiced


def _clap(rng: np.random.Generator) -> Sound:
    """One to three bursts of noise that die away within some milliseconds."""
    sound = np.zeros(int(1.2 * RATE))
    for place in np.arange(rng.integers(1, 4)) * rng.uniform(0.22, 0.36):
        t = _time(0.12)
        burst = _band(rng, len(t), rng.uniform(500, 1200), rng.uniform(2500, 6000)) * np.exp(
            -t / rng.uniform(0.008, 0.02)
        )
        first = int(place * RATE)
        sound[first : first + len(t)] += burst
    return sound


def _rustle(rng: np.random.Generator) -> Sound:
    """Noise that goes on: wind, water, paper."""
    n = int(rng.uniform(0.8, 1.4) * RATE)
    return _band(rng, n, rng.uniform(50, 800), rng.uniform(2000, 7500)) * _fade(n, 0.08)


SOUNDS: dict[str, Callable[[np.random.Generator], Sound]] = {
    "voice": _voice,
    "whistle up": lambda rng: _glide(rng, up=True),
    "whistle down": lambda rng: _glide(rng, up=False),
    "clap": _clap,
    "hum": _hum,
    "siren": _siren,
    "noise": _rustle,
}
CLASSES = (QUIET, *SOUNDS)
HANG = 0.08  # seconds after a sound that still count as it: a listener needs a moment


def record(rng: np.random.Generator, name: str) -> Take:
    """A take of one class: loud or soft, somewhere in SECONDS of a quiet room, through some microphone."""
    n = int(SECONDS * RATE)
    room = _band(rng, n, 40, rng.uniform(800, 7000)) * 10 ** rng.uniform(-4, -2.5)
    labels = np.zeros(n, np.int64)
    samples = room
    if name != QUIET:
        sound = SOUNDS[name](rng)[: n - RATE // 4]
        first = int(rng.integers(RATE // 8, n - len(sound) - RATE // 10 + 1))
        samples = room.copy()
        samples[first : first + len(sound)] += sound / np.abs(sound).max() * 10 ** rng.uniform(-1.4, -0.1)
        for start, end in _active(sound):
            labels[first + start : first + end] = CLASSES.index(name)
    return Take(np.clip(samples, -1, 1).astype(np.float32), labels)


def to_integers(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples as sound files have them."""
    return np.round(samples * (WHOLE - 1)).astype(np.int16)


def to_floats(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """And back, as the page does it."""
    return np.divide(samples, WHOLE, dtype=np.float32)


def _active(sound: Sound) -> list[tuple[int, int]]:
    """Where a sound is to be heard: pauses longer than HANG are none of it."""
    hang = int(HANG * RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    cuts = np.flatnonzero(np.diff(loud) > 2 * hang)
    starts, ends = loud[np.concatenate([[0], cuts + 1])], loud[np.concatenate([cuts, [-1]])]
    return [(int(start), int(end) + hang) for start, end in zip(starts, ends, strict=True)]


def _time(seconds: float) -> Sound:
    return np.arange(int(seconds * RATE)) / RATE


def _tone(pitch: Sound) -> Sound:
    wave: Sound = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return wave


def _harmonics(pitch: Sound, fall: float, count: int) -> Sound:
    """A tone and its harmonics, each weaker by a factor."""
    tones: Sound = np.sum([fall**i * _tone((i + 1) * pitch) for i in range(count)], axis=0)
    return tones


def _noise(rng: np.random.Generator, n: int) -> Sound:
    return rng.normal(0, 1, n)


def _band(rng: np.random.Generator, n: int, low: float, high: float) -> Sound:
    """Noise between two pitches, with soft edges."""
    spectrum = np.fft.rfft(_noise(rng, n))
    pitch = np.fft.rfftfreq(n, 1 / RATE)
    gain = 1 / (1 + (low / np.maximum(pitch, 1)) ** 4) / (1 + (pitch / high) ** 4)
    noise: Sound = np.fft.irfft(spectrum * np.sqrt(gain), n)
    return noise


def _fade(n: int, seconds: float) -> Sound:
    """1, but for a slope at both ends."""
    edge = min(int(seconds * RATE), n // 2)
    fade = np.ones(n)
    fade[:edge] = np.sin(np.linspace(0, np.pi / 2, edge)) ** 2
    fade[n - edge :] = fade[:edge][::-1]
    return fade
