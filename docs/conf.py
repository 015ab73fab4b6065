"""How Sphinx builds the site; `tools/site_tool.py` lays out the pages that it reads, this file among them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for `formulas`

project = "recsys-teach"
html_title = "recsys-teach"
language = "en"
root_doc = "index"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "formulas"]

# The notebooks: their stored outputs, never run again. Links lead to headings by the names that GitHub gives them.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

# The package: what has a docstring of its own. What Keras' classes bring along stays out.
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
default_role = "code"  # docstrings write `name` for code
highlight_language = "none"
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_theme_options = {"show_toc_level": 2, "use_fullscreen_button": False, "path_to_docs": "docs"}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_copyright = False
html_sourcelink_suffix = ""


def setup(app):
    """Leave out what a module imports, before Sphinx stumbles over a signature of scipy's that it can't read."""
    app.connect("autodoc-skip-member", lambda app, what, name, thing, skip, options: skip or _foreign(thing))


def _foreign(thing):
    return not str(getattr(thing, "__module__", None) or "recsys_teach").startswith("recsys_teach")
