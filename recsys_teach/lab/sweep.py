"""A sweep: many models that differ only in the weights of their two tasks, as plain arrays that can be saved.

A trained pair of towers and its rating head are two tables, which is all that recommending by ids needs:

    score = u · p + c_p                                 c_p: the product bias of retrieval
    stars = mean + b_u + b_p + Σ_d taste_d u_d p_d      for known users and products; else without the sum

The vector and the biases of an id are side by side in its row. So a sweep needs no TensorFlow; `stacking` trains one.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach._util import atomic_write
from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.schema import CATEGORY, PRODUCT, TIMESTAMP, TITLE, USER, first_texts

FORMAT = "recsys-teach sweep 2"
ROWS = ("bought", "bought_later")
ARRAYS = ("weights", "user_tables", "product_tables", "tastes", *ROWS)


@dataclass(frozen=True)
class Factors:
    """One trained pair of towers and its head as arrays: a recommender. Row 0 of a table is for unknown ids."""

    users: Sequence[str]
    products: Sequence[str]
    user_table: np.ndarray  # [1 + users, dim + own_dim + 1]: u, the head's own v_u, then b_u
    product_table: np.ndarray  # [1 + products, dim + own_dim + 2]: p, the head's own v_p, then b_p and c_p
    taste: np.ndarray  # [dim + own_dim], stars of a unit of u_d p_d
    mean: float  # stars
    own_dim: int = 0

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the score of every product for each row's user, `[rows, products]`."""
        dim = len(self.taste) - self.own_dim
        users = self.user_table[row_numbers(self.users, reviews[USER]), :dim]
        return users @ self.product_table[1:, :dim].T + self.product_table[1:, -1]

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the predicted stars of each row, `[rows]`."""
        return self.stars(row_numbers(self.users, reviews[USER]), row_numbers(self.products, reviews[PRODUCT]))

    def stars(self, user: np.ndarray, product: np.ndarray) -> np.ndarray:
        """Return the predicted stars for rows of the tables."""
        u, p = self.user_table[user], self.product_table[product]
        known = (np.asarray(user) > 0) & (np.asarray(product) > 0)
        taste = (self.taste * u[..., :-1] * p[..., :-2]).sum(axis=-1)
        return self.mean + u[..., -1] + p[..., -2] + np.where(known, taste, 0.0)


def row_numbers(names: Sequence[str], wanted: pd.Series) -> np.ndarray:
    """Return the rows of a table: 1 for the first of the `names`, …, and 0 for ids that aren't among them."""
    return pd.Index(names).get_indexer(pd.Index(wanted)) + 1


