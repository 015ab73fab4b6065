"""Where the course is published: written in one place, and everything that follows from it agrees."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import links_tool as links
import nbformat
import notebook_tool as tool
import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
METADATA = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def first_cell(path):
    return tool.code_cells(nbformat.read(path, as_version=4))[0].source


@pytest.fixture
def scratch(tmp_path, monkeypatch, capsys):
    """A copy of what names the repository, and `make links` for it."""
    for path in [*NOTEBOOKS, ROOT / "pyproject.toml", ROOT / "README.md"]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)

    def make_links(*arguments):
        monkeypatch.setattr(sys, "argv", ["links_tool.py", *arguments])
        links.main(tmp_path)
        return {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.*")}

    return make_links


def test_what_is_committed_agrees():
    repository = links.published(METADATA)
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        assert links.link(notebook, repository, path.relative_to(ROOT).as_posix()) == nbformat.read(path, as_version=4)


def test_a_repository_is_written_everywhere_and_once(scratch):
    scratch("some/where")
    files = scratch("me/my-course.2")  # it replaces the other one
    assert scratch() == files
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    assert project["urls"] == {"Repository": "https://github.com/me/my-course.2"}
    assert project["scripts"]
    start = "https://colab.research.google.com/github/me/my-course.2/blob/main/notebooks/"
    assert files.pop("README.md").count(f"({start}01_data.ipynb)") == 1
    for name, text in files.items():
        assert "some/where" not in text
        assert text.count("recsys-teach[scale] @ https://github.com/me/my-course.2/archive/HEAD.zip") == 1
        if "/app/" not in name:
            assert text.count(f"({start}{Path(name).name})") == 1
            place = f"labpath=notebooks%2F{Path(name).name})"
            assert text.count(f"(https://mybinder.org/v2/gh/me/my-course.2/main?{place}") == 1


@pytest.mark.parametrize("name", ["course", "https://github.com/me/course", "me/course/", 'me/"x'])
def test_what_is_no_repository_is_refused_and_nothing_written(name, scratch):
    before = scratch()
    with pytest.raises(SystemExit, match=r"expected owner/name, as in make links REPO=owner/name"):
        scratch(name)
    assert scratch() == before


def test_no_badges_without_a_repository():
    assert links.with_badges("# Title\n\nWords.\n\nMore.", links.badges("", "x.ipynb")) == "# Title\n\nWords.\n\nMore."


def run_first_cell(folder, repository="", path=()):
    """The first cell in a process that knows no recsys_teach but on this path; pip is a program that says its words."""
    fake = folder.parent / "site" / "pip"
    fake.mkdir(parents=True, exist_ok=True)
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text("import sys; print('pip', *sys.argv[1:]); sys.exit('broken' in sys.argv[-1])")
    code = links.set_up(repository) + "\nfound = find_spec('recsys_teach')\nprint(found and found.origin)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [fake.parent, *path]))
    command = [sys.executable, "-S", "-c", code]  # -S: without what is installed
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path):
    """A folder below two others, none of which holds the package."""
    deep = tmp_path / "course" / "notebooks"
    deep.mkdir(parents=True)
    return deep


def package_in(folder):
    file = folder / "recsys_teach" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.touch()
    return file


def test_first_cell_takes_what_is_installed_before_a_clone(folder, tmp_path):
    installed = package_in(tmp_path / "installed")
    clone = package_in(folder.parent)
    assert run_first_cell(folder, "me/course", [tmp_path / "installed"]).stdout == f"{installed}\n"
    assert run_first_cell(folder, "me/course").stdout == f"{clone}\n"


def test_first_cell_finds_the_package_beside_the_notebook(folder):
    beside = package_in(folder)
    assert Path(folder, run_first_cell(folder).stdout.strip()).resolve() == beside.resolve()


def test_first_cell_installs_the_newest_wheel_beside_the_notebook_rather_than_the_repository(folder):
    for version in ("0.1.0", "0.2.0"):
        (folder / f"recsys_teach-{version}-py3-none-any.whl").touch()
    wheel = folder / "recsys_teach-0.2.0-py3-none-any.whl"
    assert run_first_cell(folder, "me/course").stdout.startswith(f"pip install --quiet {wheel}[scale]\n")


def test_first_cell_installs_from_the_repository(folder):
    source = "recsys-teach[scale] @ https://github.com/me/course/archive/HEAD.zip"
    assert run_first_cell(folder, "me/course").stdout.startswith(f"pip install --quiet {source}\n")


def test_first_cell_says_what_to_do_where_nothing_is_known(folder):
    error = run_first_cell(folder).stderr.splitlines()[-1]
    assert re.fullmatch(r"ModuleNotFoundError: .*put its wheel beside this notebook, or open the hand-out.*", error)


def test_first_cell_stops_where_pip_does(folder):
    assert "CalledProcessError" in run_first_cell(folder, "me/broken").stderr


def test_first_cell_fits_a_notebook():
    cell = links.set_up("some-owner/recsys-teach")
    ast.parse(cell)
    assert max(map(len, cell.splitlines())) <= 120
    assert len([line for line in cell.splitlines() if line]) <= 12
