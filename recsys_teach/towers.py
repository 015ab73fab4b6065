"""The two towers: one turns features of a user into a vector, the other features of a product.

A tower has two halves. `preprocess` looks strings up, which is done once, before training; `embed` turns ids into
vectors, and holds the parameters that training changes. Called as a model, a tower does both: strings or ids in,
vectors out.

To add what none of the arguments offers, make a subclass: name the column in `columns`, and override `call`:

    class CountryTower(UserTower):
        def __init__(self, vocabulary, countries, *, dim=32):
            super().__init__(vocabulary, dim=dim)
            self.columns = (*self.columns, "country")
            self.country_lookup = tf.keras.layers.StringLookup(vocabulary=countries)
            self.country_embedding = tf.keras.layers.Embedding(len(countries) + 1, dim)

        def call(self, features):
            return super().call(features) + self.country_embedding(self.country_lookup(features["country"]))

It is trained, scored and exported like the others; only its own strings are looked up anew in every step.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.features import Features, Ids, Vocabulary, require_columns, string_tensors, text_ids
from recsys_teach.histories import LAST, history_cells, pad_last, training_purchases
from recsys_teach.schema import CATEGORIES, CATEGORY, HISTORY, PRODUCT, RATING, SUMMARY, TITLE, USER

ROWS, TEXTS = 65_536, 2_048  # rows of a chunk, and rows with texts or histories: each word becomes a vector


class MeanOfVectors(tf.keras.layers.Layer):
    """Turns ids `[batch, n]` into vectors `[batch, dim]`: the mean of their embeddings; 0 is no id, none give 0.

    Args:
        table: a Keras layer that looks strings up.
        ids: how many ids there are, with 0.
        separator: if given, strings `[batch]` hold several labels each, with this between them.
    """

    def __init__(self, table: tf.keras.layers.Layer, ids: int, dim: int, *, separator: str | None = None):
        super().__init__()
        self.table, self.separator = table, separator
        self.embedding = tf.keras.layers.Embedding(ids, dim)
        self.embedding.build(None)

    def lookup(self, strings: tf.Tensor) -> tf.Tensor:
        """Return the ids of strings, `[batch, n]`."""
        ids = self.table(tf.strings.split(strings, self.separator).to_tensor("") if self.separator else strings)
        return ids if ids.shape.rank == 2 else ids[:, None]

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Return the vectors of ids `[batch, n]`."""
        there = tf.cast(ids != 0, tf.float32)[:, :, None]
        total = tf.reduce_sum(self.embedding(ids) * there, axis=1)
        return tf.math.divide_no_nan(total, tf.reduce_sum(there, axis=1))


def mean_of_words(words: list[str], dim: int) -> MeanOfVectors:
    """Return the layer of texts `[batch]`; all unknown words are one id, 1."""
    table = tf.keras.layers.TextVectorization(vocabulary=_as_array(words))
    return MeanOfVectors(table, len(words) + 2, dim)


def mean_of_labels(labels: list[str], dim: int, *, separator: str | None = None) -> MeanOfVectors:
    """Return the layer of labels `[batch, n]`, or of texts `[batch]` with a separator; unknown ones don't count."""
    return MeanOfVectors(_string_lookup(labels), len(labels) + 1, dim, separator=separator)


class Number(tf.keras.layers.Layer):
    """Turns numbers `[batch]` into vectors `[batch, dim]`: in standard deviations from the mean, times a vector.

    A missing number, NaN, counts as the mean, which gives 0.
    """

    def __init__(self, values: np.ndarray, dim: int):
        super().__init__()
        self.mean, self.spread = np.nanmean(values), max(np.nanstd(values), 1e-6)
        self.vector = self.add_weight("vector", [dim], initializer="uniform")

    def call(self, numbers: tf.Tensor) -> tf.Tensor:
        standardised = (numbers - self.mean) / self.spread
        return tf.where(tf.math.is_nan(numbers), 0.0, standardised)[:, None] * self.vector


