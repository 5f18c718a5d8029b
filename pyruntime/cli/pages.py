"""Parts that pages have alike, those of the demo site among them; a page has a part's name as a comment."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

PARTS = Path(__file__).parent / "parts"


def parts_of(folder: Path) -> dict[str, str]:
    """The parts in a folder, by name."""
    return {file.stem: file.read_text(encoding="utf-8").strip() for file in sorted(folder.glob("*.html"))}


def filled(page: str, title: str, root: str = "", more: Mapping[str, str] | None = None) -> str:
    """A page with its parts.

    Args:
        page: its text; `<!-- head -->` is where the part `head` stands.
        title: what its tab shows, as plain text.
        root: the way from its folder to the one that has `shared/`.
        more: further parts, by name.
    """
    parts = {**parts_of(PARTS), **(more or {})}
    parts["head"] = parts["head"].replace("TITLE", escape(title)).replace("ROOT", root)
    for name, text in parts.items():
        page = page.replace(f"<!-- {name} -->", text)
    return page
