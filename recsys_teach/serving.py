"""Layer 5: a trained model as one graph that a server can run: strings in, products and stars out.

    user_id, k  →  retrieve: the k + s products with the highest scores, s = what the user bought already
                →  mask:     without those s
                →  rank:     by score + stars_weight · predicted stars
                →  product_id, score, stars

All of it is one TensorFlow function, with the vocabulary, the vectors of the catalogue and the purchases inside. So it
needs neither this package nor TensorFlow Recommenders where it runs, and server and notebook can't differ.
"""

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids
from recsys_teach.launch import categories_of, new_names, start_vectors
from recsys_teach.multitask import MultitaskModel
from recsys_teach.schema import PRODUCT, USER

CANDIDATES = 100  # as many are retrieved for the ranking at least


class Server:
    """Recommends with a trained multitask model.

    Args:
        model: trained; the catalogue's vectors are computed here and now, so train it no further.
        train: the reviews table whose purchases aren't recommended again.
        new_products: products that training never saw, `product_id` and, if `train` has it, `category`; no other
            column is looked at. A new product starts with the mean vector of its category's products (of all products,
            if the category is new as well), and, if the model has a product bias, with one of the higher ones there.
        optimism: which one: this quantile of them, from 0 to 1. As popular as the median, it would hardly be shown.
        stars_weight: what a predicted star is worth beside the score, 0 or more. A score estimates the logarithm of
            how likely a purchase is, so at 1 a star more makes up for a factor of e; at 0 the order is the score's.

    Raises:
        ValueError: a new product that isn't new or is there twice, or a weight or quantile out of range.
    """

    def __init__(
        self,
        model: MultitaskModel,
        train: pd.DataFrame,
        *,
        new_products: pd.DataFrame | None = None,
        optimism: float = 0.9,
        stars_weight: float = 0.0,
    ):
        if not 0 <= stars_weight < np.inf:
            raise ValueError(f"stars_weight is {stars_weight}: expected a number, 0 or more.")
        if not 0 <= optimism <= 1:
            raise ValueError(f"optimism is {optimism}: expected a quantile from 0 to 1.")
        self.model, self.train, self.stars_weight = model, train, stars_weight
        tower = model.product_tower
        self.catalogue = dict(tower.catalogue)
        vectors = tower.embed(self.catalogue)
        biased = model.retrieval.candidates(vectors, self.catalogue)
        names = list(model.products)
        if new_products is not None and len(new_products):
            added = new_names(new_products, names)
            groups = categories_of(train, names), categories_of(new_products, added)
            quantile = optimism if model.retrieval.product_bias else None
            vectors = tf.concat([vectors, start_vectors(vectors.numpy(), *groups)], axis=0)
            biased = tf.concat([biased, start_vectors(biased.numpy(), *groups, quantile)], axis=0)
            unknown = {name: tf.zeros_like(ids[:1]) for name, ids in self.catalogue.items()}
            self.catalogue = {
                name: tf.concat([ids, tf.repeat(unknown[name], len(added), axis=0)], axis=0)
                for name, ids in self.catalogue.items()
            }
            names += added
        self.names, self.vectors = tf.constant(names), tf.Variable(vectors)
        self.index = tfrs.layers.factorized_top_k.BruteForce().index(biased)
        self.candidates = biased.numpy()  # the same vectors, `[products, dim]`, for another index
        splits, columns = _purchases(train, model.user_tower.vocabulary.users, names)
        self.splits, self.columns = tf.Variable(splits), tf.Variable(columns)

    @property
    def asked(self) -> dict[str, tf.TensorSpec]:
        """What a user is told by: `user_id [users]`, and what else the user tower reads."""
        return {name: tf.TensorSpec([None], tf.string, name=name) for name in self.model.user_tower.columns}

    def user_vectors(self, **asked: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the products' vectors are multiplied by, `{"vector": [users, dim]}`, for another index."""
        users = self.model.user_tower(asked)
        return {"vector": self.model.retrieval.queries(users)}

    def recommend(self, *, k: tf.Tensor, **asked: tf.Tensor) -> dict[str, tf.Tensor]:
        """The k best products of each user that they haven't bought, best first, each `[users, k]`.

        `k` is an int32 number, 0 or more, the rest strings `[users]` (see `asked`). The answer: `product_id`; `score`,
        an estimate of the logarithm of how likely a purchase is, but for a constant of the user; and `stars`. With
        fewer than k products left, the rest has an empty `product_id`, a score of -inf and NaN stars. With a
        `stars_weight`, the order is that of the 100 highest scores (of k, if that is more).
        """
        tower, products = self.model.user_tower, len(self.names)
        ids = tower.preprocess(asked)
        users = tower.embed(ids)
        bought = tf.RaggedTensor.from_row_splits(self.columns, self.splits, validate=False)
        bought = tf.pad(tf.gather(bought, ids[USER]).to_tensor(products), [[0, 0], [0, 1]], constant_values=products)
        kept = tf.maximum(k, CANDIDATES) if self.stars_weight else k
        scores, found = self.index(
            self.model.retrieval.queries(users), k=tf.minimum(kept + tf.shape(bought)[1], products)
        )
        scores = tf.where(_among(found, bought), -np.inf, scores)
        scores, found = _best(kept, scores, scores, found)
        stars = tf.where(scores > -np.inf, self.stars(users, ids, found), np.nan)
        if self.stars_weight:
            order = scores + self.stars_weight * tf.where(scores > -np.inf, stars, 0.0)
            scores, found, stars = _best(k, order, scores, found, stars)
        names = tf.where(scores > -np.inf, tf.gather(self.names, found), "")
        missing = [[0, 0], [0, k - tf.shape(scores)[1]]]
        return {
            PRODUCT: tf.pad(names, missing, constant_values=""),
            "score": tf.pad(scores, missing, constant_values=-np.inf),
            "stars": tf.pad(stars, missing, constant_values=np.nan),
        }

    def stars(self, users: tf.Tensor, ids: Ids, found: tf.Tensor) -> tf.Tensor:
        """The predicted stars of the found products, both `[users, found]`; `users` are vectors, `[users, dim]`."""
        each, flat = tf.shape(found)[1], tf.reshape(found, [-1])
        repeated = {name: tf.repeat(values, each, axis=0) for name, values in ids.items()}
        products = {name: tf.gather(values, flat) for name, values in self.catalogue.items()}
        vectors = tf.repeat(users, each, axis=0), tf.gather(self.vectors, flat)
        return tf.reshape(self.model.ranking.head(*vectors, repeated | products), tf.shape(found))


def _among(found: tf.Tensor, bought: tf.Tensor) -> tf.Tensor:
    """Which columns are among those bought? Both `[users, …]`; the latter in order, and the last of a row is a pad."""
    return tf.gather(bought, tf.searchsorted(bought, found), batch_dims=1) == found


def _best(k: tf.Tensor, order: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
    """The values of each row where `order` is highest, highest first, `[users, k]`, or as many as there are."""
    best = tf.math.top_k(order, k=tf.minimum(k, tf.shape(order)[1])).indices
    return [tf.gather(each, best, batch_dims=1) for each in values]


def _purchases(train: pd.DataFrame, users: list[str], products: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The catalogue columns that each user id bought, in one row after the other: where rows start, and the columns."""
    pairs = pd.DataFrame(
        {
            "user": pd.Index(users).get_indexer(pd.Index(train[USER])) + 1,
            "column": pd.Index(products).get_indexer(pd.Index(train[PRODUCT])),
        }
    )
    pairs = pairs[(pairs["user"] > 0) & (pairs["column"] >= 0)].drop_duplicates().sort_values(["user", "column"])
    splits = np.searchsorted(pairs["user"], np.arange(len(users) + 2))
    return splits.astype(np.int64), pairs["column"].to_numpy(np.int32)
