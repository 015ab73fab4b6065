"""Floor 3: strings become ids, and ids become batches.

A network can't multiply strings. The vocabulary numbers every user, product and word *of the training rows* from
1; 0 stands for whatever training never saw. Learning it from all rows, as many notebooks do, would tell the model
which users and products are to come.
"""

import string
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.schema import PRODUCT, RATING, SUMMARY, USER

PUNCTUATION = string.punctuation.encode()

Features = dict[str, tf.Tensor]  # a tensor of strings for each column, [batch]
Ids = dict[str, tf.Tensor]  # a tensor of ids for each column, [batch] or [batch, words]; in training, the rating too


@dataclass(frozen=True)
class Vocabulary:
    """What models need to know of the training rows before they are trained."""

    users: list[str]
    user_counts: np.ndarray  # [users], training rows of each
    products: list[str]
    product_counts: np.ndarray  # [products], training rows of each
    mean_rating: float  # stars
    words: list[str] = field(default_factory=list)  # of the summaries, the most frequent first


def learn_vocabulary(train: pd.DataFrame, *, max_words: int = 0) -> Vocabulary:
    """Learn the vocabulary of the training rows; with `max_words`, the commonest words of their summaries too."""
    users = train[USER].value_counts().sort_index()
    products = train[PRODUCT].value_counts().sort_index()
    words = []
    if max_words:
        if SUMMARY not in train:
            raise ValueError(f"max_words={max_words} needs a {SUMMARY!r} column: these reviews have none.")
        counts = Counter(word for summary in train[SUMMARY] for word in split_words(summary))
        words = [word for word, _ in counts.most_common(max_words)]
    return Vocabulary(
        users=list(users.index),
        user_counts=users.to_numpy(),
        products=list(products.index),
        product_counts=products.to_numpy(),
        mean_rating=float(train[RATING].mean()),
        words=words,
    )


def split_words(text: str) -> list[str]:
    """Words as Keras' `TextVectorization` splits them: ASCII letters lowered, punctuation out, split at blanks.

    >>> split_words("Great tent, isn't it?")
    ['great', 'tent', 'isnt', 'it']
    """
    return [word.decode() for word in text.encode().lower().translate(None, PUNCTUATION).split()]


def by_id(counts: np.ndarray, *, unknown: float) -> tf.Tensor:
    """Counts in the order of the ids, `[1 + len(counts)]`: that of the unknown id 0 comes first."""
    return tf.constant(np.concatenate([[unknown], counts]), tf.float32)


def strings(reviews: pd.DataFrame) -> Features:
    """The columns that towers read, as string tensors `[rows]`."""
    columns = [column for column in (USER, PRODUCT, SUMMARY) if column in reviews]
    return {column: tf.constant(reviews[column].to_numpy(dtype=object), tf.string) for column in columns}


def batches(rows: Ids, *, batch_size: int, seed: int) -> tf.data.Dataset:
    """Batches of rows in a new order every epoch: row numbers are shuffled, then a batch is one gather.

    Shuffling comes before batching, so every epoch also draws new in-batch negatives.
    """
    count = len(rows[RATING])
    numbers = tf.data.Dataset.range(count).shuffle(count, seed=seed).batch(batch_size)
    return numbers.map(lambda picked: {name: tf.gather(values, picked) for name, values in rows.items()}).prefetch(4)
