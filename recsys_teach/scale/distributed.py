"""Training on a prepared folder, in one process or in several together, and the scoreboard of the result.

Several processes, on one machine or on many, start the same script with the same arguments. The environment variable
TF_CONFIG says who they are; it is the same for all except the index:

    {"cluster": {"worker": ["localhost:2001", "localhost:2002"]}, "task": {"type": "worker", "index": 0}}

Each holds the whole model and takes its share of every batch (see `batches.stream`). They add up their gradients before
every step, so they learn what one process alone would learn.
"""

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_teach._util import atomic_write, named, progress_bar, reason_of
from recsys_teach.backend import tf
from recsys_teach.baselines import Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import Vocabulary
from recsys_teach.files.formats import parquet_batches
from recsys_teach.ladder import Defaults, build_multitask, defaults_by_rule
from recsys_teach.multitask import MultitaskModel
from recsys_teach.scale.batches import read_train, read_vocabulary, stream
from recsys_teach.scale.cluster import is_chief, strategy
from recsys_teach.scale.prepared_folder import parquet_rows, read_manifest, shard_parts
from recsys_teach.schema import RATING, USER
from recsys_teach.splits import new_users


class Progress(tf.keras.callbacks.Callback):
    """Shows a bar over all rows of all epochs, and keeps the losses of each epoch.

    Args:
        epochs: of the whole training.
        finished: epochs that are done already.
        batches: of an epoch.
        batch_size: rows in each.
        shown: is there a bar?
    """

    def __init__(self, *, epochs: int, finished: int, batches: int, batch_size: int, shown: bool = True):
        super().__init__()
        self._supports_tf_logs = True  # or Keras would wait for the losses of every batch
        self.rows, self.batches, self.epoch = batch_size, batches, finished
        total, initial = epochs * batches * batch_size, finished * batches * batch_size
        self.bar = progress_bar(shown=shown, total=total, initial=initial, unit=" rows", unit_scale=True)
        self._losses: dict[int, dict[str, float]] = {}

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update((self.epoch * self.batches + batch + 1) * self.rows - self.bar.n)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch + 1
        self._losses[epoch + 1] = {name: float(value) for name, value in (logs or {}).items() if name in LOSSES}

    def losses(self, replicas: int = 1) -> pd.DataFrame:
        """Return the means over the batches, a row an epoch.

        The loss of a replica is a sum over its share of a batch. Keras keeps the mean over the replicas; times their
        number it is the sum over the batch.
        """
        return replicas * pd.DataFrame.from_dict(self._losses, orient="index").rename_axis("epoch")


LOSSES = ("rating_loss", "retrieval_loss")
STEPS_AT_ONCE = 16  # before TensorFlow comes back to Python
EPOCH = "ckpt_saved_epoch/.ATTRIBUTES/VARIABLE_VALUE"  # where BackupAndRestore keeps the last epoch it saved, from 0
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError)


def give_memory_back(batch_size: int) -> None:
    """Make TensorFlow give back to the system what it has let go of; call it before the first tensor.

    On x86, oneDNN would keep that for other tensors: 0.5 GB after a training with 800,000 users. Batches of up to 1,024
    train as fast with it, to 4 %, those of 2,048 a third slower: from there on nothing is changed.
    """
    if batch_size < 2_048:
        os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")


