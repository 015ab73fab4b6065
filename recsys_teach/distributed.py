"""Layer 6: the ladder's multitask model, trained on a prepared folder by one process or by several together.

Several processes, on one machine or on many, start the same script with the same arguments. Who they are stands in
the environment variable TF_CONFIG, the same for all but for the index:

    {"cluster": {"worker": ["localhost:2001", "localhost:2002"]}, "task": {"type": "worker", "index": 0}}

Each holds the whole model, takes its share of every batch (see `stream`), and they add up their gradients before
every step, so they learn what one process alone would have learned.
"""

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.cluster import is_chief, strategy
from recsys_teach.features import Vocabulary
from recsys_teach.ladder import Towers, multitask
from recsys_teach.manifest import lane_parts, parquet_rows, read_manifest
from recsys_teach.multitask import MultitaskModel
from recsys_teach.progress import Progress
from recsys_teach.recipes import Recipe, recipe_by_rule
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.splits import new_users
from recsys_teach.stream import read_vocabulary, stream
from recsys_teach.whole import reason_of, whole_file

STEPS_AT_ONCE = 16  # before TensorFlow comes back to Python
EPOCH = "ckpt_saved_epoch/.ATTRIBUTES/VARIABLE_VALUE"  # where BackupAndRestore keeps the last epoch it saved, from 0
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError)


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
    epoch that was finished as if nothing had happened, also with another number of workers, and returns the losses
    from there on. When training ends, they are removed. Of the workers, only the chief, worker 0, should write
    results; `is_chief` tells a script who it is.

    What you do with the model may be cut short, too. With `keep_checkpoints`, they stay until the chief calls
    `remove_checkpoints`; until then the same call returns the trained model at once, and an empty table of losses.

    Raises:
        FileNotFoundError, ValueError: `folder` isn't whole, or `checkpoints` are those of another training, or of more
            than `epochs`.
        RuntimeError: another worker was lost.
        OSError: `checkpoints` can't be written; what is in it stays.
    """
    folder = Path(folder)
    kept = _place(folder, checkpoints)
    vocabulary, recipe = opened(folder)
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
        with whole_file(kept / "settings.json") as unfinished:
            unfinished.write_text(json.dumps(settings, indent=1))

    flow: dict[str, Any] = {
        "batch_size": batch_size,
        "seed": seed,
        "first_epoch": finished,
        "unknown_user_dropout": recipe.unknown_user_dropout,  # drawn with the batches, so it doesn't ask who trains
    }
    batches = len(stream(folder, **flow))
    progress = Progress(epochs=epochs, finished=finished, batches=batches, batch_size=batch_size, shown=is_chief(how))
    try:
        with how.scope():
            model = ready_model(vocabulary, recipe, learning_rate=learning_rate, seed=seed)
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


def remove_checkpoints(folder: str | os.PathLike, checkpoints: str | os.PathLike | None = None) -> None:
    """Remove the checkpoints of a training that ended; `folder` and `checkpoints` as in `train_prepared`."""
    kept = _place(folder, checkpoints)
    (kept / "chief" / "checkpoint").unlink(missing_ok=True)  # first: it names those that training goes on from
    for part in (kept / "chief", *kept.glob("workertemp_*")):  # BackupAndRestore's own names
        shutil.rmtree(part, ignore_errors=True)
    (kept / "settings.json").unlink(missing_ok=True)
    if not checkpoints:  # a folder that somebody has named stays
        with suppress(OSError):
            kept.rmdir()


def _place(folder: str | os.PathLike, checkpoints: str | os.PathLike | None) -> Path:
    """Where the checkpoints are."""
    return Path(checkpoints) if checkpoints else Path(folder).with_name(Path(folder).name + "-checkpoints")


@tf.function  # called eagerly, TensorFlow would warn that this is slow
def _wait_for_all() -> None:
    """Return when all workers have come here: nobody may remove what another one hasn't read yet."""
    tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(0.0))


def opened(folder: Path) -> tuple[Vocabulary, Recipe]:
    """The vocabulary and the recipe of a prepared folder; a missing file is told before others are waited for."""
    held_back = folder / "validation.parquet"
    parquet_rows(held_back, read_manifest(folder)["rows"]["validation"])
    vocabulary, (_, rows) = read_vocabulary(folder), lane_parts(folder)
    strangers = new_users(pd.DataFrame({USER: vocabulary.users}), pd.read_parquet(held_back, columns=[USER]))
    return vocabulary, recipe_by_rule(rows=sum(rows), new_user_share=strangers.mean())


def ready_model(
    vocabulary: Vocabulary, recipe: Recipe, *, learning_rate: float, seed: int, towers: Towers | None = None
) -> MultitaskModel:
    """The ladder's multitask model for batches of `stream`, all its parameters made, and what Adagrad keeps of each."""
    tf.keras.utils.set_random_seed(seed)
    model = multitask(vocabulary, replace(recipe, unknown_user_dropout=0.0), towers=towers)  # `stream` draws them
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate), steps_per_execution=STEPS_AT_ONCE)
    one = {USER: tf.constant([1]), PRODUCT: tf.constant([1]), RATING: tf.constant([1.0])}
    model.ranking.head(*model(one), one)
    model.optimizer.build(model.trainable_variables)  # now, or nothing could be restored into it
    return model


def epochs_finished(checkpoints: Path) -> int:
    """After how many epochs a training that was cut short goes on."""
    latest = tf.train.latest_checkpoint(str(checkpoints / "chief"))
    return int(tf.train.load_variable(latest, EPOCH)) + 1 if latest else 0


def _check_settings(checkpoints: Path, settings: dict[str, Any]) -> None:
    """To go on with another batch or other data would be neither the one training nor the other."""
    path = checkpoints / "settings.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    if differ := [name for name, value in settings.items() if before.get(name) != value]:
        was, now = before.get(differ[0]), settings[differ[0]]
        values = "" if differ[0] == "data" else f" ({was} then, {now} now)"
        raise ValueError(
            f"{checkpoints} holds a training that was cut short and had another {differ[0]}{values}: go on with the "
            "same, remove the folder to start anew, or name another in checkpoints."
        )


def _lost(how: tf.distribute.Strategy, error: tf.errors.OpError) -> str:
    """What a worker says whose peer has gone."""
    me, workers = how.cluster_resolver.task_id, how.num_replicas_in_sync
    named = {int(number) for number in re.findall(r"/job:worker/replica:\d+/task:(\d+)", error.message)} - {me}
    others = sorted(named) or [number for number in range(workers) if number != me]
    who = f"worker {others[0]}" if len(others) == 1 else "another worker"
    return f"worker {me} of {workers} stopped, for {who} can't be reached any more ({type(error).__name__})"
