"""Scale: prepare more reviews than memory holds, read them in batches, train in one process or in several.

`prepare` loads no TensorFlow.
"""

from typing import TYPE_CHECKING

from recsys_teach import _lazy

if TYPE_CHECKING:
    from recsys_teach.scale.batches import read_train as read_train
    from recsys_teach.scale.batches import read_vocabulary as read_vocabulary
    from recsys_teach.scale.batches import stream as stream
    from recsys_teach.scale.cluster import free_ports as free_ports
    from recsys_teach.scale.cluster import is_chief as is_chief
    from recsys_teach.scale.distributed import evaluate_prepared as evaluate_prepared
    from recsys_teach.scale.distributed import remove_checkpoints as remove_checkpoints
    from recsys_teach.scale.distributed import train_prepared as train_prepared
    from recsys_teach.scale.preparation import prepare as prepare

_PUBLIC = {
    "preparation": ("prepare",),
    "batches": ("read_train", "read_vocabulary", "stream"),
    "cluster": ("free_ports", "is_chief"),
    "distributed": ("evaluate_prepared", "remove_checkpoints", "train_prepared"),
}

__getattr__, __dir__ = _lazy(__name__, _PUBLIC)
