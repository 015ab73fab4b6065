"""Notebooks that fail on purpose: the report names the notebook, the cell as Jupyter numbers it, and the reason."""

import os
import signal
import subprocess
import sys
from xml.etree import ElementTree

import nbformat
import notebook_tool as tool
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_notebooks import checked, guarded

pytestmark = pytest.mark.slow

RAISES = new_code_cell("print('so far')\nint('seven')")
UNTRUE = new_code_cell("assert hits > 0.3, f'the text says more than 0.3, and it is {hits}'")
UNSAID = new_code_cell("assert hits > 0.3")
LOOP = new_code_cell("for rate in (0.1, 0.4):\n    assert -1 < rate < hits + 0.1 / 1")
MANY = new_code_cell("assert [hits] * 40 == []  # in a line")
CALL = new_code_cell("assert sorted([2, 1]) == [1]")
MAGIC = new_code_cell("%time 1\nassert hits > 0.3")
NOT = new_code_cell("assert not hits")
DIFFERS = checked(
    "print('one')\nprint('two', 3 + 4)", execution_count=2, outputs=[new_output("stream", text="one\ntwo 8\n")]
)
SHORTER = checked("print('one')", execution_count=2, outputs=[new_output("stream", text="one\ntwo\n")])
TABLE = checked(
    "from IPython.display import display\ndisplay({'text/plain': 'hits  0.1', 'text/html': '<b>0.1</b>'}, raw=True)",
    execution_count=2,
    outputs=[new_output("display_data", {"text/html": "<b>0.2</b>", "text/plain": "hits  0.2"})],
)
LOOKS = checked(
    TABLE.source,
    execution_count=2,
    outputs=[new_output("display_data", TABLE.outputs[0].data | {"text/plain": "hits  0.1"})],
)
NOISE = new_code_cell("import sys\nprint('careful', file=sys.stderr)")
OTHER_KIND = checked("1", execution_count=2, outputs=[new_output("stream", text="1\n")])
EMPTY = checked("pass", execution_count=2, outputs=[new_output("stream", text="1\n")])
TWO_LINES = new_code_cell("raise ValueError('a line\\nand another')")

ERRORS = {
    "raises": (RAISES, "ValueError: invalid literal for int() with base 10: 'seven'"),
    "untrue": (UNTRUE, "AssertionError: the text says more than 0.3, and it is 0.1"),
    "unsaid": (UNSAID, "AssertionError: assert hits > 0.3"),
    "two_lines": (TWO_LINES, "ValueError: a line"),
}
FAILING = ERRORS | {
    "unsaid": (UNSAID, "AssertionError: assert hits > 0.3; hits is 0.1"),
    "loop": (LOOP, "AssertionError: assert -1 < rate < hits + 0.1 / 1; rate is 0.4; hits + 0.1 / 1 is 0.2"),
    "table_of_many": (MANY, "AssertionError: assert [hits] * 40 == []  # in a line"),
    "call": (CALL, "AssertionError: assert sorted([2, 1]) == [1]; sorted([2, 1]) is [1, 2]"),
    "magic": (MAGIC, "AssertionError: assert hits > 0.3"),
    "noise": (NOISE, "it writes to stderr: careful"),
    "not_a_comparison": (NOT, "AssertionError: assert not hits"),
    "differs": (DIFFERS, "its output (stdout) differs: expected 'two 8', found 'two 7'"),
    "shorter": (SHORTER, "its output (stdout) differs: expected 'two', found no such line"),
    "table": (TABLE, "its output (text/plain) differs: expected 'hits  0.2', found 'hits  0.1'"),
    "looks": (LOOKS, "its output (text/html) differs: expected '<b>0.2</b>', found '<b>0.1</b>'"),
    "other_kind": (OTHER_KIND, "its output is not of the kind that is stored"),
    "none": (EMPTY, "its output is not of the kind that is stored"),
}


