"""What all pages have alike is said once."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo_site.build import HERE
from pyruntime.cli.demo import PAGE
from pyruntime.cli.pages import PARTS, filled, parts_of


def test_parts_stand_where_pages_name_them() -> None:
    page = filled("<!-- head -->\n<!-- own --><!-- none -->", "1 < 2 & 3", "../", {"own": "<p>own</p>"})
    assert "<title>1 &lt; 2 &amp; 3</title>" in page
    assert 'href="../shared/site.css"' in page
    assert page.endswith("<p>own</p><!-- none -->")


@pytest.mark.parametrize(
    "path",
    [PAGE / "index.html", *sorted(HERE.rglob("web/index.html")), HERE / "index.html"],
    ids=lambda path: path.parent.parent.name,
)
def test_no_page_repeats_a_part(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "<!-- head -->" in text
    for name, part in parts_of(PARTS).items():
        for line in part.splitlines():
            assert line.strip() not in text, f"{name} is repeated"
