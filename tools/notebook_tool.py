"""Runs, stores and cleans notebooks: `python tools/notebook_tool.py run|store|clean [NOTEBOOK ...]`."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from pages import write_glossary, write_page
from tqdm import tqdm

from recsys_teach._util import atomic_write
from recsys_teach.files.downloads import find_sample

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
AT_ONCE = 2  # kernels; each may take 1.2 GB
CELL_TIMEOUT, PATIENCE = 300, 120  # seconds for a cell; for a kernel that starts, and an output that is on its way
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CHECKS, FOLDED = "remove-cell", "hide-input"  # tags, by which the site leaves a cell out, or folds its code
FOLD = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # by which JupyterLab and Colab fold the code
LINES = 15  # of code in a cell that readers see
COLOURS = re.compile(r"\x1b\[[\d;]*m")
LOCAL_PATH = re.compile(r"(/home/|/Users/|/root/|/tmp/|[A-Z]:\\\\)\w")


class CellFailedError(Exception):
    """A cell of a notebook didn't run to its end; the last line says which, and why."""


def clean(notebook: NotebookNode) -> NotebookNode:
    """Leave in the notebook what a reader needs: no stderr, no widget state or view, no trace of who ran it."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in code_cells(notebook):
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict(({"tags": tags} if tags else {}) | (FOLD if hidden(cell) else {}))
        cell.outputs = _joined(_clean_outputs(cell.outputs))
    return notebook


def _joined(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Texts that follow each other in one piece: in how many they come is chance."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _clean_outputs(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if "data" in output:
            had_view = output.data.pop(WIDGET_VIEW, None)
            if had_view and set(output.data) <= {"text/plain"}:
                continue  # a widget without a fallback says nothing where no kernel runs
        yield output


def problems(notebook: NotebookNode) -> list[str]:
    """What keeps this notebook from being committed, in words."""
    found = []
    cells = [cell for cell in code_cells(notebook) if cell.source.strip()]
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        found.append(f"its execution counts are {counts}, not 1 to {len(cells)}: run it whole")
    if "widgets" in notebook.metadata:
        found.append("it holds widget state")
    for number, cell in enumerate(cells, 1):
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"cell {number} stores an error or stderr")
            if WIDGET_VIEW in output.get("data", {}):
                found.append(f"cell {number} stores a widget view")
            if LOCAL_PATH.search(str(output.get("text", "")) + str(output.get("data", ""))):
                found.append(f"cell {number} stores a path of a machine")
        if hidden(cell):
            continue
        if (lines := len(code_lines(cell))) > LINES:
            found.append(f"cell {number} has {lines} lines of code, more than {LINES}")
        if any(line.lstrip().startswith("assert ") for line in code_lines(cell)):
            found.append(f"cell {number} asserts something where readers see it: move that to a cell tagged {CHECKS}")
    return found


def hidden(cell: NotebookNode) -> bool:
    """Whether readers don't see the code of this cell unless they unfold it."""
    return bool({CHECKS, FOLDED} & {*cell.metadata.get("tags", [])})


def code_lines(cell: NotebookNode) -> list[str]:
    """The lines of code of a cell that aren't empty."""
    return [line for line in cell.source.splitlines() if line.strip()]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """The notebook as if nobody had run it."""
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    return notebook