@dataclass(frozen=True)
class Sweep:
    """Models by the weights of their tasks, their scores on the test rows, and the baselines' scores."""

    weights: np.ndarray  # [pairs, 2]: rating_weight, retrieval_weight
    user_tables: np.ndarray  # [pairs, 1 + users, dim + 1], see `Factors`
    product_tables: np.ndarray  # [pairs, 1 + products, dim + 2]
    tastes: np.ndarray  # [pairs, dim]
    mean: float
    users: list[str]
    catalogue: pd.DataFrame  # [products]: product_id, title, category
    bought: np.ndarray  # [training rows, 2]: rows of the tables, in order of time if it is known
    bought_later: np.ndarray  # [test rows, 2], the same
    board: pd.DataFrame  # [pairs]: the scoreboard of the models, by `name_of_pair`
    baselines: pd.DataFrame  # the scoreboard of popularity, damped biases and, in a generated shop, the oracle

    def recommender(self, pair: int) -> Factors:
        """Return the model of this pair of weights."""
        tables = self.user_tables[pair], self.product_tables[pair], self.tastes[pair]
        return Factors(self.users, list(self.catalogue[PRODUCT]), *tables, self.mean)

    @property
    def floor(self) -> pd.Series:
        """The best score of the baselines, by metric."""
        board = self.baselines.drop("oracle", errors="ignore")
        return board.max().where(board.columns != "rmse", board.min())

    @property
    def ceiling(self) -> pd.Series | None:
        """The scores of the oracle, by metric, if there is one."""
        return self.baselines.T["oracle"] if "oracle" in self.baselines.index else None

    def joined(self, other: "Sweep") -> "Sweep":
        """Return a sweep of these pairs and those of another one on the same training and test rows."""
        same = self.users == other.users and self.catalogue.equals(other.catalogue)
        same = same and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in ROWS)
        if not (same and np.isclose(self.mean, other.mean)):
            raise ValueError("these sweeps are of different rows or heads: only sweeps on the same rows can be joined.")
        return replace(
            self,
            weights=np.concatenate([self.weights, other.weights]),
            user_tables=np.concatenate([self.user_tables, other.user_tables]),
            product_tables=np.concatenate([self.product_tables, other.product_tables]),
            tastes=np.concatenate([self.tastes, other.tastes]),
            board=pd.concat([self.board, other.board]),
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write arrays and JSON to one file (numpy's `.npz`, no pickle), or leave an old file as it is."""
        facts = {"format": FORMAT, "mean": self.mean, "users": self.users}
        facts["catalogue"] = self.catalogue.to_dict("list")
        facts |= {name: getattr(self, name).to_dict("split") for name in ("board", "baselines")}
        arrays = {name: getattr(self, name) for name in ARRAYS}
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, json=np.array(json.dumps(facts)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Sweep":
        """Read a file that `save` wrote.

        Raises:
            FileNotFoundError, OSError: there is no such file, or it can't be read.
            ValueError: it isn't a sweep of this version, or its arrays don't have the shapes of one.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                facts, arrays = json.loads(str(file["json"])), {name: file[name] for name in ARRAYS}
            if facts.pop("format") != FORMAT:
                raise ValueError(f"its format isn't {FORMAT!r}")
            facts["catalogue"] = pd.DataFrame(facts["catalogue"])[[PRODUCT, TITLE, CATEGORY]]
            facts |= {name: pd.DataFrame(**facts[name]).rename_axis("model") for name in ("board", "baselines")}
            sweep = cls(**facts, **arrays)
            _check_shapes(sweep)
        except FileNotFoundError:
            message = f"there is no file {path}: save a sweep there first, with its method save."
            raise FileNotFoundError(message) from None
        except Exception as error:  # a broken file can raise anything
            if isinstance(error, OSError) and error.errno:
                raise OSError(f"{path} can't be read ({error.strerror}): name a file that can.") from error
            message = f"{path} is no sweep that this version can read: train it again, and save it."
            raise ValueError(message) from error
        return sweep


def _check_shapes(sweep: Sweep) -> None:
    """Raise a ValueError if the arrays of a sweep don't fit together."""
    pairs, users, products = len(sweep.board), len(sweep.users), len(sweep.catalogue)
    dim = sweep.user_tables.shape[-1] - 1
    shapes = {"weights": (pairs, 2), "user_tables": (pairs, 1 + users, dim + 1)}
    shapes |= {"product_tables": (pairs, 1 + products, dim + 2), "tastes": (pairs, dim)}
    shapes |= {name: (len(getattr(sweep, name)), 2) for name in ROWS}
    for name, shape in shapes.items():
        array = getattr(sweep, name)
        if array.shape != shape or 0 in shape or array.dtype.kind not in "iuf":
            raise ValueError(f"{name} is {array.dtype} {array.shape}: expected numbers {shape}")


def assemble_sweep(
    weights: np.ndarray,
    user_tables: np.ndarray,
    product_tables: np.ndarray,
    tastes: np.ndarray,
    *,
    mean: float,
    users: list[str],
    products: list[str],
    train: pd.DataFrame,
    test: pd.DataFrame,
    oracle: Any = None,
) -> Sweep:
    """Make a sweep of these tables, scored on the test rows beside the baselines; see `Sweep` for the arguments."""
    titles = [title or product for title, product in zip(first_texts(train, TITLE, products), products)]
    catalogue = pd.DataFrame({PRODUCT: products, TITLE: titles, CATEGORY: first_texts(train, CATEGORY, products)})
    in_time = (rows.sort_values(TIMESTAMP, kind="stable") if TIMESTAMP in rows else rows for rows in (train, test))
    bought, bought_later = (
        np.stack([row_numbers(users, rows[USER]), row_numbers(products, rows[PRODUCT])], axis=1) for rows in in_time
    )
    rivals = {"popularity": Popularity(train), "damped biases": DampedBiases(train)} | (
        {"oracle": oracle} if oracle else {}
    )
    empty = pd.DataFrame()
    sweep = Sweep(
        weights, user_tables, product_tables, tastes, mean, users, catalogue, bought, bought_later, empty, empty
    )
    models = {str(pair): sweep.recommender(pair) for pair in range(len(weights))}  # two may have the same name
    board = scoreboard(models | rivals, train, test)
    board.attrs = {}
    own = board.iloc[: len(weights)].set_axis([name_of_pair(*pair) for pair in weights]).rename_axis("model")
    return replace(sweep, board=own, baselines=board.iloc[len(weights) :])


def name_of_pair(rating_weight: float, retrieval_weight: float) -> str:
    """Return the name of a pair of weights.

    >>> [name_of_pair(*pair) for pair in [(1, 0), (0, 1), (0.4, 1), (1 / 256, 1), (0.5, 0.5)]]
    ['rating only', 'retrieval only', '0.4 : 1', '1/256 : 1', '0.5 : 0.5']
    """
    if retrieval_weight == 0:
        return "rating only"
    if rating_weight == 0:
        return "retrieval only"
    return f"{_short(rating_weight)} : {_short(retrieval_weight)}"


def _short(weight: float) -> str:
    power = -math.log2(weight)
    return f"1/{2 ** int(power)}" if power >= 3 and power.is_integer() else f"{weight:.4g}"
