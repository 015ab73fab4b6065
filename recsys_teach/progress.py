"""Layer 4: what Keras' `fit` tells of a training that takes long: rows a second, the time left, and the losses."""

import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.bars import progress_bar
from recsys_teach.training import TASK_LOSSES


class Progress(tf.keras.callbacks.Callback):
    """A bar over all rows of all epochs, where it takes longer than two seconds, and the losses of each epoch.

    Args:
        epochs: of the whole training.
        finished: of which these are done already.
        batches: of an epoch.
        batch_size: rows in each.
        shown: is there a bar?
    """

    def __init__(self, *, epochs: int, finished: int, batches: int, batch_size: int, shown: bool = True):
        super().__init__()
        self._supports_tf_logs = True  # or else Keras would wait for every batch to look at its losses
        self.rows, self.batches, self.epoch = batch_size, batches, finished
        total, initial = epochs * batches * batch_size, finished * batches * batch_size
        self.bar = progress_bar(shown=shown, total=total, initial=initial, unit=" rows", unit_scale=True)
        self._losses: dict[int, dict[str, float]] = {}

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update((self.epoch * self.batches + batch + 1) * self.rows - self.bar.n)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch + 1
        self._losses[epoch + 1] = {name: float(value) for name, value in (logs or {}).items() if name in TASK_LOSSES}

    def losses(self, replicas: int = 1) -> pd.DataFrame:
        """The means over the batches, a row an epoch.

        Each replica only sees its share of a batch, and its loss is a sum over that: the mean over the replicas,
        which Keras keeps, times their number is the sum over the batch.
        """
        return replicas * pd.DataFrame.from_dict(self._losses, orient="index").rename_axis("epoch")
