"""Notebooks as pages that link to each other and load nothing: what `make run` writes, build/*.html.

Formulas become MathML, which browsers show by themselves.
"""

import re
from pathlib import Path

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from traitlets.config import Config

OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")
FAR_PICTURE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")
BESIDE = re.compile(r"\]\((\w+)\.(?:ipynb|md)(#[\w-]+)?\)")
WITHOUT_CHECKS = Config(
    TagRemovePreprocessor={"enabled": True, "remove_cell_tags": ["remove-cell"], "remove_input_tags": ["hide-input"]}
)
WITHOUT_LOADING = """{%- extends "lab/index.html.j2" -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
TERM = re.compile(r"^## (.+)$", flags=re.MULTILINE)


class Renderer(IPythonRenderer):
    """Markdown as HTML, with formulas as MathML; one that is wider than the page scrolls in its box."""

    def inline_math(self, body: str) -> str:
        return convert(body, display="inline")

    def block_math(self, body: str) -> str:
        return f'<span style="display:block;overflow-x:auto" tabindex="0">{convert(body, display="block")}</span>'


class Exporter(HTMLExporter):
    """Nbconvert's exporter, whose page loads no script."""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        return MarkdownWithMath(renderer=Renderer(escape=False)).render(source)


def write_page(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook as a page; its links lead to the pages beside it, and one that leads elsewhere to nothing."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = BESIDE.sub(r"](\1.html\2)", without_far_pictures(without_links_outside(cell.source)))
    exporter = Exporter(config=WITHOUT_CHECKS, raw_template=WITHOUT_LOADING)
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    path.write_text(html, encoding="utf-8")


def write_glossary(markdown: str, path: Path) -> None:
    """Write the glossary as a page, each term with the name that the notebooks call it by."""
    anchored = TERM.sub(lambda term: f'<a id="{anchor(term[1])}"></a>\n\n{term[0]}', markdown)
    write_page(new_notebook(cells=[new_markdown_cell(anchored)], metadata=nbformat.from_dict({})), path)


def anchor(heading: str) -> str:
    """What a heading is called in links, as GitHub makes it of its words."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def without_links_outside(markdown: str) -> str:
    """Markdown in which a link that leads out of the folder is only its words."""
    return OUTSIDE.sub(r"\1", markdown)


def without_far_pictures(markdown: str) -> str:
    """Markdown in which a picture that a reader would fetch from elsewhere is only its words."""
    return FAR_PICTURE.sub(r"\1", markdown)
