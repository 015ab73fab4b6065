"""Multitask: one pair of towers learns both tasks at once, and two weights balance them.

    loss = rating_weight · ranking loss + retrieval_weight · retrieval loss

Both losses are sums over the batch, so their ratio hardly depends on the batch size (only by the logarithm in the
softmax). TFRS's own tasks add a *sum* for retrieval to a *mean* for ratings: its "0.5 to 0.5" with batches of 32 is
0.5 / 32 to 0.5 here. If one weight is 0, the model learns the other task alone: it is that task's specialist.
"""

import math

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids
from recsys_teach.ranking import DenseHead, FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.towers import ProductTower, UserTower


class MultitaskModel(tfrs.Model):
    """A retrieval model and a ranking model on the same two towers.

    Args:
        rating_weight: weight of the ranking loss, 0 or more.
        retrieval_weight: weight of the retrieval loss, 0 or more; not both 0.
        head: see `RankingModel`.
        log_q, remove_accidental_hits, unknown_user_dropout, product_bias: see `RetrievalModel`.
        l2: penalty on the vectors, as in both models; it is added once, whatever the weights are.
    """

    def __init__(
        self,
        user_tower: UserTower,
        product_tower: ProductTower,
        *,
        rating_weight: float,
        retrieval_weight: float,
        head: DenseHead | FactorHead | None = None,
        log_q: bool = False,
        remove_accidental_hits: bool = False,
        unknown_user_dropout: float = 0.0,
        product_bias: bool = False,
        l2: float = 0.0,
    ):
        super().__init__()
        check_weights(rating_weight, retrieval_weight)
        self.rating_weight, self.retrieval_weight, self.l2 = rating_weight, retrieval_weight, l2
        self.user_tower, self.product_tower = user_tower, product_tower
        self.ranking = RankingModel(user_tower, product_tower, head=head)
        self.retrieval = RetrievalModel(
            user_tower,
            product_tower,
            log_q=log_q,
            remove_accidental_hits=remove_accidental_hits,
            unknown_user_dropout=unknown_user_dropout,
            product_bias=product_bias,
        )

    def call(self, ids: Ids, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the vectors of the users and of the products of a batch, both `[batch, dim]`."""
        return self.retrieval(ids, training=training)

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """Return the loss of a batch, in training with the penalties (validation compares losses without them)."""
        ids = self.retrieval.drop_users(ids) if training else ids
        users, products = self(ids, training=training)
        rating_loss = self.ranking.task_loss(users, products, ids)
        retrieval_loss = self.retrieval.task_loss(users, products, ids)
        loss = self.rating_weight * rating_loss + self.retrieval_weight * retrieval_loss
        penalty = self.rating_weight * self.ranking.head.penalty(ids)
        penalty += self.l2 * (tf.nn.l2_loss(users) + tf.nn.l2_loss(products))
        return loss + penalty if training else loss

    @property
    def products(self) -> list[str]:
        return self.retrieval.products

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of a row that its scores depend on."""
        return self.retrieval.reads

    def add_products(self, new: pd.DataFrame, *, optimism: float = 0.9) -> None:
        """Add products that training never saw to the candidates: see `RetrievalModel`."""
        self.retrieval.add_products(new, optimism=optimism)

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the score of every product for each row's user, `[rows, products]`."""
        return self.retrieval.scores(reviews)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the predicted stars of each row, `[rows]`."""
        return self.ranking.ratings(reviews)


def check_weights(rating_weight: float, retrieval_weight: float) -> None:
    """Raise a ValueError unless both weights are finite, 0 or more, and not both 0."""
    for name, weight in (("rating_weight", rating_weight), ("retrieval_weight", retrieval_weight)):
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"{name} is {weight}: expected a number, 0 or more.")
    if rating_weight == retrieval_weight == 0:
        raise ValueError("both weights are 0: there is nothing to learn; give at least one task a weight.")
