"""Baselines: the floor that any model has to beat, and the ceiling that none can.

Each of them is a recommender: it has `products` and `scores(reviews) -> [rows, products]`, or
`ratings(reviews) -> [rows]`, or both. So do the TensorFlow models; the scoreboard needs nothing else. Where the reviews
have a `history` column, the classics score what it holds, besides what they know of the user from training. `reads`
tells the scoreboard which columns of a row the scores depend on.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.linalg import inv, solve
from scipy.sparse import csr_array, csr_matrix, vstack

from recsys_teach.histories import history_cells
from recsys_teach.schema import HISTORY, PRODUCT, RATING, TIMESTAMP, USER
from recsys_teach.shop import Shop


class Popularity:
    """Recommends the products that were bought most often, the same to everybody."""

    reads = ()

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


class RateSinceLaunch:
    """Recommends the products that sell best since their first sale, the same to everybody.

    Popularity counts the purchases of all time, so a product that was launched last month can't be popular. Here its
    purchases are divided by the reviews of the whole shop since its first one, damped as if there had been `damping`
    more reviews and one more purchase:

        (n_i + 1) / (reviews since the first of product i + damping)

    Args:
        train: the training rows, with times.
        damping: a number of reviews; a large one makes this popularity.
    """

    reads = ()

    def __init__(self, train: pd.DataFrame, *, damping: float = 200.0):
        if TIMESTAMP not in train:
            raise ValueError(f"a rate since launch needs a {TIMESTAMP!r} column: add one, or take Popularity.")
        if not damping >= 0:
            raise ValueError(f"damping is {damping}: expected a number of reviews, 0 or more.")
        times = train[TIMESTAMP].astype("int64")
        by_product = times.groupby(train[PRODUCT]).agg(["size", "min"])
        self.products = list(by_product.index)
        self.damping = damping
        since_launch = len(train) - np.searchsorted(np.sort(times), by_product["min"])
        self._rates: np.ndarray = ((by_product["size"] + 1) / (since_launch + damping)).to_numpy(float)

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the rate of each product, the same for every row, `[rows, products]`."""
        return np.broadcast_to(self._rates, (len(reviews), len(self._rates)))


class DampedBiases:
    """Predicts the mean rating plus a bias of the product and a bias of the user.

    A bias is a mean difference, pulled towards 0 as if there were `damping` more ratings without a difference, so that
    a few ratings have little effect; purchases without a rating don't count (Koren 2010, "Factor in the neighbors",
    section 2.1). Without any rating, mean and biases are 0:

        b_i = Σ (r - mean) / (n_i + damping)        b_u = Σ (r - mean - b_i) / (n_u + damping)
    """

    def __init__(self, train: pd.DataFrame, *, damping: float = 5.0):
        if not damping >= 0:
            raise ValueError(f"damping is {damping}: expected a number of ratings, 0 or more.")
        self.damping = damping
        self.mean = train[RATING].mean() if train[RATING].notna().any() else 0.0
        self.product_bias = self._bias(train[RATING] - self.mean, train[PRODUCT], damping)
        rest = train[RATING] - self.mean - _of(train[PRODUCT], self.product_bias)
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
        return (self.mean + _of(reviews[PRODUCT], self.product_bias) + _of(reviews[USER], self.user_bias)).to_numpy()


def _of(ids: pd.Series, biases: pd.Series) -> pd.Series:
    """Return the bias of each id, 0 if it is unknown; the ids may be categorical."""
    return ids.map(biases).astype(float).fillna(0)


