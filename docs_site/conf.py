"""Sphinx's settings: Markdown by MyST, Furo's looks, the reference from docstrings; readers fetch nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyruntime_converter
from pygments.lexers.javascript import JavascriptLexer

import pyruntime

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pyruntime"
author = "pyruntime developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["files", ".doctrees"]
default_role = "code"  # docstrings write `names` as Markdown does

myst_heading_anchors = 5  # those of GitHub, down to methods
myst_enable_extensions = ["attrs_block"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 90
napoleon_use_ivar = True

html_theme = "furo"
html_title = "pyruntime"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
copybutton_exclude = ".linenos, .gp"


# `pyruntime.convert` hands its options on: the reference shows the converter's signature under that name
pyruntime.convert = pyruntime_converter.convert  # type: ignore[assignment]


def setup(app: Sphinx) -> None:
    """Called by Sphinx. Blocks marked `mjs` are JavaScript for Node, `jsonc` JSON with comments."""
    for language in ("mjs", "jsonc"):
        app.add_lexer(language, JavascriptLexer)
