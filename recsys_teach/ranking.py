"""Layer 4: ranking. How many stars would this user give this product?

The same two towers as in `retrieval`, and a rating head (see `heads`) that looks at both vectors:

    loss = Σ_b  (head(u_b, p_b) - rating_b)²                                           (summed over the batch)
"""

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids
from recsys_teach.heads import DenseHead, FactorHead
from recsys_teach.schema import RATING
from recsys_teach.towers import ProductTower, UserTower, in_blocks, read


class RankingModel(tfrs.Model):
    """Two towers and a rating head.

    Args:
        head: predicts stars from the two vectors; `DenseHead()` if none is given.
        rating_weight: weight of the squared errors against the penalty.
        l2: penalty on half the squared length of the vectors of a batch, summed over it; keeps the model from
            learning the training rows by heart.
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
        """Ids → the vectors of the users and of the products, both `[batch, dim]`."""
        return self.user_tower(ids), self.product_tower(ids)

    def task_loss(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        """The squared errors of these vectors' ratings, summed over the batch."""
        predicted = self.head(users, products, ids)
        rated = tf.math.is_finite(ids[RATING])  # what was bought and not rated adds no error
        stars = tf.where(rated, ids[RATING], 0.0)[:, None]
        errors = self.task(labels=stars, predictions=predicted, sample_weight=tf.cast(rated, tf.float32)[:, None])
        self.mean.update_state(errors)
        return errors

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """The loss of a batch; in training with the penalties, which are no part of how good the model is."""
        users, products = self(ids, training=training)
        loss = self.rating_weight * self.task_loss(users, products, ids)
        penalty = self.rating_weight * self.head.penalty(ids)
        penalty += self.l2 * (tf.nn.l2_loss(users) + tf.nn.l2_loss(products))
        return loss + penalty if training else loss

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """The predicted stars of each row, `[rows]`."""
        towers = self.user_tower, self.product_tower

        def stars(some: pd.DataFrame) -> tf.Tensor:
            ids = read(some, *towers)
            return self.head(*self(ids), ids)[:, 0]

        return in_blocks(stars, reviews, *towers)
