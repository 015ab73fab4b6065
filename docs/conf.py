"""How Sphinx builds the site; `tools/site_tool.py` lays out the pages that it reads, this file among them."""

import re
import sys
from pathlib import Path
from typing import get_type_hints

from sphinx.util.inspect import signature, stringify_signature

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
autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
add_module_names = False
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
default_role = "code"  # docstrings write `name` for code
highlight_language = "none"
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_theme_options = {"show_toc_level": 2, "use_fullscreen_button": False, "navbar_persistent": []}
html_theme_options["max_navbar_depth"] = 2  # there is nothing deeper, and looking for it takes a seventh of the build
html_theme_options |= {"footer_content_items": ["extra-footer"], "extra_footer": "Apache License 2.0"}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_use_index = html_domain_indices = False  # the search finds names, too
html_show_copyright = False
html_sourcelink_suffix = ""


def setup(app):
    """Say what autodoc can't find out by itself."""
    app.connect("autodoc-skip-member", leave_out_imports)
    app.connect("autodoc-process-signature", show_arguments)


def leave_out_imports(app, what, name, thing, skip, options):
    """Leave out what a module imports, before autodoc stumbles over a signature of scipy's that it can't read."""
    return skip or not str(getattr(thing, "__module__", None) or "recsys_teach").startswith("recsys_teach")


def show_arguments(app, what, name, thing, options, arguments, returned):
    """Show what a person would call with: a Keras class's own arguments, for its `__new__` takes whatever comes.

    Of typer's annotations the type is left, and of a default that isn't Python its name.
    """
    if what == "class" and arguments == "(*args, **kwargs)":
        found = signature(thing.__init__, bound_method=True)
    elif arguments and "Annotated[" in arguments:
        found, plain = signature(thing), get_type_hints(thing)
        found = found.replace(parameters=[p.replace(annotation=plain[p.name]) for p in found.parameters.values()])
    elif arguments and "<" in arguments:
        return re.sub(r"<function (\w+).*?>", r"\1", arguments).replace("<factory>", "..."), returned
    else:
        return None
    return stringify_signature(found, show_return_annotation=False, unqualified_typehints=True), returned
