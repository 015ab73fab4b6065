"""Adapters: any two Keras models as a recommender, for the scoreboard, the weight lab and the export.

Our own towers look strings up once, before training. A Keras model of somebody else does it in its own layers, or reads
numbers, or takes a dictionary: all it needs here is a name for each of its inputs.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

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
) -> RetrievalModel | JointModel:
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

    Raises:
        ValueError: a column is missing, a product is there twice, or a model returns another shape.
    """
    catalogue = products if isinstance(products, pd.DataFrame) else pd.DataFrame({PRODUCT: list(products)})
    users, items = ModelTower(user_model, user_columns), ProductModelTower(item_model, item_columns, catalogue)
    retrieval = RetrievalModel(users, items)
    users.dim = int(items(items.catalogue).shape[1])  # a user model whose vectors are longer is refused
    if rating_model is None:
        return retrieval
    return JointModel(retrieval, RankingModel(users, items, head=ModelHead(rating_model)))


class ModelTower(tf.keras.layers.Layer):
    """A Keras model as a tower: what it reads has names, and its strings stay strings."""

    words = None

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

    def __init__(self, model: Callable):
        super().__init__()
        self.model = model

    def call(self, users: tf.Tensor, products: tf.Tensor, ids: Features) -> tf.Tensor:
        return self.model(tf.concat([users, products], axis=1))

    def penalty(self, ids: Features) -> tf.Tensor:
        return tf.constant(0.0)
