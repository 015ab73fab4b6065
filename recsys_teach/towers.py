"""Layer 3: the two towers. Each turns what it is told of a user, or of a product, into one vector.

A tower has two halves: `preprocess` looks strings up, which is done once, before training; `embed` turns ids into
vectors, and is what training changes. Called as a model, a tower does both: strings or ids in, vectors out.

To give a tower one more column, make a subclass: name the column in `columns`, and override `call`:

    class CategoryTower(ProductTower):
        def __init__(self, vocabulary, categories, *, dim=32):
            super().__init__(vocabulary, dim=dim)
            self.columns = (*self.columns, "category")
            self.category_lookup = tf.keras.layers.StringLookup(vocabulary=categories)
            self.category_embedding = tf.keras.layers.Embedding(len(categories) + 1, dim)

        def call(self, features):
            return super().call(features) + self.category_embedding(self.category_lookup(features["category"]))

It is trained, scored and exported as the others are; only its own strings are looked up in every step anew.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.features import Features, Ids, Vocabulary, strings
from recsys_teach.launch import new_names
from recsys_teach.schema import PRODUCT, RATING, SUMMARY, TITLE, USER

ROWS, TEXTS = 65_536, 2_048  # rows that are read at once, and rows with texts: each word becomes a vector


class Words(tf.keras.layers.Layer):
    """Texts as vectors `[batch, dim]`: the mean of their words' embeddings, 0 for a text without words."""

    def __init__(self, vocabulary: list[str], dim: int):
        super().__init__()
        self.lookup = tf.keras.layers.TextVectorization(vocabulary=_sealed(vocabulary))
        self.embedding = tf.keras.layers.Embedding(len(vocabulary) + 2, dim)  # 0 pads short texts, 1 is unknown

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[batch, words]` → vectors."""
        is_word = tf.cast(ids != 0, tf.float32)[:, :, None]
        total = tf.reduce_sum(self.embedding(ids) * is_word, axis=1)
        return tf.math.divide_no_nan(total, tf.reduce_sum(is_word, axis=1))


class Tower(tf.keras.Model):
    """What both towers have in common: an id, and, if its words are known, a text.

    Args:
        column, ids: the column of the id, and the ids that have a vector of their own.
        text, words: the column of the text, and the words that have one.
        dim: length of the embedding vectors.
        layer_sizes: dense layers on top, relu but for the last one, which is linear and sets the vector's length.
            They read the vectors of id and text side by side. Without them, the two are added.
    """

    def __init__(
        self, column: str, ids: list[str], text: str, words: list[str], *, dim: int, layer_sizes: Sequence[int] = ()
    ):
        super().__init__()
        self.column, self.text = column, text
        self.columns = (column, text) if words else (column,)
        self.lookup = tf.keras.layers.StringLookup(vocabulary=_sealed(ids), oov_token="")  # no id is empty: `schema`
        self.embedding = tf.keras.layers.Embedding(len(ids) + 1, dim)
        self.words = Words(words, dim) if words else None
        activations = ["relu"] * (len(layer_sizes) - 1) + ["linear"]
        self.dense = [tf.keras.layers.Dense(size, activation) for size, activation in zip(layer_sizes, activations)]

    def preprocess(self, features: Features) -> Ids:
        """Look up the strings `[batch]` of `columns`: the id `[batch]`, and of the text its words' `[batch, words]`.

        What was looked up already stays as it is, and so does a column that a subclass has added.
        """
        if missing := [name for name in self.columns if name not in features]:
            raise ValueError(
                f"{type(self).__name__} reads {missing[0]!r}, which isn't there (there are: {', '.join(features)})."
            )
        ids = {name: features[name] for name in self.columns}
        lookups = {self.column: self.lookup} | ({self.text: self.words.lookup} if self.words else {})
        return ids | {name: look_up(ids[name]) for name, look_up in lookups.items() if ids[name].dtype == tf.string}

    def embed(self, ids: Ids) -> tf.Tensor:
        """Ids → vectors `[batch, dim]`."""
        parts = [self.embedding(ids[self.column])]
        if self.words:
            parts.append(self.words(ids[self.text]))
        vectors = tf.concat(parts, axis=1) if self.dense else tf.add_n(parts)
        for layer in self.dense:
            vectors = layer(vectors)
        return vectors

    def call(self, features: Features) -> tf.Tensor:
        """Strings `[batch]`, or the ids that `preprocess` made of them → vectors `[batch, dim]`."""
        return self.embed(self.preprocess(features))


class UserTower(Tower):
    """Users, and with `summary` what they write, as vectors `[batch, dim]`; `dim` and `layer_sizes`: see `Tower`."""

    def __init__(
        self, vocabulary: Vocabulary, *, dim: int = 32, summary: bool = False, layer_sizes: Sequence[int] = ()
    ):
        words = vocabulary.words if summary else []
        if summary and not words:
            raise ValueError("summary=True needs words: learn the vocabulary of reviews with summaries with max_words.")
        super().__init__(USER, vocabulary.users, SUMMARY, words, dim=dim, layer_sizes=layer_sizes)
        self.vocabulary = vocabulary


class ProductTower(Tower):
    """Products, and with `title` what they are called, as vectors `[batch, dim]`.

    `products` are those that can be recommended: all of the training rows, and those of `add_products`.
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
        """What the tower reads of its `products`, looked up once."""
        if self._catalogue is None:  # not before a subclass has named its columns
            self._catalogue = self.preprocess(self._features)
        return self._catalogue

    def add_products(self, new: pd.DataFrame) -> None:
        """Make products that training never saw candidates, too: a row each, with the columns that the tower reads.

        All of them have the vector of the unknown id, so a tower that reads nothing else can't tell them apart.

        Raises:
            ValueError: one of them isn't new, or is there twice.
        """
        names = new_names(new, self.products)
        features = strings(new.reindex(columns=list(self._features), fill_value=""), list(self._features))
        self._features = {name: tf.concat([known, features[name]], axis=0) for name, known in self._features.items()}
        self.products, self._catalogue = [*self.products, *names], None


def read(reviews: pd.DataFrame, *towers: Tower) -> Ids:
    """What these towers read in the reviews, as ids."""
    ids: Ids = {}
    for tower in towers:
        ids |= tower.preprocess(strings(reviews, tower.columns))
    return ids


def in_blocks(answer: Callable[[pd.DataFrame], tf.Tensor], reviews: pd.DataFrame, *towers: Tower) -> np.ndarray:
    """What `answer(reviews)` is, `[rows, ...]`, asked for some rows at a time to bound the memory of these towers."""
    rows = TEXTS if any(tower.words for tower in towers) else ROWS
    starts = range(0, max(1, len(reviews)), rows)
    return np.concatenate([answer(reviews[start : start + rows]) for start in starts])


def training_rows(reviews: pd.DataFrame, *towers: Tower) -> Ids:
    """The ids that these towers read, and the ratings: looked up once, before training, not in every epoch.

    Purchases without ratings have NaN there.
    """
    for tower in towers:
        if type(tower).call is not Tower.call:
            _try_out(tower, read(reviews[:1], tower))
    ratings = reviews[RATING].to_numpy(np.float32) if RATING in reviews else np.full(len(reviews), np.nan, np.float32)
    return read(reviews, *towers) | {RATING: tf.constant(ratings)}


def _try_out(tower: Tower, ids: Ids) -> None:
    """Call a tower of somebody's own, and say so if it reads a column that it doesn't name. (Keras would say more.)"""
    try:
        tower.call(ids)
    except KeyError as error:
        name, columns = error.args[0], ", ".join(tower.columns)
        raise ValueError(
            f"{type(tower).__name__} reads {name!r}, which isn't among its columns ({columns}): add it in __init__, "
            f"self.columns = (*self.columns, {name!r})."
        ) from error


def _sealed(strings: list[str]) -> np.ndarray:
    """The same as an array: a list that a layer holds is searched by Keras, item by item, for layers in it."""
    return np.array(strings, dtype=object)
