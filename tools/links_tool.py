"""Tells the notebooks where the course is published: `python tools/links_tool.py [OWNER/NAME]`.

`[project.urls]` in pyproject.toml is the one place that knows; an argument is written there first. From it follow the
first code cell of every notebook, which installs the package where it is missing, and the badges of notebooks and
README, which open them in Google Colab and on Binder. Without a repository there are no badges, and the cell says
what can be done by hand.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import quote

import nbformat
import notebook_tool as tool
from nbformat import NotebookNode

GITHUB, COLAB, BINDER = "https://github.com/", "https://colab.research.google.com/", "https://mybinder.org/"
NAME = re.compile(r"[\w.-]+/[\w.-]+", flags=re.ASCII)
URLS = re.compile(r'^\[project\.urls\]\nRepository = "(.*)"\n\n', flags=re.MULTILINE)
BEFORE = "[project.scripts]\n"
BADGES = re.compile(r"^\[!\[Open in Colab\].*\n\n", flags=re.MULTILINE)

SET_UP = """\
# @title Set up: finds the course's package, installed, beside this notebook or above it, or installs it.
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PUBLISHED = "{source}"
sys.path += [str(folder) for folder in Path.cwd().parents if (folder / "recsys_teach").is_dir()]
if find_spec("recsys_teach") is None:
    source = max((f"{{wheel}}[scale]" for wheel in Path.cwd().glob("recsys_teach-*.whl")), default=PUBLISHED)
    if not source:
        raise ModuleNotFoundError("no recsys_teach: put its wheel beside this notebook, or open the hand-out of it")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)"""


def published(metadata: str) -> str:
    """The repository as `owner/name` in the text of pyproject.toml, or nothing."""
    found = URLS.search(metadata)
    return found[1].removeprefix(GITHUB) if found else ""


def publish(metadata: str, repository: str) -> str:
    """The text of pyproject.toml with this repository in it.

    Raises:
        ValueError: the repository isn't `owner/name`.
    """
    if not NAME.fullmatch(repository):
        raise ValueError(f"found the repository {repository!r}: expected owner/name, as in make links REPO=owner/name.")
    urls = f'[project.urls]\nRepository = "{GITHUB}{repository}"\n\n'
    return URLS.sub("", metadata).replace(BEFORE, urls + BEFORE)


def set_up(repository: str) -> str:
    """The first code cell of every notebook."""
    return SET_UP.format(source=repository and f"recsys-teach[scale] @ {GITHUB}{repository}/archive/HEAD.zip")


def badges(repository: str, path: str) -> str:
    """A line of Markdown that opens this file of the repository in Google Colab and on Binder, or nothing."""
    if not repository:
        return ""
    colab = f"{COLAB}github/{repository}/blob/main/{path}"
    binder = f"{BINDER}v2/gh/{repository}/main?labpath={quote(path, safe='')}"
    return (
        f"[![Open in Colab]({COLAB}assets/colab-badge.svg)]({colab}) "
        f"[![Open in Binder]({BINDER}badge_logo.svg)]({binder})\n\n"
    )


def with_badges(markdown: str, line: str) -> str:
    """Markdown whose first paragraph after the title is followed by these badges, and by no others."""
    title, paragraph, rest = BADGES.sub("", markdown).split("\n\n", 2)
    return f"{title}\n\n{paragraph}\n\n{line}{rest}"


def link(notebook: NotebookNode, repository: str, path: str) -> NotebookNode:
    """The notebook with the first cell and, where it links to others at its top, the badges of this repository."""
    first = tool.code_cells(notebook)[0]
    first.source, first.metadata["tags"] = set_up(repository), [tool.FOLDED]
    if "](glossary.md)" in notebook.cells[0].source:
        notebook.cells[0].source = with_badges(notebook.cells[0].source, badges(repository, path))
    return notebook


def main(root: Path = tool.ROOT) -> None:
    """Write the repository, if one is named, and what follows from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", nargs="?", help="owner/name on GitHub; without it, what pyproject.toml says")
    metadata, readme = root / "pyproject.toml", root / "README.md"
    if named := parser.parse_args().repository:
        try:
            metadata.write_text(publish(metadata.read_text(encoding="utf-8"), named), encoding="utf-8")
        except ValueError as error:
            sys.exit(str(error))
    repository = published(metadata.read_text(encoding="utf-8"))
    for path in sorted((root / "notebooks").rglob("*.ipynb")):
        name = path.relative_to(root).as_posix()
        tool.write(tool.clean(link(nbformat.read(path, as_version=4), repository, name)), path)
    start = badges(repository, "notebooks/01_data.ipynb")
    readme.write_text(with_badges(readme.read_text(encoding="utf-8"), start), encoding="utf-8")
    print(f"the notebooks install the package from {repository or 'nowhere: name a repository'}")


if __name__ == "__main__":
    main()
