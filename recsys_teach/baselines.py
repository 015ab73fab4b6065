"""Baselines: the floor that any model has to beat, and the ceiling that none can.

Each of them is a recommender: it has `products` and `scores(reviews) -> [rows, products]`, or
`ratings(reviews) -> [rows]`, or both. So do the TensorFlow models; the scoreboard needs nothing else.
"""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

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


class Purchases:
    """Who bought what in the training rows, as a sparse matrix of 0 and 1, `[users, products]`."""

    def __init__(self, train: pd.DataFrame):
        pairs = train[[USER, PRODUCT]].drop_duplicates()
        user, self.users = pd.factorize(pairs[USER], sort=True)
        product, products = pd.factorize(pairs[PRODUCT], sort=True)
        self.products = list(products)
        cells = np.ones(len(pairs), np.float32), (user, product)
        self.matrix = csr_array(cells, shape=(len(self.users), len(self.products)))

    def scores(self, reviews: pd.DataFrame, weights: np.ndarray | csr_array) -> np.ndarray:
        """Return the history of each row's user times `weights` `[products, products]`; popularity for new users."""
        user, row = np.unique(pd.Index(self.users).get_indexer(pd.Index(reviews[USER])), return_inverse=True)
        scores = self.matrix[np.maximum(user, 0)] @ weights  # of each user once
        scores = scores.toarray() if isinstance(scores, csr_array) else scores
        scores[user < 0] = self.matrix.sum(axis=0)
        return scores[row]


class ItemKNN:
    """Recommends the nearest neighbours of the products that a user bought, by the cosine of their buyers.

    With n_i buyers of product i and n_ij buyers of both, only the largest similarities of each product count
    (Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms"); `shrink` lowers those that
    few buyers support:

        s_ij = n_ij / (√n_i √n_j + shrink)                      score(u, j) = Σ_{i bought by u} s_ij

    Args:
        neighbours: similarities that are kept for each product.
    """

    def __init__(self, train: pd.DataFrame, *, neighbours: int = 50, shrink: float = 20.0):
        if neighbours < 1 or not shrink >= 0:
            raise ValueError(f"neighbours is {neighbours}, shrink {shrink}: expected 1 or more, and 0 or more.")
        self._purchases = Purchases(train)
        self.products = self._purchases.products
        matrix = self._purchases.matrix
        both, norm = (matrix.T @ matrix).tocsr(), np.sqrt(matrix.sum(axis=0))
        both.setdiag(0)
        both.eliminate_zeros()
        product = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
        both.data /= norm[product] * norm[both.indices] + np.float32(shrink)
        order = np.lexsort([-both.data, product])  # the most similar ones of each product first
        place = np.arange(both.nnz) - np.repeat(both.indptr[:-1], np.diff(both.indptr))
        kept = order[place < neighbours]
        cells = both.data[kept], (both.indices[kept], product[kept])
        self._similarity = csr_array(cells, shape=both.shape)

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the sum of the similarities to the user's products, `[rows, products]`; popularity for new users."""
        return self._purchases.scores(reviews, self._similarity)


class EASE:
    """Predicts purchases by a linear model from all other purchases, in closed form.

    The weights minimise ‖X - XB‖² + l2 ‖B‖² with a diagonal of zeros, so that no product predicts itself
    (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"):

        P = (XᵀX + l2 · I)⁻¹                B_ij = -P_ij / P_jj,  B_jj = 0                score(u, j) = Σ_i X_ui B_ij

    The inverse takes 4 bytes for each pair of products, and a time that grows with their third power.

    Raises:
        ValueError: l2 isn't above 0, or there are more than 20,000 products (1.6 GB).
    """

    MOST_PRODUCTS = 20_000

    def __init__(self, train: pd.DataFrame, *, l2: float = 300.0):
        from scipy.linalg import lapack  # a tenth of a second, which the other baselines don't need

        if not l2 > 0:
            raise ValueError(f"l2 is {l2}: expected a number above 0.")
        self._purchases = Purchases(train)
        self.products = self._purchases.products
        if len(self.products) > self.MOST_PRODUCTS:
            raise ValueError(
                f"EASE inverts a matrix of products × products, and there are {len(self.products):,}: expected "
                f"{self.MOST_PRODUCTS:,} at most; leave rare products out, or take ItemKNN."
            )
        gram = (self._purchases.matrix.T @ self._purchases.matrix).toarray(order="F")
        gram[np.diag_indices_from(gram)] += np.float32(l2)
        factor, failed = lapack.spotrf(gram, lower=True, overwrite_a=True)
        inverse, failed_too = lapack.spotri(factor, lower=True, overwrite_c=True)  # of the lower triangle
        if failed or failed_too:
            raise ValueError(f"with l2={l2} the matrix of these purchases can't be inverted: take a larger one.")
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        self._weights = inverse / -np.diag(inverse)
        self._weights[np.diag_indices_from(inverse)] = 0

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the prediction from the user's purchases, `[rows, products]`; popularity for new users."""
        return self._purchases.scores(reviews, self._weights)


class Oracle:
    """The truth of a generated shop: the ceiling for models that know only the training rows (see `beats_oracle`).

    In a shop of kind="habit" it uses what the user bought before each test row. So under a random split it isn't
    strictly the ceiling: training rows may be later than a test row of the same user, and say something about it.
    """

    def __init__(self, shop: Shop):
        self._shop = shop
        self.products = list(shop.products[PRODUCT])

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the true purchase probabilities, `[rows, products]`."""
        return self._shop.purchase_probability(reviews)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the true expected stars, `[rows]`."""
        return self._shop.expected_rating(reviews)
