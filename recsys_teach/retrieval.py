"""Layer 4: retrieval. Which products, of all, would this user buy?

Two towers, and the score of a product for a user is the dot product of their vectors. In a batch of B purchases,
each user's own product is the right answer and the other B - 1 products of the batch are the wrong ones:

    loss = Σ_b  -log softmax(u_b · p_1, …, u_b · p_B)[b]              (in-batch softmax, summed over the batch)

With every correction off this is the textbook's model. Each argument repairs one fault of it.
"""

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids, by_id, strings
from recsys_teach.replicas import all_rows
from recsys_teach.schema import PRODUCT, USER
from recsys_teach.towers import ProductTower, UserTower, in_blocks


class RetrievalModel(tfrs.Model):
    """Two towers and the in-batch softmax.

    Args:
        log_q: subtract log(share of the training rows) from each product's score while training. Popular products
            come up as wrong answers more often, and this takes it into account (Yi et al. 2019, "Sampling-bias-
            corrected neural modeling for large corpus item recommendations").
        remove_accidental_hits: a product that is in the batch twice isn't a wrong answer to itself.
        l2: penalty on half the squared length of the vectors of a batch, summed over it; keeps the model from
            learning the training rows by heart.
        unknown_user_dropout: the share of training rows whose user is made unknown, so that the vector of
            strangers learns what people buy on average instead of staying noise.
        product_bias: give each product a number of its own that is added to its score for everybody, so that its
            vector need not carry how popular it is and is left to taste.
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
        counts = product_tower.vocabulary.product_counts
        self.product_bias = None
        if product_bias:
            self.product_bias = tf.keras.layers.Embedding(len(counts) + 1, 1, embeddings_initializer="zeros")
            self.product_bias.build(None)
        self.log_q = by_id(np.log(counts / counts.sum()), unknown=-np.log(counts.sum())) if log_q else None
        self.task = tfrs.tasks.Retrieval(
            metrics=None,  # ranks are the scoreboard's job: a top-k search in every training step costs most of it
            remove_accidental_hits=remove_accidental_hits,
            loss_metrics=[tf.keras.metrics.Mean("retrieval_loss")],
        )

    def forget(self, ids: Ids) -> Ids:
        """The same rows, some of their users made unknown at random (`unknown_user_dropout`)."""
        if not self.unknown_user_dropout:
            return ids
        users = ids[USER]
        forgotten = tf.random.uniform(tf.shape(users)) < self.unknown_user_dropout
        return ids | {USER: tf.where(forgotten, tf.zeros_like(users), users)}

    def call(self, ids: Ids, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids → the vectors of the users and of the products, both `[batch, dim]`."""
        return self.user_tower(ids), self.product_tower(ids)

    def queries(self, users: tf.Tensor) -> tf.Tensor:
        """The vectors that products are scored by: u · p + b is the dot product of (u, 1) and (p, b)."""
        return tf.concat([users, tf.ones_like(users[:, :1])], axis=1) if self.product_bias else users

    def candidates(self, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        """The products' vectors with their bias, if there is one: the other half of `queries`."""
        return tf.concat([products, self.product_bias(ids[PRODUCT])], axis=1) if self.product_bias else products

    def task_loss(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        """The in-batch softmax of these vectors, summed over the batch; the products of all replicas are in it.

        log Q is subtracted as a bias is added, u · p - log Q = (u, 1) · (p, -log Q): TFRS' own argument for it,
        `candidate_sampling_probability`, takes every share below one in a million for one in a million.
        """
        queries, candidates = self.queries(users), self.candidates(products, ids)
        if self.log_q is not None:
            queries = tf.concat([queries, tf.ones_like(queries[:, :1])], axis=1)
            log_q = tf.nn.embedding_lookup(self.log_q, ids[PRODUCT])
            candidates = tf.concat([candidates, -log_q[:, None]], axis=1)
        return self.task(queries, all_rows(candidates), candidate_ids=all_rows(ids[PRODUCT]))

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """The loss of a batch; in training with the penalty, which is no part of how good the model is."""
        ids = self.forget(ids) if training else ids
        users, products = self(ids, training=training)
        loss = self.task_loss(users, products, ids)
        return loss + self.l2 * (tf.nn.l2_loss(users) + tf.nn.l2_loss(products)) if training else loss

    @property
    def products(self) -> list[str]:
        return self.product_tower.products

    def add_products(self, new: pd.DataFrame, *, optimism: float = 0.9) -> None:
        """Make products that training never saw candidates, too: a row each, with the columns that the tower reads.

        Nobody has bought them, so nothing is known of how popular they will be. If there is a product bias, they get
        this quantile of those of the other products: with the median, a new product would hardly ever be shown.
        """
        self.product_tower.add_products(new)
        if self.product_bias:
            biases = self.product_bias.embeddings.numpy()
            biases[0] = np.quantile(biases[1:], optimism)  # that of the unknown id, which isn't trained
            self.product_bias.set_weights([biases])

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """The dot product of each row's user with every product, and its bias if there is one, `[rows, products]`."""
        tower = self.user_tower
        queries = in_blocks(lambda some: self.queries(tower(strings(some, tower.columns))), reviews, tower)
        catalogue = self.product_tower.catalogue
        products = self.candidates(self.product_tower(catalogue), catalogue)
        return queries @ products.numpy().T
