"""A grammar of tiny stories: what the story writer learns from, and no text of anyone else."""

from __future__ import annotations

import re

import numpy as np

RULES: dict[str, tuple[str, ...]] = {
    "story": (
        "{opening} {place} {wish} {trouble} {help} {end}",
        "{opening} {wish} {trouble} {help} {end}",
        "{opening} {place} {find} {help} {end}",
        "{opening} {find} {trouble} {help} {end}",
    ),
    "opening": (
        "Once upon a time there was a {trait} {animal} named {name}.",
        "There was once a {trait} {animal} whose name was {name}.",
        "{name} was a {trait} {animal}.",
        "A {trait} {animal} named {name} lived {where}.",
        "Long ago, {where}, lived {name}, a {trait} {animal}.",
    ),
    "place": (
        "She had a house {where}.",
        "Her home was {where}.",
        "Every {time} she sat {where} and {watched}.",
    ),
    "wish": (
        "More than anything she wanted a {thing}.",
        "One {time} she said: I want to find a {thing}.",
        "She had a dream about a {thing}.",
        "All her life she had looked for a {thing}.",
    ),
    "find": (
        "One {time} she found a {thing} {where}.",
        "One {time} a {thing} fell from the sky, and she took it home.",
        "Then, one {time}, a {thing} stood at her door.",
    ),
    "trouble": (
        "But it was far away, and {weather}.",
        "But she was too {weak} to carry it.",
        "Then {weather}, and she lost it.",
        "Then the wind took it, and she was {feeling}.",
        "She cried: where is it now?",
    ),
    "help": (
        "A {friend} came and said to her: I will help you.",
        "So she asked a {friend}, who {helped}.",
        "In the night a {friend} came and {helped}.",
        "Then she met a {friend}, and they went {whither}.",
        "Come with me, said a {friend}, and they went {whither}.",
    ),
    "end": (
        "There it was! She laughed and {laughed}.",
        "They shared it, and she was never {feeling} again.",
        "She gave it to her new friend, and both were happy.",
        "So she had it at last.",
        "That night she slept well, with it under her bed.",
    ),
    "name": ("Mila", "Nora", "Ida", "Rosa", "Lucy", "Olga", "Tilda", "Emma"),
    "trait": ("small", "brave", "little", "clever", "sleepy", "shy", "hungry", "kind", "curious", "very old"),
    "animal": ("fox", "mouse", "bear", "rabbit", "hedgehog", "cat", "duck", "frog", "badger", "squirrel"),
    "friend": ("wolf", "crow", "snail", "goat", "horse", "beetle", "whale", "dragon", "robin", "giant"),
    "thing": (
        "red balloon", "golden key", "music box", "warm coat", "blue lamp", "silver bell", "honey cake",
        "little boat", "bright star", "magic seed",
    ),
    "where": (
        "by the sea", "in a deep forest", "under an old oak", "on a green hill", "near the river",
        "behind the mill", "in a quiet village", "at the edge of the world",
    ),
    "whither": (
        "over the hills", "down to the sea", "into the forest", "up to the moon", "across the river",
        "through the snow",
    ),
    "time": ("morning", "evening", "night", "summer day", "winter day"),
    "watched": ("watched the clouds", "listened to the wind", "counted the birds", "sang to the moon"),
    "weather": ("it began to rain", "a storm came up", "the snow fell", "the night was dark"),
    "weak": ("small", "tired", "afraid", "slow"),
    "feeling": ("sad", "alone", "afraid", "lonely", "cold"),
    "helped": ("showed her the way", "carried her home", "lit a lantern for her", "sang her a song"),
    "laughed": ("danced until the morning", "cried for joy", "ran all the way home"),
}  # fmt: skip
"""What may stand for a name in braces. A story names its heroine and what she wants once each, and every
heroine is a she: so small a network writes good sentences, but does not remember a name, or who was a he."""

END = "\n"
"""Stands before the first story and after each."""


def tell(rng: np.random.Generator, rule: str = "story") -> str:
    """A story, without its end; or what else a rule makes."""
    texts = RULES[rule]
    chosen = texts[int(rng.integers(len(texts)))]
    return re.sub(r"\{(\w+)\}", lambda match: tell(rng, match[1]), chosen)


def stories(count: int, seed: int) -> list[str]:
    """Stories, none twice."""
    rng = np.random.default_rng(seed)
    told: dict[str, None] = {}
    while len(told) < count:
        told[tell(rng)] = None
    return list(told)


def vocabulary() -> str:
    """Every character that a story can have, END first, each once."""
    return END + "".join(sorted(set("".join(_fixed()))))


def words() -> frozenset[str]:
    """Every word of every story."""
    return frozenset(re.findall("[A-Za-z]+", " ".join(_fixed())))


def _fixed() -> list[str]:
    """What rules say themselves."""
    return [part for texts in RULES.values() for text in texts for part in re.split(r"\{\w+\}", text)]