class Tower(tf.keras.Model):
    """Embeds an id, and adds what else is known: what both towers have in common.

    Args:
        column, ids: the column of the id, and the ids that have a vector of their own.
        parts: for each further column, a function that makes its layer. A layer with a `lookup` reads strings, another
            one numbers.
        dim: length of the embedding vectors.
        layer_sizes: sizes of dense layers on top, relu except the last one, which is linear and sets the length of the
            vector. They read the vectors of id and parts side by side. Without them, all are added.
    """

    def __init__(
        self,
        column: str,
        ids: list[str],
        parts: Mapping[str, Callable[[], tf.keras.layers.Layer]],
        *,
        dim: int,
        layer_sizes: Sequence[int] = (),
    ):
        super().__init__()
        self.column, self.columns = column, (column, *parts)
        self.lookup = _string_lookup(ids)
        self.embedding = tf.keras.layers.Embedding(len(ids) + 1, dim)
        self.embedding.build(None)
        self.parts = {name: make() for name, make in parts.items()}
        activations = ["relu"] * (len(layer_sizes) - 1) + ["linear"]
        self.dense = [tf.keras.layers.Dense(size, activation) for size, activation in zip(layer_sizes, activations)]
        for layer, width in zip(self.dense, ((1 + len(parts)) * dim, *layer_sizes)):
            layer.build((None, width))

    def preprocess(self, features: Features) -> Ids:
        """Look up the strings of `columns`, `[batch]`: the id `[batch]`, and of a text its words' `[batch, words]`.

        Ids that were looked up before stay as they are, and so do numbers and a column that a subclass has added.
        """
        if missing := [name for name in self.columns if name not in features]:
            raise ValueError(
                f"{type(self).__name__} reads {missing[0]!r}, which isn't there (there are: {', '.join(features)})."
            )
        ids = {name: features[name] for name in self.columns}
        lookups = {self.column: self.lookup}
        lookups |= {name: part.lookup for name, part in self.parts.items() if hasattr(part, "lookup")}
        return ids | {name: look_up(ids[name]) for name, look_up in lookups.items() if ids[name].dtype == tf.string}

    def read(self, reviews: pd.DataFrame) -> Features:
        """Return `columns` of a reviews table as tensors, strings and numbers `[rows]`, or ids that `call` takes."""
        return string_tensors(reviews, self.columns)

    def embed(self, ids: Ids) -> tf.Tensor:
        """Return the vectors `[batch, dim]` of ids."""
        parts = [self.embedding(ids[self.column]), *(part(ids[name]) for name, part in self.parts.items())]
        vectors = tf.concat(parts, axis=1) if self.dense else tf.add_n(parts)
        for layer in self.dense:
            vectors = layer(vectors)
        return vectors

    def call(self, features: Features) -> tf.Tensor:
        """Return the vectors `[batch, dim]` of strings `[batch]`, or of the ids that `preprocess` made of them."""
        return self.embed(self.preprocess(features))


class UserTower(Tower):
    """Embeds users in vectors `[batch, dim]`: their ids, and what else is known of them.

    Args:
        summary: add the mean of the vectors of the words of the text in the column `summary`.
        history: add the mean of the vectors of the products that the user bought, from a table of its own. So the tower
            knows users who came after training as well: of them, the vector that all unknown users share, and their
            history. It reads the column `history` if there is one (see `histories`), else what the training rows hold
            of the user; in training these are the user's other rows. The row's own product is never read in training.
        last: of a longer history, the last products that the vocabulary knows are read.
        dim, layer_sizes: see `Tower`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        dim: int = 32,
        summary: bool = False,
        history: bool = False,
        last: int = LAST,
        layer_sizes: Sequence[int] = (),
    ):
        if summary and not vocabulary.words:
            raise ValueError("summary=True needs words: learn the vocabulary of reviews with summaries with max_words.")
        if history and not len(vocabulary.purchases):
            raise ValueError(
                "history=True needs the purchases of the training rows, which this vocabulary doesn't have (that of a "
                "prepared folder never has): take learn_vocabulary(train)."
            )
        if last < 1:
            raise ValueError(f"last is {last}: expected 1 or more purchases.")
        self.last = last
        parts = {SUMMARY: partial(mean_of_words, vocabulary.words, dim)} if summary else {}
        parts |= {HISTORY: partial(mean_of_labels, vocabulary.products, dim)} if history else {}
        super().__init__(USER, vocabulary.users, parts, dim=dim, layer_sizes=layer_sizes)
        self.vocabulary = vocabulary

    def read(self, reviews: pd.DataFrame) -> Features:
        """Return `columns` of a reviews table as strings `[rows]`, and the ids of the histories, `[rows, longest]`."""
        features = string_tensors(reviews, [name for name in self.columns if name != HISTORY])
        if HISTORY in self.columns:
            features[HISTORY] = tf.constant(self._histories(reviews), tf.int64)
        return features

    def _histories(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the ids of each row's history, `[rows, longest]`, 0 where there are fewer."""
        if HISTORY not in reviews:
            return self.vocabulary.histories(reviews[USER], last=self.last)
        rows, columns = history_cells(reviews[HISTORY], self.vocabulary.products)
        counts = np.bincount(rows, minlength=len(reviews))
        return pad_last(columns + 1, np.cumsum(counts), counts, self.last)


