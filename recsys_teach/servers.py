"""Layer 6: the ladder's multitask model, with tables that are shared out over parameter servers.

`distributed` gives every process the whole model. Where the tables of users and products are too large for that, the
processes share out the work instead: parameter servers ("ps") hold the tables, each some of the rows; workers ask
them for the vectors of a batch and send its gradients back; the "chief" reads the batches, hands them out, and asks
the servers when it predicts. Who is who stands in TF_CONFIG, the same for all but for the task:

    {"cluster": {"chief": ["localhost:2001"], "worker": ["localhost:2002"], "ps": ["localhost:2003"]},
     "task": {"type": "ps", "index": 0}}

Workers and servers call `serve`, the chief `train_on_servers`. Workers don't wait for each other (Li et al. 2014,
"Scaling distributed machine learning with the parameter server"): a gradient may be that of parameters which others
have changed meanwhile, and the results differ a little from run to run, whatever the seed.
"""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.cluster import task_of_config
from recsys_teach.distributed import GONE, opened, ready_model
from recsys_teach.features import Ids
from recsys_teach.multitask import MultitaskModel
from recsys_teach.progress import Progress
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.stream import stream
from recsys_teach.towers import ProductTower, UserTower

BATCHES_AT_ONCE = 8  # handed to a worker in one call
CALLS_AT_ONCE = 256  # handed out before the chief waits for the workers: what it has read and they haven't is held
COLUMNS = {USER: tf.int64, PRODUCT: tf.int64, RATING: tf.float32}


def serve() -> None:
    """Be the worker or the parameter server that TF_CONFIG names, until the process is ended from outside."""
    cluster, role, index = _task("worker", "ps")
    tf.distribute.Server(tf.train.ClusterSpec(cluster), job_name=role, task_index=index, protocol="grpc").join()


def train_on_servers(
    folder: str | os.PathLike,
    *,
    epochs: int = 3,
    batch_size: int = 256,
    learning_rate: float = 0.1,
    seed: int = 0,
    min_shard_bytes: int = 256 << 10,
) -> tuple[MultitaskModel, pd.DataFrame]:
    """Train the ladder's multitask model on a prepared folder as the chief; return it and the losses, a row an epoch.

    `rating_loss` and `retrieval_loss` are means over the batches. A batch is one worker's, and so are the wrong
    answers of its in-batch softmax: `batch_size` means what it means in one process. A table is cut into as many
    shards as there are servers, but into none of less than `min_shard_bytes`. The parameters stay with the servers,
    and the model predicts from there, so it must be judged while they run. The ids as strings, and the numbers that
    the parameters start from, are with the chief, which also needs `folder`; workers and servers don't.

    Call it before TensorFlow makes its first tensor; it waits for all servers and workers to start. What a worker that
    is lost hadn't finished goes to the others, a few batches for the second time (without any worker, the chief waits
    for one to come back), but a script must then end with `os._exit`: TensorFlow 2.21 waits for ever for the lost
    worker while Python ends. Nothing is kept on disk.

    Raises:
        FileNotFoundError, ValueError: `folder` isn't whole, or TF_CONFIG doesn't make this process the chief.
        RuntimeError: a parameter server was lost, and its share of the parameters with it.
    """
    cluster, _, _ = _task("chief")
    vocabulary, recipe = opened(Path(folder))
    flow: dict[str, Any] = {"seed": seed, "unknown_user_dropout": recipe.unknown_user_dropout}

    partitioners = tf.distribute.experimental.partitioners
    how = tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.TFConfigClusterResolver(),
        partitioners.MinSizePartitioner(min_shard_bytes=min_shard_bytes, max_shards=len(cluster["ps"])),
    )
    coordinator = tf.distribute.coordinator.ClusterCoordinator(how)
    data = stream(folder, batch_size=batch_size, **flow)
    batches = len(data)
    progress = Progress(epochs=epochs, finished=0, batches=batches, batch_size=batch_size)
    try:
        tf.keras.utils.set_random_seed(seed)  # the towers draw from it
        towers = UserTower(vocabulary), ProductTower(vocabulary)  # here, or every worker would get all ids as strings
        with how.scope():
            model = ready_model(vocabulary, recipe, learning_rate=learning_rate, seed=seed, towers=towers)
            _counts_to_servers(model)
        learn = _learner(how, model)
        for epoch in range(epochs):
            for metric in model.metrics:
                metric.reset_states()
            for call, some in enumerate(data.batch(BATCHES_AT_ONCE), start=1):
                coordinator.schedule(learn, args=(some,))
                if call % CALLS_AT_ONCE == 0:
                    coordinator.join()
                    progress.on_train_batch_end(call * BATCHES_AT_ONCE - 1)
            coordinator.join()
            progress.on_train_batch_end(batches - 1)
            progress.on_epoch_end(epoch, {metric.name: metric.result() for metric in model.metrics})
    except GONE as error:
        raise RuntimeError(
            f"a parameter server can't be reached any more ({type(error).__name__}), and its part of the parameters "
            "is lost: start all servers, workers and the chief again."
        ) from error
    finally:
        progress.bar.close()
    return model, progress.losses()


def _task(*roles: str) -> tuple[dict[str, list[str]], str, int]:
    """The cluster of TF_CONFIG, with a chief, workers and servers, and this process's task, one of `roles`."""
    cluster, role, index = task_of_config()
    if missing := [name for name in ("chief", "worker", "ps") if not cluster.get(name)]:
        raise ValueError(
            f"the cluster of TF_CONFIG has no {missing[0]} (it has: {', '.join(cluster)}): expected the addresses of "
            "one chief, of workers and of parameter servers (ps)."
        )
    if role not in roles:
        what = "`serve`, for workers and parameter servers," if "ps" in roles else "`train_on_servers`, for the chief,"
        raise ValueError(f"{what} was called by {role} {index} of TF_CONFIG: expected {' or '.join(roles)}.")
    return cluster, role, index


def _counts_to_servers(model: MultitaskModel) -> None:
    """Keep with the servers what the model knows of each user and product: else it went to a worker in every call."""
    head, retrieval = model.ranking.head, model.retrieval
    for owner, name in ((head, "user_counts"), (head, "product_counts"), (retrieval, "log_q")):
        setattr(owner, name, tf.Variable(getattr(owner, name), trainable=False))


def _learner(how: tf.distribute.Strategy, model: MultitaskModel) -> tf.types.experimental.GenericFunction:
    """What a worker does with some batches: `[batches, batch_size]` of each column, a step after the other."""
    signature = {name: tf.TensorSpec([None, None], dtype) for name, dtype in COLUMNS.items()}

    @tf.function(input_signature=[signature])
    def learn(some: Ids) -> None:
        for number in tf.range(tf.shape(some[RATING])[0]):
            how.run(model.train_step, args=({name: values[number] for name, values in some.items()},))

    return learn
