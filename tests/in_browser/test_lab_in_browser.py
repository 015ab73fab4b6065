"""The weight lab in a real browser: by keyboard alone, a training, a training that fails."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from browser import PATIENCE_TO_RUN, front_end
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from recsys_teach.lab.sweep import Factors, Sweep
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_multitask.ipynb"
TRAIN = "Train exactly these weights"
FAIL = """
def fails(pairs, after_epoch=None):
    raise ValueError("no memory left for <b>this</b> model")
"""

# A progress bar, as a training has it that takes longer than two seconds.
BAR = """
from tqdm.auto import tqdm
list(tqdm(range(3), leave=False))
"""


def use_the_slider(notebook, name):
    """Keys move the slider of the ratio, and change picture, row and list."""
    lab = notebook.page.locator(".lab-row")
    expect(lab).to_have_count(1)
    you, ratio = notebook.page.locator("svg circle.you"), notebook.page.get_by_label("ratio", exact=True)
    before = you.get_attribute("cx"), lab.inner_text(), notebook.page.locator(".lab-list").inner_text()
    ratio.press("Home")
    expect(lab).to_contain_text("retrieval only")
    ratio.press("End")
    expect(lab).to_contain_text("rating only")
    after = you.get_attribute("cx"), lab.inner_text(), notebook.page.locator(".lab-list").inner_text()
    assert all(old != new for old, new in zip(before, after))
    assert notebook.page.locator(".lab-list").get_by_text(re.compile("▲|▼|new")).count() > 0
    for _ in range(3):
        ratio.press("ArrowLeft")
    expect(lab).to_contain_text(ratio.get_attribute("aria-valuetext"))
    assert int(ratio.input_value()) == int(ratio.get_attribute("max")) - 3
    assert notebook.page.evaluate("document.activeElement.ariaLabel") == "ratio"  # and not the next cell
    notebook.screenshot(f"lab-{name}")


def train_by_keyboard(notebook):
    """The button trains, by keyboard, and adds a point."""
    lab = notebook.page.locator(".lab-row")
    points = notebook.page.locator("svg:has(circle.you) circle:not(.you)")
    count = points.count()
    box = notebook.page.get_by_label("rating weight", exact=True)
    box.fill("0.55")
    box.press("Tab")
    expect(lab).to_contain_text("nearest to 0.55 : ")
    notebook.page.get_by_role("button", name=TRAIN).press("Enter")
    expect(notebook.page.get_by_text("Trained 0.55 : ")).to_be_visible()
    expect(points).to_have_count(count + 1)
    expect(lab).not_to_contain_text("nearest")
    assert notebook.error_outputs() == []


def see_a_failure(notebook):
    """A training that fails is told in the lab, and the lab goes on."""
    train = notebook.page.get_by_role("button", name=TRAIN)
    train.click()
    expect(notebook.page.get_by_text("Training failed: no memory left for <b>this</b> model")).to_be_visible()
    expect(train).to_be_enabled()
    notebook.page.get_by_label("ratio", exact=True).press("Home")
    expect(notebook.page.locator(".lab-row")).to_contain_text("retrieval only")


def use_the_lab(notebook, name):
    use_the_slider(notebook, name)
    train_by_keyboard(notebook)


@pytest.fixture(scope="module")
def sweep():
    """A sweep of models that nobody trained: its numbers mean nothing, but there are many of them."""
    shop = generate_shop(users=80, products=40, seed=1)
    train, test = split_at_random(shop.reviews, seed=0)
    users, products = sorted(train["user_id"].unique()), sorted(train["product_id"].unique())
    models, rng = {}, np.random.default_rng(0)
    for pair in [(0, 1), (0.1, 1), (0.5, 1), (1, 1), (2, 1), (1, 0)]:
        tables = [rng.normal(size=(1 + len(names), 4 + more)) for names, more in ((users, 1), (products, 2))]
        models[pair] = Factors(users, products, *tables, np.full(4, 0.2), 3.6)
    return Sweep.from_recommenders(models, train, test)


def lab_without_training(folder, sweep):
    """A notebook whose lab loads a saved sweep; its training takes what it shows from there, or fails."""
    sweep.save(folder / "saved.json")
    cells = [
        "from dataclasses import replace\n"
        "from recsys_teach.lab.view import WeightLab\n"
        "from recsys_teach.lab.sweep import Sweep, name_of_pair\n"
        "sweep = Sweep.load('saved.json')",
        "def trains(pairs, after_epoch=None):\n"
        "    after_epoch(1)\n"
        "    board = sweep.board.iloc[:1].set_axis([name_of_pair(*pairs[0])])\n"
        "    return replace(sweep, weights=pairs, board=board, lists=sweep.lists[:1], recommenders=[None])",
        "lab = WeightLab(sweep, trainer=trains)\nlab.show()",
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "working.ipynb")
    notebook.cells[1] = new_code_cell(FAIL.strip())
    notebook.cells[2] = new_code_cell("lab = WeightLab(sweep, trainer=fails)\nlab.show()")
    nbformat.write(notebook, folder / "failing.ipynb")


@pytest.mark.parametrize("kind", ["lab", "classic"])
def test_the_lab_with_a_saved_sweep(kind, sweep, tmp_path):
    lab_without_training(tmp_path, sweep)
    with front_end(kind, tmp_path, dark=kind == "lab") as open_notebook:
        notebook = open_notebook("working.ipynb")
        notebook.run_all()
        use_the_lab(notebook, f"{kind}-saved")
        failing = open_notebook("failing.ipynb")
        failing.run_all()
        see_a_failure(failing)
        failing.screenshot(f"lab-{kind}-failure")


def test_the_lab_of_movielens_needs_no_training_and_no_mouse(tmp_path):
    cell = new_code_cell("from recsys_teach.lab import Sweep, WeightLab\nWeightLab(Sweep.load('movielens'))")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=[cell], metadata={"kernelspec": kernel}), tmp_path / "movielens.ipynb")
    with front_end("lab", tmp_path) as open_notebook:
        notebook = open_notebook("movielens.ipynb")
        notebook.run_all()
        use_the_slider(notebook, "movielens")
        shopper = notebook.page.get_by_label("shopper", exact=True)
        names = shopper.locator("option").all_text_contents()
        shopper.select_option(names[1])
        expect(notebook.page.locator(".lab-list")).to_contain_text(f"For {names[1]}, who bought: ")
        expect(notebook.page.get_by_role("button", name=TRAIN)).to_be_disabled()
        assert notebook.error_outputs() == []


def test_the_app_is_the_lab_without_code(tmp_path, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    app = nbformat.read(NOTEBOOK.parent / "app" / "weight_lab.ipynb", as_version=4)
    app.cells[-1].source = BAR + app.cells[-1].source
    nbformat.write(app, tmp_path / "weight_lab.ipynb")
    with front_end("voila", tmp_path) as open_notebook:
        notebook = open_notebook("weight_lab.ipynb")
        expect(notebook.page.locator(".lab-row")).to_contain_text(" : 1", timeout=1000 * PATIENCE_TO_RUN)
        expect(notebook.page.get_by_text("train_sweep")).to_have_count(0)
        notebook.page.get_by_label("ratio", exact=True).press("Home")
        expect(notebook.page.locator(".lab-row")).to_contain_text("retrieval only")
        train_by_keyboard(notebook)
        notebook.screenshot("lab-app")
        with_lab = notebook.page.locator(".jp-OutputArea", has=notebook.page.locator(".lab-row"))
        expect(with_lab.last.locator("xpath=./*")).to_have_count(1)  # no "Loading widget…" where the bar was
        assert notebook.error_outputs() == []
