"""Widgets answer keys and clicks in a real browser, in each front end."""

import nbformat
import pytest
from browser import CLASSIC, front_end
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

APP = """
import sys
import threading
import ipywidgets as widgets

slider = widgets.SelectionSlider(options=[0.0, 0.5, 1.0], description="Weight", continuous_update=False)
page = widgets.HTML("nothing yet")
start, cancel, broken = (widgets.Button(description=text) for text in ("Start", "Cancel", "Break"))
progress = widgets.IntProgress(description="Done", max=3)
cancelled = threading.Event()

def work():
    for step in range(1, 4):
        progress.value = step
        page.value = f"<p>step {step}</p>"
    cancelled.wait()
    page.value = "<p>cancelled</p>"

slider.observe(lambda change: setattr(page, "value", f"<p>weight {change['new']}</p>"), "value")
start.on_click(lambda button: threading.Thread(target=work, daemon=True).start())
cancel.on_click(lambda button: cancelled.set())
broken.on_click(lambda button: 1 / 0)
box = widgets.VBox([slider, start, cancel, broken, progress, page])

class App:
    def _repr_mimebundle_(self, **kwargs):
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        view_type = "application/vnd.jupyter.widget-view+json"
        return {view_type: view, "text/html": "<b>static</b>", "text/plain": "App"}

App()
"""
VERSIONS = {"lab": "8", "classic": "7.7.1", "voila": "8"}


@pytest.mark.parametrize("kind", VERSIONS)
def test_widgets_answer_in_a_browser(kind, tmp_path):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [new_code_cell(APP), new_code_cell("print(sys.prefix, 'has', widgets.__version__)")]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "app.ipynb")
    with front_end(kind, tmp_path) as open_notebook:
        notebook = open_notebook("app.ipynb")
        notebook.run_all()
        printed = notebook.page.locator("pre", has_text=f"has {VERSIONS[kind]}").last
        expect(printed).to_contain_text(f"{CLASSIC} has" if kind == "classic" else " has")
        notebook.press("Weight", "ArrowRight")
        expect(notebook.html("weight 0.5")).to_be_visible()
        notebook.button("Start").click()
        expect(notebook.html("step 3")).to_be_visible()
        notebook.button("Cancel").click()
        expect(notebook.html("cancelled")).to_be_visible()
        expect(notebook.page.locator("b", has_text="static")).to_have_count(0)
        assert notebook.error_outputs() == []
        assert notebook.screenshot(f"smoke-{kind}").exists()
        notebook.button("Break").click()
        notebook.page.wait_for_function("kernelErrors.length")
        assert notebook.error_outputs() == ["ZeroDivisionError: division by zero"]
