"""Small controls for notebooks, with text in their place on pages without a kernel."""

from typing import Any

import ipywidgets as widgets

from recsys_teach._util import escape_math


def bundle(box: widgets.Widget, fallback: dict[str, str]) -> dict[str, Any]:
    """Return by MIME type what a notebook stores of a widget: its view, and the fallback for pages without a kernel."""
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    return {"application/vnd.jupyter.widget-view+json": view} | fallback


def with_box(slider: widgets.Widget, **box: Any) -> widgets.HBox:
    """Return a slider with a box of the same description and value beside it: a slider has no accessible name.

    The box is a list of the stops of a `SelectionSlider`, or a field for the number of any other slider. It replaces
    the slider's own readout. `box` are further arguments of the box, such as its layout.
    """
    box |= {"description": slider.description}
    if isinstance(slider, widgets.SelectionSlider):
        named = widgets.Dropdown(options=slider.options, **box)
        widgets.link((slider, "options"), (named, "options"))
    else:
        kind = widgets.BoundedIntText if isinstance(slider, widgets.IntSlider) else widgets.BoundedFloatText
        named = kind(min=slider.min, max=slider.max, step=slider.step, **box)
    widgets.link((slider, "value"), (named, "value"))
    slider.readout = False
    return widgets.HBox([slider, named])


class WithFallback:
    """A widget and its fallback on a page without a kernel; end a cell with it.

    Args:
        box: the widget.
        html: the fallback.
        text: the same without HTML.
    """

    def __init__(self, box: widgets.Widget, html: str, text: str):
        self.box, self.html, self.text = box, html, text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(self.box, {"text/html": escape_math(self.html), "text/plain": self.text})