def train_prepared(
    folder: str | os.PathLike,
    *,
    epochs: int = 3,
    batch_size: int = 256,
    learning_rate: float = 0.1,
    seed: int = 0,
    checkpoints: str | os.PathLike | None = None,
    keep_checkpoints: bool = False,
) -> tuple[MultitaskModel, pd.DataFrame]:
    """Train the ladder's multitask model on a prepared folder; return it and the losses, a row an epoch.

    `rating_loss` and `retrieval_loss` are means over the batches, whatever the number of workers. `batch_size` is that
    of all workers together. After each epoch, model and optimizer are kept in the folder `checkpoints` (else in
    `folder` + "-checkpoints"; several machines must share it): a training that was cut short goes on after the last
    finished epoch with the same result, also with another number of workers, and returns the losses from there on.
    When training ends, the checkpoints are removed. Of the workers, only the chief, worker 0, should write results;
    `is_chief` says whether this process is it.

    What you do with the model may be cut short, too. With `keep_checkpoints`, the checkpoints stay until the chief
    calls `remove_checkpoints`; until then the same call returns the trained model at once, and an empty table of
    losses.

    Raises:
        FileNotFoundError, ValueError: `folder` isn't whole, or `checkpoints` are those of another training, or of more
            than `epochs`.
        RuntimeError: another worker was lost.
        OSError: `checkpoints` can't be written; what is in it stays.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}: expected 1 or more.")
    folder = Path(folder)
    kept = _place(folder, checkpoints)
    _check_place(kept)
    vocabulary, defaults = open_folder(folder)
    settings = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed, "data": read_manifest(folder)}
    finished = epochs_finished(kept)
    if finished:
        _check_settings(kept, settings)
    if finished > epochs:
        raise ValueError(
            f"{kept} holds a training that has finished {finished} epochs, more than the {epochs} asked for: ask for "
            f"{finished} or more, remove the folder to start anew, or name another in checkpoints."
        )
    how = strategy()
    if is_chief(how) and not finished:
        kept.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept / "settings.json") as unfinished:
            unfinished.write_text(json.dumps(settings, indent=1))

    flow: dict[str, Any] = {
        "batch_size": batch_size,
        "seed": seed,
        "first_epoch": finished,
        "unknown_user_dropout": defaults.unknown_user_dropout,  # drawn with the batches, so it doesn't ask who trains
    }
    batches = len(stream(folder, **flow))
    progress = Progress(epochs=epochs, finished=finished, batches=batches, batch_size=batch_size, shown=is_chief(how))
    try:
        with how.scope():
            model = build_model(vocabulary, defaults, learning_rate=learning_rate, seed=seed)
        model.distribute_reduction_method = "first"  # all replicas tell the same means; Keras would add them up
        data = how.distribute_datasets_from_function(
            lambda worker: stream(
                folder, **flow, worker=worker.input_pipeline_id, workers=worker.num_input_pipelines
            ).repeat()
        )
        keep = tf.keras.callbacks.BackupAndRestore(str(kept), delete_checkpoint=False)
        model.fit(data, epochs=epochs, steps_per_epoch=batches, verbose=0, callbacks=[keep, progress])
        how.run(_wait_for_all)
    except tf.errors.OpError as error:
        resumes = f"training resumes after epoch {epochs_finished(kept)}."
        if isinstance(error, GONE) and how.num_replicas_in_sync > 1:
            raise RuntimeError(f"{_lost(how, error)}: start all workers again: {resumes}") from error
        if str(kept) not in error.message:
            raise
        room = f"{kept} can't be written ({reason_of(error)}): make room there, and start again"
        raise OSError(f"{room}: {resumes}") from error
    finally:
        progress.bar.close()
    if is_chief(how) and not keep_checkpoints:
        remove_checkpoints(folder, checkpoints)
    return model, progress.losses(how.num_replicas_in_sync)


def forget_optimizer(model: tf.keras.Model) -> None:
    """Empty the optimizer's variables, as many numbers as the model's, before a scoreboard or an export.

    The model can't be trained further. It isn't compiled anew, for Keras would keep the function of training all the
    same, and with it these variables.
    """
    for variable in model.optimizer.variables:
        for replica in getattr(variable, "values", [variable]):
            tf.raw_ops.AssignVariableOp(resource=replica.handle, value=tf.zeros([0], replica.dtype))


def remove_checkpoints(folder: str | os.PathLike, checkpoints: str | os.PathLike | None = None) -> None:
    """Remove the checkpoints of a training that ended; `folder` and `checkpoints` as in `train_prepared`."""
    kept = _place(folder, checkpoints)
    _check_place(kept)
    (kept / "chief" / "checkpoint").unlink(missing_ok=True)  # first: it names those that training goes on from
    for part in (kept / "chief", *kept.glob("workertemp_*")):  # BackupAndRestore's own names
        shutil.rmtree(part, ignore_errors=True)
    (kept / "settings.json").unlink(missing_ok=True)
    if not checkpoints:  # a folder that somebody has named stays
        with suppress(OSError):
            kept.rmdir()


def _place(folder: str | os.PathLike, checkpoints: str | os.PathLike | None) -> Path:
    """Return the folder of the checkpoints."""
    return Path(checkpoints) if checkpoints else named(folder).with_name(named(folder).name + "-checkpoints")


def _check_place(checkpoints: Path) -> None:
    """Raise a ValueError if something else has the place of the checkpoints, or of what is in it."""
    if checkpoints.exists() and not checkpoints.is_dir():
        raise ValueError(f"{checkpoints} is a file: name a folder in checkpoints.")
    names = ("settings.json", "chief")
    if (checkpoints / "settings.json").exists() and _settings_of(checkpoints).keys() >= SETTINGS:
        return
    if foreign := [name for name in names if (checkpoints / name).exists()]:
        raise ValueError(
            f"{checkpoints} holds {foreign[0]!r}, which isn't of a training: name another folder in checkpoints."
        )


SETTINGS = {"batch_size", "learning_rate", "seed", "data"}


def _settings_of(checkpoints: Path) -> dict[str, Any]:
    """Return the settings of a training that was cut short; nothing if they can't be read."""
    try:
        settings = json.loads((checkpoints / "settings.json").read_text())
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


@tf.function  # called eagerly, TensorFlow would warn that this is slow
def _wait_for_all() -> None:
    """Wait until all workers have come here: none may remove checkpoints that another one hasn't read yet."""
    tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(0.0))


