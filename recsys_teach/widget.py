"""Layer 2: a notebook's small controls, with words in their place where no kernel runs."""

from typing import Any

import ipywidgets as widgets

from recsys_teach.verbatim import without_formulas


def bundle(box: widgets.Widget, fallback: dict[str, str]) -> dict[str, Any]:
    """What a notebook stores of a widget by MIME type: its view, and what stands for it where no kernel runs."""
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    plain = {"text/html": without_formulas(fallback["text/html"])}
    return {"application/vnd.jupyter.widget-view+json": view} | fallback | plain


def with_box(slider: widgets.Widget, **box: Any) -> widgets.HBox:
    """The slider, and beside it a box of the same description and value, since a slider has no accessible name.

    The box is a list of the stops of a `SelectionSlider`, a field for the number of any other; it stands for the
    slider's own readout. `box` are more arguments of it, such as its layout.
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
