"""Exercises as a learner meets them: a stored notebook, an answer, a hint and a solution to be unfolded."""

from pathlib import Path

import nbformat
import pytest
from browser import front_end
from nbformat.v4 import new_code_cell
from playwright.sync_api import expect

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_data.ipynb"


@pytest.mark.parametrize("kind", ["lab", "classic"])
def test_a_learner_answers_and_unfolds(kind, tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    answers = {
        "01.1": ("...", "np.mean(places < k)"),
        "01.3": ("...", "np.sum(ratings - mean) / (len(ratings) + damping)"),
    }
    for cell in notebook.cells:
        for number, (dots, answer) in answers.items():
            if f'exercises.check("{number}"' in cell.source:
                cell.source = cell.source.replace(dots, answer)
    notebook.cells.append(new_code_cell('exercises.solution("01.1")', metadata={}))
    nbformat.write(notebook, tmp_path / NOTEBOOK.name)

    with front_end(kind, tmp_path, dark=kind == "lab") as open_notebook:
        opened = open_notebook(NOTEBOOK.name)
        page = opened.page
        expect(page.get_by_text("01.2 · not attempted")).to_be_visible()  # as it is stored
        opened.run_all()
        expect(page.get_by_text("01.1 · not yet")).to_be_visible()
        expect(page.get_by_text("Place k itself is still on the list")).to_be_visible()
        expect(page.get_by_text("01.2 · not attempted")).to_be_visible()
        expect(page.get_by_text("01.3 · right")).to_be_visible()
        hint = page.get_by_text("the mean of these is the share of True")
        expect(hint).not_to_be_visible()
        page.locator("div:has(> b:text('01.1 · not yet'))").get_by_text("A hint", exact=True).click()
        expect(hint).to_be_visible()
        solution = page.locator("details", has_text="The solution of 01.1")
        expect(solution.locator("pre")).not_to_be_visible()
        solution.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(solution.locator("pre")).to_contain_text("return np.mean(places <= k)")
        expect(solution.locator("pre")).to_be_visible()
        page.get_by_text("01.1 · not yet").scroll_into_view_if_needed()
        opened.screenshot(f"exercises-{kind}")
        assert opened.error_outputs() == []
