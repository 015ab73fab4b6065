"""Pages of the built site, read without a browser; and the Sphinx that builds them."""

import os
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

SITE = Path(os.environ.get("RECSYS_TEACH_SITE", Path(sys.prefix) / "site")) / "bin" / "python"
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


def sphinx_python() -> str:
    """The Python that has Sphinx; without it the site can't be tested, and that is a failure."""
    if not SITE.exists():
        pytest.fail(f"there is no Sphinx in {SITE.parents[1]}: run `make site-env`", pytrace=False)
    return str(SITE)


class Page(HTMLParser):
    """What a page has: anchors, links, what it loads, cells of its tables, descriptions of its pictures, and text."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.text = path, ""
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.pictures: list[str | None] = []
        self.cells: list[str] = []
        self.tags: list[str] = []
        self._in_cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.ids.update(values[key] for key in ("id", "name") if values.get(key))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if values.get(LOADED.get(tag, "")) and values.get("rel") not in ("next", "prev", "search", "index"):
            self.loaded.append(values[LOADED[tag]])
        if tag == "img":
            self.pictures.append(values.get("alt"))
        if tag == "td":
            self.cells.append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._in_cell &= tag != "td"

    def handle_data(self, data):
        self.text += data
        if self._in_cell:
            self.cells[-1] += data.strip()
