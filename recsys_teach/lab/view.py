"""The view of the weight lab: the page of `lab.js` in a notebook, with a kernel that trains what it asks for."""

import threading
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from recsys_teach.lab import page
from recsys_teach.lab.sweep import Sweep, name_of_pair
from recsys_teach.lab.widgets import bundle

Trainer = Callable[..., Sweep]  # trainer(weights, after_epoch=...): see `stacking.train_sweep`


class CancelledError(Exception):
    """Raised in the training thread when its button was pressed."""


class LabWidget(anywidget.AnyWidget):
    """The widget: what `lab.js` reads (`facts`, `trains`, `training`), and the weights that it sets."""

    _esm = page.SCRIPT
    facts = traitlets.Dict().tag(sync=True)
    trains = traitlets.Bool().tag(sync=True)
    training = traitlets.Dict().tag(sync=True)  # runs, epoch, epochs, text
    weights: traitlets.List = traitlets.List().tag(sync=True)


class WeightLab:
    """Sliders for two weights that show the scores of the trained model and a user's recommendations.

    All of it but training also works in a page without a kernel: it is one script, `lab.js`, in both.

    Args:
        sweep: the trained models. After a training, `lab.sweep` has one more.
        trainer: `trainer([(rating_weight, retrieval_weight)], after_epoch=...)` trains exactly these weights and
            returns them as a `Sweep`; without it the button is switched off.
        epochs: number of epochs of the trainer, for the progress bar.
    """

    def __init__(self, sweep: Sweep, trainer: Trainer | None = None, *, epochs: int = 1):
        self.sweep, self.trainer, self.epochs = sweep, trainer, epochs
        self.thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self.widget = LabWidget(
            facts=page.facts(sweep), trains=trainer is not None, weights=list(sweep.presets["best of both"])
        )
        self._tell("", runs=False)
        self.widget.on_msg(lambda _, message, __: self._hear(message))

    def show(self) -> None:
        """Show the lab."""
        display(self)

    @property
    def weights(self) -> tuple[float, float]:
        """The rating weight and the retrieval weight that are set now."""
        rating, retrieval = self.widget.weights
        return float(rating), float(retrieval)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(self.widget, page.bundle(self.sweep))

    def _hear(self, message: dict[str, Any]) -> None:
        if "train" in message:
            self.train(*message["train"])
        elif "cancel" in message:
            self._cancel.set()

    def _tell(self, text: str, *, runs: bool, epoch: int = 0) -> None:
        self.widget.training = {"runs": runs, "epoch": epoch, "epochs": self.epochs, "text": text}

    def train(self, rating_weight: float, retrieval_weight: float) -> None:
        """Start to train these weights in a thread, so that the lab stays responsive; not if a training runs already.

        An error is shown in the lab.
        """
        if self.trainer is None or (self.thread and self.thread.is_alive()):
            return  # perhaps a second click that came before the button was switched off
        weights = (float(rating_weight), float(retrieval_weight))
        self._cancel.clear()
        self._tell(f"Training {name_of_pair(*weights)} …", runs=True)
        self.thread = threading.Thread(target=self._train, args=(weights,), daemon=True)
        self.thread.start()

    def _train(self, weights: tuple[float, float]) -> None:
        name = name_of_pair(*weights)

        def after_epoch(epoch: int) -> None:
            self._tell(f"Training {name} …", runs=True, epoch=epoch)
            if self._cancel.is_set():
                raise CancelledError

        try:
            assert self.trainer is not None  # or the button is switched off
            self.sweep = self.sweep.joined(self.trainer([weights], after_epoch=after_epoch))
            self.widget.facts = page.facts(self.sweep)
            text = f"Trained {name}: the point is in the picture."
        except CancelledError:
            text = f"Cancelled: {name} was not trained."
        except Exception as error:
            text = f"Training failed: {error if str(error) else type(error).__name__}"
        self._tell(text, runs=False)
