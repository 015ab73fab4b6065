"""Baselines: the floor that any model has to beat, and the ceiling that none can.

Each of them is a recommender: it has `products` and `scores(reviews) -> [rows, products]`, or
`ratings(reviews) -> [rows]`, or both. So do the TensorFlow models; the scoreboard needs nothing else.
"""

import numpy as np
import pandas as pd

from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.shop import Shop


class Popularity:
    """Recommends the products that were bought most often, the same to everybody."""

    def __init__(self, train: pd.DataFrame):
        counts = train[PRODUCT].value_counts().sort_index()
        self.products = list(counts.index)
        self._counts: np.ndarray = counts.to_numpy(float)

    @classmethod
    def from_counts(cls, products: list[str], counts: np.ndarray) -> "Popularity":
        """Return the recommender of products whose purchases were counted elsewhere."""
        popularity = cls.__new__(cls)
        popularity.products, popularity._counts = products, np.asarray(counts, float)
        return popularity

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return how often each product was bought, the same for every row, `[rows, products]`."""
        return np.broadcast_to(self._counts, (len(reviews), len(self._counts)))


class DampedBiases:
    """Predicts the mean rating plus a bias of the product and a bias of the user.

    A bias is a mean difference, pulled towards 0 as if there were `damping` more ratings without a difference, so that
    a few ratings have little effect; purchases without a rating don't count (Koren 2010, "Factor in the neighbors",
    section 2.1):

        b_i = Σ (r - mean) / (n_i + damping)        b_u = Σ (r - mean - b_i) / (n_u + damping)
    """

    def __init__(self, train: pd.DataFrame, *, damping: float = 5.0):
        if not damping >= 0:
            raise ValueError(f"damping is {damping}: expected a number of ratings, 0 or more.")
        self.damping = damping
        self.mean = train[RATING].mean()
        self.product_bias = self._bias(train[RATING] - self.mean, train[PRODUCT], damping)
        rest = train[RATING] - self.mean - train[PRODUCT].map(self.product_bias)
        self.user_bias = self._bias(rest, train[USER], damping)

    @classmethod
    def from_biases(
        cls, *, mean: float, user_bias: pd.Series, product_bias: pd.Series, damping: float = 5.0
    ) -> "DampedBiases":
        """Return the predictor with biases that were computed elsewhere, in stars by user and by product."""
        biases = cls.__new__(cls)
        biases.mean, biases.user_bias, biases.product_bias, biases.damping = mean, user_bias, product_bias, damping
        return biases

    @staticmethod
    def _bias(surplus: pd.Series, by: pd.Series, damping: float) -> pd.Series:
        groups = surplus.groupby(by.to_numpy())
        return (groups.sum() / (groups.count() + damping)).fillna(0)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the predicted stars, `[rows]`; the bias of an unknown user or product is 0."""
        biases = reviews[PRODUCT].map(self.product_bias).fillna(0) + reviews[USER].map(self.user_bias).fillna(0)
        return (self.mean + biases).to_numpy(float)


class Oracle:
    """The truth of a generated shop: the ceiling for models that know only the training rows (see `beats_oracle`)."""

    def __init__(self, shop: Shop):
        self._shop = shop
        self.products = list(shop.products[PRODUCT])

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the true purchase probabilities, `[rows, products]`."""
        return self._shop.purchase_probability(reviews)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the true expected stars, `[rows]`."""
        return self._shop.expected_rating(reviews)
