"""Trains any of the models on a table of reviews, fast, and stops where it stops learning."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from recsys_teach._util import progress_bar
from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids, gather_rows
from recsys_teach.schema import PRODUCT, RATING
from recsys_teach.towers import training_rows

STEPS_AT_ONCE = 100  # a second at the most, of many stacked models: an interrupt is heard in between
PATIENCE, PROGRESS = 2, 0.001  # training stops when the validation loss hasn't fallen by 0.1 % for two epochs
TASK_LOSSES = ("rating_loss", "retrieval_loss")


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
    `val_rating_loss`, `val_retrieval_loss` and `validation`, the model's own loss of these rows, which is what its
    `compute_loss(rows, training=False)` says: for our models the sum of both by their weights. Training stops when
    that hasn't fallen by a thousandth for two epochs; `losses["validation"].idxmin()` is the best epoch. Validation
    rows whose product is not in the model's vocabulary are left out of it.

    A model that was trained before is trained further: the optimizer goes on with what it has learned, and the order
    of the rows with the next epoch (`epochs=2` twice is `epochs=4`). `seed` orders the batches; the first weights come
    from Keras' own seed (`tf.keras.utils.set_random_seed`). `after_epoch` is called with the number of each epoch,
    from 1, when it has ended. A progress bar shows up where it takes longer than two seconds (`TQDM_DISABLE=1`
    silences it).

    Raises:
        ValueError: no validation row has a known product, or the model's validation loss isn't a finite number.
    """
    towers = model.user_tower, model.product_tower
    rows = training_rows(train, *towers)
    held_back = None
    if validation is not None:
        known = validation[validation[PRODUCT].isin(model.product_tower.vocabulary.products)]
        if known.empty:
            raise ValueError("no validation row has a product that the model knows: take other rows, or none.")
        held_back = training_rows(known, *towers)
    if getattr(model, "optimizer", None) is None:
        model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate))
    model.optimizer.learning_rate = learning_rate
    model.compute_loss(
        gather_rows(rows, [0, 0]), training=True
    )  # Keras makes all parameters now, and the optimizer its own:
    model.optimizer.build(model.trainable_variables)  # or else TensorFlow would trace everything twice
    rng, trained = np.random.default_rng(seed), getattr(model, "epochs_trained", 0)
    for _ in range(trained):
        rng.permutation(len(train))  # the orders that it had already
    learn = epoch_of(model, model.train_step, rows, batch_size, rng)
    look = epoch_of(model, model.test_step, held_back, batch_size) if held_back else dict
    losses = []
    with progress_bar(total=epochs, desc=type(model).__name__, unit="epoch") as bar:
        for epoch in range(1, epochs + 1):
            row, told = learn(), look()
            model.epochs_trained = trained + epoch
            shown = [name for name in TASK_LOSSES if name in row]
            losses.append({name: row[name] for name in shown} | {f"val_{name}": told[name] for name in shown if told})
            if held_back:
                losses[-1]["validation"] = _finite(told, model)
            if after_epoch:
                after_epoch(epoch)
            bar.update()
            if held_back and out_of_patience([row["validation"] for row in losses]):
                bar.total = epoch  # or else a notebook would leave the bar there in red, as if training had failed
                break
    return pd.DataFrame(losses, pd.RangeIndex(1, len(losses) + 1, name="epoch"))


def epoch_of(
    model: tfrs.Model, step: Callable, rows: Ids, batch_size: int, rng: np.random.Generator | None = None
) -> Callable[[], dict[str, float]]:
    """What takes this step with all rows, batch by batch, and returns the means of the losses over the batches.

    They are those of the model's metrics, by their names, and `loss`, what `compute_loss` returned.

    With a generator the rows come in a new order every time, so that every epoch also draws new in-batch negatives.
    TensorFlow takes many steps before it comes back to Python, which is when an interrupt is heard. (Keras' `fit`
    with a `tf.data` pipeline needed nearly twice the time: it traces the step again and shuffles row by row.)
    """
    count = len(rows[RATING])
    numbers, number = tf.TensorSpec([count], tf.int64), tf.TensorSpec([], tf.int64)
    own = tf.keras.metrics.Mean("loss")

    @tf.function(input_signature=[numbers, number, number])
    def steps(order: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> None:
        for start in tf.range(first, last, batch_size):
            told = step(gather_rows(rows, order[start : start + batch_size]))
            own.update_state(told["loss"])

    traced = steps.get_concrete_function()  # here and now; or else TensorFlow would warn of the fifth model

    def epoch() -> dict[str, float]:
        order = tf.constant(rng.permutation(count) if rng else np.arange(count), tf.int64)
        model.reset_metrics()
        own.reset_state()
        for first in range(0, count, STEPS_AT_ONCE * batch_size):
            last = min(first + STEPS_AT_ONCE * batch_size, count)
            traced(order, tf.constant(first, tf.int64), tf.constant(last, tf.int64))
        return {metric.name: float(metric.result()) for metric in (*model.metrics, own)}

    return epoch


def _finite(losses: dict[str, float], model: tfrs.Model) -> float:
    """The validation loss, if it is one that training can be stopped by."""
    if not np.isfinite(losses["loss"]):
        name = type(model).__name__
        raise ValueError(f"the validation loss of {name} is {losses['loss']}: expected a finite number.")
    return losses["loss"]


def out_of_patience(validation: Sequence[float]) -> bool:
    """Has the loss not fallen by a thousandth of its best for two epochs?

    >>> out_of_patience([3.0, 2.0, 2.5]), out_of_patience([3.0, 2.0, 2.5, 2.1])
    (False, True)
    """
    best, best_epoch = np.inf, 0
    for epoch, loss in enumerate(validation):
        if loss < (1 - PROGRESS) * best:
            best, best_epoch = loss, epoch
    return len(validation) - 1 - best_epoch >= PATIENCE
