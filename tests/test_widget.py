"""A small control shows its widget in a kernel, and words elsewhere."""

import ipywidgets as widgets
import notebook_tool as tool
from nbformat.v4 import new_code_cell, new_notebook, new_output

from recsys_teach.widget import WithFallback


def test_a_control_shows_its_widget_and_carries_its_fallback():
    box = widgets.VBox([widgets.IntSlider()])
    bundle = WithFallback(box, "<b>seven</b>", "seven")._repr_mimebundle_(include=None, exclude=None)
    assert bundle.pop("application/vnd.jupyter.widget-view+json")["model_id"] == box.model_id
    assert bundle == {"text/html": "<b>seven</b>", "text/plain": "seven"}


def test_what_is_stored_of_it_is_the_fallback():
    bundle = WithFallback(widgets.HTML(), "<b>seven</b>", "seven")._repr_mimebundle_()
    cell = new_code_cell("x", outputs=[new_output("execute_result", bundle, execution_count=1)])
    (output,) = tool.clean(new_notebook(cells=[cell])).cells[0].outputs
    assert output.data == {"text/html": "<b>seven</b>", "text/plain": "seven"}
