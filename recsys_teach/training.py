"""Training: Keras' `compile` and `fit` for any `tfrs.Model`, until it stops getting better on validation rows."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from recsys_teach._util import deferred_interrupt, progress_bar
from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids, column_tensors, gather_rows
from recsys_teach.schema import PRODUCT
from recsys_teach.towers import Tower, training_rows, validation_rows

STEPS_AT_ONCE = 100  # in one call of TensorFlow, a second at most with many stacked models: then Ctrl-C is heard
PATIENCE, PROGRESS = 2, 0.001  # training stops if the validation loss hasn't fallen by 0.1 % for two epochs
QUALITY_PATIENCE = 4  # a quality goes up and down more than a loss
LEARNING_RATE = 0.1


def train_model(
    model: tfrs.Model,
    train: pd.DataFrame,
    *,
    epochs: int = 10,
    batch_size: int = 256,
    learning_rate: float | None = None,
    seed: int = 0,
    validation: pd.DataFrame | None = None,
    quality: Callable[[], float] | None = None,
    after_epoch: Callable[[int], None] | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
) -> pd.DataFrame:
    """Train `model` in place; return the losses of each epoch, a row an epoch.

    Any `tfrs.Model` will do. Its `compute_loss` gets batches of the table: a dictionary of tensors, `[batch]` each, by
    column; texts as strings, numbers as float32 or int64, times as seconds since 1970. A model with two towers of ours,
    `user_tower` and `product_tower`, gets what they read, as ids that were looked up once, and the rating.

    The optimizer is the one that the model was compiled with, else Adagrad with a `learning_rate` of 0.1. The last
    batch of an epoch has the rows that are left. If a loss is a mean over the batch, as Keras' own are, these rows
    count more than the others: choose a `batch_size` that doesn't leave a few, or a sum.

    The columns of the result are the model's metrics by name, which for our models are `rating_loss` and
    `retrieval_loss`, the means over the batches, and `loss`, the mean of `compute_loss`. With `validation` rows there
    are their metrics, `val_rating_loss` and so on, and `validation`, the mean of `compute_loss(rows, training=False)`:
    for our models the weighted sum of both. Training stops if that hasn't fallen by a thousandth for two epochs;
    `losses["validation"].idxmin()` is the best epoch. Validation rows whose product is not in the vocabulary of the
    model's product tower, if it has one, are left out.

    A loss isn't what a recommender is for: it may rise while the ranks still get better. So `quality` may say how good
    the model is after an epoch, higher is better: then there is a column `quality`, and training stops if that hasn't
    risen for four epochs, whatever the losses do.

    A model that was trained before is trained further: the optimizer keeps its state, and the order of the rows goes on
    with the next epoch (`epochs=2` twice is `epochs=4`, except for numbers that the model itself draws, such as those
    of `unknown_user_dropout`: they begin anew). `seed` orders the batches; the first weights come from Keras'
    own seed (`tf.keras.utils.set_random_seed`). `after_epoch` is called with the number of each epoch, from 1, when it
    has ended. `callbacks` are Keras' own, or yours: in their logs, `loss` and `val_loss` are means over the batches, as
    all losses are; batches reach them a hundred at a time. A progress bar appears after two seconds (`TQDM_DISABLE=1`
    silences it).

    Raises:
        TypeError: the model isn't a `tfrs.Model`, or `train` isn't a table.
        ValueError: no epoch, no row, or none in a batch; no validation row has a known product; the mean of a loss over
            an epoch, or the validation loss, isn't finite; the model reads a column that isn't there.
    """
    for name, number in (("epochs", epochs), ("batch_size", batch_size)):
        if number < 1:
            raise ValueError(f"{name} is {number}: expected 1 or more.")
    rows = _rows(model, train)
    held_back = None
    if validation is not None:
        known = _known(model, validation)
        held_back = _rows(model, known, held_back=True)
    optimizer = getattr(model, "optimizer", None) or tf.keras.optimizers.Adagrad(learning_rate or LEARNING_RATE)
    if learning_rate is not None:
        optimizer.learning_rate = learning_rate
    model.compile(optimizer, steps_per_execution=STEPS_AT_ONCE)
    _make_variables(model, rows)
    optimizer.build(model.trainable_variables)  # before tracing, or TensorFlow would trace everything twice
    rng, trained = np.random.default_rng(seed), getattr(model, "epochs_trained", 0)
    for _ in range(trained):
        rng.permutation(len(train))  # the orders of earlier epochs
    with (
        progress_bar(total=epochs, desc=type(model).__name__, unit="epoch") as bar,
        deferred_interrupt() as raise_if_interrupted,  # in the middle of TensorFlow's own code it would do harm
    ):
        report = Report(bar, after_epoch, quality, raise_if_interrupted)
        train_steps = many_steps(model, model.train_step, rows, report.loss)
        test_steps = many_steps(model, model.test_step, held_back, report.loss) if held_back else train_steps
        model.make_train_function, model.make_test_function = lambda: train_steps, lambda: test_steps
        try:
            model.fit(
                row_numbers(len(train), batch_size, rng),
                initial_epoch=trained,
                epochs=trained + epochs,
                steps_per_epoch=-(-len(train) // batch_size),
                validation_data=row_numbers(len(known), batch_size) if held_back else None,
                validation_steps=-(-len(known) // batch_size) if held_back else None,
                callbacks=[report, *callbacks],
                verbose=0,
            )
        finally:
            del model.make_train_function, model.make_test_function
            model.compile(optimizer)  # makes Keras forget both functions, which hold these rows
            vars(model).pop("_eval_data_handler", None)  # an interrupted `fit` leaves its validation rows here
    losses = pd.DataFrame(report.losses, pd.RangeIndex(1, len(report.losses) + 1, name="epoch"))
    if len(losses) > 1 and losses["loss"].nunique() == 1:
        warnings.warn(
            f"the loss of {type(model).__name__} was {losses['loss'].iloc[0]:g} in each of {len(losses)} epochs: it "
            "learns nothing. Do its vocabularies hold the ids or texts of these rows?",
            stacklevel=2,
        )
    return losses


def _make_variables(model: tfrs.Model, rows: Ids) -> None:
    """Call the loss once, so that all variables are made; raise a ValueError if it reads what isn't there."""
    try:
        model.compute_loss(gather_rows(rows, [0, 0]), training=True)
    except KeyError as error:
        name = error.args[0]
        if name in rows:
            raise
        raise ValueError(
            f"compute_loss of {type(model).__name__} reads {name!r}, which isn't there (there are: {', '.join(rows)}). "
            f"Name it in the table: train.rename(columns={{...: {name!r}}}), or train.assign({name}=...)."
        ) from error


