"""A notebook that stands alone: it holds the package's wheel and the words of the glossary, and links to no file."""

import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from notebook_tool import ROOT, without_outputs
from pages import TERM, anchor

TO_A_FILE = re.compile(r"\[([^\]]*)\]\((?!\w+:)([^)]*)\)")
CHECK = "nbval-check-output"

CELL = """\
# @title The course's package is packed in here. This cell puts it beside the notebook: run it, don't read it.
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

wheel = b64decode("{wheel}")
if sha256(wheel).hexdigest() != "{digest}":
    raise ValueError("the package in this notebook isn't the one that was packed: get the notebook again")
Path("{name}").write_bytes(wheel)
del wheel"""


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel into a folder; the same package gives the same bytes."""
    command = [sys.executable, "-m", "flit_core.wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def wheel_cell(wheel: Path) -> NotebookNode:
    """A cell, folded in Colab and JupyterLab, that writes this wheel beside the notebook if it is still the same."""
    data = wheel.read_bytes()
    code = CELL.format(wheel=b64encode(data).decode(), digest=sha256(data).hexdigest(), name=wheel.name)
    return new_code_cell(code, id="the-package", metadata={"cellView": "form", "jupyter": {"source_hidden": True}})


def alone(notebook: NotebookNode, wheel: Path, glossary: str) -> NotebookNode:
    """The notebook without outputs, with the wheel before its first code cell and its words after the last cell."""
    notebook.cells[0].source = "\n\n".join(
        paragraph for paragraph in notebook.cells[0].source.split("\n\n") if "](glossary.md)" not in paragraph
    )
    words = _words(notebook, glossary)
    for cell in without_outputs(notebook).cells:
        if cell.cell_type == "markdown":
            cell.source = TO_A_FILE.sub(r"\1", cell.source)
        elif CHECK in cell.metadata.get("tags", []):
            cell.metadata["tags"].remove(CHECK)  # there is no output to compare with
    first = next(place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells.insert(first, wheel_cell(wheel))
    notebook.cells.append(new_markdown_cell(words, id="the-words"))
    return notebook


def _words(notebook: NotebookNode, glossary: str) -> str:
    """The entries of the glossary that the notebook links to."""
    _, *parts = TERM.split(TO_A_FILE.sub(r"\1", glossary))
    entries = {anchor(term): f"**{term}**: {text.strip()}" for term, text in zip(parts[::2], parts[1::2])}
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    linked = {target.partition("#")[2] for _, target in TO_A_FILE.findall(prose) if target.startswith("glossary.md#")}
    return "\n\n".join(["## Words", *(entry for term, entry in entries.items() if term in linked)])
