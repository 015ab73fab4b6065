"""A notebook with widgets, run whole in JupyterLab as a learner runs it: no noise, and the widgets answer.

It is run once; the tests of its widgets, by keyboard alone, use the same page. (All notebooks run under nbval, where
a line on stderr is a failure as well. The lab of 05 and 06 is tested in `test_lab_in_browser`.)
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from browser import front_end
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = ("04_ranking.ipynb",)
WARNING = re.compile(r"\w*Warning:|WARNING|warn\(")
BROKEN = re.compile("Loading widget|Error displaying widget|model not found", re.IGNORECASE)
NOISY = (
    "import sys, warnings\nprint('all is well')",
    "print('careful', file=sys.stderr)",
    "warnings.warn('that is old')",
    "print('FutureWarning: that will change')",
    "from tqdm.auto import tqdm\nfor step in tqdm(range(3)):\n    break",
    "from IPython.display import display\n"
    "view = {'version_major': 2, 'version_minor': 0, 'model_id': 'nowhere'}\n"
    "display({'application/vnd.jupyter.widget-view+json': view, 'text/plain': 'x'}, raw=True)",
    "1 / 0",
    "print('never')",
)


def noise(notebook):
    """What is wrong with a notebook that has run, each with the number of its code cell, from 1."""
    found = [f"kernel: {text}" for text in notebook.error_outputs()]
    found += [f"page: {text}" for text in notebook.console]
    code = [cell for cell in notebook.cells() if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        if cell["execution_count"] != number:
            found.append(f"cell {number}: its execution count is {cell['execution_count']}")
        found += [f"cell {number}: {text}" for output in cell["outputs"] if (text := wrong_with(output))]
    drawn = notebook.page.locator(".jp-CodeCell")
    expect(drawn).to_have_count(len(code))
    with suppress(AssertionError):  # what never loads is found below
        expect(drawn.get_by_text("Loading widget")).to_have_count(0)
    for number in range(1, len(code) + 1):
        outputs = drawn.nth(number - 1).locator(".jp-OutputArea-output")
        found += [f"cell {number}: {text}" for text in outputs.filter(has_text=BROKEN).all_inner_texts()]
        bars = outputs.locator(".widget-hprogress:visible").count()
        found += [f"cell {number}: a progress bar is left over"] * bars
    return found


def wrong_with(output):
    """The text of an output that a notebook shouldn't have, or "": an error, stderr, a warning."""
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    texts = output.get("text") or [output.get("data", {}).get(kind, "") for kind in ("text/plain", "text/html")]
    text = "".join(map("".join, texts))
    return text if output.get("name") == "stderr" or WARNING.search(text) else ""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """What opens a notebook in JupyterLab; progress bars are drawn, as for a learner."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name in ("glossary.md", *NAMES):
        shutil.copy(NOTEBOOKS / name, folder)
    cells = [new_code_cell(source) for source in NOISY]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "noisy.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TQDM_DISABLE", raising=False)
        with front_end("lab", folder) as open_notebook:
            yield open_notebook


@pytest.fixture(scope="module")
def run(lab, request):
    """The notebook of this name after *Run All*; its kernel ends before the next one starts."""
    notebook = lab(request.param)
    notebook.run_all()
    yield notebook
    notebook.close()


def of(*names):
    return pytest.mark.parametrize("run", names, indirect=True, scope="module")


@of("noisy.ipynb")
def test_whatever_is_wrong_is_found_and_named(run):
    found = noise(run)
    for part in (
        "kernel: careful",
        "kernel: ZeroDivisionError: division by zero",
        "cell 2: careful",
        "that is old",
        "cell 4: FutureWarning: that will change",
        "cell 5: a progress bar is left over",
        "cell 6: Error displaying widget: model not found",
        "cell 7: ZeroDivisionError: division by zero",
        "cell 8: its execution count is None",
    ):
        assert any(part in text for text in found), (part, "\n".join(found))
    assert not any("cell 1:" in text for text in found)


@of(*NAMES)
def test_it_runs_without_an_error_a_warning_or_noise(run):
    assert noise(run) == []


@of("04_ranking.ipynb")
def test_damping_moves_error_and_bias(run):
    run.press("damping", "ArrowRight")
    expect(run.html("Damping 10: RMSE")).to_be_visible()
    run.press("damping", "Home")
    expect(run.html("Damping 0: RMSE")).to_be_visible()
    run.page.get_by_role("combobox", name="damping", exact=True).select_option("50")
    expect(run.html("Damping 50: RMSE")).to_be_visible()
    run.screenshot("widget-04")
    assert run.error_outputs() == []
