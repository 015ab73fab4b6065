"""Floor 3: the two towers. Each turns what it is told of a user, or of a product, into one vector.

A tower has two halves: `preprocess` looks strings up, which is done once, before training; `embed` turns ids into
vectors, and is what training changes. Called as a model, a tower does both: strings in, vectors out.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.features import Features, Ids, Vocabulary, strings
from recsys_teach.schema import PRODUCT, RATING, SUMMARY, USER


class UserTower(tf.keras.Model):
    """Users, and with `summary` what they write, as vectors `[batch, dim]`.

    Args:
        dim: length of the embedding vectors.
        summary: look at the words of the summary too; the mean of their vectors stands beside the user's own.
        layer_sizes: dense layers on top, relu but for the last one, which is linear and sets the vector's length.
            Without them, the vector is the embedding itself.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, dim: int = 32, summary: bool = False, layer_sizes: Sequence[int] = ()
    ):
        super().__init__()
        self.vocabulary, self.summary = vocabulary, summary
        self.user_lookup = tf.keras.layers.StringLookup(vocabulary=vocabulary.users)
        self.user_embedding = tf.keras.layers.Embedding(len(vocabulary.users) + 1, dim)
        if summary:
            if not vocabulary.words:
                raise ValueError("summary=True needs words: learn the vocabulary with max_words, such as 2000.")
            self.word_lookup = tf.keras.layers.TextVectorization(vocabulary=vocabulary.words)
            self.word_embedding = tf.keras.layers.Embedding(len(vocabulary.words) + 2, dim)  # 0 padding, 1 unknown
        activations = ["relu"] * (len(layer_sizes) - 1) + ["linear"]
        self.dense = [tf.keras.layers.Dense(size, activation) for size, activation in zip(layer_sizes, activations)]

    def preprocess(self, features: Features) -> Ids:
        """Strings `[batch]` → ids: `user_id` `[batch]`, and with `summary` its words' `[batch, words]`."""
        ids = {USER: self.user_lookup(features[USER])}
        if self.summary:
            ids[SUMMARY] = self.word_lookup(features[SUMMARY])
        return ids

    def embed(self, ids: Ids) -> tf.Tensor:
        """Ids → vectors `[batch, dim]`."""
        vectors = self.user_embedding(ids[USER])
        if self.summary:
            is_word = tf.cast(ids[SUMMARY] != 0, tf.float32)[:, :, None]
            words = tf.reduce_sum(self.word_embedding(ids[SUMMARY]) * is_word, axis=1)
            mean = tf.math.divide_no_nan(words, tf.reduce_sum(is_word, axis=1))  # no words, no vector: 0
            vectors = tf.concat([vectors, mean], axis=1)
        for layer in self.dense:
            vectors = layer(vectors)
        return vectors

    def call(self, features: Features) -> tf.Tensor:
        return self.embed(self.preprocess(features))


class ProductTower(tf.keras.Model):
    """Products as vectors `[batch, dim]`."""

    def __init__(self, vocabulary: Vocabulary, *, dim: int = 32):
        super().__init__()
        self.vocabulary = vocabulary
        self.product_lookup = tf.keras.layers.StringLookup(vocabulary=vocabulary.products)
        self.product_embedding = tf.keras.layers.Embedding(len(vocabulary.products) + 1, dim)

    def preprocess(self, features: Features) -> Ids:
        """Strings `[batch]` → ids `product_id` `[batch]`."""
        return {PRODUCT: self.product_lookup(features[PRODUCT])}

    def embed(self, ids: Ids) -> tf.Tensor:
        """Ids → vectors `[batch, dim]`."""
        return self.product_embedding(ids[PRODUCT])

    def call(self, features: Features) -> tf.Tensor:
        return self.embed(self.preprocess(features))


def training_rows(reviews: pd.DataFrame, *towers: UserTower | ProductTower) -> Ids:
    """The ids that these towers read, and the ratings: looked up once, before training, not in every epoch."""
    features = strings(reviews)
    rows = {RATING: tf.constant(reviews[RATING].to_numpy(np.float32))}
    for tower in towers:
        rows |= tower.preprocess(features)
    return rows