def open_folder(folder: Path) -> tuple[Vocabulary, Defaults]:
    """Return the vocabulary and the defaults of a prepared folder, before a missing file lets other workers wait."""
    held_back = folder / "validation.parquet"
    parquet_rows(held_back, read_manifest(folder)["rows"]["validation"])
    vocabulary, (_, rows) = read_vocabulary(folder), shard_parts(folder)
    new = new_users(pd.DataFrame({USER: vocabulary.users}), pd.read_parquet(held_back, columns=[USER]))
    pa.default_memory_pool().release_unused()  # what was read for the vocabulary and for this, and isn't needed now
    return vocabulary, defaults_by_rule(rows=sum(rows), new_user_share=new.mean())


def build_model(vocabulary: Vocabulary, defaults: Defaults, *, learning_rate: float, seed: int) -> MultitaskModel:
    """Return the ladder's multitask model for batches of `stream`, with all variables of model and optimizer."""
    tf.keras.utils.set_random_seed(seed)
    model = build_multitask(vocabulary, replace(defaults, unknown_user_dropout=0.0))  # `stream` draws them
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate), steps_per_execution=STEPS_AT_ONCE)
    model.ranking.head.build((None, defaults.dim))
    model.built = True  # its constructors have made all variables, and BackupAndRestore asks
    model.optimizer.build(model.trainable_variables)  # now, or nothing could be restored into it
    return model


def epochs_finished(checkpoints: Path) -> int:
    """Return the number of epochs that a training which was cut short has finished."""
    latest = tf.train.latest_checkpoint(str(checkpoints / "chief"))
    return int(tf.train.load_variable(latest, EPOCH)) + 1 if latest else 0


def _check_settings(checkpoints: Path, settings: dict[str, Any]) -> None:
    """Raise a ValueError if a training that was cut short had other settings or other data."""
    before = _settings_of(checkpoints)
    if differ := [name for name, value in settings.items() if before.get(name) != value]:
        was, now = before.get(differ[0]), settings[differ[0]]
        values = "" if differ[0] == "data" else f" ({was} then, {now} now)"
        raise ValueError(
            f"{checkpoints} holds a training that was cut short and had another {differ[0]}{values}: go on with the "
            "same, remove the folder to start anew, or name another in checkpoints."
        )


def _lost(how: tf.distribute.Strategy, error: tf.errors.OpError) -> str:
    """Return the sentence of a worker that lost another one."""
    me, workers = how.cluster_resolver.task_id, how.num_replicas_in_sync
    named = {int(number) for number in re.findall(r"/job:worker/replica:\d+/task:(\d+)", error.message)} - {me}
    others = sorted(named) or [number for number in range(workers) if number != me]
    who = f"worker {others[0]}" if len(others) == 1 else "another worker"
    return f"worker {me} of {workers} stopped, for {who} can't be reached any more ({type(error).__name__})"


def evaluate_prepared(
    folder: str | os.PathLike, model: MultitaskModel, *, rows: int = 20_000, seed: int = 0
) -> pd.DataFrame:
    """Score the two baselines and the model on the test rows, on `rows` random ones if there are more.

    If no test row has a rating, there is no row of damped biases, and no error in stars. Of the training rows, only
    those of the users in the test rows are read into memory: the products that they bought already.
    """
    vocabulary = read_vocabulary(folder)
    test = _sample(Path(folder) / "test.parquet", rows, seed)
    recommenders: dict[str, Any] = {
        "popularity": Popularity.from_counts(vocabulary.products, vocabulary.product_counts),
        "damped biases": vocabulary.biases,
        "multitask": _Fixed(model, test),
    }
    if not test[RATING].notna().any():
        del recommenders["damped biases"]
        test = test.drop(columns=RATING)
    board = scoreboard(recommenders, read_train(folder, test[USER].unique(), categorical=True), test)
    board.attrs = {}  # shares of new users and products, which those few training rows would get wrong
    return board


def _sample(path: Path, rows: int, seed: int) -> pd.DataFrame:
    """Return random rows of a file, in its order, with one piece of it in memory at a time."""
    file = pq.ParquetFile(path)
    count = file.metadata.num_rows
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:rows])
    parts, start = [], 0
    for batch in parquet_batches(file):
        here = chosen[(chosen >= start) & (chosen < start + len(batch))] - start
        parts.append(batch.take(pa.array(here)).to_pandas())
        start += len(batch)
    return pd.concat(parts, ignore_index=True)


class _Fixed:
    """A model whose vectors of products and of the test rows' users are computed once, not for every block of rows."""

    def __init__(self, model: MultitaskModel, test: pd.DataFrame):
        self.products, self.ratings = model.products, model.ratings
        self._queries = pd.DataFrame(model.retrieval.queries(test), test.index)
        self._candidates = np.ascontiguousarray(model.retrieval.candidates().T)

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        return self._queries.loc[reviews.index].to_numpy() @ self._candidates
