"""A site that needs nothing from elsewhere: a hook of MkDocs that fails where a page would load from another server.

Pages are read offline, as files, and by people who do not want to be counted: no script, style, font or picture of
another host. Links that a reader follows are no such thing.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority

LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preconnect|preload|icon))[^>]*\bhref=[\"']?(?:https?:)?//[^\"'\s>]+",
    re.IGNORECASE,
)


def loaded(html: str) -> list[str]:
    """The tags of a page that load something from another host."""
    return LOADS.findall(html)


@event_priority(-200)  # the offline plugin, which writes the index, is at -100
def on_post_build(config: Any) -> None:
    """MkDocs: all pages, when they are written; and the index that a page opened as a file searches."""
    site = Path(config["site_dir"])
    found = {path.name: tags for path in site.rglob("*.html") if (tags := loaded(path.read_text("utf-8")))}
    if found:
        raise PluginError(f"pages load from elsewhere: {found}")
    if not (site / "search" / "search_index.js").is_file():
        raise PluginError("no search/search_index.js: a page that is opened as a file could not be searched")
