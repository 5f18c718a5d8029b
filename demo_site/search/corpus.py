"""The sentences that are searched: a text file with a heading for each theme."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("sentences.txt")


class Corpus(NamedTuple):
    """Sentences, and for each the number of its theme."""

    themes: list[str]
    sentences: list[str]
    theme_of: list[int]


def read_corpus(file: Path = FILE) -> Corpus:
    """The corpus in a file: `# Theme`, then a sentence a line; empty lines do not count.

    Raises:
        ValueError: a sentence stands before the first theme, or twice.
    """
    corpus = Corpus([], [], [])
    for line in filter(None, map(str.strip, file.read_text(encoding="utf-8").splitlines())):
        if line.startswith("# "):
            corpus.themes.append(line.removeprefix("# "))
            continue
        if not corpus.themes:
            raise ValueError(f"{file.name}: {line!r} has no theme")
        if line in corpus.sentences:
            raise ValueError(f"{file.name}: {line!r} stands there twice")
        corpus.sentences.append(line)
        corpus.theme_of.append(len(corpus.themes) - 1)
    return corpus
