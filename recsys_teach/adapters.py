"""Adapters: any two Keras models as a recommender, for the scoreboard, the weight lab and the export.

Our own towers look strings up once, before training. A Keras model of somebody else does it in its own layers, or reads
numbers, or takes a dictionary: all it needs here is a name for each of its inputs.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from recsys_teach._util import shown
from recsys_teach.backend import tf
from recsys_teach.features import Features, column_tensors
from recsys_teach.ranking import RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT, USER
from recsys_teach.sharing import JointModel

Columns = str | Sequence[str] | Mapping[str, str]


def recommender(
    user_model: Callable,
    item_model: Callable,
    products: Sequence[str] | pd.DataFrame,
    *,
    rating_model: Callable | None = None,
    user_columns: Columns = USER,
    item_columns: Columns = PRODUCT,
    retrieval: bool = True,
) -> RetrievalModel | JointModel | RankingModel:
    """Return a recommender of two trained Keras models, with `products`, `scores` and, with a rating model, `ratings`.

    The score of a product for a user is the dot product of their vectors.

    Args:
        user_model, item_model: return vectors `[rows, dim]`.
        products: what may be recommended: ids, or a table with `product_id` and the columns that the item model reads.
        rating_model: reads the vectors of a user and a product side by side, `[rows, 2 · dim]`, and returns stars
            `[rows, 1]`.
        user_columns, item_columns: what the models read. A name: the model is called with the tensor of that column.
            A list of names: with a dictionary of them. A dictionary `{"movie_title": "product_id"}`: likewise, with
            names of the model's own.
        retrieval: False if the vectors were trained for stars alone; then there are no `scores`.

    Raises:
        ValueError: a column is missing, a product is there twice, a model returns another shape, or the item model
            doesn't know the products: it returns the same vector for all of them.
    """
    if not retrieval and rating_model is None:
        raise ValueError("retrieval=False and no rating_model: there is nothing to predict; give it at least one.")
    catalogue = products if isinstance(products, pd.DataFrame) else pd.DataFrame({PRODUCT: list(products)})
    users, items = ModelTower(user_model, user_columns), ProductModelTower(item_model, item_columns, catalogue)
    vectors = items(items.catalogue)
    _check_vectors(vectors.numpy(), items)
    users.dim = int(vectors.shape[1])  # a user model whose vectors are longer is refused
    if rating_model is None:
        return RetrievalModel(users, items)
    ranking = RankingModel(users, items, head=ModelHead(rating_model, dim=users.dim))
    return JointModel(RetrievalModel(users, items), ranking) if retrieval else ranking


def _check_vectors(vectors: np.ndarray, items: "ProductModelTower") -> None:
    """Raise a ValueError if all products have the same vector; warn if most of them have."""
    if len(vectors) < 2:
        return
    _, counts = np.unique(vectors, axis=0, return_counts=True)
    column, values = next(iter(items.catalogue.items()))
    first = values[0].numpy()
    first = shown(first.decode() if isinstance(first, bytes) else first)
    read = f"{', '.join(items.columns)}; the first {column} is {first}"
    if counts.max() == len(vectors):
        raise ValueError(
            f"item_model returns the same vector for all {len(vectors):,} products: it reads {read}. Does it know it? "
            "If it reads titles, pass a table of products and item_columns='title'."
        )
    if counts.max() > len(vectors) / 2:
        warnings.warn(
            f"item_model returns the same vector for {counts.max():,} of {len(vectors):,} products: it reads {read}. "
            "Does it know most of them?",
            stacklevel=3,
        )


class ModelTower(tf.keras.layers.Layer):
    """A Keras model as a tower: what it reads has names, and its strings stay strings."""

    parts: Mapping = {}

    def __init__(self, model: Callable, columns: Columns):
        super().__init__()
        self.model, self.alone = model, isinstance(columns, str)
        names = [columns] if isinstance(columns, str) else columns
        self.inputs = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
        self.columns = tuple(self.inputs.values())
        self.dim: int | None = None  # of the vectors; None: any

    def read(self, reviews: pd.DataFrame) -> Features:
        """Return `columns` of a reviews table as tensors `[rows]`, of strings or numbers."""
        return column_tensors(reviews, self.columns)

    def preprocess(self, features: Features) -> Features:
        return {name: features[name] for name in self.columns}

    def call(self, features: Features) -> tf.Tensor:
        inputs = {theirs: features[ours] for theirs, ours in self.inputs.items()}
        vectors = tf.convert_to_tensor(self.model(next(iter(inputs.values())) if self.alone else inputs))
        if vectors.shape.rank != 2 or self.dim not in (None, vectors.shape[1]):
            raise ValueError(
                f"the model that reads {', '.join(self.inputs)} returns the shape {list(vectors.shape)}: expected "
                f"vectors, [rows, {self.dim or 'dim'}]."
            )
        return vectors


class ProductModelTower(ModelTower):
    """A Keras model as the tower of these products, a table with the columns that it reads."""

    def __init__(self, model: Callable, columns: Columns, products: pd.DataFrame):
        super().__init__(model, columns)
        twice = products[PRODUCT].duplicated()
        if twice.any():
            raise ValueError(f"product {products[PRODUCT][twice].iloc[0]!r} is there twice: expected a row for each.")
        self.products = list(products[PRODUCT])
        self.catalogue = self.read(products)


class ModelHead(tf.keras.layers.Layer):
    """A Keras model that reads both vectors side by side, as a rating head."""

    def __init__(self, model: Callable, *, dim: int):
        super().__init__()
        self.model = model
        try:
            shape = list(model(tf.zeros([1, 2 * dim])).shape)
        except (AttributeError, KeyError, TypeError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"rating_model stops with {type(error).__name__}: expected a model that reads the vectors of a "
                f"user and a product side by side, [rows, {2 * dim}]; is it the whole model instead of its last part?"
            ) from error
        if shape != [1, 1]:
            raise ValueError(f"rating_model returns {shape} for one row: expected one number, the shape [1, 1].")

    def call(self, users: tf.Tensor, products: tf.Tensor, ids: Features) -> tf.Tensor:
        return self.model(tf.concat([users, products], axis=1))

    def penalty(self, ids: Features) -> tf.Tensor:
        return tf.constant(0.0)