def _rows(model: tfrs.Model, reviews: pd.DataFrame, *, held_back: bool = False) -> Ids:
    """Return what `compute_loss` reads, `[rows]` each; raise a TypeError if nothing can be trained."""
    if not isinstance(model, tfrs.Model):
        raise TypeError(f"the model is a {type(model).__name__}: expected a tfrs.Model, whose compute_loss is trained.")
    if not isinstance(reviews, pd.DataFrame):
        raise TypeError(
            f"the rows are a {type(reviews).__name__}: expected a table, a pandas DataFrame. Batches of your own go to "
            "Keras: model.compile(optimizer), model.fit(batches)."
        )
    if reviews.empty:
        raise ValueError("the table has no rows: there is nothing to train on.")
    towers = _towers(model)
    if not towers:
        return column_tensors(reviews)
    return validation_rows(reviews, *towers) if held_back else training_rows(reviews, *towers)


def _known(model: tfrs.Model, validation: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose product the model knows; raise a ValueError if there is none."""
    if not _towers(model):
        return validation
    known = validation[validation[PRODUCT].isin(model.product_tower.vocabulary.products)]
    if known.empty:
        raise ValueError("no validation row has a product that the model knows: take other rows, or none.")
    return known


def _towers(model: tfrs.Model) -> list[Tower]:
    """Return the model's two towers, and those of its ranking model if it has its own; nothing if one isn't ours."""
    owners = [model, model.ranking] if isinstance(getattr(model, "ranking", None), tfrs.Model) else [model]
    towers = dict.fromkeys(getattr(owner, name, None) for owner in owners for name in ("user_tower", "product_tower"))
    ours = [tower for tower in towers if isinstance(tower, Tower)]
    return ours if len(ours) == len(towers) else []


def row_numbers(count: int, batch_size: int, rng: np.random.Generator | None = None) -> tf.data.Dataset:
    """Return batches of the row numbers 0 … `count` - 1, epoch after epoch without end.

    With a generator, every epoch has a new order, and with it new in-batch negatives.
    """

    def batched(order: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(tf.ensure_shape(order, [count])).rebatch(batch_size)

    if rng:
        draw = partial(rng.permutation, count)
        numbers = tf.data.Dataset.counter().map(lambda _: tf.numpy_function(draw, [], tf.int64)).flat_map(batched)
    else:
        numbers = batched(tf.range(count, dtype=tf.int64)).repeat()
    options = tf.data.Options()
    options.autotune.enabled = False  # there is nothing to tune, and `fit` would wait up to 2 s for it at its end
    options.experimental_optimization.apply_default_optimizations = False
    return numbers.with_options(options)


def many_steps(model: tfrs.Model, step: Callable, rows: Ids, loss: tf.keras.metrics.Mean) -> Callable:
    """Return a function for Keras' `fit` that runs `step` on many batches of rows and returns the means of the losses.

    They are those of the model's metrics, by name, and `loss`, the mean of `compute_loss` (TFRS returns the one of the
    last batch). A call runs `steps_per_execution` steps. Keras' own function would trace the step twice and compute all
    means in every step; a dataset that gathers the rows takes a tenth longer than this step, which gathers its own.
    """

    @tf.function(input_signature=[tf.data.IteratorSpec(tf.TensorSpec([None], tf.int64))])
    def steps(batches: Iterator) -> dict[str, tf.Tensor]:
        for _ in tf.range(model.steps_per_execution):
            results = step(gather_rows(rows, next(batches)))
            loss.update_state(results["loss"])
        return {metric.name: metric.result() for metric in (*model.metrics, loss)}

    return steps.get_concrete_function()  # traced once, now: otherwise TensorFlow would warn at the fifth model


class Report(tf.keras.callbacks.Callback):
    """Keeps the losses of each epoch, moves the bar, and stops a training that is `out_of_patience`."""

    def __init__(
        self,
        bar: tqdm,
        after_epoch: Callable[[int], None] | None,
        quality: Callable[[], float] | None,
        raise_if_interrupted: Callable[[], None],
    ):
        super().__init__()
        self.bar, self.after_epoch, self.quality = bar, after_epoch, quality
        self.raise_if_interrupted = raise_if_interrupted
        self.loss = tf.keras.metrics.Mean("loss")
        self.losses: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.loss.reset_state()  # Keras resets only the model's own metrics

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.raise_if_interrupted()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.loss.reset_state()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        found = {name: float(value) for name, value in (logs or {}).items()}
        self.model.epochs_trained = epoch + 1
        _check_finite(found["loss"], f"loss of {type(self.model).__name__} in epoch {epoch + 1}")
        if "val_loss" in found:
            found["validation"] = found.pop("val_loss")
            _check_finite(found["validation"], f"validation loss of {type(self.model).__name__}")
        self.losses.append(found)
        if self.quality:
            self.losses[-1]["quality"] = self.quality()
        if self.after_epoch:
            self.after_epoch(len(self.losses))
        self.bar.update()
        if self.quality:
            enough = out_of_patience([-row["quality"] for row in self.losses], patience=QUALITY_PATIENCE, progress=0.0)
        else:
            enough = "validation" in found and out_of_patience([row["validation"] for row in self.losses])
        if enough:
            self.bar.total = len(self.losses)  # otherwise a notebook would show the bar in red, as after a failure
            self.model.stop_training = True


def _check_finite(loss: float, name: str) -> None:
    """Raise a ValueError if a loss isn't a finite number."""
    if not np.isfinite(loss):
        raise ValueError(
            f"the {name} is {loss}: expected a finite number. Is a number missing in what it reads, or is the "
            "learning_rate too large? The model is of no use now: make it anew."
        )


def out_of_patience(losses: Sequence[float], *, patience: int = PATIENCE, progress: float = PROGRESS) -> bool:
    """Return whether the best loss hasn't improved by the share `progress` in the last `patience` epochs.

    >>> out_of_patience([3.0, 2.0, 2.5]), out_of_patience([3.0, 2.0, 2.5, 2.1])
    (False, True)
    """
    best, best_epoch = np.inf, 0
    for epoch, loss in enumerate(losses):
        if not np.isfinite(best) or loss < best - progress * abs(best):
            best, best_epoch = loss, epoch
    return len(losses) - 1 - best_epoch >= patience
