"""Layer 0: what a stranger wrote is shown as it was written, and nothing in it is obeyed.

HTML is escaped where HTML is made. This is for what escaping leaves: a $, in which a page's MathJax finds a formula,
and characters that steer a terminal, or turn round the words beside them (Boucher & Anderson, "Trojan Source", 2021).

In a notebook, importing this file has all tables of pandas shown so. Its option `display.html.use_mathjax` would do
for the classic notebook, but not for JupyterLab, which only heeds a class that pandas 3 is the first to write.
"""

import re
import sys
from typing import Any

import pandas as pd

# Control characters, ends of lines, embeddings and overrides of the direction, halves of surrogate pairs.
STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object, most: int | None = None) -> str:
    r"""Text in one line whose steering characters are written as escapes, cut to `most` characters.

    >>> printable("a \x1b[31mred\x1b[0m tent\n"), printable("x" * 99, 5)
    ('a \\x1b[31mred\\x1b[0m tent\\n', 'xxxx…')
    """
    plain = STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
    return plain if most is None or len(plain) <= most else f"{plain[: most - 1]}…"


def without_formulas(html: str) -> str:
    """HTML, escaped already, in which MathJax looks for no formulas: each class is what one of its versions skips."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{html}</div>'


def _shown(frame: Any) -> str | None:
    html = frame._repr_html_()
    return None if html is None else without_formulas(html)


if kernel := getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)():
    tables = kernel.display_formatter.formatters["text/html"]
    if pd.DataFrame not in tables:  # another one's own way to show tables stays
        tables.for_type(pd.DataFrame, _shown)
