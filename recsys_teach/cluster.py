"""Layer 4: who trains? Several processes that train one model find each other, and themselves, in TF_CONFIG."""

import json
import os

from recsys_teach.backend import tf


def strategy() -> tf.distribute.Strategy:
    """How to train, by TF_CONFIG: `MultiWorkerMirroredStrategy` with its workers; without it, this process alone.

    With workers, call it before TensorFlow makes its first tensor; it waits for all of them to start.
    """
    if not os.environ.get("TF_CONFIG"):
        return tf.distribute.get_strategy()
    cluster, role, index = task_of_config()
    if "ps" in cluster:
        raise ValueError(
            f"TF_CONFIG of {role} {index} names parameter servers (ps), and here every worker holds all parameters: "
            "use `servers.train_on_servers` in the chief and `servers.serve` in workers and servers instead."
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def task_of_config() -> tuple[dict[str, list[str]], str, int]:
    """The addresses of the cluster in TF_CONFIG, by type, and the type and the index of this process's task."""
    config = os.environ.get("TF_CONFIG", "")
    try:
        cluster, task = (json.loads(config)[part] for part in ("cluster", "task"))
        cluster[task["type"]][task["index"]]  # is it one of them?
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"TF_CONFIG is {config!r} ({type(error).__name__}: {error}): expected JSON with the addresses of a "
            '"cluster" and the "type" and "index" of this process\'s "task" in it; unset it to train in one process.'
        ) from error
    return cluster, task["type"], task["index"]


def is_chief(how: tf.distribute.Strategy) -> bool:
    """Is this the process that writes the results? Of several workers, one is."""
    return how.extended.should_checkpoint