def around(cell):
    """The cells of a notebook whose second cell with code in it is this one; its fourth cell in all."""
    first = new_code_cell("hits = 0.1", execution_count=1)
    return [new_markdown_cell("# x"), first, new_code_cell(""), cell, new_code_cell("print('never')")]


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """What pytest prints when it runs all of these, each in a notebook of its own, and its report for machines."""
    folder = tmp_path_factory.mktemp("failing")
    for name, (cell, _) in FAILING.items():
        nbformat.write(new_notebook(cells=around(cell)), folder / f"{name}.ipynb")
    run = guarded(folder, "--junitxml=report.xml", *(f"{name}.ipynb" for name in FAILING))
    return run, ElementTree.parse(folder / "report.xml")


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, (_, reason) in FAILING.items()], ids=FAILING)
def test_a_failure_names_notebook_cell_and_reason_and_the_rest_is_skipped(reported, name, reason):
    lines = reported[0].stdout.splitlines()
    assert f"{name}.ipynb, cell 2: {reason}" in lines
    assert f"FAILED {name}.ipynb::Cell 2 - {reason}" in lines
    assert f"PASSED {name}.ipynb::Cell 1" in lines
    assert sum(line.startswith("SKIPPED [1]") and f": {name}.ipynb, cell 2 failed" in line for line in lines) == 1
    assert FAILING[name][0].source in reported[0].stdout


def test_failures_are_counted_and_the_exit_code_is_1(reported):
    run, count = reported[0], len(FAILING)
    assert run.returncode == 1
    assert f"= {count} failed, {count} passed, {count} skipped in " in run.stdout.splitlines()[-1]


def test_the_report_shows_what_is_stored_and_what_was_found(reported):
    lines = reported[0].stdout.splitlines()
    start = lines.index("-two 8") - 4
    assert lines[start : start + 6] == [
        "--- stored in the notebook", "+++ found now", "@@ -1,2 +1,2 @@", " one", "-two 8", "+two 7",
    ]  # fmt: skip


