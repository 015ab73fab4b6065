"""Ranking: how many stars would this user give this product?

The same two towers as in `retrieval`, and a rating head that reads both vectors:

    loss = Σ_b  (head(u_b, p_b) - rating_b)²                                           (summed over the batch)

A head is called as `head(users, products, ids) -> [batch, 1]`; `penalty(ids)` is its own regularisation of a batch.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids, Vocabulary, with_unknown_row
from recsys_teach.schema import PRODUCT, RATING, SUMMARY, TITLE, USER
from recsys_teach.towers import ProductTower, UserTower, look_up_ids, predict_in_chunks


class DenseHead(tf.keras.layers.Layer):
    """Predicts stars by dense layers on both vectors side by side, as most tutorials do.

    Args:
        sizes: widths of the hidden layers, relu.
        start: stars predicted before training, roughly. Tutorials start at 0, far from any rating.
    """

    def __init__(self, sizes: Sequence[int] = (32, 16), *, start: float = 0.0):
        super().__init__()
        hidden = [tf.keras.layers.Dense(size, activation="relu") for size in sizes]
        self.dense = [*hidden, tf.keras.layers.Dense(1, bias_initializer=tf.keras.initializers.Constant(start))]

    def call(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        vectors = tf.concat([users, products], axis=1)
        for layer in self.dense:
            vectors = layer(vectors)
        return vectors

    def penalty(self, ids: Ids) -> tf.Tensor:
        return tf.constant(0.0)


class FactorHead(tf.keras.layers.Layer):
    """Predicts stars by biased matrix factorisation, starting from the damped biases.

        stars = mean + spread · (b_u + b_p + Σ_d w_d u_d p_d + v_u · v_p)

    (Koren et al. 2009, "Matrix factorization techniques for recommender systems".) `spread` is the standard deviation
    of the ratings, so that ratings up to 5 and up to 100 are treated alike. The biases are damped as in
    `baselines.DampedBiases`: each costs damping · (spread · b)², divided among the rows of its user or product. If the
    user or the product is unknown, v is left out; if it has no known words either, so are u and p.

    The weights w, one for each dimension, are all equal to `scale`, or learned if there is a `pull`. That is for models
    of two tasks: people don't rate by quite the taste by which they choose, and a vector that serves both tasks has
    dimensions for each. Each weight costs pull · (spread · (w_d - mean of w))² an epoch, so that without a reason they
    stay alike. (Without a retrieval loss, they grow until the penalty on the vectors' lengths has no effect.)

    The vectors v are the head's own: only stars read and train them, for what choosing says nothing of (Su et al. 2024,
    "STEM: unleashing the power of embeddings for multi-task recommendation", gives each task such vectors).

    Args:
        scale: the weights, before training if they are learned.
        pull: how strongly each weight is pulled towards their mean, as many ratings' worth; None: they stay at `scale`.
        own_dim: length of the vectors v; 0: there are none.
        own_l2: weight of half their squared lengths, in units of spread², against memorisation.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        scale: float = 0.5,
        pull: float | None = None,
        own_dim: int = 0,
        own_l2: float = 0.28,
    ):
        super().__init__()
        biases = vocabulary.biases
        self.mean, self.damping, self.spread = biases.mean, biases.damping, vocabulary.rating_spread
        self.scale, self.pull, self.rows = scale, pull, float(vocabulary.user_counts.sum())
        self.own_dim, self.own_l2 = own_dim, own_l2
        self.user_counts = with_unknown_row(vocabulary.user_counts, unknown=self.rows)
        self.product_counts = with_unknown_row(vocabulary.product_counts, unknown=self.rows)
        self.user_bias = _table(
            with_unknown_row(biases.user_bias[vocabulary.users].to_numpy() / self.spread, unknown=0.0)
        )
        self.product_bias = _table(
            with_unknown_row(biases.product_bias[vocabulary.products].to_numpy() / self.spread, unknown=0.0)
        )
        if own_dim:
            self.own_user = _vectors(len(self.user_counts), own_dim)
            self.own_product = _vectors(len(self.product_counts), own_dim)

    def build(self, users: tf.TensorShape) -> None:
        """Make the weights `[dim]`; Keras calls this when it sees the first vectors."""
        start = tf.keras.initializers.Constant(self.scale)
        self.weight = self.add_weight("weight", [users[-1]], initializer=start, trainable=self.pull is not None)
        super().build(users)

    def call(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        biases = self.user_bias(ids[USER]) + self.product_bias(ids[PRODUCT])
        taste = tf.reduce_sum(self.weight * users * products, axis=1, keepdims=True)
        known = _known(ids, USER, SUMMARY) & _known(ids, PRODUCT, TITLE)
        taste = tf.where(known[:, None], taste, 0.0)
        if self.own_dim:
            known = (ids[USER] > 0) & (ids[PRODUCT] > 0)
            own = tf.reduce_sum(self.own_user(ids[USER]) * self.own_product(ids[PRODUCT]), axis=1, keepdims=True)
            taste += tf.where(known[:, None], own, 0.0)
        return self.mean + self.spread * (biases + taste)

    def penalty(self, ids: Ids) -> tf.Tensor:
        """Return a batch's share of the penalties.

        Over an epoch they count every bias and every weight once. For biases that is damping · spread² · Σ_batch
        (b_u² / n_u + b_p² / n_p), with the rows n of each; for weights pull · spread² · Σ_d (w_d - mean of w)², times
        the batch's share of the rows. For own vectors it is own_l2 · spread² · Σ_batch (v_u · v_u + v_p · v_p) / 2.
        """
        lookup = tf.nn.embedding_lookup
        users = self.user_bias(ids[USER])[:, 0] ** 2 / lookup(self.user_counts, ids[USER])
        products = self.product_bias(ids[PRODUCT])[:, 0] ** 2 / lookup(self.product_counts, ids[PRODUCT])
        penalty = self.damping * self.spread**2 * tf.reduce_sum(users + products)
        if self.own_dim:
            own = tf.nn.l2_loss(self.own_user(ids[USER])) + tf.nn.l2_loss(self.own_product(ids[PRODUCT]))
            penalty += self.own_l2 * self.spread**2 * own
        if self.pull is None:
            return penalty
        share = tf.cast(tf.size(ids[USER]), tf.float32) / self.rows
        unlike = tf.reduce_sum((self.weight - tf.reduce_mean(self.weight)) ** 2)
        return penalty + self.pull * self.spread**2 * share * unlike


def _known(ids: Ids, column: str, text: str) -> tf.Tensor:
    """Return whether the id or a word of each user (or product) is known, `[batch]`."""
    known = ids[column] > 0
    return known | tf.reduce_any(ids[text] > 1, axis=1) if text in ids else known  # 0 pads, 1 is unknown


def _vectors(ids: int, dim: int) -> tf.keras.layers.Embedding:
    """Return an embedding `[ids, dim]`."""
    table = tf.keras.layers.Embedding(ids, dim)
    table.build(None)
    return table


def _table(values: tf.Tensor) -> tf.keras.layers.Embedding:
    """Return an embedding `[ids, 1]` that starts from these values `[ids]`."""
    start = tf.keras.initializers.Constant(values[:, None])
    table = tf.keras.layers.Embedding(len(values), 1, embeddings_initializer=start)
    table.build(None)
    return table


class RankingModel(tfrs.Model):
    """Two towers and a rating head.

    Args:
        head: predicts stars from the two vectors; `DenseHead()` if none is given.
        rating_weight: weight of the squared errors against the penalty.
        l2: weight of half the squared length of the vectors of a batch, summed over it; against memorisation.
    """

    def __init__(
        self,
        user_tower: UserTower,
        product_tower: ProductTower,
        *,
        head: DenseHead | FactorHead | None = None,
        rating_weight: float = 1.0,
        l2: float = 0.0,
    ):
        super().__init__()
        self.user_tower, self.product_tower = user_tower, product_tower
        self.rating_weight, self.l2 = rating_weight, l2
        self.head = head or DenseHead()
        self.task = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError(reduction=tf.keras.losses.Reduction.SUM))
        self.mean = tf.keras.metrics.Mean("rating_loss")  # over the batches; TFRS 0.7.3's own would weigh them

    def call(self, ids: Ids, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the vectors of the users and of the products of a batch, both `[batch, dim]`."""
        return self.user_tower(ids), self.product_tower(ids)

    def task_loss(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        """Return the squared errors of the ratings predicted from these vectors, summed over the batch."""
        predicted = self.head(users, products, ids)
        rated = tf.math.is_finite(ids[RATING])  # purchases without a rating add no error
        stars = tf.where(rated, ids[RATING], 0.0)[:, None]
        errors = self.task(labels=stars, predictions=predicted, sample_weight=tf.cast(rated, tf.float32)[:, None])
        self.mean.update_state(errors)
        return errors

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """Return the loss of a batch, in training with the penalties (validation compares losses without them)."""
        users, products = self(ids, training=training)
        loss = self.rating_weight * self.task_loss(users, products, ids)
        penalty = self.rating_weight * self.head.penalty(ids)
        penalty += self.l2 * (tf.nn.l2_loss(users) + tf.nn.l2_loss(products))
        return loss + penalty if training else loss

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the predicted stars of each row, `[rows]`."""
        towers = self.user_tower, self.product_tower

        def stars(some: pd.DataFrame) -> tf.Tensor:
            ids = look_up_ids(some, *towers)
            return self.head(*self(ids), ids)[:, 0]

        return predict_in_chunks(stars, reviews, *towers)
