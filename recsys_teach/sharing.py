"""Sharing: how much two tasks have in common, beyond one pair of towers for both.

A `JointModel` is two models that are trained at once: what their towers share, both tasks train. Shared are the same
towers (as in `MultitaskModel`), nothing, or vectors that experts mix for each task:

    v_task = Σ_k gate_task(v)_k · expert_k(v)                         gate_task(v) = softmax of a linear layer of v

In MMoE all experts serve all tasks (Ma et al. 2018, "Modeling task relationships in multi-task learning with multi-gate
mixture-of-experts"), in PLE each task has experts of its own besides (Tang et al. 2020, "Progressive layered
extraction").
"""

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids, Vocabulary
from recsys_teach.ranking import RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import USER
from recsys_teach.towers import ProductTower, Tower, UserTower

TASKS = RETRIEVAL, RATING = ("retrieval", "rating")


class JointModel(tfrs.Model):
    """A retrieval model and a ranking model, trained on the sum of their losses.

    The weights of the tasks are the ranking model's `rating_weight` to 1. If they share towers, one of the two models
    should have an `l2` of 0, since each adds its own penalty.

    Args:
        uncertainty: learn the weights instead, each task's by its own noise (Kendall, Gal and Cipolla 2018, "Multi-task
            learning using uncertainty to weigh losses"): e^-s · L_retrieval + e^-t · L_rating / 2 + (s + t) · rows / 2.
    """

    def __init__(self, retrieval: RetrievalModel, ranking: RankingModel, *, uncertainty: bool = False):
        super().__init__()
        self.retrieval, self.ranking = retrieval, ranking
        self.user_tower, self.product_tower = retrieval.user_tower, retrieval.product_tower
        self.log_variances = self.add_weight("log_variances", [2], initializer="zeros") if uncertainty else None

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """Return the sum of both models' losses of a batch."""
        retrieval = self.retrieval.compute_loss(ids, training=training)
        rating = self.ranking.compute_loss(ids, training=training)
        if self.log_variances is None:
            return retrieval + rating
        shares = tf.exp(-self.log_variances) * [1.0, 0.5]
        rows = tf.cast(tf.size(ids[USER]), tf.float32)
        return shares[0] * retrieval + shares[1] * rating + rows / 2 * tf.reduce_sum(self.log_variances)

    @property
    def products(self) -> list[str]:
        return self.retrieval.products

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of a row that its scores depend on."""
        return self.retrieval.reads

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the score of every product for each row's user, `[rows, products]`."""
        return self.retrieval.scores(reviews)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the predicted stars of each row, `[rows]`."""
        return self.ranking.ratings(reviews)


class Experts(tf.keras.layers.Layer):
    """Turns a vector `[batch, dim]` into another one for each task: a mixture of linear layers.

    Args:
        dim: length of the vectors.
        shared: number of experts that serve both tasks.
        own: number of further experts of each task.
    """

    def __init__(self, dim: int, *, shared: int = 3, own: int = 0):
        super().__init__()
        self.shared = [tf.keras.layers.Dense(dim) for _ in range(shared)]
        self.own = {task: [tf.keras.layers.Dense(dim) for _ in range(own)] for task in TASKS}
        self.gates = {task: tf.keras.layers.Dense(shared + own, "softmax") for task in TASKS}

    def call(self, vectors: tf.Tensor, task: str) -> tf.Tensor:
        experts = tf.stack([expert(vectors) for expert in (*self.shared, *self.own[task])], axis=1)
        return tf.reduce_sum(self.gates[task](vectors)[:, :, None] * experts, axis=1)


class _Mixed(Tower):
    """A tower whose vectors are mixed for one task."""

    experts: Experts
    task: str

    def embed(self, ids: Ids) -> tf.Tensor:
        return self.experts(super().embed(ids), self.task)


class _MixedUserTower(_Mixed, UserTower):
    pass


class _MixedProductTower(_Mixed, ProductTower):
    pass


def expert_towers(
    vocabulary: Vocabulary, *, dim: int = 32, shared: int = 3, own: int = 0
) -> dict[str, tuple[UserTower, ProductTower]]:
    """Return the towers of each task: both have the same embeddings and `Experts`, mixed by a gate of their own."""
    pairs = {task: (_MixedUserTower(vocabulary, dim=dim), _MixedProductTower(vocabulary, dim=dim)) for task in TASKS}
    for towers in zip(*pairs.values()):
        mixture = Experts(dim, shared=shared, own=own)
        for tower, task in zip(towers, TASKS):
            tower.embedding, tower.experts, tower.task = towers[0].embedding, mixture, task
    return pairs