async def execute(path: Path, bar: tqdm) -> NotebookNode:
    """The notebook, run from top to bottom in a fresh kernel; progress bars inside it are silent.

    Raises:
        CellFailedError: a cell raised an error, took longer than CELL_TIMEOUT, or ended its kernel.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        startup_timeout=PATIENCE,
        iopub_timeout=PATIENCE,  # by itself 4, and what came later would be missing in the notebook
        kernel_name="python3",
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": str(path.parent.absolute())}},  # where nbval and Jupyter run it, too
        on_cell_executed=lambda cell, **_: bar.update() if cell.cell_type == "code" else None,
    )
    env = {**os.environ, "TQDM_DISABLE": "1"}
    if "RECSYS_TEACH_DATA" in env:
        env["RECSYS_TEACH_DATA"] = os.path.abspath(env["RECSYS_TEACH_DATA"])  # kernels work in notebooks/, not here
    try:
        await client.async_execute(env=env)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise CellFailedError(_failure(path, client.code_cells_executed, error)) from error
    return notebook


def _failure(path: Path, number: int, error: Exception) -> str:
    """What the kernel reports, and below it one line: the notebook, the cell as Jupyter numbers it, and why."""
    report = COLOURS.sub("", str(error)).strip()
    reason = report.splitlines()[0]
    if isinstance(error, CellExecutionError):
        lines = error.evalue.splitlines() or re.findall(r"^-+> *\d+ +(.*)", report, flags=re.MULTILINE)
        reason = ": ".join([error.ename, *lines[:1]])
    return f"{report}\n\n{path.name}, cell {number}: {reason}"


class _Loop(asyncio.SelectorEventLoop):
    """Leaves Ctrl-C to Python: nbclient would end one kernel by it, and the others would go on."""

    def add_signal_handler(self, *_: object) -> None:
        raise RuntimeError  # as in a thread; then nbclient does without


def execute_all(paths: list[Path]) -> Iterator[tuple[Path, NotebookNode]]:
    """Execute the notebooks, `AT_ONCE` at a time, but for one whose data can't be had; yield them in their order.

    Raises:
        CellFailedError: as `execute`, as soon as one fails; no kernel is left.
    """
    paths = [path for path in paths if not _skipped(path)]
    total = sum(len(code_cells(nbformat.read(path, as_version=4))) for path in paths)
    slots, loop = asyncio.Semaphore(AT_ONCE), _Loop()
    failure: asyncio.Future[None] = loop.create_future()  # of whichever notebook fails first

    async def in_turn(path: Path) -> NotebookNode:
        async with slots:
            bar.set_description(path.stem)
            try:
                return await execute(path, bar)
            except Exception as error:
                if not failure.done():
                    failure.set_exception(error)
                raise

    with tqdm(total=total, unit="cell") as bar:
        running = [loop.create_task(in_turn(path)) for path in paths]
        try:
            for path, notebook in zip(paths, running):
                either: list[asyncio.Future] = [notebook, failure]
                loop.run_until_complete(asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED))
                if not notebook.done():
                    failure.result()  # raises
                yield path, notebook.result()
        finally:
            for notebook in running:
                notebook.cancel()
            loop.run_until_complete(asyncio.gather(*running, return_exceptions=True))
            failure.cancel()
            loop.close()


def _skipped(path: Path) -> bool:
    try:
        find_sample(path)
    except (OSError, ValueError) as error:
        print(f"{path.name} is left out: {error}")
        return True
    return False


def run(paths: list[Path]) -> None:
    """Execute all, write build/*.html, and print the final scoreboards, those of 05 to 07."""
    BUILD.mkdir(exist_ok=True)
    boards = {}
    for path, notebook in execute_all(paths):
        notebook = clean(notebook)  # progress bars are widgets, which a page can't show
        tagged = [cell for cell in code_cells(notebook) if "scoreboard" in cell.metadata.get("tags", [])]
        if tagged:
            boards[path.stem] = next(o.data["text/plain"] for o in tagged[-1].outputs if "data" in o)
        write_page(notebook, BUILD / f"{path.stem}.html")
    write_glossary((NOTEBOOKS / "glossary.md").read_text(encoding="utf-8"), BUILD / "glossary.html")
    for name in [name for name in boards if name.startswith(("05", "06", "07"))] or list(boards):
        print(f"\n{name}\n{boards[name]}")
    print(f"\nThe notebooks as pages: {BUILD.relative_to(ROOT)}/*.html")


def store(paths: list[Path]) -> None:
    """Execute all and store them, clean, with their outputs."""
    for path, notebook in execute_all(paths):
        write(clean(notebook), path)


def clean_stored(paths: list[Path]) -> None:
    """Clean the stored notebooks without running them."""
    for path in paths:
        write(clean(nbformat.read(path, as_version=4)), path)


def write(notebook: NotebookNode, path: Path) -> None:
    """Put the notebook in the place of the stored one, whole."""
    with atomic_write(path) as unfinished:
        nbformat.write(notebook, unfinished)


def main() -> None:
    """Do what the first argument says, to all notebooks or to those named after it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "store", "clean"])
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("*.ipynb")))
    arguments = parser.parse_args()
    try:
        what = {"run": run, "store": store, "clean": clean_stored}[arguments.what]
        what(arguments.notebooks)
    except CellFailedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
