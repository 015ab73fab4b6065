"""The view of the weight lab: widgets that change a `LabState` and show its page.

It uses only what ipywidgets 7.7 has. A slider has no accessible name, so each has a named box with the same value
beside it, and the whole lab can be used by keyboard.
"""

import threading
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from recsys_teach.lab import page
from recsys_teach.lab.state import MAX_WEIGHT, LabState, place
from recsys_teach.lab.sweep import Sweep, name_of_pair
from recsys_teach.lab.widgets import bundle, with_box

Trainer = Callable[..., Sweep]  # trainer(weights, after_epoch=...): see `stacking.train_sweep`
STOPS = (0.0, *(2.0**power for power in range(-8, 3)))  # of the weights' sliders: equal steps of the logarithm


class CancelledError(Exception):
    """Raised in the training thread when its button was pressed."""


class WeightLab:
    """Sliders for two weights that show the scores of the trained model and a user's recommendations.

    Args:
        sweep: the trained models.
        trainer: `trainer([(rating_weight, retrieval_weight)], after_epoch=...)` trains exactly these weights and
            returns them as a `Sweep`; without it the button is switched off.
        epochs: number of epochs of the trainer, for the progress bar.
    """

    def __init__(self, sweep: Sweep, trainer: Trainer | None = None, *, epochs: int = 1):
        self.state, self.trainer = LabState(sweep), trainer
        self.scatter = page.Scatter(self.state)
        self._syncing, self._cancel = False, threading.Event()
        self._lock = threading.RLock()  # JupyterLab lets the callbacks of different widgets run at the same time
        self.thread: threading.Thread | None = None

        self.sliders, self.boxes = {}, {}
        for name in ("rating weight", "retrieval weight"):
            self.sliders[name] = widgets.SelectionSlider(
                options=[(f"{stop:.3g}", stop) for stop in STOPS], description=name, readout=False, **_wide("380px")
            )
            self.boxes[name] = widgets.BoundedFloatText(
                min=0, max=MAX_WEIGHT, step=0.05, description=name, **_wide("220px")
            )
        self.ratio = widgets.SelectionSlider(options=self._pairs(), description="ratio", **_wide("380px"))
        self.presets = [widgets.Button(description=name, layout={"width": "auto"}) for name in self.state.presets]
        self.shopper = widgets.Dropdown(options=self.state.shoppers, description="shopper", **_wide("220px"))
        self.train = widgets.Button(
            description="Train exactly these weights", disabled=trainer is None, layout={"width": "auto"}
        )
        self.cancel = widgets.Button(description="Cancel", disabled=True)
        self.progress = widgets.IntProgress(min=0, max=epochs, description="epochs", layout={"visibility": "hidden"})
        self.status, self.picture, self.row, self.list = (widgets.HTML() for _ in range(4))
        if trainer is None:
            self.status.value = "This lab has no trainer, so nothing can be trained here."
        self.picture.layout = {"flex": "0 0 550px"}
        self._connect()
        weights = [widgets.HBox([self.sliders[name], self.boxes[name]]) for name in self.sliders]
        training = widgets.HBox([self.train, self.cancel, self.progress])
        self.box = widgets.VBox(
            [
                widgets.HBox(self.presets),
                *weights,
                with_box(self.ratio, **_wide("220px")),
                training,
                self.status,
                widgets.HBox([self.picture, widgets.VBox([self.row, self.shopper, self.list])]),
            ]
        )
        self.render()

    def show(self) -> None:
        """Show the lab; a page without a kernel shows a picture and a table of the presets."""
        display(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(self.box, page.static_bundle(self.state))

    def _pairs(self) -> list[tuple[str, int]]:
        """Return the stops of the ratio slider: the trained pairs from retrieval only to rating only."""
        weights = self.state.sweep.weights
        order = sorted(range(len(weights)), key=lambda pair: place(*weights[pair]))
        return [(name_of_pair(*weights[pair]), pair) for pair in order]

    def _connect(self) -> None:
        for name, slider in self.sliders.items():
            slider.observe(lambda change, name=name: self._weight(name, change["new"]), "value")
            self.boxes[name].observe(lambda change, name=name: self._weight(name, change["new"]), "value")
        self.ratio.observe(lambda change: self._move(*self.state.sweep.weights[change["new"]]), "value")
        for button in self.presets:
            button.on_click(lambda pressed: self._move(*self.state.presets[pressed.description]))
        self.shopper.observe(lambda change: self._look_at(change["new"]), "value")
        self.train.on_click(lambda _: self._start())
        self.cancel.on_click(lambda _: self._cancel.set())

    def _weight(self, name: str, value: float) -> None:
        weights = {"rating weight": self.state.rating_weight, "retrieval weight": self.state.retrieval_weight}
        self._move(*(weights | {name: value}).values())

    def _move(self, rating_weight: float, retrieval_weight: float) -> None:
        with self._lock:
            if self._syncing:  # this very thread is rendering, and moves the controls itself
                return
            try:
                self.state.set_weights(rating_weight, retrieval_weight)
                self.status.value = ""
            except ValueError as error:
                self.status.value = f"<b>Not done:</b> {escape(str(error))}"
            self.render()

    def _look_at(self, shopper: str) -> None:
        with self._lock:
            self.state.set_shopper(shopper)
            self.render()

    def render(self) -> None:
        """Show the state, the picture first."""
        self.picture.value = self.scatter.svg(self.state)
        self._syncing = True
        try:
            values = (self.state.rating_weight, self.state.retrieval_weight)
            for name, value in zip(self.sliders, values):
                self.boxes[name].value = value
                self.sliders[name].value = min(STOPS, key=lambda stop: abs(place(stop, 1) - place(value, 1)))
            self.ratio.value = self.state.pair
        finally:
            self._syncing = False
        self.row.value = page.row(self.state)
        self.list.value = page.recommendations(self.state)

    def _start(self) -> None:
        if self.trainer is None or (self.thread and self.thread.is_alive()):
            return  # perhaps a second click that came before the button was switched off
        weights = (self.state.rating_weight, self.state.retrieval_weight)
        self._cancel.clear()
        self.train.disabled, self.cancel.disabled = True, False
        self.progress.value, self.progress.layout.visibility = 0, "visible"
        self.status.value = f"Training {name_of_pair(*weights)} …"
        self.thread = threading.Thread(target=self._train, args=(weights,), daemon=True)
        self.thread.start()

    def _train(self, weights: tuple[float, float]) -> None:
        """Train in a thread, so that the lab stays responsive; an error is shown in the lab."""

        def after_epoch(epoch: int) -> None:
            self.progress.value = epoch
            if self._cancel.is_set():
                raise CancelledError

        try:
            assert self.trainer is not None  # or the button is switched off
            trained = self.trainer([weights], after_epoch=after_epoch)
            with self._lock:
                self.state.add(trained)
                self.scatter = page.Scatter(self.state)
                self._syncing = True
                try:
                    self.ratio.options = self._pairs()
                finally:
                    self._syncing = False
                self.render()
            self.status.value = f"Trained {name_of_pair(*weights)}: the point is in the picture."
        except CancelledError:
            self.status.value = f"Cancelled: {name_of_pair(*weights)} was not trained."
        except Exception as error:
            self.status.value = f"<b>Training failed:</b> {escape(str(error) or type(error).__name__)}"
        finally:
            self.train.disabled, self.cancel.disabled = False, True
            self.progress.layout.visibility = "hidden"


def _wide(width: str) -> dict[str, Any]:
    return {"style": {"description_width": "110px"}, "layout": {"width": width}}
