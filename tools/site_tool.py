"""Builds the course as a static site, without running a notebook: `python tools/site_tool.py [FOLDER]`.

Sphinx wants all pages in one folder, FOLDER/source, so the files are copied there and keep their places to each other:
a link that works on GitHub works in the site. The site is FOLDER/html. A link that leads nowhere fails the build.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from pages import without_far_pictures

from recsys_teach.lab import page
from recsys_teach.lab.sweep import Sweep

ROOT = Path(__file__).parents[1]
PAGES = ["*.md", ".github/*.md", "notebooks/*.md", "benchmarks/*"]
LINKED = [
    "*.yml",
    "*.cff",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
    "recsys_teach/**/*.py",
    "recsys_teach/**/*.js",
    "notebooks/*.py",
    "requirements/*",
]
LINKED += ["tests/**/*.py", "tools/*.py", ".github/workflows/*"]


def lay_out(source: Path) -> None:
    """Copy what the site is made of into an empty folder, and write the pages of the package."""
    shutil.rmtree(source, ignore_errors=True)
    for path in _files(*PAGES, *LINKED):
        _copy(path, source / path.relative_to(ROOT))
    for path in _files("docs/*"):
        top = path.name == "index.md" or path.suffix in {".py", ".css"}  # where Sphinx looks for them
        _copy(path, source / path.name if top else source / "docs" / path.name)
    readme, index = source / "README.md", source / "index.md"
    readme.write_text(without_far_pictures(readme.read_text(encoding="utf-8")), encoding="utf-8")
    index.write_text(index.read_text(encoding="utf-8").replace("../", ""), encoding="utf-8")
    (source / "notebooks").mkdir(exist_ok=True)
    for path in _files("notebooks/*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        describe_images(notebook)
        notebook.cells[0].source = without_far_pictures(notebook.cells[0].source)  # badges
        nbformat.write(notebook, source / "notebooks" / path.name)
    (source / "lab.html").write_text(page.html(Sweep.load("movielens")), encoding="utf-8")  # on the first page
    write_reference(source / "api")


def _files(*patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()]


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def describe_images(notebook: NotebookNode) -> None:
    """Give the picture of a cell the words printed under it as its description, for those who can't see it."""
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for picture, words in pairwise(outputs):
            if "image/png" in picture.get("data", {}) and words.output_type == "stream":
                cell.metadata["mystnb"] = {"image": {"alt": " ".join(words.text.split())}}


def write_reference(folder: Path) -> None:
    """Write a page for each module, which Sphinx fills from its docstrings, and one that lists them by room."""
    folder.mkdir()
    package = ROOT / "recsys_teach"
    order = re.findall(r"^  (\w+)\.py", (ROOT / "docs/package.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    rooms = sorted(path.parent for path in package.glob("*/__init__.py"))
    index = "# The package\n\nThe steps of the course, a file each; everything else has a room.\n"
    for room in (package, *rooms):
        files = sorted(path for path in room.glob("*.py") if not path.stem.startswith("_"))
        files.sort(key=lambda path: order.index(path.stem) if path.stem in order else -1)
        if room.name == "exercises":  # the other files hold the solutions
            files = [path for path in files if path.stem in {"exercise", "final_challenge"}]
        names = [".".join(path.relative_to(package).with_suffix("").parts) for path in files]
        if room != package:
            names, files = [room.name, *names], [room / "__init__.py", *files]
            index += f"\n## {room.name}\n\n"
        index += "\n" + "".join(f"- [{name}]({name}.md): {_purpose(file)}\n" for name, file in zip(names, files))
        index += "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
        for name in names:
            text = f"# {name}\n\n```{{eval-rst}}\n.. automodule:: recsys_teach.{name}\n```\n"
            (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "index.md").write_text(index, encoding="utf-8")


def _purpose(file: Path) -> str:
    """Return the first sentence of a module's docstring, without the name that it may begin with."""
    paragraph = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    sentence = re.split(r"(?<=[.?]) ", paragraph.replace("\n", " "))[0]
    return re.sub(r"^[\w ]+: ", "", sentence)


def build(folder: Path, python: str = sys.executable) -> None:
    """Lay out and build the site with the Sphinx of this Python; a warning is an error.

    Raises:
        subprocess.CalledProcessError: Sphinx warned of something; it has said of what.
    """
    lay_out(folder / "source")
    shutil.rmtree(folder / "html", ignore_errors=True)
    command = [python, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "-E", "-d", str(folder / "doctrees")]
    own = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    subprocess.run([*command, str(folder / "source"), str(folder / "html")], env=os.environ | own, check=True)


def main() -> None:
    """Build the site in the folder that is named, or in build/site."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site")
    folder = parser.parse_args().folder.absolute()
    try:
        build(folder)
    except subprocess.CalledProcessError:
        sys.exit("the site has faults: see above")
    print(f"The site: {folder / 'html' / 'index.html'}")


if __name__ == "__main__":
    main()
