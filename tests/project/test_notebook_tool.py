"""Notebooks for a class: how long they take to read, as they are handed out, and with their solutions."""

import ast
import csv
import inspect
import re
import stat
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import handout_tool as handout
import nbformat
import notebook_tool as tool
import packed
import pages
import pytest
from full_disk import full_disk
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from recsys_teach import __version__
from recsys_teach.exercises.exercise import RIGHT, Exercise

PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("[01]*.ipynb"))
INFO = f"recsys_teach-{__version__}.dist-info"
RECORD = f"{INFO}/RECORD"
COURSE = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def handouts(tmp_path_factory):
    """The folder of the notebooks that stand alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handout, "HANDOUT", tmp_path_factory.mktemp("build") / "handout")
        handout.write_handout(PATHS)
        return handout.HANDOUT


@COURSE
def test_handed_out_without_outputs_and_otherwise_the_same(path, handouts):
    given, stored = read(handouts / path.name), read(path)
    assert [cell.id for cell in given.cells if not cell.id.startswith("the-")] == [cell.id for cell in stored.cells]
    assert [cell.source for cell in tool.code_cells(given)[1:]] == [cell.source for cell in tool.code_cells(stored)]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in tool.code_cells(given))
    assert not any(packed.CHECK in cell.metadata.get("tags", []) for cell in given.cells)


@COURSE
def test_handed_out_with_the_words_that_it_uses_and_no_link_to_a_file(path, handouts):
    prose = [cell.source for cell in read(handouts / path.name).cells if cell.cell_type == "markdown"]
    assert all("://" in target for text in prose for target in re.findall(r"\]\(([^)]*)\)", text))
    assert prose[0].split("\n\n")[1].count("·") == 0, "the line of links is gone"
    linked = {cell.source for cell in read(path).cells if "](glossary.md#" in cell.source}
    terms = re.findall(r"^\*\*(.+?)\*\*: ", prose[-1], flags=re.MULTILINE)
    assert prose[-1].startswith("## Words\n\n**")
    assert {pages.anchor(term) for term in terms} == set(re.findall(r"glossary\.md#([\w-]+)", " ".join(linked)))


def test_the_words_of_a_notebook_are_the_glossarys():
    cells = [new_markdown_cell("# T\n\n[Glossary](glossary.md)\n\nA [bat](glossary.md#batch)."), new_code_cell("1")]
    glossary = "# Glossary\n\n## batch\n\nRows of [02](02.ipynb).\n\n## tower\n\nHigh.\n"
    notebook = packed.alone(new_notebook(cells=cells), Path(__file__), glossary)
    assert notebook.cells[0].source == "# T\n\nA bat."
    assert notebook.cells[-1].source == "## Words\n\n**batch**: Rows of 02."


def test_the_same_package_makes_the_same_wheel(handouts, tmp_path):
    (given,) = handouts.glob("*.whl")
    assert packed.build_wheel(tmp_path).read_bytes() == given.read_bytes()


def test_the_wheel_holds_the_packages_files_and_nothing_else(handouts):
    (wheel,) = handouts.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        inside = {name: file.read(name) for name in file.namelist()}
        assert len(inside) == len(file.infolist())
        assert all(stat.S_ISREG(info.external_attr >> 16) for info in file.infolist()), "a link could lead elsewhere"
    told = {name: (digest, size) for name, digest, size in csv.reader(inside[RECORD].decode().splitlines())}
    paths = [path for kind in ("py", "js", "json", "csv") for path in (tool.ROOT / "recsys_teach").rglob(f"*.{kind}")]
    ours = {path.relative_to(tool.ROOT).as_posix(): path.read_bytes() for path in paths}
    ours[f"{INFO}/licenses/LICENSE"] = (tool.ROOT / "LICENSE").read_bytes()
    metadata = {f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert inside.keys() == told.keys() == ours.keys() | metadata
    assert {name: inside[name] for name in ours} == ours
    assert told.pop(RECORD) == ("", "")
    for name, entry in told.items():
        digest = urlsafe_b64encode(sha256(inside[name]).digest()).decode().rstrip("=")
        assert entry == (f"sha256={digest}", str(len(inside[name])))


def test_the_packed_wheel_is_put_beside_the_notebook_and_a_changed_one_refused(handouts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (wheel,) = handouts.glob("*.whl")
    cell = tool.code_cells(read(handouts / PATHS[0].name))[0]
    place = cell.source.index('b64decode("') + 5_000
    changed = cell.source[:place] + ("B" if cell.source[place] == "A" else "A") + cell.source[place + 1 :]
    with pytest.raises(ValueError, match="isn't the one that was packed"):
        exec(changed, {})
    assert list(tmp_path.iterdir()) == []
    exec(cell.source, {})
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    assert (cell.metadata["cellView"], cell.metadata["jupyter"]) == ("form", {"source_hidden": True})


def imports(notebook):
    """The imports of a notebook, and its functions whose defaults are constants, but for its exercises, as code."""
    cells = [cell.source for cell in tool.code_cells(notebook)[1:] if not handout.CHECK.search(cell.source)]
    nodes = [node for source in cells for node in ast.parse(source).body]
    statements = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    statements += [each for each in functions if all(isinstance(value, ast.Constant) for value in _defaults(each))]
    return "\n".join(ast.unparse(statement) for statement in statements)


def _defaults(function):
    return [value for value in (*function.args.defaults, *function.args.kw_defaults) if value is not None]


@COURSE
def test_every_solution_is_right_in_its_cell(path):
    notebook = handout.solved(read(path))
    assert not any(cell.outputs or cell.execution_count for cell in tool.code_cells(notebook))
    cells = [cell.source for cell in tool.code_cells(notebook) if handout.CHECK.search(cell.source)]
    assert len(cells) >= 1
    for source in cells:
        assert not re.search(r"= \.\.\.|return \.\.\.", source)
        namespace = {"__name__": "notebook"}
        exec(imports(notebook), namespace)
        *statements, check = ast.parse(source).body
        exec(compile(ast.Module(statements, []), path.name, "exec"), namespace)
        feedback = eval(ast.unparse(check), namespace)
        assert (feedback.verdict, feedback.exercise.number) == (RIGHT, handout.CHECK.search(source)[1])


def test_a_solved_notebook_is_run_and_says_right(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(handout, "SOLVED", tmp_path)
    handout.write_solved(PATHS[:1])
    notebook = read(tmp_path / PATHS[0].name)
    assert tool.problems(notebook) == []
    assert handout.not_right(notebook) == []
    assert sum(bool(handout.CHECK.search(cell.source)) for cell in notebook.cells) >= 3
    assert "every check of which says right" in capsys.readouterr().out


def test_what_is_not_right_is_told():
    cells = [
        new_code_cell('exercises.check("01.1", a)', outputs=[result("01.1 right: so it is")]),
        new_code_cell('exercises.check("01.2", a)', outputs=[result("01.2 not yet: no")]),
        new_code_cell('exercises.check("01.3", a)'),
    ]
    assert handout.not_right(new_notebook(cells=cells)) == ["01.2 not yet: no", "01.3 says nothing"]


def result(text):
    return new_output("execute_result", {"text/plain": text})


def double(a):
    """Twice `a`."""
    return 2 * a


def exercise(reference, solution=""):
    return Exercise(number="00.1", reference=reference, mistakes=(), hint="", right="", solution=solution)


STUB = 'import math\n\n\ndef double(a):\n    """Twice `a`."""\n    return ...\n\n\nexercises.check("00.1", double)'


def test_the_stub_of_a_function_is_replaced_and_nothing_else():
    cell = handout.solved_cell(STUB, exercise(double), "double")
    assert cell == STUB.replace("return ...", "return 2 * a")
    assert inspect.getsource(double).strip() in cell


@pytest.mark.parametrize(
    ("reference", "solution", "line"),
    [(42, "", "answer = 42"), (42, "6 * 7", "answer = 6 * 7"), (42, "b = 6\nanswer = 7 * b", "b = 6\nanswer = 7 * b")],
)
def test_the_stub_of_a_value_is_replaced(reference, solution, line):
    source = 'b = 1\nanswer = ...\nexercises.check("00.1", answer)'
    solved = handout.solved_cell(source, exercise(reference, solution), "answer")
    assert solved == source.replace("answer = ...", line)


def test_a_stub_or_a_solution_of_another_name_is_told():
    with pytest.raises(ValueError, match=r"the cell of 00.1 defines twice 0 times: expected one stub"):
        handout.solved_cell(STUB, exercise(double), "twice")
    with pytest.raises(ValueError, match=r"the solution of 00.1 doesn't define double"):
        handout.solved_cell(STUB, exercise(read), "double")


def test_on_a_full_disk_the_stored_notebook_stays_as_it_is(tmp_path):
    path = tmp_path / "scratch.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("old")]), path)
    before = path.read_bytes()
    with full_disk(after=1000), pytest.raises(OSError, match=r"scratch\.ipynb can't be written .*: make room there"):
        tool.write(new_notebook(cells=[new_markdown_cell("new " * 500)]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