class Purchases:
    """Who bought what in the training rows, as a sparse matrix of 0 and 1, `[users, products]`."""

    def __init__(self, train: pd.DataFrame):
        pairs = train[[USER, PRODUCT]].drop_duplicates()
        user, users = pd.factorize(pairs[USER], sort=True)
        product, products = pd.factorize(pairs[PRODUCT], sort=True)
        self.users, self.products = pd.Index(users), list(products)
        cells = np.ones(len(pairs), np.float32), (user, product)
        self.matrix = csr_array(cells, shape=(len(self.users), len(self.products)))

    def scores(self, reviews: pd.DataFrame, predict: Callable[[csr_array, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return `predict(purchases, users)` for each row, `[rows, products]`; popularity where nothing was bought.

        `purchases` are rows like those of the matrix, `users` the numbers of the users, -1 for new ones. If the reviews
        have histories, the purchases of a row are those of its user in training and those of its history.
        """
        user, row = np.unique(self.users.get_indexer(pd.Index(reviews[USER])), return_inverse=True)
        if HISTORY in reviews:
            user, row = user[row], np.arange(len(reviews))
            purchases = self._with_histories(user, reviews[HISTORY])
            some = np.diff(purchases.indptr) > 0
        else:  # each user once, however many rows there are
            purchases, some = self.matrix[np.maximum(user, 0)], user >= 0
        scores = np.empty((len(user), len(self.products)), np.float32)
        scores[~some] = self.matrix.sum(axis=0)
        scores[some] = predict(purchases[some], user[some])
        return scores[row]

    def _with_histories(self, user: np.ndarray, histories: pd.Series) -> csr_array:
        """Return the purchases of these users, -1 for new ones, and of their histories, a sparse matrix of 0 and 1."""
        known = (user >= 0).nonzero()[0]
        of_users = csr_array((np.ones(len(known), np.float32), (known, user[known])), (len(user), len(self.users)))
        cells = history_cells(histories, self.products)
        bought = of_users @ self.matrix
        bought += csr_array((np.ones(len(cells[0]), np.float32), cells), bought.shape)
        bought.data[:] = 1
        return bought


class ItemKNN:
    """Recommends the nearest neighbours of the products that a user bought, by the cosine of their buyers.

    With n_i buyers of product i and n_ij buyers of both, only the largest similarities of each product count
    (Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms"); `shrink` lowers those that
    few buyers support:

        s_ij = n_ij / (√n_i √n_j + shrink)                      score(u, j) = Σ_{i bought by u} s_ij

    Args:
        neighbours: similarities that are kept for each product; of equal ones those of the first products.
    """

    reads = (USER, HISTORY)
    PAIRS = 8_000_000  # pairs of purchases that are counted at once: 64 MB at most

    def __init__(self, train: pd.DataFrame, *, neighbours: int = 50, shrink: float = 20.0):
        if neighbours < 1 or not shrink >= 0:
            raise ValueError(f"neighbours is {neighbours}, shrink {shrink}: expected 1 or more, and 0 or more.")
        self._purchases = Purchases(train)
        self.products = self._purchases.products
        self.neighbours, self.shrink = neighbours, shrink
        matrix = self._purchases.matrix
        buyers, norm, kept = matrix.T.tocsr(), np.sqrt(matrix.sum(axis=0)), []
        pairs = np.cumsum(buyers @ matrix.sum(axis=1), dtype=float)
        ends = np.searchsorted(pairs, np.arange(self.PAIRS, pairs[-1], self.PAIRS))
        for some in np.split(np.arange(len(self.products)), np.unique(ends)):
            both = (buyers[some] @ matrix).tocsr()  # how many bought both, [some products, products]
            for product, cells in zip(some, np.split(np.arange(both.nnz), both.indptr[1:-1])):
                others = both.indices[cells]
                similar = both.data[cells] / (norm[product] * norm[others] + np.float32(shrink))
                similar[others == product] = 0
                if len(cells) > neighbours:
                    least = np.partition(similar, -neighbours)[-neighbours]
                    similar[similar < least] = 0
                    surplus, equal = np.count_nonzero(similar) - neighbours, np.flatnonzero(similar == least)
                    similar[equal[np.argsort(-others[equal])][:surplus]] = 0
                both.data[cells] = similar
            both.eliminate_zeros()
            kept.append(both)
        self._similarity = csr_array(vstack(kept).T)  # a column has the neighbours of its product

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the sum of the similarities to the user's products, `[rows, products]`; popularity for new users."""
        return self._purchases.scores(reviews, lambda purchases, _: (purchases @ self._similarity).toarray())


class EASE:
    """Predicts purchases by a linear model from all other purchases, in closed form.

    The weights minimise ‖X - XB‖² + l2 ‖B‖² with a diagonal of zeros, so that no product predicts itself
    (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"):

        P = (XᵀX + l2 · I)⁻¹                B_ij = -P_ij / P_jj,  B_jj = 0                score(u, j) = Σ_i X_ui B_ij

    which is X_uj - (XP)_uj / P_jj. Where there are fewer users than products, the same P comes from a smaller matrix
    (Woodbury's identity): P = (I - XᵀC) / l2 with C = (XXᵀ + l2 · I)⁻¹ X. What is kept, P or C, takes 4 bytes a cell;
    the time of the inverse grows with the third power of the smaller number.

    Raises:
        ValueError: l2 isn't above 0, or there are too many users and products (see `can_fit`).
    """

    reads = (USER, HISTORY)
    CELLS = 10_000**2  # 0.4 GB, and several times that for a moment while the inverse is computed

    def __init__(self, train: pd.DataFrame, *, l2: float = 300.0):
        if not l2 > 0:
            raise ValueError(f"l2 is {l2}: expected a number above 0.")
        self._purchases = Purchases(train)
        self.products = self._purchases.products
        self.l2 = l2
        self._bought, self._l2 = self._purchases.matrix, np.float32(l2)
        users, products = self._bought.shape
        if not self.can_fit(train):
            raise ValueError(
                f"EASE keeps a number for each pair of products, or of a user and a product, and there are {users:,} "
                f"users and {products:,} products: expected {self.CELLS:,} pairs at most; leave rare products out, or "
                "take ItemKNN."
            )
        self._few_users = users < products
        # In float64 and in place: NumPy would make several copies of the larger matrix.
        if self._few_users:
            damped = (self._bought @ self._bought.T).toarray() + l2 * np.identity(users)
            bought = self._bought.toarray(order="F").astype(float)
            self._solved = solve(damped, bought, assume_a="pos", overwrite_b=True).astype(np.float32)
            self._diagonal = (1 - (self._bought * self._solved).sum(axis=0)) / self._l2
        else:
            gram = (self._bought.T @ self._bought).toarray(order="F").astype(float)
            gram[np.diag_indices_from(gram)] += l2
            self._inverse = inv(gram, overwrite_a=True).astype(np.float32)
            self._diagonal = np.diag(self._inverse)

    @classmethod
    def can_fit(cls, train: pd.DataFrame) -> bool:
        """Return whether the matrix that is kept, products × the smaller number, has 100 million cells at most."""
        products = train[PRODUCT].nunique()
        return products * min(train[USER].nunique(), products) <= cls.CELLS

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the prediction from the user's purchases, `[rows, products]`; popularity for new users."""
        return self._purchases.scores(reviews, self._predict)

    def _predict(self, purchases: csr_array, users: np.ndarray) -> np.ndarray:
        """Return X - XP / diag P of these rows X."""
        bought = purchases.toarray()
        if self._few_users:
            in_common = (purchases @ self._bought.T).toarray()  # with each of the training users
            times_inverse = (bought - in_common @ self._solved) / self._l2
        else:
            times_inverse = bought @ self._inverse
        return bought - times_inverse / self._diagonal


class IALS:
    """Recommends by the dot product of a user's and a product's factors, which explain all cells of the purchases.

    With x_ui = 1 for a purchase and 0 elsewhere, alternating least squares minimises

        Σ_ui c_ui (x_ui - u · p)² + l2 (Σ ‖u‖² + Σ ‖p‖²),        c_ui = weight for a purchase, 1 elsewhere

    (Hu, Koren & Volinsky 2008, "Collaborative filtering for implicit feedback datasets"), here by the library
    `implicit`: an extra, `pip install 'recsys-teach[classics]'`. How strong a rival it is depends on its settings
    (Rendle et al. 2022, "Revisiting the performance of iALS on item recommendation benchmarks").

    Raises:
        ModuleNotFoundError: `implicit` isn't installed.
    """

    reads = (USER, HISTORY)

    def __init__(
        self,
        train: pd.DataFrame,
        *,
        dim: int = 64,
        weight: float = 3.0,
        l2: float = 30.0,
        epochs: int = 15,
        seed: int = 0,
    ):
        try:
            from implicit.cpu.als import AlternatingLeastSquares
            from threadpoolctl import threadpool_limits
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "IALS needs the library implicit: pip install 'recsys-teach[classics]'."
            ) from error
        self.dim, self.weight, self.l2, self.epochs = dim, weight, l2, epochs
        self._purchases = Purchases(train)
        self.products = self._purchases.products
        with threadpool_limits(1, "blas"):  # implicit has threads of its own, and warns of others
            model = AlternatingLeastSquares(
                factors=dim, regularization=l2, alpha=weight, iterations=epochs, random_state=seed
            )
            model.fit(csr_matrix(self._purchases.matrix), show_progress=False)
        self._model, self._users, self._products = model, model.user_factors, model.item_factors

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the dot products, `[rows, products]`; popularity for new users.

        If the reviews have histories, the factors of a row's user are solved for anew, with the products' as they are.
        """

        def predict(purchases: csr_array, users: np.ndarray) -> np.ndarray:
            if HISTORY not in reviews:
                return self._users[users] @ self._products.T
            return self._model.recalculate_user(np.arange(len(users)), csr_matrix(purchases)) @ self._products.T

        return self._purchases.scores(reviews, predict)


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
