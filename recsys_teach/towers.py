"""The two towers: one turns features of a user into a vector, the other features of a product.

A tower has two halves. `preprocess` looks strings up, which is done once, before training; `embed` turns ids into
vectors, and holds the parameters that training changes. Called as a model, a tower does both: strings or ids in,
vectors out.

To add a column to a tower, make a subclass: name the column in `columns`, and override `call`:

    class CategoryTower(ProductTower):
        def __init__(self, vocabulary, categories, *, dim=32):
            super().__init__(vocabulary, dim=dim)
            self.columns = (*self.columns, "category")
            self.category_lookup = tf.keras.layers.StringLookup(vocabulary=categories)
            self.category_embedding = tf.keras.layers.Embedding(len(categories) + 1, dim)

        def call(self, features):
            return super().call(features) + self.category_embedding(self.category_lookup(features["category"]))

It is trained, scored and exported like the others; only its own strings are looked up anew in every step.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.features import Features, Ids, Vocabulary, string_tensors
from recsys_teach.schema import PRODUCT, RATING, SUMMARY, TITLE, USER

ROWS, TEXTS = 65_536, 2_048  # rows of a chunk, and rows with texts: each word becomes a vector


class Words(tf.keras.layers.Layer):
    """Turns texts into vectors `[batch, dim]`: the mean of their words' embeddings, 0 for a text without words."""

    def __init__(self, vocabulary: list[str], dim: int):
        super().__init__()
        self.lookup = tf.keras.layers.TextVectorization(vocabulary=_as_array(vocabulary))
        self.embedding = tf.keras.layers.Embedding(len(vocabulary) + 2, dim)  # 0 pads short texts, 1 is unknown
        self.embedding.build(None)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Return the vectors of word ids `[batch, words]`."""
        is_word = tf.cast(ids != 0, tf.float32)[:, :, None]
        total = tf.reduce_sum(self.embedding(ids) * is_word, axis=1)
        return tf.math.divide_no_nan(total, tf.reduce_sum(is_word, axis=1))


class Tower(tf.keras.Model):
    """Embeds an id and, if `words` are given, a text: what both towers have in common.

    Args:
        column, ids: the column of the id, and the ids that have a vector of their own.
        text, words: the column of the text, and the words that have one.
        dim: length of the embedding vectors.
        layer_sizes: sizes of dense layers on top, relu except the last one, which is linear and sets the length of the
            vector. They read the vectors of id and text side by side. Without them, the two are added.
    """

    def __init__(
        self, column: str, ids: list[str], text: str, words: list[str], *, dim: int, layer_sizes: Sequence[int] = ()
    ):
        super().__init__()
        self.column, self.text = column, text
        self.columns = (column, text) if words else (column,)
        self.lookup = tf.keras.layers.StringLookup(vocabulary=_as_array(ids), oov_token="")  # no id is empty: `schema`
        self.embedding = tf.keras.layers.Embedding(len(ids) + 1, dim)
        self.embedding.build(None)
        self.words = Words(words, dim) if words else None
        activations = ["relu"] * (len(layer_sizes) - 1) + ["linear"]
        self.dense = [tf.keras.layers.Dense(size, activation) for size, activation in zip(layer_sizes, activations)]
        for layer, width in zip(self.dense, (2 * dim if words else dim, *layer_sizes)):
            layer.build((None, width))

    def preprocess(self, features: Features) -> Ids:
        """Look up the strings `[batch]` of `columns`: the id `[batch]`, and of the text its words' `[batch, words]`.

        Ids that were looked up before stay as they are, and so does a column that a subclass has added.
        """
        if missing := [name for name in self.columns if name not in features]:
            raise ValueError(
                f"{type(self).__name__} reads {missing[0]!r}, which isn't there (there are: {', '.join(features)})."
            )
        ids = {name: features[name] for name in self.columns}
        lookups = {self.column: self.lookup} | ({self.text: self.words.lookup} if self.words else {})
        return ids | {name: look_up(ids[name]) for name, look_up in lookups.items() if ids[name].dtype == tf.string}

    def read(self, reviews: pd.DataFrame) -> Features:
        """Return `columns` of a reviews table as strings `[rows]`."""
        return string_tensors(reviews, self.columns)

    def embed(self, ids: Ids) -> tf.Tensor:
        """Return the vectors `[batch, dim]` of ids."""
        parts = [self.embedding(ids[self.column])]
        if self.words:
            parts.append(self.words(ids[self.text]))
        vectors = tf.concat(parts, axis=1) if self.dense else tf.add_n(parts)
        for layer in self.dense:
            vectors = layer(vectors)
        return vectors

    def call(self, features: Features) -> tf.Tensor:
        """Return the vectors `[batch, dim]` of strings `[batch]`, or of the ids that `preprocess` made of them."""
        return self.embed(self.preprocess(features))


class UserTower(Tower):
    """Embeds users, with `summary` also their texts, in vectors `[batch, dim]`; `dim`, `layer_sizes`: see `Tower`."""

    def __init__(
        self, vocabulary: Vocabulary, *, dim: int = 32, summary: bool = False, layer_sizes: Sequence[int] = ()
    ):
        words = vocabulary.words if summary else []
        if summary and not words:
            raise ValueError("summary=True needs words: learn the vocabulary of reviews with summaries with max_words.")
        super().__init__(USER, vocabulary.users, SUMMARY, words, dim=dim, layer_sizes=layer_sizes)
        self.vocabulary = vocabulary


class ProductTower(Tower):
    """Embeds products, with `title` also their titles, in vectors `[batch, dim]`.

    `products` are the candidates: all products of the training rows, and those of `add_products`.
    """

    def __init__(self, vocabulary: Vocabulary, *, dim: int = 32, title: bool = False):
        words = vocabulary.title_words if title else []
        if title and not words:
            raise ValueError("title=True needs words: learn the vocabulary of reviews with titles with max_words.")
        super().__init__(PRODUCT, vocabulary.products, TITLE, words, dim=dim)
        self.vocabulary = vocabulary
        self.products = list(vocabulary.products)
        self._features = vocabulary.catalogue()
        self._catalogue: Ids | None = None

    @property
    def catalogue(self) -> Ids:
        """The features of the tower's `products`, looked up once."""
        if self._catalogue is None:  # not before a subclass has named its columns
            self._catalogue = self.preprocess(self._features)
        return self._catalogue

    def add_products(self, new: pd.DataFrame) -> None:
        """Add products that training never saw to the candidates: a row each, with the columns that the tower reads.

        They share the vector of the unknown id, so a tower that reads ids alone gives all of them the same vector.

        Raises:
            ValueError: one of them isn't new, or is there twice.
        """
        names = new_names(new, self.products)
        features = string_tensors(new.reindex(columns=list(self._features), fill_value=""), list(self._features))
        self._features = {name: tf.concat([known, features[name]], axis=0) for name, known in self._features.items()}
        self.products, self._catalogue = [*self.products, *names], None


