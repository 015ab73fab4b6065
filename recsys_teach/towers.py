"""Layer 3: the two towers. Each turns what it is told of a user, or of a product, into one vector.

A tower has two halves: `preprocess` looks strings up, which is done once, before training; `embed` turns ids into
vectors, and is what training changes. Called as a model, a tower does both: strings in, vectors out.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.features import Features, Ids, Vocabulary, strings
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
        """Strings `[batch]` → ids: the id `[batch]`, and of the text its words' `[batch, words]`."""
        ids = {self.column: self.lookup(features[self.column])}
        if self.words:
            ids[self.text] = self.words.lookup(features[self.text])
        return ids

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
    """Products, and with `title` what they are called, as vectors `[batch, dim]`."""

    def __init__(self, vocabulary: Vocabulary, *, dim: int = 32, title: bool = False):
        words = vocabulary.title_words if title else []
        if title and not words:
            raise ValueError("title=True needs words: learn the vocabulary of reviews with titles with max_words.")
        super().__init__(PRODUCT, vocabulary.products, TITLE, words, dim=dim)
        self.vocabulary = vocabulary
        self.catalogue = self.preprocess(vocabulary.catalogue())  # the ids of all products, looked up once


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
    """The ids that these towers read, and the ratings: looked up once, before training, not in every epoch."""
    return read(reviews, *towers) | {RATING: tf.constant(reviews[RATING].to_numpy(np.float32))}


def _sealed(strings: list[str]) -> np.ndarray:
    """The same as an array: a list that a layer holds is searched by Keras, item by item, for layers in it."""
    return np.array(strings, dtype=object)
