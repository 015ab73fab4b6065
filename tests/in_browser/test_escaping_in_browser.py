"""Strangers' text in a real browser: in a JupyterLab notebook that shows it everywhere, and on the page made of it."""

from urllib.parse import urlsplit

import hostile
import nbformat
import notebook_tool as tool
import pages
import pytest
from browser import SCREENSHOTS, front_end, new_page
from hostile import ALL, HACK, TEXTS
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

FILE = f"<img src=x onerror={HACK}> $a$.jsonl"
CELLS = [
    "import pandas as pd\n"
    "from recsys_teach import exercises, load_reviews, plots\n"
    "from recsys_teach.lab import Sweep, WeightLab\n"
    "pd.set_option('display.max_colwidth', None)\n"
    f"reviews = load_reviews({FILE!r})\n"
    "products = reviews.drop_duplicates('product_id')\n"
    "products",
    "reviews.describe(include='all')",
    "reviews.groupby('title')[['rating']].mean()",
    "products.set_index('title')[['rating']].T",
    "print(*products['title'], sep='\\n')\nlist(products['title'])",
    "plots.show(plots.in_batch_matrix(products['user_id'], products['product_id']))",
    "def answer(*_):\n    raise KeyError(' '.join(products['title']))\nexercises.check('01.1', answer)",
    "try:\n    load_reviews('$a$ $b$ ' + products['title'][0])\nexcept FileNotFoundError as error:\n    print(error)",
    "lab = WeightLab(Sweep.load('saved.json'))\nlab.show()",
    "from IPython.display import HTML\nHTML('<p id=\"ours\">$x$</p>')",  # a formula that is one: MathJax is at work
]
FORMULAS = "mjx-container, .MathJax, .MathJax_Preview"


class Watch:
    """What must not happen on a page: a script that runs, a dialog, a request to anywhere but this machine."""

    def __init__(self, page):
        self.page, self.dialogs, self.asked = page, [], []
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))

    def nothing_happened(self, *allowed):
        assert [frame.evaluate("window.hacked") for frame in self.page.frames] == [None] * len(self.page.frames)
        assert self.dialogs == []
        hosts = {urlsplit(url).hostname for url in self.asked if not url.startswith(("data:", "blob:", "file:"))}
        assert hosts <= {"127.0.0.1", *allowed}
        assert not [url for url in self.asked if urlsplit(url).path.endswith(("/x", "a.png"))]


def see_the_tables(page, cells):
    """Each text stands in a table of each kind as it was written, and no formula was found in any."""
    shown = {text.strip() for text in page.locator(f"{cells} td, {cells} th").all_text_contents()}
    assert {*TEXTS, "a\u202egnp.exe", r"two\nlines\rand\tmore"} <= shown
    assert all(page.locator(f"{cells} :is(td, th)", has_text="between $5 and $6").count() > kind for kind in range(3))
    assert page.locator(FORMULAS).count() == page.locator("#ours").locator(FORMULAS).count()


@pytest.fixture
def folder(tmp_path):
    hostile.reviews().to_json(tmp_path / FILE, orient="records", lines=True)
    hostile.sweep().save(tmp_path / "saved.json")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [new_code_cell(cell) for cell in CELLS]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "hostile.ipynb")
    return tmp_path


def test_strangers_text_is_shown_and_nothing_in_it_runs(folder):
    with front_end("lab", folder) as open_notebook:
        notebook = open_notebook("hostile.ipynb")
        page, watch = notebook.page, Watch(notebook.page)
        notebook.run_all()
        expect(page.locator(f"#ours :is({FORMULAS})").first).to_be_attached()  # the last output, so all were looked at
        see_the_tables(page, ".jp-OutputArea")
        assert page.locator(".jp-OutputArea").get_by_text("Your answer stopped with KeyError").count() == 1

        products = page.locator(".lab-list")
        before = products.inner_text()
        ratio = page.get_by_label("ratio", exact=True)
        ratio.press("Home")
        ratio.press("ArrowRight")
        expect(page.locator(".lab-row")).to_contain_text("1 : 1")
        shopper = page.get_by_label("shopper", exact=True)
        names = shopper.locator("option").all_text_contents()
        assert len(names) == 12
        assert set(names) <= set(ALL)
        for name in (TEXTS[2], TEXTS[4], TEXTS[6]):
            shopper.select_option(label=name)
            expect(products).to_contain_text(f"For {name}, who bought: ")
        assert products.inner_text() != before
        page.locator(".lab-list").scroll_into_view_if_needed()
        notebook.screenshot("hostile-lab")
        watch.nothing_happened()
        assert notebook.error_outputs() == []

        written = new_notebook(cells=[nbformat.from_dict(cell) for cell in notebook.cells()])
        pages.write_page(tool.clean(written), folder / "hostile.html")
        page = new_page(page.context.browser)
        watch = Watch(page)
        page.goto((folder / "hostile.html").as_uri())
        see_the_tables(page, ".jp-OutputArea")
        expect(page.locator(".lab-list")).to_contain_text("who bought: ")
        page.screenshot(path=SCREENSHOTS / "hostile-page.png", full_page=True)
        watch.nothing_happened()