class ProductTower(Tower):
    """Embeds products in vectors `[batch, dim]`: their ids, and what else is known of them.

    `products` are the candidates: all products of the training rows, and those of `add_products`.

    Args:
        features: columns of which a vector is added each. `title`: the mean of its words' vectors. `category` and
            `categories`: the mean of the vectors of the categories. Any other one is a column of numbers, such as a
            price, a straight line in each dimension.
        title: the same as `features=["title"]`.
        dim: see `Tower`.
    """

    def __init__(self, vocabulary: Vocabulary, *, dim: int = 32, features: Sequence[str] = (), title: bool = False):
        if isinstance(features, str):
            raise ValueError(f"features is {features!r}: expected a list of columns, [{features!r}].")
        columns = dict.fromkeys([*features, *([TITLE] if title else [])])  # each once
        parts = {name: _part_of_products(name, vocabulary, dim) for name in columns}
        super().__init__(PRODUCT, vocabulary.products, parts, dim=dim)
        self.vocabulary = vocabulary
        self._added: list[str] = []
        self._features = vocabulary.catalogue()
        self._catalogue: Ids | None = None

    def read(self, reviews: pd.DataFrame) -> Features:
        """Return `columns` of a reviews table as strings and numbers `[rows]`."""
        return self._tensors(reviews, self.columns)

    def _tensors(self, table: pd.DataFrame, columns: Sequence[str]) -> Features:
        """Return columns of a table as strings, or as float32 if the vocabulary knows numbers, `[rows]` each."""
        require_columns(table, columns)
        numbers = [name for name in columns if name in self.vocabulary.numbers]
        strings = string_tensors(table, [name for name in columns if name not in numbers])
        return strings | {name: tf.constant(table[name].to_numpy(np.float32)) for name in numbers}

    @property
    def products(self) -> list[str]:
        """The candidates. (As an attribute, Keras would go through all of them whenever the model gets another.)"""
        return [*self.vocabulary.products, *self._added]

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
        features = self.features_of(new)
        self._features = {name: tf.concat([known, features[name]], axis=0) for name, known in self._features.items()}
        self._added, self._catalogue = [*self._added, *names], None

    def features_of(self, new: pd.DataFrame) -> Features:
        """Return what may be read of new products, `[rows]` each; what is missing is "" or NaN."""
        columns = list(dict.fromkeys([*self._features, *self.columns]))
        texts = [name for name in columns if name not in self.vocabulary.numbers]
        filled = new.reindex(columns=columns)
        return self._tensors(filled.assign(**filled[texts].astype(object).fillna("")), columns)


def _part_of_products(column: str, vocabulary: Vocabulary, dim: int) -> Callable[[], tf.keras.layers.Layer]:
    """Return what makes the layer of this column; raise a ValueError if the vocabulary has nothing of it."""
    if column == TITLE:
        if not vocabulary.title_words:
            raise ValueError("title=True needs words: learn the vocabulary of reviews with titles with max_words.")
        return partial(mean_of_words, vocabulary.title_words, dim)
    labels = {CATEGORY: set(vocabulary.categories), CATEGORIES: set("|".join(vocabulary.all_categories).split("|"))}
    known = {name: sorted(found - {""}) for name, found in labels.items() if found - {""}}
    if column in known:
        return partial(mean_of_labels, known[column], dim, separator="|" if column == CATEGORIES else None)
    numbers = {name: values for name, values in vocabulary.numbers.items() if not np.isnan(values).all()}
    if column in numbers:
        return partial(Number, numbers[column], dim)
    raise ValueError(
        f"features names {column!r}, of which this vocabulary has nothing: expected one of "
        f"{', '.join([TITLE, *known, *numbers])}."
    )


def new_names(new_products: pd.DataFrame, known: list[str]) -> list[str]:
    """Return the ids of new products; raise a ValueError if one is known already, is there twice, or is no text."""
    require_columns(new_products, [PRODUCT])
    names = list(text_ids(new_products[PRODUCT]))
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
    rows = TEXTS if any(tower.parts for tower in towers) else ROWS
    starts = range(0, max(1, len(reviews)), rows)
    return np.concatenate([answer(reviews[start : start + rows]) for start in starts])


def training_rows(reviews: pd.DataFrame, *towers: Tower) -> Ids:
    """Return the ids that these towers read, and the ratings: looked up once, before training, not in every epoch.

    The rating of a purchase that wasn't rated is NaN. Where a tower reads histories and the table has none, they are
    the user's other rows (`histories.training_purchases`). A row's own product is taken out of its history.
    """
    for tower in towers:
        if type(tower).call is not Tower.call:
            _try_out(tower, look_up_ids(reviews[:1], tower))
    if any(HISTORY in tower.columns for tower in towers) and HISTORY not in reviews:
        last = max(getattr(tower, "last", 1) for tower in towers)
        reviews = training_purchases(reviews, last=last)
    ids = validation_rows(reviews, *towers)
    if HISTORY in ids and PRODUCT in ids:
        ids[HISTORY] = tf.where(ids[HISTORY] == ids[PRODUCT][:, None], tf.zeros_like(ids[HISTORY]), ids[HISTORY])
    return ids


def validation_rows(reviews: pd.DataFrame, *towers: Tower) -> Ids:
    """Return the ids that these towers read, and the ratings, of rows that aren't trained on.

    Where the table has no histories, they are what the towers' own training rows hold of the user.
    """
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


def _string_lookup(strings: list[str]) -> tf.keras.layers.StringLookup:
    """Return a lookup of these strings as ids from 1; any other one is 0."""
    return tf.keras.layers.StringLookup(vocabulary=_as_array(strings), oov_token="")  # no id is empty: `schema`


def _as_array(strings: list[str]) -> np.ndarray:
    """Return a NumPy array: Keras searches list attributes for sub-layers, which is slow for long vocabularies."""
    return np.array(strings, dtype=object)
