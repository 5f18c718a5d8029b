"""Gathers the site's pages in one folder: Markdown of the repository, with links that fit the site.

The pages' sources are written for readers of the repository: links are paths of files there. On the site a
link to a page leads to that page, and one to any other file to a copy of it.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = Path(__file__).parent / "pages"
# of pages beyond docs/: where they are on the site
ELSEWHERE = {
    "README.md": "index.md",
    "js_bindings/README.md": "javascript.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "ARCHITECTURE.md": "architecture.md",
    "benchmarks/README.md": "benchmarks.md",
    "tests/README.md": "tests.md",
}
WRITTEN = {"index.md"}  # the site has its own
FILES = "files"  # of the site: copies of what pages link to
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


class LinkError(Exception):
    """A page links to a file that is not there."""


def pages() -> dict[str, str]:
    """Where each page lies in the repository, and on the site."""
    guides = sorted((ROOT / "docs").rglob("*.md"))
    return {**{str(g.relative_to(ROOT)): str(g.relative_to(ROOT / "docs")) for g in guides}, **ELSEWHERE}


def gather(folder: Path) -> None:
    """Write the sources of all pages into an empty folder. Raises LinkError."""
    known = pages()
    for source, page in known.items():
        if page not in WRITTEN:
            path = folder / page
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(moved((ROOT / source).read_text(), source, known, folder))
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    shutil.copyfile(ROOT / "docs" / "pipeline.svg", folder / "pipeline.svg")


def moved(text: str, source: str, known: dict[str, str], folder: Path) -> str:
    """A page's text with links as on the site. Copies other files that are linked. Raises LinkError."""
    here = posixpath.dirname(known[source])

    def link(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path not in known:
            if not (ROOT / path).is_file():
                raise LinkError(f"{source} links to {target}, which is not there")
            copied = folder / FILES / path
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, copied)
        return before + os.path.relpath(known.get(path, f"{FILES}/{path}"), here or ".") + after

    made, end = [], 0
    for fence in _FENCE.finditer(text):
        made += [_LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*made, _LINK.sub(link, text[end:])])
