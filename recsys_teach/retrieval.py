"""Retrieval: which products, of all, would this user buy?

Two towers, and the score of a product for a user is the dot product of their vectors. In a batch of B purchases,
each user's own product is the positive and the other B - 1 products of the batch are the negatives:

    loss = Σ_b  -log softmax(u_b · p_1, …, u_b · p_B)[b]              (in-batch softmax, summed over the batch)

With every correction off this is the model of most tutorials. Each argument repairs one fault of it.
"""

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids, with_unknown_row
from recsys_teach.schema import HISTORY, PRODUCT, USER
from recsys_teach.towers import ProductTower, UserTower, predict_in_chunks


class RetrievalModel(tfrs.Model):
    """Two towers and the in-batch softmax.

    Args:
        log_q: the logQ correction: subtract log(share of the training rows) from each product's score in training.
            Popular products are negatives more often, which the correction makes up for (Yi et al. 2019, "Sampling-
            bias-corrected neural modeling for large corpus item recommendations").
        remove_accidental_hits: a product that is in the batch twice isn't a negative of itself. If the user tower reads
            histories, the products of a row's history are no negatives of the row either: they are never recommended
            again, so their rank doesn't matter, but as negatives they would push what was bought away from its like.
        l2: weight of half the squared length of the vectors of a batch, summed over it; against memorisation.
        unknown_user_dropout: share of training rows whose user is made unknown, so that the vector of unknown users
            learns what people buy on average instead of staying noise.
        product_bias: add a bias of each product to its score, the same for all users, so that its vector expresses
            taste and not popularity.
    """

    def __init__(
        self,
        user_tower: UserTower,
        product_tower: ProductTower,
        *,
        log_q: bool = False,
        remove_accidental_hits: bool = False,
        l2: float = 0.0,
        unknown_user_dropout: float = 0.0,
        product_bias: bool = False,
    ):
        super().__init__()
        self.user_tower, self.product_tower = user_tower, product_tower
        self.l2, self.unknown_user_dropout = l2, unknown_user_dropout
        self.remove_accidental_hits = remove_accidental_hits
        self.product_bias = self.log_q = None
        if log_q or product_bias:
            counts = product_tower.vocabulary.product_counts
        if product_bias:
            self.product_bias = tf.keras.layers.Embedding(len(counts) + 1, 1, embeddings_initializer="zeros")
            self.product_bias.build(None)
        if log_q:
            self.log_q = with_unknown_row(np.log(counts / counts.sum()), unknown=-np.log(counts.sum()))
        self.task = tfrs.tasks.Retrieval(
            metrics=None,  # ranks are the scoreboard's job: a top-k search in every training step costs most of it
            remove_accidental_hits=remove_accidental_hits,
            loss_metrics=[tf.keras.metrics.Mean("retrieval_loss")],
        )

    def drop_users(self, ids: Ids) -> Ids:
        """Return the same rows with some users made unknown at random (`unknown_user_dropout`)."""
        if not self.unknown_user_dropout:
            return ids
        users = ids[USER]
        forgotten = tf.random.uniform(tf.shape(users)) < self.unknown_user_dropout
        return ids | {USER: tf.where(forgotten, tf.zeros_like(users), users)}

    def call(self, ids: Ids, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the vectors of the users and of the products of a batch, both `[batch, dim]`."""
        return self.user_tower(ids), self.product_tower(ids)

    def query_vectors(self, users: tf.Tensor) -> tf.Tensor:
        """Return the users' half of the score u · p + b, which is the dot product of (u, 1) and (p, b)."""
        return tf.concat([users, tf.ones_like(users[:, :1])], axis=1) if self.product_bias else users

    def candidate_vectors(self, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        """Return the products' half of the score: their vectors and, if there is one, their bias."""
        return tf.concat([products, self.product_bias(ids[PRODUCT])], axis=1) if self.product_bias else products

    def task_loss(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        """Return the in-batch softmax loss of these vectors, summed over the batch, with the products of all replicas.

        The logQ correction is subtracted as a bias is added, u · p - log Q = (u, 1) · (p, -log Q). TFRS' own argument
        `candidate_sampling_probability` isn't used: it treats every share below one in a million as one in a million.
        """
        queries, candidates = self.query_vectors(users), self.candidate_vectors(products, ids)
        if self.log_q is not None:
            queries = tf.concat([queries, tf.ones_like(queries[:, :1])], axis=1)
            log_q = tf.nn.embedding_lookup(self.log_q, ids[PRODUCT])
            candidates = tf.concat([candidates, -log_q[:, None]], axis=1)
        candidates, candidate_ids = gather_from_replicas(candidates), gather_from_replicas(ids[PRODUCT])
        if self.remove_accidental_hits and HISTORY in ids:
            return self._loss_without(ids[HISTORY], queries, candidates, candidate_ids)
        return self.task(queries, candidates, candidate_ids=candidate_ids)

    def _loss_without(
        self, histories: tf.Tensor, queries: tf.Tensor, candidates: tf.Tensor, candidate_ids: tf.Tensor
    ) -> tf.Tensor:
        """Return the loss of the task, in which what is in a row's history isn't a candidate.

        The task of TFRS 0.7.7 has an argument for it, the one of 0.7.3 has none.
        """
        rows = tf.shape(queries)[0]
        right = tf.eye(rows, tf.shape(candidates)[0]) > 0
        same = candidate_ids[:rows, None] == candidate_ids
        bought = tf.reduce_any(histories[:, :, None] == candidate_ids, axis=1)
        scores = tf.matmul(queries, candidates, transpose_b=True)
        scores = tf.where(right | ~(same | bought), scores, -1e9)
        loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(rows), scores))
        for mean in self.task.metrics:
            mean.update_state(loss)
        return loss

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """Return the loss of a batch, in training with the penalty (validation compares losses without it)."""
        ids = self.drop_users(ids) if training else ids
        users, products = self(ids, training=training)
        loss = self.task_loss(users, products, ids)
        return loss + self.l2 * (tf.nn.l2_loss(users) + tf.nn.l2_loss(products)) if training else loss

    @property
    def products(self) -> list[str]:
        return self.product_tower.products

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of a row that its scores depend on."""
        return self.user_tower.columns

    def add_products(self, new: pd.DataFrame, *, optimism: float = 0.9) -> None:
        """Add products that training never saw to the candidates: a row each, with the columns that the tower reads.

        Their popularity is unknown. If there is a product bias, they get the quantile `optimism` of the other
        products' biases: with the median, a new product would hardly ever be shown.
        """
        self.product_tower.add_products(new)
        if self.product_bias:
            biases = self.product_bias.embeddings.numpy()
            biases[0] = np.quantile(biases[1:], optimism)  # the bias of the unknown id, which isn't trained
            self.product_bias.set_weights([biases])

    def queries(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the query vector of each row's user, `[rows, dim]`."""
        tower = self.user_tower
        return predict_in_chunks(lambda some: self.query_vectors(tower(tower.read(some))), reviews, tower)

    def candidates(self) -> np.ndarray:
        """Return the candidate vector of every product, `[products, dim]`."""
        catalogue = self.product_tower.catalogue
        return self.candidate_vectors(self.product_tower(catalogue), catalogue).numpy()

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the score of every product for each row's user, `[rows, products]`."""
        return self.queries(reviews) @ self.candidates().T


def gather_from_replicas(values: tf.Tensor) -> tf.Tensor:
    """Return the rows `[batch, …]` of all replicas, this replica's first; with one replica, `values` themselves.

    When several processes train one model, each replica has a share of the batch, and a softmax over that share alone
    would have fewer negatives: another loss than that of the whole batch. The gradient of this function sums over the
    replicas, so that the sum of their gradients is that of the whole batch. All replicas must have as many rows.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return values
    rows = replica.all_gather(tf.identity(values), axis=0)
    return tf.roll(rows, -replica.replica_id_in_sync_group * tf.shape(values)[0], axis=0)
