"""The cluster: several processes that train one model find each other, and their own role, in TF_CONFIG."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from recsys_teach.backend import tf


def strategy() -> tf.distribute.Strategy:
    """Return the strategy that TF_CONFIG asks for: `MultiWorkerMirroredStrategy`, or without it this process alone.

    With workers, call it before TensorFlow makes its first tensor; it waits for all of them to start.
    """
    if not os.environ.get("TF_CONFIG"):
        return tf.distribute.get_strategy()
    cluster, role, index = task_of_config()
    if "ps" in cluster:
        raise ValueError(
            f"TF_CONFIG of {role} {index} names parameter servers (ps), and here every worker holds all parameters: "
            "leave them out of the cluster."
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def task_of_config() -> tuple[dict[str, list[str]], str, int]:
    """Return the cluster in TF_CONFIG (addresses by type), and the type and the index of this process's task."""
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
    """Return whether this process writes the results: of several workers, one does."""
    return how.extended.should_checkpoint


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Yield port numbers for a cluster on this machine that no other process gets while the block lasts.

    A port that was found and let go may be taken by anybody, until the process that it is meant for has loaded
    TensorFlow, seconds later. So a socket stays bound to each. Linux lets gRPC's server bind it nevertheless, since
    both have SO_REUSEADDR and ours doesn't listen, and gives it to none of those who ask for any port. (SO_REUSEPORT
    wouldn't do: TensorFlow's server goes without.) Other systems would refuse the server: there, they are let go.
    """
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("localhost", 0))
        ports = [each.getsockname()[1] for each in sockets]
        if sys.platform != "linux":
            held.close()
        yield ports
