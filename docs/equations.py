"""Equations as mathematics: a hook of MkDocs that turns a page's ``math`` blocks, LaTeX as on GitHub, into MathML.

Browsers draw MathML themselves, in the page's colours: no script, no font and no picture goes with the site.
"""

import re
from typing import Any

from latex2mathml.converter import convert

BLOCK = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fill(text: str) -> str:
    """A page with its equations, each in a box that scrolls where the page is too narrow for it."""
    return BLOCK.sub(lambda match: f'<div class="equation">{convert(match[1], display="block")}</div>', text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs: a page with its equations."""
    return fill(markdown)
