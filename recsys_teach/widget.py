"""Layer 2: a notebook's small controls, with words in their place where no kernel runs."""

from typing import Any

import ipywidgets as widgets


def bundle(box: widgets.Widget, fallback: dict[str, str]) -> dict[str, Any]:
    """What a notebook stores of a widget by MIME type: its view, and what stands for it where no kernel runs."""
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    return {"application/vnd.jupyter.widget-view+json": view} | fallback


class WithFallback:
    """A widget, and what stands for it on a page without a kernel; end a cell with it.

    Args:
        box: the widget.
        html: what a page shows in its place.
        text: the same where there is no HTML.
    """

    def __init__(self, box: widgets.Widget, html: str, text: str):
        self.box, self.html, self.text = box, html, text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(self.box, {"text/html": self.html, "text/plain": self.text})
