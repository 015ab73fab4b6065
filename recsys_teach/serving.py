"""Layer 5: a trained model as one graph that a server can run: strings in, products and stars out.

    user_id, k  →  check:    one id for each user, one k or one for each user
                →  retrieve: the k + s products with the highest scores, s = what the user bought already
                →  mask:     without those s
                →  rank:     by score + stars_weight · predicted stars
                →  product_id, score, stars

All of it is one TensorFlow function, with the vocabulary, the vectors of the catalogue and the purchases inside. So it
needs neither this package nor TensorFlow Recommenders where it runs, and server and notebook can't differ.

A request may come from anybody, so it is checked in the graph, before any other operation reads it: a few of
TensorFlow's operations (`tf.gather` on a ragged tensor is one) end the whole process if a shape isn't what they expect.
"""

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Features, Ids, strings
from recsys_teach.launch import categories_of, new_names, start_vectors
from recsys_teach.multitask import MultitaskModel
from recsys_teach.schema import PRODUCT, USER

CANDIDATES = 100  # as many are retrieved for the ranking at least
LARGEST_K = 5_000  # or the number of products, if that is more: the answer's memory is users · k


class Server:
    """Recommends with a trained multitask model.

    Args:
        model: trained; the catalogue's vectors are computed here and now, so train it no further.
        train: the reviews table whose purchases aren't recommended again.
        new_products: products that training never saw: `product_id`, `category` if `train` has it, and what else the
            product tower reads. The vector of a new product is what the tower makes of it (a column that is missing is
            an empty text). A tower of ids alone can't tell new products apart, so there it is the mean vector of its
            category's products (of all products, if the category is new as well). If the model has a product bias, a
            new product's is one of the higher ones of its category.
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
        vectors = tower(self.catalogue)
        biased = model.retrieval.candidates(vectors, self.catalogue)
        names = list(model.products)
        if new_products is not None and len(new_products):
            added = new_names(new_products, names)
            groups = categories_of(train, names), categories_of(new_products, added)
            starts = start_vectors(biased.numpy(), *groups, optimism if model.retrieval.product_bias else None)
            starts, bias = np.split(starts, [vectors.shape[1]], axis=1)
            table = new_products.reindex(columns=list(tower.columns), fill_value="").astype(object).fillna("")
            new = tower.preprocess(strings(table, tower.columns))
            new_vectors = tower(new) if len(tower.columns) > 1 else starts
            vectors = tf.concat([vectors, new_vectors], axis=0)
            biased = tf.concat([biased, tf.concat([new_vectors, bias], axis=1)], axis=0)
            self.catalogue = {name: _below(ids, new[name]) for name, ids in self.catalogue.items()}
            names += added
        self.names, self.vectors = tf.constant(names), tf.Variable(vectors)
        self.index = tfrs.layers.factorized_top_k.BruteForce().index(biased)
        self.candidates = biased.numpy()  # the same vectors, `[products, dim]`, for another index
        splits, columns = _purchases(train, model.user_tower.vocabulary.users, names)
        self.splits, self.columns = tf.Variable(splits), tf.Variable(columns)

    @property
    def asked(self) -> dict[str, tf.TensorSpec]:
        """The strings that describe a user: `user_id [users]`, and what else the user tower reads.

        The shape isn't part of the specification: an exported graph would take it for granted and drop its own check.
        """
        return {name: tf.TensorSpec(None, tf.string, name=name) for name in self.model.user_tower.columns}

    def user_vectors(self, **asked: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the products' vectors are multiplied by, `{"vector": [users, dim]}`, for another index.

        Raises:
            TypeError, tf.errors.InvalidArgumentError: as `recommend` does.
        """
        users = self.model.user_tower(_checked(asked))
        return {"vector": self.model.retrieval.queries(users)}

    def recommend(self, *, k: tf.Tensor, **asked: tf.Tensor) -> dict[str, tf.Tensor]:
        """The k best products of each user that they haven't bought, best first, each `[users, k]`.

        `k` is an int32 number, or `[users]`, one for each; the rest are strings `[users]` (see `asked`). The answer:
        `product_id`; `score`, an estimate of the logarithm of how likely a purchase is, but for a constant of the user;
        and `stars`. With fewer than k products left, the rest has an empty `product_id`, a score of -inf and NaN stars;
        so has the rest of a user whose k is below the largest one, which is the answer's width. With a `stars_weight`,
        the order is that of the 100 highest scores (of k, if that is more).

        Raises:
            TypeError: an input isn't of its type (an exported model raises TensorFlow's own error for its type).
            tf.errors.InvalidArgumentError: an input hasn't one string for each user; `k` is neither a number nor one
                for each user, is negative, or is above both 5,000 and the number of products.
        """
        asked, products = _checked(asked), len(self.names)
        k = _checked_k(k, asked[USER], max(LARGEST_K, products))
        ids = self.model.user_tower.preprocess(asked)
        users = self.model.user_tower(ids)
        bought = tf.RaggedTensor.from_row_splits(self.columns, self.splits, validate=False)
        bought = tf.pad(tf.gather(bought, ids[USER]).to_tensor(products), [[0, 0], [0, 1]], constant_values=products)
        kept = tf.maximum(k, CANDIDATES) if self.stars_weight else k
        scores, found = self.index(
            self.model.retrieval.queries(users), k=tf.minimum(_largest(kept) + tf.shape(bought)[1], products)
        )
        scores = tf.where(_among(found, bought), -np.inf, scores)
        scores, found = _best(kept, scores, scores, found)
        stars = self.stars(users, ids, found)
        if self.stars_weight:
            scores, found, stars = _best(k, scores + self.stars_weight * stars, scores, found, stars)
        there = scores > -np.inf
        missing = [[0, 0], [0, _largest(k) - tf.shape(scores)[1]]]
        return {
            PRODUCT: tf.pad(tf.where(there, tf.gather(self.names, found), ""), missing, constant_values=""),
            "score": tf.pad(scores, missing, constant_values=-np.inf),
            "stars": tf.pad(tf.where(there, stars, np.nan), missing, constant_values=np.nan),
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


def _best(k: tf.Tensor, order: tf.Tensor, scores: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
    """The scores and values of each row where `order` is highest, highest first, `[users, largest k]`.

    Narrower if there aren't as many; beyond a row's own k, its scores are -inf.
    """
    width = tf.minimum(_largest(k), tf.shape(order)[1])
    best = tf.math.top_k(order, k=width).indices
    scores, *others = [tf.gather(each, best, batch_dims=1) for each in (scores, *values)]
    return [tf.where(tf.sequence_mask(k, width), scores, -np.inf), *others]


def _largest(k: tf.Tensor) -> tf.Tensor:
    """The largest k, 0 if there is none."""
    return tf.maximum(tf.reduce_max(k), 0)


def _checked(asked: Features) -> Features:
    """The strings that describe users, each `[users]`; an error that names the first input that isn't."""
    asked = {name: _tensor(name, values, tf.string) for name, values in asked.items()}
    for name, values in asked.items():
        message = f"{name}: expected the shape [users], one string for each, received"
        asked[name] = tf.reshape(_only_if(tf.rank(values) == 1, values, message, tf.shape(values)), [-1])
    users = asked[USER]
    for name, values in asked.items():
        same = tf.size(values) == tf.size(users)
        message = f"{name}: expected the shape of {USER},"
        asked[name] = _only_if(same, values, message, tf.shape(users), "received", tf.shape(values))
    return asked


def _checked_k(k: tf.Tensor, users: tf.Tensor, largest: int) -> tf.Tensor:
    """`k`, a number or `[users]`, from 0 to `largest`; else an error that names it."""
    k = _tensor("k", k, tf.int32)
    fits = (tf.rank(k) == 0) | ((tf.rank(k) == 1) & (tf.size(k) == tf.size(users)))
    message = f"k: expected one number, or the shape of {USER},", tf.shape(users), "received the shape", tf.shape(k)
    k = _only_if(fits, k, *message)
    low, high = tf.reduce_min(k), tf.reduce_max(k)
    right = (low >= 0) & (high <= largest)
    return _only_if(right, k, f"k: expected 0 to {largest} products, received", low, "to", high)


def _tensor(name: str, values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The values as a tensor of this type; a TypeError that names the input if they are of another."""
    try:
        return tf.convert_to_tensor(values, dtype, name=name)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected {dtype.name}: {error}") from error


def _only_if(right: tf.Tensor, values: tf.Tensor, *message: str | tf.Tensor) -> tf.Tensor:
    """The values, for operations that must not see them unless `right`; else an InvalidArgumentError."""
    with tf.control_dependencies([tf.raw_ops.Assert(condition=right, data=message, summarize=9)]):
        return tf.identity(values)


def _below(known: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """The ids of known products, and under them those of new ones; words, `[products, words]`, are padded with 0."""
    if known.shape.rank == 2:
        known, new = tf.RaggedTensor.from_tensor(known), tf.RaggedTensor.from_tensor(new)
        return tf.concat([known, new], axis=0).to_tensor()
    return tf.concat([known, new], axis=0)


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
