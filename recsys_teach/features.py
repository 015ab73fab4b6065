"""Features: strings become ids, and ids become batches.

A network can't multiply strings. The vocabulary numbers every user, product and word *of the training rows* from 1;
0 stands for everything that training never saw. A vocabulary of all rows, as many notebooks have it, would tell the
model which users and products are to come.
"""

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.baselines import DampedBiases
from recsys_teach.histories import pad_last
from recsys_teach.schema import (
    CATEGORIES,
    CATEGORY,
    HISTORY,
    PRODUCT,
    RATING,
    SUMMARY,
    TIMESTAMP,
    TITLE,
    USER,
    first_texts,
)

PUNCTUATION = string.punctuation.encode()

Features = dict[str, tf.Tensor]  # a tensor of strings for each column, [batch]
Ids = dict[str, tf.Tensor]  # a tensor of ids for each column, [batch] or [batch, words]; in training, the rating too


@dataclass(frozen=True)
class Vocabulary:
    """The ids, counts, biases and words of the training rows: what models need before they are trained."""

    users: list[str]
    user_counts: np.ndarray  # [users], training rows of each
    products: list[str]
    product_counts: np.ndarray  # [products], training rows of each
    biases: DampedBiases  # of the ratings
    rating_spread: float  # standard deviation of the ratings, but not less than 0.001
    words: list[str] = field(default_factory=list)  # of the summaries, the most frequent first
    titles: list[str] = field(default_factory=list)  # [products], "" where there is none
    categories: list[str] = field(default_factory=list)  # [products], "" where there is none
    title_words: list[str] = field(default_factory=list)  # of the titles, the most frequent first
    all_categories: list[str] = field(default_factory=list)  # [products], separated by |, "" where there is none
    numbers: dict[str, np.ndarray] = field(default_factory=dict)  # [products] by column, NaN where there is none
    purchases: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))  # [rows], product ids, user by user

    def catalogue(self) -> Features:
        """Return the columns that a product tower may read, tensors `[products]`: strings, and numbers as float32."""
        none = [""] * len(self.products)
        texts = {TITLE: self.titles, CATEGORY: self.categories, CATEGORIES: self.all_categories}
        columns = {PRODUCT: self.products} | {name: values or none for name, values in texts.items()}
        strings = {name: tf.constant(values, tf.string) for name, values in columns.items()}
        return strings | {name: tf.constant(values, tf.float32) for name, values in self.numbers.items()}

    def histories(self, users: pd.Series, *, last: int) -> np.ndarray:
        """Return the ids of the `last` training purchases of each user, `[rows, longest]`, 0 where there are fewer."""
        user = pd.Index(self.users).get_indexer(pd.Index(users))
        counts = np.where(user < 0, 0, self.user_counts[user])
        return pad_last(self.purchases, np.cumsum(self.user_counts)[user], counts, last)


def learn_vocabulary(train: pd.DataFrame, *, max_words: int = 0) -> Vocabulary:
    """Learn the vocabulary of the training rows; with `max_words`, their summaries' and titles' commonest words too.

    Columns of numbers other than the rating, such as a price, are taken for facts about the product: its first one that
    isn't missing.
    """
    users, products = (text_ids(train[column]).value_counts().sort_index() for column in (USER, PRODUCT))
    texts = {column: first_texts(train, column, products.index) for column in (TITLE, CATEGORY, CATEGORIES)}
    return Vocabulary(
        users=list(users.index),
        user_counts=users.to_numpy(),
        products=list(products.index),
        product_counts=products.to_numpy(),
        biases=DampedBiases(train if RATING in train else train.assign(**{RATING: np.nan})),
        rating_spread=max(train[RATING].std(ddof=0), 0.001) if RATING in train and train[RATING].notna().any() else 1.0,
        words=_commonest(train.get(SUMMARY, []), max_words),
        titles=texts[TITLE],
        categories=texts[CATEGORY],
        title_words=_commonest(texts[TITLE], max_words),
        all_categories=texts[CATEGORIES],
        numbers=_numbers(train, products.index),
        purchases=_purchases(train, users.index, products.index),
    )


def _numbers(train: pd.DataFrame, products: pd.Index) -> dict[str, np.ndarray]:
    """Return the numbers of each product, `[products]` by column."""
    columns = train.drop(columns=RATING, errors="ignore").select_dtypes("number")
    found = columns.groupby(train[PRODUCT]).first().reindex(products)
    return {str(name): values.to_numpy(np.float32) for name, values in found.items()}


def _purchases(train: pd.DataFrame, users: pd.Index, products: pd.Index) -> np.ndarray:
    """Return the product ids that the first user bought, by time if there is one, then the next user's, `[rows]`."""
    user, product = users.get_indexer(pd.Index(train[USER])), products.get_indexer(pd.Index(train[PRODUCT]))
    times = train[TIMESTAMP].astype("int64") if TIMESTAMP in train else np.arange(len(train))
    return (product[np.lexsort([times, user])] + 1).astype(np.int32)