def new_names(new_products: pd.DataFrame, known: list[str]) -> list[str]:
    """Return the ids of new products; raise a ValueError if one is known already, or is there twice."""
    names = list(new_products[PRODUCT])
    twice = pd.Index(known + names).duplicated()
    if twice.any():
        name = (known + names)[int(np.argmax(twice))]
        raise ValueError(f"new product {name!r} is in the catalogue already: leave it out of new_products.")
    return names


def look_up_ids(reviews: pd.DataFrame, *towers: Tower) -> Ids:
    """Look up all columns that these towers read, and return the ids."""
    ids: Ids = {}
    for tower in towers:
        ids |= tower.preprocess(tower.read(reviews))
    return ids


def predict_in_chunks(answer: Callable[[pd.DataFrame], tf.Tensor], reviews: pd.DataFrame, *towers: Tower) -> np.ndarray:
    """Return `answer(reviews)`, `[rows, ...]`, computed in chunks of rows that bound the memory of these towers."""
    rows = TEXTS if any(tower.words for tower in towers) else ROWS
    starts = range(0, max(1, len(reviews)), rows)
    return np.concatenate([answer(reviews[start : start + rows]) for start in starts])


def training_rows(reviews: pd.DataFrame, *towers: Tower) -> Ids:
    """Return the ids that these towers read, and the ratings: looked up once, before training, not in every epoch.

    The rating of a purchase that wasn't rated is NaN.
    """
    for tower in towers:
        if type(tower).call is not Tower.call:
            _try_out(tower, look_up_ids(reviews[:1], tower))
    ratings = reviews[RATING].to_numpy(np.float32) if RATING in reviews else np.full(len(reviews), np.nan, np.float32)
    return look_up_ids(reviews, *towers) | {RATING: tf.constant(ratings)}


def _try_out(tower: Tower, ids: Ids) -> None:
    """Call a custom tower once; raise a ValueError if it reads a column that isn't among its `columns`."""
    try:
        tower.call(ids)
    except KeyError as error:
        name, columns = error.args[0], ", ".join(tower.columns)
        raise ValueError(
            f"{type(tower).__name__} reads {name!r}, which isn't among its columns ({columns}): add it in __init__, "
            f"self.columns = (*self.columns, {name!r})."
        ) from error


def _as_array(strings: list[str]) -> np.ndarray:
    """Return a NumPy array: Keras searches list attributes for sub-layers, which is slow for long vocabularies."""
    return np.array(strings, dtype=object)
