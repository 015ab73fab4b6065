"""What the site's tool makes of a small planted project: pages in their places, words for pictures, faults found."""

import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import site_tool
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from site_pages import Page, sphinx_python

ROOT = Path(__file__).parents[2]
README = """# Planted

## The package

| | |
|---|---|
| `one` | numbers |

## More

[the notebook](notebooks/01_first.ipynb), [a file](recsys_teach/one.py)
"""
INDEX = """# First page

[Planted](../README.md)

```{toctree}
../README
../notebooks/01_first
../api/index
```
"""
MODULE = '''"""Layer 1: a formula.

    a  =  b
    *c

It ends.
"""

from itertools import count

__version__ = "1"


def double(x: float) -> float:
    """Twice `x`.

    Args:
        x: any number,
            or none.

    Raises:
        ValueError: never.
    """
    return 2 * x
'''
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABXvMqOgAAAABJRU5ErkJggg=="
FEEDBACK = '<div style="color: #123456">Not yet.</div><details><summary>a hint</summary>Count again.</details>'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one notebook and one module, which the tool takes for the course."""
    root = tmp_path / "project"
    for folder in ("docs", "notebooks", "recsys_teach"):
        (root / folder).mkdir(parents=True)
    for path in (ROOT / "docs").glob("*.[pc]*"):
        shutil.copy(path, root / "docs")
    (root / "README.md").write_text(README)
    (root / "docs" / "index.md").write_text(INDEX)
    (root / "recsys_teach" / "__init__.py").write_text('"""Planted."""\n')
    (root / "recsys_teach" / "one.py").write_text(MODULE)
    write_notebook(root, "See [more](../README.md#more): $$\\frac{1}{2}$$")
    monkeypatch.setattr(site_tool, "ROOT", root)
    return root


def write_notebook(root, prose):
    outputs = [
        new_output("display_data", {"image/png": PIXEL, "text/plain": "a figure"}),
        new_output("stream", text="One pixel,\nand nothing else.\n"),
        new_output("display_data", {"text/html": FEEDBACK, "text/plain": "Not yet."}),
    ]
    code = new_code_cell("raise RuntimeError('it ran')", execution_count=1, outputs=outputs)
    notebook = new_notebook(cells=[new_markdown_cell("# 01 · First"), new_markdown_cell(prose), code])
    notebook.metadata = {"language_info": {"name": "python"}}
    nbformat.write(notebook, root / "notebooks" / "01_first.ipynb")


def test_a_planted_project_becomes_a_site(project, tmp_path):
    site_tool.build(tmp_path / "site", sphinx_python())
    html = tmp_path / "site" / "html"
    notebook, module = Page(html / "notebooks" / "01_first.html"), Page(html / "api" / "one.html")
    assert "../README.html#more" in notebook.links
    links = Page(html / "README.html").links
    assert "notebooks/01_first.html" in links
    assert [(html / link).is_file() for link in links if link.endswith("one.py")] == [True]
    assert "README.html" in Page(html / "index.html").links
    assert notebook.pictures == ["One pixel, and nothing else."]
    assert FEEDBACK in notebook.path.read_text()
    assert "mfrac" in notebook.tags
    assert "\na  =  b\n*c\n" in module.text
    assert {"recsys_teach.one.double"} == {anchor for anchor in module.ids if anchor.startswith("recsys_teach.")}
    assert "or none." in module.text
    assert "Args:" not in module.text


@pytest.mark.parametrize(("link", "named"), [("02_second.ipynb", "02_second.ipynb"), ("../README.md#less", "'less'")])
def test_a_link_that_leads_nowhere_fails_the_build(project, tmp_path, capfd, link, named):
    write_notebook(project, f"See [it]({link}).")
    with pytest.raises(subprocess.CalledProcessError):
        site_tool.build(tmp_path / "site", sphinx_python())
    assert named in capfd.readouterr().err


def test_modules_are_grouped_as_the_readme_does_and_none_is_forgotten(project):
    assert site_tool.groups() == [(["one"], "numbers")]
    (project / "recsys_teach" / "two.py").touch()
    assert site_tool.groups() == [(["one"], "numbers"), (["two"], "the rest")]
    (project / "README.md").write_text(README.replace("`one`", "`one` `t…`"))
    assert site_tool.groups() == [(["one", "two"], "numbers")]
    (project / "recsys_teach" / "one.py").unlink()
    with pytest.raises(ValueError, match=r"names one, of which there is no file"):
        site_tool.groups()


def test_a_picture_without_words_under_it_gets_none(project):
    picture = new_output("display_data", {"image/png": PIXEL})
    notebook = new_notebook(cells=[new_code_cell("", outputs=[picture, picture]), new_markdown_cell("words")])
    site_tool.describe_images(notebook)
    assert "mystnb" not in notebook.cells[0].metadata
