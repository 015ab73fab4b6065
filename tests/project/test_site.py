"""The course as a static site: every page is there, says what is stored, and needs no network."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pandas as pd
import pytest
import site_tool
from browser import launch, need, new_page
from hostile import TEXTS
from playwright.sync_api import expect, sync_playwright
from site_pages import Page, sphinx_python

from recsys_teach._util import escape_math

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COURSE = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
UNMET = """
from importlib.metadata import distributions, version
from packaging.requirements import Requirement
import site
for one in distributions(path=site.getsitepackages()[:1]):
    for line in one.requires or []:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            if not wanted.specifier.contains(version(wanted.name), prereleases=True):
                print(one.name, "wants", wanted, "and finds", version(wanted.name))
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    site_tool.build(folder, sphinx_python())
    return folder / "html"


@pytest.fixture(scope="module")
def pages(html):
    """All pages of the site by their place in it."""
    return {
        path.relative_to(html).as_posix(): Page(path) for path in html.rglob("*.html") if "_static" not in path.parts
    }


@pytest.fixture(scope="module")
def browser():
    """A browser that reaches no network."""
    need("page")
    with sync_playwright() as play:
        started = launch(play)
        yield started
        started.close()


@COURSE
def test_a_notebooks_page_has_its_stored_scoreboard(pages, path):
    cells = nbformat.read(path, as_version=4).cells
    board = [cell for cell in cells if "scoreboard" in cell.metadata.get("tags", [])][-1]
    table = next(output.data["text/html"] for output in board.outputs if "text/html" in output.get("data", {}))
    stored = re.findall(r"<td>(.*?)</td>", table)
    shown = pages[f"notebooks/{path.stem}.html"].cells
    assert len(stored) > 5
    assert any(shown[start : start + len(stored)] == stored for start in range(len(shown)))


def test_the_first_page_leads_everywhere(pages):
    links = set(pages["index.html"].links)
    assert {f"notebooks/{path.stem}.html" for path in NOTEBOOKS} <= links
    assert {"notebooks/glossary.html", "docs/teaching.html", "api/index.html", "README.html"} <= links


def test_links_of_all_pages_lead_to_files_and_anchors_that_are_there(pages, html):
    checked = 0
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            assert target.is_file(), f"{name}: {link}"
            if parts.fragment and target.suffix == ".html":
                there = pages[target.relative_to(html).as_posix()].ids
                assert unquote(parts.fragment) in there, f"{name}: {link}"
            checked += 1
    assert checked > 1000


def test_no_page_loads_anything_from_elsewhere(pages, html):
    loaded = {address for page in pages.values() for address in page.loaded}
    assert any(address.endswith(".css") or ".css?" in address for address in loaded)
    assert [address for address in loaded if urlsplit(address).netloc] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in html.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", styles) == []


def test_the_reference_has_a_page_for_every_module_and_only_what_is_ours(pages):
    package = ROOT / "recsys_teach"
    files = [path.relative_to(package) for path in package.rglob("*.py") if not path.stem.startswith("_")]
    modules = {".".join(path.with_suffix("").parts) for path in files}
    solutions = {name for name in modules if name.startswith("exercises.")} - {
        "exercises.final_challenge",
        "exercises.exercise",
    }
    shown = {name.removeprefix("api/").removesuffix(".html") for name in pages if name.startswith("api/")}
    assert len(solutions) == 12
    assert modules - solutions <= shown
    assert not shown & solutions, "the site gives the solutions away"
    for module in modules - solutions:
        page = pages[f"api/{module}.html"]
        named = {anchor for anchor in page.ids if "." in anchor and not anchor.startswith("module-")}
        assert all(anchor.startswith(f"recsys_teach.{module}.") for anchor in named), named
        assert "*args, **kwargs" not in page.text
        assert " at 0x" not in page.text
    multitask = pages["api/multitask.html"]
    assert "recsys_teach.multitask.MultitaskModel.scores" in multitask.ids
    assert "recsys_teach.multitask.MultitaskModel.fit" not in multitask.ids
    assert "unknown_user_dropout: float = 0.0" in multitask.text


def test_sphinx_gets_along_with_the_packages_of_the_course():
    run = subprocess.run([sphinx_python(), "-c", UNMET], capture_output=True, text=True, check=True)
    assert run.stdout == ""


def test_on_a_phone_pages_fit_have_one_title_and_ask_no_network(pages, browser):
    page = new_page(browser, viewport={"width": 390, "height": 844})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    sources = [name for name in pages if name.startswith("_modules/")]
    titles = "[...document.querySelectorAll('h1')].filter(one => one.checkVisibility()).length"
    for name in pages.keys() - set(sources) | {max(sources, key=len)}:  # those of the sources differ in nothing else
        page.goto(pages[name].path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        assert page.evaluate(titles) == 1, name
    assert {urlsplit(address).scheme for address in asked} <= {"file", "data"}


def test_the_search_finds_a_notebook(pages, browser):
    page = new_page(browser)
    page.goto(pages["search.html"].path.as_uri() + "?q=softmax")
    expect(page.locator("#search-results a", has_text="03 · Retrieval").first).to_be_visible()


def stored(these):
    """A notebook of one cell whose outputs are strangers' texts: a table, a picture described by them, plain text."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    table = escape_math(pd.DataFrame({"title": these}).to_html())
    outputs = [
        nbformat.v4.new_output("display_data", {"image/png": pixel, "text/plain": "a picture"}),
        nbformat.v4.new_output("stream", text=" ".join(these)),
        nbformat.v4.new_output("execute_result", {"text/html": table, "text/plain": "a table"}, execution_count=1),
        nbformat.v4.new_output("display_data", {"text/plain": repr(list(these))}),
    ]
    cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell("1", outputs=outputs)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    site_tool.describe_images(notebook)
    return notebook


def test_strangers_text_in_stored_outputs_is_text(tmp_path):
    for name in ("conf.py", "formulas.py", "site.css"):
        shutil.copy(ROOT / "docs" / name, tmp_path)
    (tmp_path / "index.md").write_text("# Both\n\n```{toctree}\nours\ntheirs\nlast\n```\n")
    harmless = [f"text {number}" for number in range(len(TEXTS))]
    for name, these in {"ours": harmless, "theirs": TEXTS, "last": harmless}.items():
        nbformat.write(stored(these), tmp_path / f"{name}.ipynb")
    command = [sphinx_python(), "-m", "sphinx", "-b", "html", "-q", "-W", str(tmp_path), str(tmp_path / "html")]
    subprocess.run(command, env=os.environ | {"PYTHONWARNINGS": "ignore"}, check=True)
    ours, theirs = (Page(tmp_path / "html" / f"{name}.html") for name in ("ours", "theirs"))
    assert theirs.tags == ours.tags
    assert theirs.cells == list(TEXTS)
    assert " ".join(TEXTS) in theirs.text
    assert " ".join(TEXTS) in theirs.pictures
