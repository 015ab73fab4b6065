"""Notebooks for a class, in build/: `python tools/handout_tool.py handout|solved [NOTEBOOK ...]`.

To be handed out: each stands alone, with the package in it, and without any output, so that a guess is a guess. Or with
the solutions in the place of the stubs, run.
"""

import argparse
import ast
import re
import shutil
import sys
from pathlib import Path

import nbformat
import notebook_tool as tool
from nbformat import NotebookNode
from packed import alone, build_wheel
from pages import without_links_outside

from recsys_teach.exercises import EXERCISES
from recsys_teach.exercises.exercise import RIGHT, Exercise

HANDOUT, SOLVED = tool.BUILD / "handout", tool.BUILD / "solved"
CHECK = re.compile(r'^exercises\.check\("(\d\d\.\w+)", (\w+|\.\.\.)\)$', re.MULTILINE)


def solved(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the reference solution of each exercise in the place of its stub, for another folder."""
    for cell in tool.code_cells(notebook):
        if found := CHECK.search(cell.source):
            cell.source = solved_cell(cell.source, EXERCISES[found[1]], found[2])
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_links_outside(cell.source)
    return tool.without_outputs(notebook)


def solved_cell(source: str, exercise: Exercise, name: str) -> str:
    """The code of a cell, what defines `name` in it replaced by the solution.

    Raises:
        ValueError: the cell doesn't define this name once, or the solution doesn't define it.
    """
    if name == "...":  # a question with several answers
        return source.replace(name, repr(exercise.reference))
    stubs = _definitions(source, name)
    if len(stubs) != 1:
        raise ValueError(f"the cell of {exercise.number} defines {name} {len(stubs)} times: expected one stub.")
    solution = _solution(exercise, name)
    if not _definitions(solution, name):
        raise ValueError(f"the solution of {exercise.number} doesn't define {name}.")
    lines = source.splitlines()
    (stub,) = stubs
    return "\n".join([*lines[: stub.lineno - 1], *solution.splitlines(), *lines[stub.end_lineno :]])


def _solution(exercise: Exercise, name: str) -> str:
    """The solution as statements that define `name`; that of a value may be an expression."""
    if callable(exercise.reference) or _definitions(exercise.solution, name):
        return exercise.source()
    return f"{name} = {exercise.solution or repr(exercise.reference)}"


def _definitions(source: str, name: str) -> list[ast.stmt]:
    """The statements that define this name at the top level of some code."""
    return [statement for statement in ast.parse(source).body if name in _names(statement)]


def _names(statement: ast.stmt) -> list[str]:
    """What a statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    return [ast.unparse(target) for target in statement.targets] if isinstance(statement, ast.Assign) else []


def not_right(notebook: NotebookNode) -> list[str]:
    """What executed checks say that isn't "right", and the numbers of those that say nothing."""
    complaints = []
    for cell in tool.code_cells(notebook):
        if found := CHECK.search(cell.source):
            said = [str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs]
            if not any(text.startswith(f"{found[1]} {RIGHT}: ") for text in said):
                complaints.append("".join(said) or f"{found[1]} says nothing")
    return complaints


def write_handout(paths: list[Path]) -> None:
    """The notebooks as learners get them, each with all that it needs, and the wheel, in build/handout."""
    shutil.rmtree(HANDOUT, ignore_errors=True)
    HANDOUT.mkdir(parents=True)
    wheel = build_wheel(HANDOUT)
    glossary = (tool.NOTEBOOKS / "glossary.md").read_text(encoding="utf-8")
    for path in paths:
        nbformat.write(alone(nbformat.read(path, as_version=4), wheel, glossary), HANDOUT / path.name)
    print(f"{len(paths)} notebooks that stand alone, and the wheel that is in each: {_short(HANDOUT)}")


def write_solved(paths: list[Path]) -> None:
    """The notebooks with their solutions, executed, in build/solved; ends with what isn't right, if anything."""
    SOLVED.mkdir(parents=True, exist_ok=True)
    shutil.copy(tool.NOTEBOOKS / "glossary.md", SOLVED)
    for path in paths:
        nbformat.write(solved(nbformat.read(path, as_version=4)), SOLVED / path.name)
    complaints, run = [], 0
    for path, notebook in tool.execute_all([SOLVED / path.name for path in paths]):
        nbformat.write(tool.clean(notebook), path)
        complaints += not_right(notebook)
        run += 1
    if complaints:
        sys.exit("\n".join(complaints))
    print(f"{run} notebooks with their solutions, every check of which says right: {_short(SOLVED)}")


def _short(folder: Path) -> Path:
    return folder.relative_to(tool.ROOT) if folder.is_relative_to(tool.ROOT) else folder


def main() -> None:
    """Do what the first argument says, for all notebooks or for those named after it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["handout", "solved"])
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(tool.NOTEBOOKS.glob("*.ipynb")))
    arguments = parser.parse_args()
    try:
        {"handout": write_handout, "solved": write_solved}[arguments.what](arguments.notebooks)
    except tool.CellFailedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
