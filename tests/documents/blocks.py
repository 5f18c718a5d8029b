"""Finds the fenced code blocks of Markdown files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from scripts.newcomer import NAME

ROOT = Path(__file__).parents[2]
FILES = (
    ROOT / "README.md",
    ROOT / "js_bindings" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "docs_site" / "pages" / "index.md",
)
_FENCE = re.compile(rf"(?:{NAME})?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block: where it is, its language, its text, and the file that the line before it says it is."""

    file: str
    line: int
    language: str
    text: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All blocks of these languages, in order."""
    found = []
    for path in FILES:
        text = path.read_text()
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Block(str(path.relative_to(ROOT)), line, match[2], match[3], match[1] or ""))
    return [b for b in found if b.language in languages]
