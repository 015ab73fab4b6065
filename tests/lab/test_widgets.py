"""A small control shows its widget in a kernel, and words elsewhere."""

import ipywidgets as widgets
import notebook_tool as tool
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from recsys_teach.lab.widgets import WithFallback, with_box

SHOWN = '<div class="tex2jax_ignore mathjax_ignore"><b>seven</b></div>'  # and no formulas are looked for in it


def test_a_control_shows_its_widget_and_carries_its_fallback():
    box = widgets.VBox([widgets.IntSlider()])
    bundle = WithFallback(box, "<b>seven</b>", "seven")._repr_mimebundle_(include=None, exclude=None)
    assert bundle.pop("application/vnd.jupyter.widget-view+json")["model_id"] == box.model_id
    assert bundle == {"text/html": SHOWN, "text/plain": "seven"}


def test_what_is_stored_of_it_is_the_fallback():
    bundle = WithFallback(widgets.HTML(), "<b>seven</b>", "seven")._repr_mimebundle_()
    cell = new_code_cell("x", outputs=[new_output("execute_result", bundle, execution_count=1)])
    (output,) = tool.clean(new_notebook(cells=[cell])).cells[0].outputs
    assert output.data == {"text/html": SHOWN, "text/plain": "seven"}


@pytest.mark.parametrize(
    ("slider", "kind", "value"),
    [
        (widgets.IntSlider(45, min=0, max=180, step=15, description="angle"), widgets.BoundedIntText, 60),
        (widgets.FloatSlider(1.0, min=0.5, max=2.0, step=0.5, description="length"), widgets.BoundedFloatText, 1.5),
        (widgets.SelectionSlider(options=[("none", 0), ("ten", 10)], description="damping"), widgets.Dropdown, 10),
    ],
)
def test_the_box_beside_a_slider_has_its_name_and_its_value_both_ways(slider, kind, value):
    before = slider.value
    shown, box = with_box(slider, layout={"width": "220px"}).children
    assert (shown, type(box), box.layout.width) == (slider, kind, "220px")
    assert (box.description, box.value, slider.readout) == (slider.description, before, False)
    slider.value = value
    assert box.value == value
    box.value = before
    assert slider.value == before


def test_a_list_beside_a_slider_has_its_new_stops():
    slider = widgets.SelectionSlider(options=[("1 : 1", 0), ("rating only", 1)], value=1)
    _, box = with_box(slider).children
    slider.options = [("1 : 1", 0), ("2 : 1", 2), ("rating only", 1)]
    slider.value = 2
    assert (box.options, box.value, box.label) == (slider.options, 2, "2 : 1")
