"""The rules for committed notebooks, and the guards of `notebooks/conftest.py` under nbval."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import notebook_tool as tool
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COURSE = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
WIDGET = "application/vnd.jupyter.widget-view+json"


def read(path):
    return nbformat.read(path, as_version=4)


@COURSE
def test_notebook_is_fit_to_be_committed(path):
    assert tool.problems(read(path)) == []
    assert tool.clean(read(path)) == read(path), "run `make clean-notebooks`"


@COURSE
def test_figures_have_words_under_them(path):
    for cell in tool.code_cells(read(path)):
        kinds = ["figure" if "image/png" in output.get("data", {}) else output.output_type for output in cell.outputs]
        for place, kind in enumerate(kinds):
            if kind == "figure":
                assert kinds[place + 1 : place + 2] == ["stream"]


NUMBER = r"(?<![\w.])\d[\d,_]*(?:\.\d+)?"
NO_CLAIM = r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)"  # code, formulas, links
NO_CLAIM += r"|\b0[1-9]\b|\b1[0-2] ·|\[1[0-2]\b|\b1[0-2]\.[a-c\d]\b|\b(?:19|20)\d\d\b"  # notebooks, exercises, years


def numbers(text):
    return {number.replace(",", "").replace("_", "").removesuffix(".") for number in tool.re.findall(NUMBER, text)}


@COURSE
def test_every_number_in_the_prose_stands_in_code_or_in_a_checked_output(path):
    cells = read(path).cells
    proof, prose = "", ""
    for cell in cells[1:]:
        if cell.source.startswith("## Exercises"):
            break
        if cell.cell_type == "code":
            proof += cell.source + "\n"
            if "nbval-check-output" in cell.metadata.get("tags", []):
                proof += "\n".join(str(o.get("text") or o["data"]["text/plain"]) for o in cell.outputs)
        else:
            prose += cell.source + "\n"
    claimed = numbers(tool.re.sub(NO_CLAIM, " ", prose, flags=tool.re.DOTALL))
    assert claimed - numbers(proof) == set()


def dirty():
    cell = new_code_cell("1", execution_count=7, metadata={"tags": ["scoreboard"], "collapsed": True})
    cell.outputs = [
        new_output("stream", name="stdout", text="ke"),
        new_output("stream", name="stderr", text="warning"),
        new_output("stream", name="stdout", text="pt"),
        new_output("display_data", {WIDGET: {"model_id": "1"}, "text/plain": "VBox()"}),
        new_output("display_data", {WIDGET: {"model_id": "2"}, "text/plain": "x", "text/html": "<b>x</b>"}),
    ]
    return new_notebook(
        cells=[cell], metadata={"widgets": {"state": {}}, "kernelspec": {"name": "mine", "display_name": "My kernel"}}
    )


def test_clean_keeps_what_a_reader_needs():
    notebook = tool.clean(dirty())
    (cell,) = notebook.cells
    assert notebook.metadata == tool.METADATA
    assert cell.metadata == {"tags": ["scoreboard"]}
    assert [output.get("text") or dict(output.data) for output in cell.outputs] == [
        "kept",
        {"text/plain": "x", "text/html": "<b>x</b>"},
    ]


@pytest.mark.parametrize("tag", [tool.CHECKS, tool.FOLDED])
def test_code_that_readers_need_not_see_is_folded_in_jupyterlab_and_colab(tag):
    cell = new_code_cell("x = 1", metadata={"tags": [tag], "collapsed": True})
    (cell,) = tool.clean(new_notebook(cells=[cell])).cells
    assert cell.metadata == {"tags": [tag], "jupyter": {"source_hidden": True}, "cellView": "form"}


def test_problems_are_named():
    notebook = dirty()
    path = "/".join(["", "home", "me", "x.csv"])
    notebook.cells[0].outputs.append(new_output("stream", text=path))
    notebook.cells.append(new_code_cell("\n".join(["x = 1"] * 16), execution_count=2))
    notebook.cells.append(new_code_cell("if x:\n    assert x == 1", execution_count=3))
    unseen = new_code_cell("\n".join(["assert x"] * 16), execution_count=4, metadata={"tags": [tool.CHECKS]})
    notebook.cells.append(unseen)
    assert tool.problems(notebook) == [
        "its execution counts are [7, 2, 3, 4], not 1 to 4: run it whole",
        "it holds widget state",
        "cell 1 stores an error or stderr",
        "cell 1 stores a widget view",
        "cell 1 stores a widget view",
        "cell 1 stores a path of a machine",
        "cell 2 has 16 lines of code, more than 15",
        "cell 3 asserts something where readers see it: move that to a cell tagged remove-cell",
    ]


def guarded(folder, *arguments):
    """Run pytest in this folder with this project's options and guards; the process that did."""
    for name in ("notebooks/conftest.py", "pyproject.toml"):
        (folder / Path(name).name).write_text((ROOT / name).read_text())
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--color=no", *arguments]
    env = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def nbval(folder, *cells):
    """Run a scratch notebook of these cells."""
    nbformat.write(new_notebook(cells=list(cells)), folder / "scratch.ipynb")
    return guarded(folder, "scratch.ipynb")


def checked(source, **stored):
    return new_code_cell(source, metadata={"tags": ["nbval-check-output"]}, **stored)


def test_a_checked_cell_that_says_what_it_said_passes(tmp_path):
    stored = {"execution_count": 1, "outputs": [new_output("stream", text="7\n")]}
    run = nbval(tmp_path, new_markdown_cell("# x"), checked("print(3 + 4)", **stored))
    assert "1 passed" in run.stdout
    assert run.returncode == 0


@pytest.mark.parametrize(
    "stored",
    [{}, {"execution_count": 1}, {"outputs": [new_output("stream", text="7\n")]}],
    ids=["both", "output", "count"],
)
def test_a_checked_cell_without_a_stored_output_is_rejected(tmp_path, stored):
    run = nbval(tmp_path, checked("print(3 + 4)", **stored))
    assert run.returncode == 1
    assert "scratch.ipynb, cell 1: its output is to be checked, but none is stored: run `make notebooks`" in run.stdout


def test_timeouts_are_set(pytestconfig):
    assert pytestconfig.option.nbval_cell_timeout == 300
    assert pytestconfig.option.nbval_kernel_startup_timeout == 120
