"""Layer 3: what the replicas of a model that is trained in several processes tell each other in a step.

Each replica sees its share of a batch, and a softmax over that share alone would have fewer wrong answers to choose
from: another loss than that of the whole batch. So replicas show each other their products.
"""

from recsys_teach.backend import tf


def all_rows(values: tf.Tensor) -> tf.Tensor:
    """The rows `[batch, …]` of all replicas, one's own first; where there is one replica, `values` themselves.

    Its gradient brings each replica what the losses of all of them ask of its rows, so that gradients summed over the
    replicas are those of the whole batch. Every replica must have the same number of rows.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return values
    rows = replica.all_gather(tf.identity(values), axis=0)
    return tf.roll(rows, -replica.replica_id_in_sync_group * tf.shape(values)[0], axis=0)
