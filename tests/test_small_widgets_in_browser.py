"""The small widgets of notebooks 02, 03 and 04 in JupyterLab, by keyboard alone."""

import shutil
from pathlib import Path

import pytest
from browser import front_end
from playwright.sync_api import expect

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What opens a notebook in JupyterLab and runs it."""
    folder = tmp_path_factory.mktemp("notebooks")
    with front_end("lab", folder) as open_notebook:

        def opened(name):
            shutil.copy(NOTEBOOKS / name, folder)
            notebook = open_notebook(name)
            notebook.run_all()
            return notebook

        yield opened


def test_a_vector_turns_and_grows(run):
    notebook = run("02_towers.ipynb")
    picture = notebook.page.get_by_role("img", name="45° away from the tent, 1.0 long: dot product 0.71")
    expect(picture).to_be_visible()
    notebook.press("angle", "ArrowRight", "ArrowRight", "ArrowRight")
    notebook.press("length", "ArrowRight", "ArrowRight")
    expect(notebook.html("90° away from the tent, 2.0 long: dot product 0.00")).to_be_visible()
    notebook.screenshot("widget-02")
    assert notebook.error_outputs() == []


def test_corrections_are_ticked_in_the_order_in_which_they_were_trained(run):
    notebook = run("03_retrieval.ipynb")
    expect(notebook.html("This is the row “textbook”.")).to_be_visible()
    for name, says in (("logQ", "This is the row “+ logQ”."), ("L2", "“no accidental hits” comes before")):
        notebook.page.locator(".widget-checkbox", has_text=name).locator("input").focus()
        notebook.page.keyboard.press("Space")
        expect(notebook.html(says)).to_be_visible()
    notebook.screenshot("widget-03")
    assert notebook.error_outputs() == []


def test_damping_moves_error_and_bias(run):
    notebook = run("04_ranking.ipynb")
    notebook.press("damping", "ArrowRight")
    expect(notebook.html("Damping 10: RMSE")).to_be_visible()
    notebook.press("damping", "Home")
    expect(notebook.html("Damping 0: RMSE")).to_be_visible()
    notebook.screenshot("widget-04")
    assert notebook.error_outputs() == []
