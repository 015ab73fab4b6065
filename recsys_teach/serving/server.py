"""The server: a trained model as one graph, from strings to products and stars.

    user_id, k  →  check:    one id for each user, one k or one for each user
                →  retrieve: the k + s products with the highest scores, s = number of products the user bought
                →  mask:     without those s, which are purchases of the training rows and of the request's history
                →  rank:     by score + stars_weight · predicted stars
                →  product_id, score, stars

All of it is one TensorFlow function, with the vocabulary, the catalogue's vectors and the purchases inside. So it runs
without this package and without TensorFlow Recommenders, and server and notebook can't differ.

A request may come from anybody, so the graph checks it before any other operation reads it: some of TensorFlow's
operations (`tf.gather` on a ragged tensor is one) end the whole process if a shape is not what they expect.
"""

from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Features, Ids, text_ids
from recsys_teach.histories import purchase_columns
from recsys_teach.multitask import MultitaskModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import HISTORY, PRODUCT, USER
from recsys_teach.serving.cold_start import categories_of, start_vectors
from recsys_teach.sharing import JointModel
from recsys_teach.towers import ProductTower, Tower, new_names

CANDIDATES = 100  # as many are retrieved for the ranking at least
LARGEST_K = 5_000  # or the number of products, if that is more: the answer's memory is users · k
LARGEST_HISTORY = 1_000  # products of a request's history: each becomes a vector