def text_ids(ids: pd.Series) -> pd.Series:
    """Return the ids if all of them are text; raise a ValueError that names the first one that isn't."""
    values = ids.astype(object)
    if pd.api.types.infer_dtype(values, skipna=False) not in ("string", "empty"):
        other = next(value for value in values if not isinstance(value, str))
        column = f"reviews[{ids.name!r}]"
        remedy = f'{column} = {column}.str.decode("utf-8")' if isinstance(other, bytes) else "load_reviews(reviews)"
        raise ValueError(
            f"{ids.name} {other!r} is {type(other).__name__}, where models read text: {remedy} makes a table of text."
        )
    return values


def _commonest(texts: Iterable[str], max_words: int) -> list[str]:
    counts = Counter(word for text in texts for word in split_words(text)) if max_words else Counter()
    return [word for word, _ in counts.most_common(max_words)]


def split_words(text: str) -> list[str]:
    """Split text as Keras' `TextVectorization` does: lower ASCII letters, remove punctuation, split at blanks.

    >>> split_words("Great tent, isn't it?")
    ['great', 'tent', 'isnt', 'it']
    """
    return [word.decode() for word in text.encode().lower().translate(None, PUNCTUATION).split()]


def with_unknown_row(counts: np.ndarray, *, unknown: float) -> tf.Tensor:
    """Return values by id as a tensor `[1 + len(counts)]`: the value of the unknown id 0 comes first."""
    return tf.constant(np.concatenate([[unknown], counts]), tf.float32)


def string_tensors(reviews: pd.DataFrame, columns: Sequence[str]) -> Features:
    """Return these columns as string tensors `[rows]`."""
    require_columns(reviews, columns)
    return {column: tf.constant(reviews[column].to_numpy(dtype=object), tf.string) for column in columns}


def require_columns(reviews: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise a ValueError if the reviews lack one of the columns that a tower reads."""
    if missing := [column for column in columns if column not in reviews]:
        hidden = f"; if a scoreboard hides it, visible=[{SUMMARY!r}] shows it" if missing[0] == SUMMARY else ""
        raise ValueError(
            f"a tower reads {missing[0]!r}, which these reviews don't have (columns: "
            f"{', '.join(map(str, reviews))}){hidden}."
        )


def column_tensors(reviews: pd.DataFrame, columns: Sequence[str] | None = None) -> Features:
    """Return these columns, or all, as tensors `[rows]`: texts, whole numbers (int64), other numbers (float32).

    Times become whole seconds since 1970, UTC. A missing text is empty. A history becomes texts `[rows, longest]`.
    """
    if missing := [column for column in columns or () if column not in reviews]:
        raise ValueError(f"a model reads {missing[0]!r}, which isn't there (columns: {', '.join(map(str, reviews))}).")
    return {str(column): _tensor(reviews[column]) for column in (reviews if columns is None else columns)}


def _tensor(values: pd.Series) -> tf.Tensor:
    kinds = pd.api.types
    if kinds.is_datetime64_any_dtype(values):
        utc = pd.to_datetime(values, utc=True)
        return tf.constant((utc - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1), tf.int64)
    if kinds.is_bool_dtype(values) or kinds.is_integer_dtype(values):
        return tf.constant(values.to_numpy(np.int64))
    if kinds.is_float_dtype(values):
        return tf.constant(values.to_numpy(np.float32))
    if values.name == HISTORY:
        counts = values.map(len).to_numpy(np.int64)
        bought = np.array([*chain.from_iterable(values)], object)
        return tf.constant(pad_last(bought, np.cumsum(counts), counts, counts.max(initial=0), fill=""), tf.string)
    return tf.constant(values.astype(object).where(values.notna(), "").to_numpy(), tf.string)


def gather_rows(rows: Ids, numbers: Sequence[int] | tf.Tensor) -> Ids:
    """Return the rows with these numbers, a batch of all rows: one gather for each column."""
    return {name: tf.gather(values, numbers) for name, values in rows.items()}


def earlier_summaries(reviews: pd.DataFrame, *, last: int = 10) -> pd.DataFrame:
    """Replace each review's summary by those of the user's `last` earlier reviews: text that is known beforehand.

    The summary of the very review to predict is written after the purchase, so no model may read it. Earlier means a
    smaller timestamp: what an open shop knows when the user comes back. Call this on the whole table, then split by
    time. (With a random split, training rows would show texts of earlier test rows.)

    Raises:
        ValueError: there are no summaries or no timestamps.
    """
    for column in (SUMMARY, TIMESTAMP):
        if column not in reviews:
            raise ValueError(f"earlier summaries need a {column!r} column: these reviews have none.")
    texts = np.full(len(reviews), "", dtype=object)
    times, summaries = reviews[TIMESTAMP].astype("int64").to_numpy(), reviews[SUMMARY].to_numpy(dtype=object)
    for rows in reviews.groupby(USER, sort=False).indices.values():
        written = rows[summaries[rows] != ""]
        written = written[np.argsort(times[written], kind="stable")]
        before = np.searchsorted(times[written], times[rows])  # how many are earlier than each row
        texts[rows] = [" ".join(summaries[written[max(0, count - last) : count]]) for count in before]
    return reviews.assign(**{SUMMARY: pd.Series(texts, reviews.index).astype(str)})
