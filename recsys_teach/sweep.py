"""Layer 2: a sweep holds many models that differ in nothing but the weights of their two tasks, as plain arrays.

`stacking` trains them, all in one run. Each is a pair of tables, see `factors`, so a sweep needs no TensorFlow, and can
be saved and loaded.
"""

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.factors import Factors, row_numbers
from recsys_teach.schema import CATEGORY, PRODUCT, TIMESTAMP, TITLE, USER, first_texts
from recsys_teach.scoreboard import scoreboard
from recsys_teach.sweep_file import name_of_pair, read_sweep, write_sweep

ROWS = ("bought", "bought_later")


@dataclass(frozen=True)
class Sweep:
    """Models by the weights of their tasks, how good each is on the test rows, and what they are compared with."""

    weights: np.ndarray  # [pairs, 2]: rating_weight, retrieval_weight
    user_tables: np.ndarray  # [pairs, 1 + users, dim + 1], see `Factors`
    product_tables: np.ndarray  # [pairs, 1 + products, dim + 2]
    mean: float
    taste: float
    users: list[str]
    catalogue: pd.DataFrame  # [products]: product_id, title, category
    bought: np.ndarray  # [training rows, 2]: rows of the tables, in order of time if it is known
    bought_later: np.ndarray  # [test rows, 2], the same
    board: pd.DataFrame  # [pairs]: the scoreboard of the models, by `name_of_pair`
    baselines: pd.DataFrame  # the scoreboard of popularity, damped biases and, in a generated shop, the oracle

    def recommender(self, pair: int) -> Factors:
        """The model of this pair of weights."""
        products = list(self.catalogue[PRODUCT])
        return Factors(self.users, products, self.user_tables[pair], self.product_tables[pair], self.mean, self.taste)

    @property
    def floor(self) -> pd.Series:
        """The best that the baselines do, by metric."""
        board = self.baselines.drop("oracle", errors="ignore")
        return board.max().where(board.columns != "rmse", board.min())

    @property
    def ceiling(self) -> pd.Series | None:
        """What the oracle does, by metric, where there is one."""
        return self.baselines.T["oracle"] if "oracle" in self.baselines.index else None

    def joined(self, other: "Sweep") -> "Sweep":
        """This sweep and the pairs of another one on the same training and test rows."""
        same = self.users == other.users and self.catalogue.equals(other.catalogue)
        same = same and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in ROWS)
        if not (same and np.allclose([self.mean, self.taste], [other.mean, other.taste])):
            raise ValueError("these sweeps are of different rows or heads: only sweeps on the same rows can be joined.")
        return replace(
            self,
            weights=np.concatenate([self.weights, other.weights]),
            user_tables=np.concatenate([self.user_tables, other.user_tables]),
            product_tables=np.concatenate([self.product_tables, other.product_tables]),
            board=pd.concat([self.board, other.board]),
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write one file of arrays and JSON (numpy's `.npz`, no pickle); a file of that name is replaced whole."""
        write_sweep(path, vars(self))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Sweep":
        """Read what `save` wrote; anything else is refused in a sentence, see `sweep_file.read_sweep`."""
        return cls(**read_sweep(path))


def assemble_sweep(
    weights: np.ndarray,
    user_tables: np.ndarray,
    product_tables: np.ndarray,
    *,
    mean: float,
    taste: float,
    users: list[str],
    products: list[str],
    train: pd.DataFrame,
    test: pd.DataFrame,
    oracle: Any = None,
) -> Sweep:
    """A sweep of these tables, scored on the test rows beside the baselines. The arguments are those of `Sweep`."""
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
        weights, user_tables, product_tables, mean, taste, users, catalogue, bought, bought_later, empty, empty
    )
    models = {str(pair): sweep.recommender(pair) for pair in range(len(weights))}  # two may have the same name
    board = scoreboard(models | rivals, train, test)
    board.attrs = {}
    own = board.iloc[: len(weights)].set_axis([name_of_pair(*pair) for pair in weights]).rename_axis("model")
    return replace(sweep, board=own, baselines=board.iloc[len(weights) :])
