"""Trains the story writer: character after character, on stories that the grammar tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo_site.recurrent import Adam, Array, Parameters, forward, gradients, initial, softmax
from demo_site.story.grammar import END, stories, vocabulary, words

VOCABULARY = vocabulary()
SIZE = len(VOCABULARY)
LEAST_SHARE = 1e-9


class Settings(NamedTuple):
    """How much to read, and how boldly."""

    stories: int = 6000
    units: int = 128
    side_by_side: int = 32  # stretches of the text that are read at once
    stretch: int = 64  # characters through which gradients go back; the state goes on to the next stretch
    steps: int = 650
    rate: float = 1e-2
    warm: int = 20  # steps in which the rate rises
    seed: int = 7


DEFAULTS = Settings()


def numbers(text: str) -> NDArray[np.int64]:
    """The number of each character in VOCABULARY. Raises KeyError for a character that is not in it."""
    of = {character: number for number, character in enumerate(VOCABULARY)}
    return np.array([of[character] for character in text], np.int64)


def read_as_one(told: list[str]) -> NDArray[np.int64]:
    """All stories, one after the other, an END before and after each."""
    return numbers(END + "".join(story + END for story in told))


def one_hot(text: NDArray[np.int64]) -> Array:
    """[...] to [..., SIZE]."""
    hot: Array = np.eye(SIZE, dtype=np.float32)[text]
    return hot


def train(settings: Settings = DEFAULTS, tell: Callable[[float], None] | None = None) -> Parameters:
    """Adam, with a rate that rises shortly and sinks along a cosine; depends on the arguments alone.

    `tell` hears what share of the work is done.
    """
    text = read_as_one(stories(settings.stories, settings.seed))
    rows = (len(text) - 1) // settings.side_by_side
    shape = settings.side_by_side, rows
    given, wanted = (part[: shape[0] * rows].reshape(shape).T for part in (text[:-1], text[1:]))
    parameters = initial(np.random.default_rng(settings.seed), SIZE, settings.units, SIZE)
    optimizer = Adam(parameters)
    first, state = 0, np.zeros((settings.side_by_side, settings.units), np.float32)
    for step in range(settings.steps):
        if first + settings.stretch > rows:
            first, state = 0, np.zeros_like(state)
        here = slice(first, first + settings.stretch)
        _, slopes, state = gradients(parameters, one_hot(given[here]), state, wanted[here])
        sinking = 0.5 * (1 + np.cos(np.pi * step / settings.steps))
        optimizer.step(slopes, settings.rate * min(1, (step + 1) / settings.warm) * sinking)
        first += settings.stretch
        if tell is not None:
            tell((step + 1) / settings.steps)
    return parameters


def shares(parameters: Parameters, text: str, temperature: float) -> Array:
    """How likely each character is after each of a text's, [len(text), SIZE], from a state of zeros."""
    state = np.zeros((1, len(parameters.inner)), np.float32)
    logits = forward(parameters, one_hot(numbers(text))[:, None], state).logits[:, 0]
    return softmax(logits / np.float32(temperature))


def bits_per_character(parameters: Parameters, told: list[str]) -> float:
    """How many bits a character of these stories takes where the network tells what is likely."""
    text = read_as_one(told)
    state = np.zeros((1, len(parameters.inner)), np.float32)
    likely = softmax(forward(parameters, one_hot(text[:-1])[:, None], state).logits[:, 0])
    right = likely[np.arange(len(text) - 1), text[1:]]
    return float(-np.mean(np.log2(np.maximum(right, LEAST_SHARE))))


def write(parameters: Parameters, count: int, longest: int, temperature: float, seed: int) -> list[str]:
    """Stories by the network, from nothing; those that do not end are cut."""
    rng = np.random.default_rng(seed)
    state = np.zeros((count, len(parameters.inner)), np.float32)
    last = np.full(count, VOCABULARY.index(END))
    written = []
    for _ in range(longest):
        trace = forward(parameters, one_hot(last)[None], state)
        state = trace.states[-1]
        likely = np.cumsum(softmax(trace.logits[0] / np.float32(temperature)), axis=1)
        last = np.minimum((likely < rng.random((count, 1))).sum(axis=1), SIZE - 1)
        written.append(last)
    rows = np.stack(written, axis=1)
    return ["".join(VOCABULARY[number] for number in row).split(END)[0] for row in rows]


def known_words(told: list[str]) -> float:
    """The share of these stories' words that the grammar has, too."""
    found = re.findall("[A-Za-z]+", " ".join(told))
    known = words()
    return sum(word in known for word in found) / max(len(found), 1)
