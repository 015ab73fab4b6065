"""Floor 4: trains any of the models on a table of reviews, fast, and stops where it stops learning."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import batches
from recsys_teach.schema import PRODUCT
from recsys_teach.towers import training_rows

STEPS_AT_ONCE = 16  # steps that Keras runs before it returns to Python: nearly halves an epoch of small batches
PATIENCE, PROGRESS = 2, 0.001  # training stops when the validation loss hasn't fallen by 0.1 % for two epochs
TASKS = ("rating", "retrieval")


def train_model(
    model: tfrs.Model,
    train: pd.DataFrame,
    *,
    epochs: int = 10,
    batch_size: int = 256,
    learning_rate: float = 0.1,
    seed: int = 0,
    validation: pd.DataFrame | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Train `model` in place with Adagrad; return the losses of each epoch, a row an epoch.

    The columns `rating_loss` and `retrieval_loss` are means over the batches. With `validation` rows there are
    `val_rating_loss`, `val_retrieval_loss` and `validation`, their sum by the model's weights, and training stops
    when that hasn't fallen by a thousandth for two epochs; `losses["validation"].idxmin()` is the best epoch.
    Validation rows whose product is not in the model's vocabulary are left out of it.

    `seed` orders the batches; the first weights come from Keras' own seed (`tf.keras.utils.set_random_seed`).
    `after_epoch` is called with the number of each epoch, from 1, when it has ended. A progress bar shows up where
    it takes longer than two seconds (`TQDM_DISABLE=1` silences it).
    """
    rows = training_rows(train, model.user_tower, model.product_tower)
    held_back = None
    if validation is not None:
        known = validation[validation[PRODUCT].isin(model.product_tower.vocabulary.products)]
        if known.empty:
            raise ValueError("no validation row has a product that the model knows: take other rows, or none.")
        held_back = batches(training_rows(known, model.user_tower, model.product_tower), batch_size=batch_size)
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate), steps_per_execution=STEPS_AT_ONCE)
    model.compute_loss({name: values[:2] for name, values in rows.items()})  # makes what parameters aren't there yet,
    model.optimizer.build(model.trainable_variables)  # or else TensorFlow would trace everything twice
    progress = Progress(epochs, after_epoch)
    model.fit(
        batches(rows, batch_size=batch_size, seed=seed),
        validation_data=held_back,
        epochs=epochs,
        verbose=0,
        callbacks=[progress],
    )
    return progress.losses


class Progress(tf.keras.callbacks.Callback):
    """Keeps the losses, stops early, and shows a tqdm bar over the epochs that is gone when training ends."""

    def __init__(self, epochs: int, after_epoch: Callable[[int], None] | None = None):
        super().__init__()
        self.after_epoch = after_epoch
        self.bar = tqdm(total=epochs, unit="epoch", leave=False, delay=2)
        self.losses = pd.DataFrame(index=pd.RangeIndex(1, 1, name="epoch"), dtype=float)
        self.best, self.best_epoch = np.inf, 0

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_description(type(self.model).__name__, refresh=False)
        self.bar.update()
        # Keras' own "loss" is that of the last batch alone; these are means.
        names = [part + task + "_loss" for part in ("", "val_") for task in TASKS]
        losses = {name: logs[name] for name in names if name in logs}
        if any(name.startswith("val_") for name in losses):
            weights = {task: getattr(self.model, f"{task}_weight", 1.0) for task in TASKS}
            losses["validation"] = sum(weights[t] * losses.get(f"val_{t}_loss", 0.0) for t in TASKS)
        self.losses = pd.concat([self.losses, pd.DataFrame(losses, index=[epoch + 1])]).rename_axis("epoch")
        if "validation" in losses:
            if losses["validation"] < (1 - PROGRESS) * self.best:
                self.best, self.best_epoch = losses["validation"], epoch
            self.model.stop_training = epoch - self.best_epoch >= PATIENCE
        if self.after_epoch:
            self.after_epoch(epoch + 1)

    def on_train_end(self, logs=None):
        self.bar.close()
