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

ROOT = Path(__file__).parents[1]
PAGES = ["*.md", "notebooks/*.md", "benchmarks/*"]
LINKED = ["*.yml", "*.py", "LICENSE", "Makefile", "recsys_teach/*.py", "requirements/*", "tests/*.py", "tools/*.py"]
LINKED += [".github/workflows/*"]
GROUP = re.compile(r"^\| ((?:`\w+…?` ?)+)\| (.+?) \|$", flags=re.MULTILINE)  # a row of the README's table of modules


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


def groups() -> list[tuple[list[str], str]]:
    """The modules of the package by the README's table, where `name…` is all that begin so; and what each group is."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## The package\n")[2].partition("\n## ")[0]
    there = {path.stem for path in (ROOT / "recsys_teach").glob("*.py") if not path.stem.startswith("__")}
    found = []
    for names, about in GROUP.findall(table):
        row = []
        for name, more in re.findall(r"`(\w+)(…?)`", names):
            row += sorted(module for module in there if module.startswith(name)) if more else [name]
        found.append((row, about))
    listed = {name for names, _ in found for name in names}
    if gone := listed - there:
        raise ValueError(
            f"the table under 'The package' in README.md names {', '.join(sorted(gone))}, of which there "
            "is no file in recsys_teach/: take it out of the table."
        )
    if more := sorted(there - listed):
        found.append((more, "the rest"))
    return found


def write_reference(folder: Path) -> None:
    """A page for each module, which Sphinx fills from its docstrings, and one that lists them."""
    folder.mkdir()
    index = "# The package\n\nEvery file builds on those before it only.\n"
    for names, about in groups():
        names = [name for name in names if not name.startswith("exercises_")]  # the solutions are in there
        index += f"\n## {', '.join(names)}\n\n{about[0].upper()}{about[1:]}.\n\n"
        index += "".join(f"- [{name}]({name}.md): {_purpose(name)}\n" for name in names)
        index += "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
        for name in names:
            page = f"# {name}\n\n```{{eval-rst}}\n.. automodule:: recsys_teach.{name}\n```\n"
            (folder / f"{name}.md").write_text(page, encoding="utf-8")
    (folder / "index.md").write_text(index, encoding="utf-8")


def _purpose(module: str) -> str:
    """The first sentence of a module's docstring, without the number of its floor."""
    tree = ast.parse((ROOT / "recsys_teach" / f"{module}.py").read_text(encoding="utf-8"))
    paragraph = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
    return re.sub(r"^\w+ \d+: ", "", re.split(r"(?<=[.?]) ", paragraph)[0])


def build(folder: Path, python: str = sys.executable) -> None:
    """Lay out and build the site with the Sphinx of this Python; a warning is an error.

    Raises:
        ValueError: if the README names a module that isn't there.
        subprocess.CalledProcessError: if Sphinx warns of something; it has said of what.
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
    except ValueError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError:
        sys.exit("the site has faults: see above")
    print(f"The site: {folder / 'html' / 'index.html'}")


if __name__ == "__main__":
    main()
