"""Floor 4: trains any of the models on a table of reviews, fast, and says how it goes."""

from collections.abc import Callable

import pandas as pd
from tqdm.auto import tqdm

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import batches
from recsys_teach.towers import training_rows

STEPS_AT_ONCE = 16  # steps that Keras runs before it returns to Python: nearly halves an epoch of small batches


def train_model(
    model: tfrs.Model,
    train: pd.DataFrame,
    *,
    epochs: int = 10,
    batch_size: int = 256,
    learning_rate: float = 0.1,
    seed: int = 0,
    after_epoch: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Train `model` in place with Adagrad; return the mean losses of each epoch (per batch), a row an epoch.

    `seed` orders the batches; the first weights come from Keras' own seed (`tf.keras.utils.set_random_seed`).
    `after_epoch` is called with the number of each epoch, from 1, when it has ended. A progress bar shows up where
    it takes longer than two seconds (`TQDM_DISABLE=1` silences it).
    """
    rows = training_rows(train, model.user_tower, model.product_tower)
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate), steps_per_execution=STEPS_AT_ONCE)
    history = model.fit(
        batches(rows, batch_size=batch_size, seed=seed),
        epochs=epochs,
        verbose=0,
        callbacks=[Progress(epochs, type(model).__name__, after_epoch)],
    )
    losses = pd.DataFrame(history.history, index=pd.RangeIndex(1, epochs + 1, name="epoch"))
    return losses.filter(["rating_loss", "retrieval_loss"])  # Keras' own are those of the last batch alone


class Progress(tf.keras.callbacks.Callback):
    """A tqdm bar over the epochs, gone when training ends."""

    def __init__(self, epochs: int, name: str, after_epoch: Callable[[int], None] | None = None):
        super().__init__()
        self.after_epoch = after_epoch
        self.bar = tqdm(total=epochs, desc=name, unit="epoch", leave=False, delay=2)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.update()
        if self.after_epoch:
            self.after_epoch(epoch + 1)

    def on_train_end(self, logs=None):
        self.bar.close()
