"""Formulas in the site: LaTeX in a page becomes MathML, and an indented block in a docstring stays as it was typed."""

import re

from docutils import nodes
from latex2mathml.converter import convert

SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Note|Example):$")


def inline(translator, node):
    """Write a formula within a line."""
    translator.body.append(convert(node.astext(), display="inline"))
    raise nodes.SkipNode


def block(translator, node):
    """Write a formula that stands by itself; one that is wider than the page scrolls in its box."""
    translator.body.append(f'<div class="formula" tabindex="0">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def keep_blocks(app, what, name, thing, options, lines):
    """Mark a docstring's indented blocks as literal ones, but for those that belong to a section such as `Args:`."""
    marked, margin = [], ""
    for line in lines:
        if line.startswith("    ") and marked and not marked[-1] and not SECTION.match(margin):
            if margin != "::":
                marked += ["::", ""]
                margin = "::"
        elif line and not line.startswith(" "):
            margin = line
        marked.append(line)
    lines[:] = marked


def setup(app):
    """Register both with Sphinx; the docstrings before `napoleon` reads them, whose priority is 500."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    app.connect("autodoc-process-docstring", keep_blocks, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