class Server:
    """Recommends products with a trained model.

    Args:
        model: trained, or made by `recommender`; the catalogue's vectors are computed at once, so don't train it
            further. If it doesn't predict stars, they are NaN.
        train: the reviews table whose purchases aren't recommended again.
        new_products: products that training never saw: `product_id`, `category` if `train` has it, and the other
            columns that the product tower reads (a missing text is empty, a missing number the mean). The tower
            computes their vectors.
            A tower of ids alone can't distinguish new products; their vectors are then the mean of their category's
            products (of all products, if the category is new as well). With a product bias, a new product gets a
            quantile of its category's biases.
        optimism: this quantile, from 0 to 1. With the median, a new product would hardly be shown.
        stars_weight: weight of a predicted star against the score, 0 or more. A score estimates the logarithm of a
            purchase's probability, so at 1 one star equals a factor of e; at 0 the order is the score's.

    Raises:
        ValueError: a new product that isn't new or is there twice, a weight or quantile out of range, or a weight of
            stars that the model doesn't predict.
    """

    def __init__(
        self,
        model: MultitaskModel | JointModel | RetrievalModel,
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
        self.retrieval = model if isinstance(model, RetrievalModel) else model.retrieval
        self.ranking = None if isinstance(model, RetrievalModel) else model.ranking
        if stars_weight and self.ranking is None:
            raise ValueError(f"stars_weight is {stars_weight}, but this model doesn't predict stars: leave it out.")
        self.model, self.train, self.stars_weight = model, train, stars_weight
        towers = list(dict.fromkeys(one.product_tower for one in (self.retrieval, self.ranking) if one))
        shoppers, _ = (text_ids(pd.Series(train[column].unique(), name=column)) for column in (USER, PRODUCT))
        known = pd.Index(model.user_tower.vocabulary.users if isinstance(model.user_tower, Tower) else [], dtype=object)
        if len(known) and (known.get_indexer(shoppers) >= 0).all():
            self.users = model.user_tower.lookup  # there is one already
        else:
            known = pd.Index(sorted(shoppers), dtype=object)
            self.users = tf.keras.layers.StringLookup(vocabulary=known.to_numpy(), oov_token="")
        self.catalogue = {name: ids for tower in towers for name, ids in tower.catalogue.items()}
        vectors = [tower(self.catalogue) for tower in towers]
        biased = self.retrieval.candidate_vectors(vectors[0], self.catalogue)
        names = list(model.products)
        if new_products is not None and len(new_products):
            added = new_names(new_products, names)
            groups = categories_of(train, names), categories_of(new_products, added)
            new = {name: ids for tower in towers for name, ids in _features_of(tower, new_products).items()}
            of_new = [
                tower(new) if tower.columns != (PRODUCT,) else start_vectors(known_vectors.numpy(), *groups)
                for tower, known_vectors in zip(towers, vectors)
            ]
            starts = start_vectors(biased.numpy(), *groups, optimism if self.retrieval.product_bias else None)
            bias = starts[:, vectors[0].shape[1] :]
            vectors = [tf.concat(both, axis=0) for both in zip(vectors, of_new)]
            biased = tf.concat([biased, tf.concat([of_new[0], bias], axis=1)], axis=0)
            self.catalogue = {name: _below(ids, new[name]) for name, ids in self.catalogue.items()}
            names += added
        self.names, self.vectors = tf.constant(names), tf.Variable(vectors[-1])  # those that stars are predicted from
        self.index = tfrs.layers.factorized_top_k.BruteForce().index(biased)
        self.candidate_vectors = biased.numpy()  # the same vectors, `[products, dim]`, for another index
        self.places = tf.keras.layers.StringLookup(vocabulary=names, oov_token="") if HISTORY in self.asked else None
        splits, columns = _purchases(train, known, names)
        self.splits, self.columns = tf.Variable(splits), tf.Variable(columns)

    @property
    def user_towers(self) -> list:
        """The towers that read what describes users: one, or one for each task."""
        return list(dict.fromkeys(one.user_tower for one in (self.retrieval, self.ranking) if one))

    @property
    def asked(self) -> dict[str, tf.TensorSpec]:
        """The specification of what describes users: `user_id`, and other columns of the user tower; ours read strings.

        A `history` is `[users, n]`, with "" where a user has bought fewer than n products, everything else `[users]`.
        The shape isn't part of it: an exported graph would rely on the shape and drop its own check.
        """
        dtypes = {USER: tf.string}
        for tower in self.user_towers:
            dtypes |= dict.fromkeys(tower.columns, tf.string)
            if not isinstance(tower, Tower):
                dtypes |= {name: values.dtype for name, values in tower.read(self.train[:0]).items()}
        return {name: tf.TensorSpec(None, dtype, name=name) for name, dtype in dtypes.items()}

    def user_vectors(self, **asked: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the query vectors, `{"vector": [users, dim]}`, for another index.

        Raises:
            TypeError, tf.errors.InvalidArgumentError: as `recommend` does.
        """
        users = self.model.user_tower(_checked(asked, self.asked))
        return {"vector": self.retrieval.query_vectors(users)}

    def recommend(self, *, k: tf.Tensor, **asked: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the k best products of each user that they haven't bought, best first, each `[users, k]`.

        `k` is an int32 number, or `[users]`, one for each; the other inputs are strings `[users]` (see `asked`), and
        the `history`, if the user tower reads it, strings `[users, n]`: all that the shop knows a user has bought. It
        isn't recommended again either.

        The result: `product_id`; `score`, an estimate of the logarithm of a purchase's probability, up to a constant of
        the user; and `stars`. If fewer than k products are left, the rest has an empty `product_id`, a score of -inf
        and NaN stars; so has the rest of a user whose k is below the largest one, which is the width of the result.
        With a `stars_weight`, it orders the 100 products with the highest scores (k products, if that is more).

        Raises:
            TypeError: an input isn't of its type (an exported model raises TensorFlow's own error for its type).
            tf.errors.InvalidArgumentError: an input hasn't one string for each user, or a history has no row for each,
                or more than 1,000 products; `k` is neither a number nor one for each user, is negative, or is above
                both 5,000 and the number of products.
        """
        asked, products = _checked(asked, self.asked), len(self.names)
        k = _checked_k(k, asked[USER], max(LARGEST_K, products))
        ids = {name: values for tower in self.user_towers for name, values in tower.preprocess(asked).items()}
        users = [tower(ids) for tower in self.user_towers]
        bought = tf.RaggedTensor.from_row_splits(self.columns, self.splits, validate=False)
        bought = tf.gather(bought, self.users(asked[USER])).to_tensor(products)
        if self.places:
            place = tf.cast(self.places(asked[HISTORY]), tf.int32)
            bought = tf.sort(tf.concat([bought, tf.where(place > 0, place - 1, products)], axis=1), axis=1)
        bought = tf.pad(bought, [[0, 0], [0, 1]], constant_values=products)
        kept = tf.maximum(k, CANDIDATES) if self.stars_weight else k
        scores, found = self.index(
            self.retrieval.query_vectors(users[0]), k=tf.minimum(_largest(kept) + tf.shape(bought)[1], products)
        )
        scores = tf.where(_among(found, bought), -np.inf, scores)
        scores, found = _best(kept, scores, scores, found)
        stars = self.stars(users[-1], ids, found)
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
        """Return the predicted stars of the found products, `[users, found]`; `users` are vectors `[users, dim]`."""
        if self.ranking is None:
            return tf.fill(tf.shape(found), np.float32(np.nan))
        each, flat = tf.shape(found)[1], tf.reshape(found, [-1])
        repeated = {name: tf.repeat(values, each, axis=0) for name, values in ids.items()}
        products = {name: tf.gather(values, flat) for name, values in self.catalogue.items()}
        vectors = tf.repeat(users, each, axis=0), tf.gather(self.vectors, flat)
        return tf.reshape(self.ranking.head(*vectors, repeated | products), tf.shape(found))


def _features_of(tower: Any, new_products: pd.DataFrame) -> Ids:
    """Return what a product tower reads of new products, as ids, `[rows]` each."""
    read = tower.features_of if isinstance(tower, ProductTower) else tower.read
    return tower.preprocess(read(new_products))


def _among(found: tf.Tensor, bought: tf.Tensor) -> tf.Tensor:
    """Return which columns were bought, both `[users, …]`; `bought` is in order, and the last of a row is padding."""
    return tf.gather(bought, tf.searchsorted(bought, found), batch_dims=1) == found


def _best(k: tf.Tensor, order: tf.Tensor, scores: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
    """Return the scores and values of each row where `order` is highest, highest first, `[users, largest k]`.

    Narrower if there aren't as many; beyond a row's own k, its scores are -inf.
    """
    width = tf.minimum(_largest(k), tf.shape(order)[1])
    best = tf.math.top_k(order, k=width).indices
    scores, *others = [tf.gather(each, best, batch_dims=1) for each in (scores, *values)]
    return [tf.where(tf.sequence_mask(k, width), scores, -np.inf), *others]


def _largest(k: tf.Tensor) -> tf.Tensor:
    """Return the largest k, 0 if there is none."""
    return tf.maximum(tf.reduce_max(k), 0)


def _checked(asked: Features, expected: dict[str, tf.TensorSpec]) -> Features:
    """Return what describes users, each `[users]`; raise an error that names the first input that isn't."""
    asked = {name: _tensor(name, values, expected[name].dtype) for name, values in asked.items()}
    for name, values in asked.items():
        if name == HISTORY:
            asked[name] = _checked_history(values)
            continue
        message = f"{name}: expected the shape [users], one {_kind(values.dtype)} for each, received"
        asked[name] = tf.reshape(_only_if(tf.rank(values) == 1, values, message, tf.shape(values)), [-1])
    users = asked[USER]
    for name, values in asked.items():
        same = tf.shape(values)[0] == tf.size(users)
        message = f"{name}: expected the {'rows' if name == HISTORY else 'shape'} of {USER},"
        asked[name] = _only_if(same, values, message, tf.shape(users), "received", tf.shape(values))
    return asked


def _checked_history(values: tf.Tensor) -> tf.Tensor:
    """Return a history `[users, n]`; raise an error that says so if it isn't one, or is too long."""
    message = f"{HISTORY}: expected the shape [users, n], product ids and '' where a user has fewer, received"
    values = _only_if(tf.rank(values) == 2, values, message, tf.shape(values))
    shape = tf.shape(values)
    message = f"{HISTORY}: expected {LARGEST_HISTORY} products of each user at most, received"
    return tf.reshape(_only_if(shape[1] <= LARGEST_HISTORY, values, message, shape), [shape[0], shape[1]])


def _checked_k(k: tf.Tensor, users: tf.Tensor, largest: int) -> tf.Tensor:
    """Return `k`, a number or `[users]`, from 0 to `largest`; raise an error that names it otherwise."""
    k = _tensor("k", k, tf.int32)
    fits = (tf.rank(k) == 0) | ((tf.rank(k) == 1) & (tf.size(k) == tf.size(users)))
    message = f"k: expected one number, or the shape of {USER},", tf.shape(users), "received the shape", tf.shape(k)
    k = _only_if(fits, k, *message)
    low, high = tf.reduce_min(k), tf.reduce_max(k)
    right = (low >= 0) & (high <= largest)
    return _only_if(right, k, f"k: expected 0 to {largest} products, received", low, "to", high)


def _kind(dtype: tf.DType) -> str:
    return "string" if dtype == tf.string else "number"


def _tensor(name: str, values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return the values as a tensor of this type; raise a TypeError that names the input otherwise."""
    try:
        return tf.convert_to_tensor(values, dtype, name=name)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected {dtype.name}: {error}") from error


def _only_if(right: tf.Tensor, values: tf.Tensor, *message: str | tf.Tensor) -> tf.Tensor:
    """Return the values if `right`; raise an InvalidArgumentError before any other operation reads them otherwise."""
    with tf.control_dependencies([tf.raw_ops.Assert(condition=right, data=message, summarize=9)]):
        return tf.identity(values)


def _below(known: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """Return the ids of known products and below them those of new ones; words, `[products, words]`, are 0-padded."""
    if known.shape.rank == 2:
        known, new = tf.RaggedTensor.from_tensor(known), tf.RaggedTensor.from_tensor(new)
        return tf.concat([known, new], axis=0).to_tensor()
    return tf.concat([known, new], axis=0)


def _purchases(train: pd.DataFrame, users: pd.Index, products: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the catalogue columns that each user id bought, as a ragged tensor: row splits and values."""
    splits, columns = purchase_columns(train, users, pd.Index(products))
    return np.append(0, splits).astype(np.int64), columns.astype(np.int32)  # the unknown user bought nothing
