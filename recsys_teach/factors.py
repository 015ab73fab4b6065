"""Layer 2: a trained pair of towers and its rating head as two tables, which is all that recommending by ids takes.

    score = u · p + c_p                                 c_p: the product bias of retrieval
    stars = mean + b_u + b_p + taste · u · p            for known users and products; else without u · p

The vectors and the numbers of an id lie side by side in its row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_teach.schema import PRODUCT, USER


@dataclass(frozen=True)
class Factors:
    """One trained pair of towers and its head as arrays: a recommender. Row 0 of a table is for unknown ids."""

    users: Sequence[str]
    products: Sequence[str]
    user_table: np.ndarray  # [1 + users, dim + 1]: u, then b_u
    product_table: np.ndarray  # [1 + products, dim + 2]: p, then b_p and c_p
    mean: float  # stars
    taste: float  # stars that a unit of u · p is worth

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """The score of every product for each row's user, `[rows, products]`."""
        users = self.user_table[row_numbers(self.users, reviews[USER]), :-1]
        return users @ self.product_table[1:, :-2].T + self.product_table[1:, -1]

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """The predicted stars of each row, `[rows]`."""
        return self.stars(row_numbers(self.users, reviews[USER]), row_numbers(self.products, reviews[PRODUCT]))

    def stars(self, user: np.ndarray, product: np.ndarray) -> np.ndarray:
        """The predicted stars of rows of the tables."""
        u, p = self.user_table[user], self.product_table[product]
        known = (np.asarray(user) > 0) & (np.asarray(product) > 0)
        taste = self.taste * (u[..., :-1] * p[..., :-2]).sum(axis=-1)
        return self.mean + u[..., -1] + p[..., -2] + np.where(known, taste, 0.0)


def row_numbers(names: Sequence[str], wanted: pd.Series) -> np.ndarray:
    """The rows of a table: 1 for the first of the `names`, …, and 0 for what isn't among them."""
    return pd.Index(names).get_indexer(pd.Index(wanted)) + 1
