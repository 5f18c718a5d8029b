"""The functions of `templates/*.wgsl`: a shader gets those that its text calls."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib.resources import files

_FUNCTION = re.compile(r"(?:^//[^\n]*\n)*^fn (\w+)\(.*?^}\n", re.MULTILINE | re.DOTALL)


@functools.cache
def functions() -> Mapping[str, str]:
    """All functions by name, each with its comment, in the files' order."""
    templates = files("pyruntime_shaders") / "templates"
    texts = [(templates / name).read_text() for name in ("functions.wgsl", "pairs.wgsl")]
    return {m[1]: m[0] for text in texts for m in _FUNCTION.finditer(text)}


def used_by(text: str) -> list[str]:
    """The definitions of the library's functions that `text` calls, directly or through others."""
    known = functions()
    found: set[str] = set()
    waiting = [text]
    while waiting:
        called = {name for name in re.findall(r"\b(\w+)\(", waiting.pop()) if name in known} - found
        found |= called
        waiting += [known[name] for name in called]
    return [definition for name, definition in known.items() if name in found]