def test_machines_read_the_same(reported):
    cases = [case for case in reported[1].iter("testcase") if case.get("classname") == "raises.ipynb"]
    first, failed, skipped = cases
    assert [case.get("name") for case in cases] == ["Cell 1", "Cell 2", "Cell 3"]
    assert list(first) == []
    assert failed.find("failure").get("message") == FAILING["raises"][1]
    assert failed.find("failure").text.startswith(f"raises.ipynb, cell 2: {FAILING['raises'][1]}\n")
    assert "\x1b" not in failed.find("failure").text
    assert skipped.find("skipped").get("message") == "raises.ipynb, cell 2 failed"


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A function that lets the tool work on a scratch notebook with this cell in it; what it ends with."""
    path = tmp_path / "scratch.ipynb"

    def work(what, cell):
        nbformat.write(new_notebook(cells=around(cell)), path)
        before = path.read_bytes()
        monkeypatch.setattr(sys, "argv", ["notebook_tool.py", what, str(path)])
        with pytest.raises(SystemExit) as ended:
            tool.main()
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
        return str(ended.value).splitlines()

    return work


@pytest.mark.parametrize(("cell", "reason"), ERRORS.values(), ids=ERRORS)
def test_the_tools_last_line_names_notebook_cell_and_reason_and_nothing_is_stored(notebook, cell, reason):
    assert notebook("store", cell)[-1] == f"scratch.ipynb, cell 2: {reason}"


def test_the_tool_says_which_cell_ended_its_kernel(notebook):
    assert notebook("store", new_code_cell("import os\nos._exit(3)"))[-1] == "scratch.ipynb, cell 2: Kernel died"


def test_the_tool_says_which_cell_took_too_long(notebook, monkeypatch):
    monkeypatch.setattr(tool, "CELL_TIMEOUT", 1)
    last = notebook("store", new_code_cell("while True:\n    pass"))[-1]
    assert last == "scratch.ipynb, cell 2: A cell timed out while it was being executed, after 1 seconds."


@pytest.mark.parametrize("what", ["run", "store"])
def test_as_a_command_the_tool_exits_with_1_and_that_line(tmp_path, what):
    path = tmp_path / "scratch.ipynb"
    nbformat.write(new_notebook(cells=around(RAISES)), path)
    before = path.read_bytes()
    command = [sys.executable, "tools/notebook_tool.py", what, str(path)]
    env = os.environ | {"PYTHONPATH": str(tool.ROOT)}
    run = subprocess.run(command, cwd=tool.ROOT, env=env, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.splitlines()[-1] == f"scratch.ipynb, cell 2: {FAILING['raises'][1]}"
    assert path.read_bytes() == before


def test_store_takes_the_new_output_for_one_that_differs(tmp_path):
    path = tmp_path / "scratch.ipynb"
    nbformat.write(new_notebook(cells=around(DIFFERS)), path)
    tool.store([path])
    stored = nbformat.read(path, as_version=4).cells[3]
    assert [output.text for output in stored.outputs] == ["one\ntwo 7\n"]
    assert stored.metadata.tags == ["nbval-check-output"]


def test_a_notebook_without_a_scoreboard_is_run_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "BUILD", tmp_path / "build")
    path = tmp_path / "scratch.ipynb"
    nbformat.write(new_notebook(cells=around(DIFFERS)), path)
    tool.run([path])
    assert "two 7" in (tmp_path / "build" / "scratch.html").read_text()


def test_the_tool_runs_a_notebook_in_its_own_folder(tmp_path):
    path = tmp_path / "scratch.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("from pathlib import Path\nprint(Path.cwd())")]), path)
    ((cell,),) = [tool.code_cells(notebook) for _, notebook in tool.execute_all([path])]
    assert cell.outputs[0].text == f"{tmp_path.resolve()}\n"


def test_notebooks_run_side_by_side_and_come_in_their_order(tmp_path):
    """The first waits for a file that the second writes: one after the other, it would wait in vain."""
    wait = (
        "import time\nfrom pathlib import Path\nfor _ in range(600):\n    if Path('there').exists():\n        break\n"
    )
    cells = [
        wait + "    time.sleep(0.1)\nprint(Path('there').exists())",
        "open('there', 'w').close()\nprint('wrote it')",
    ]
    paths = [tmp_path / "a.ipynb", tmp_path / "b.ipynb"]
    for path, cell in zip(paths, cells):
        nbformat.write(new_notebook(cells=[new_code_cell(cell)]), path)
    found = [(path, tool.code_cells(notebook)[0].outputs[0].text) for path, notebook in tool.execute_all(paths)]
    assert found == list(zip(paths, ["True\n", "wrote it\n"]))


# Its kernel never ends by itself; where it is, is in a file.
ENDLESS = """
import os, pathlib, time
pathlib.Path("number.new").write_text(str(os.getpid()))
os.rename("number.new", "number")
time.sleep(10_000)
"""


def is_gone(folder):
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "number").read_text()), 0)
    return True


@pytest.mark.parametrize("order", [("fails", "endless"), ("endless", "fails")], ids=" ".join)
def test_when_a_notebook_fails_the_kernels_of_the_others_end(tmp_path, order):
    fails = "import pathlib\nwhile not pathlib.Path('number').exists():\n    pass\nint('seven')"
    for name, cell in {"endless": ENDLESS, "fails": fails}.items():
        nbformat.write(new_notebook(cells=[new_code_cell(cell)]), tmp_path / f"{name}.ipynb")
    with pytest.raises(tool.CellFailedError, match=r"fails\.ipynb, cell 1: ValueError"):
        list(tool.execute_all([tmp_path / f"{name}.ipynb" for name in order]))
    assert is_gone(tmp_path)


def test_an_interrupt_ends_all_kernels(tmp_path):
    for name, cell in {"a": ENDLESS, "b": "import time\ntime.sleep(10_000)"}.items():
        nbformat.write(new_notebook(cells=[new_code_cell(cell)]), tmp_path / f"{name}.ipynb")
    command = [sys.executable, "tools/notebook_tool.py", "store", *map(str, sorted(tmp_path.iterdir()))]
    env = os.environ | {"PYTHONPATH": str(tool.ROOT)}
    with subprocess.Popen(command, cwd=tool.ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "number").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
    assert process.returncode != 0
    assert is_gone(tmp_path)
