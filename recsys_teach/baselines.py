"""Layer 2: what any model has to beat (the floor), and what none can (the ceiling).

Each of them is a recommender: it has `products` and `scores(reviews) -> [rows, products]`, or
`ratings(reviews) -> [rows]`, or both. So do the TensorFlow models; the scoreboard knows no more than that.
"""

import numpy as np
import pandas as pd

from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.shop import Shop


class Popularity:
    """Recommends to everybody what most people bought."""

    def __init__(self, train: pd.DataFrame):
        counts = train[PRODUCT].value_counts().sort_index()
        self.products = list(counts.index)
        self._counts: np.ndarray = counts.to_numpy(float)

    @classmethod
    def known(cls, products: list[str], counts: np.ndarray) -> "Popularity":
        """Of products that were counted elsewhere."""
        popularity = cls.__new__(cls)
        popularity.products, popularity._counts = products, np.asarray(counts, float)
        return popularity

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """How often each product was bought, the same for every row, `[rows, products]`."""
        return np.broadcast_to(self._counts, (len(reviews), len(self._counts)))


class DampedBiases:
    """Predicts the mean rating, plus what the product, plus what the user usually adds to it.

    Both are means pulled towards 0 as if `damping` more ratings had been average ones, so that few ratings move
    them little; purchases that nobody rated don't count (Koren 2010, "Factor in the neighbors", section 2.1):

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
    def known(
        cls, *, mean: float, user_bias: pd.Series, product_bias: pd.Series, damping: float = 5.0
    ) -> "DampedBiases":
        """Of biases that were worked out elsewhere, in stars by user and by product."""
        biases = cls.__new__(cls)
        biases.mean, biases.user_bias, biases.product_bias, biases.damping = mean, user_bias, product_bias, damping
        return biases

    @staticmethod
    def _bias(surplus: pd.Series, by: pd.Series, damping: float) -> pd.Series:
        groups = surplus.groupby(by.to_numpy())
        return (groups.sum() / (groups.count() + damping)).fillna(0)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """The predicted stars, `[rows]`; an unknown user or product adds nothing."""
        biases = reviews[PRODUCT].map(self.product_bias).fillna(0) + reviews[USER].map(self.user_bias).fillna(0)
        return (self.mean + biases).to_numpy(float)


class Oracle:
    """The generated shop's own truth: who knows only the training rows can't clearly beat it (see `leaks`)."""

    def __init__(self, shop: Shop):
        self._shop = shop
        self.products = list(shop.products[PRODUCT])

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """The true purchase probabilities, `[rows, products]`."""
        return self._shop.purchase_probability(reviews)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """The true expected stars, `[rows]`."""
        return self._shop.expected_rating(reviews)
