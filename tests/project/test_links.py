"""Links inside the project lead somewhere: files, and headings in them."""

import re
from pathlib import Path

import nbformat
import pytest
from pages import anchor

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", ".github/*.md", "notebooks/*.md", "notebooks/*.ipynb", "docs/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
GLOSSARY = ROOT / "notebooks" / "glossary.md"


def prose(path):
    """A page's Markdown, without its code."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    return re.sub(r"```.*?```|`[^`\n]*`", "`code`", text, flags=re.DOTALL)


def anchors(path):
    """What a page's headings are called in links."""
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_are_there(path):
    for link in LINK.findall(prose(path)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, place = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not place or place in anchors(target), link
