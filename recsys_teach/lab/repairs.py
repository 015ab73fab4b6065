"""Every combination of the five repairs of retrieval: 32 models in one run, and what each repair is worth.

Models that differ only in their repairs share batches, lookups and random numbers, so their parameters are stacked as
in `stacking`: each model learns what `RetrievalModel` with the same repairs learns alone.

What a repair adds depends on the repairs that are there already. Its Shapley value is what it adds on average over all
orders in which the repairs can be switched on (Shapley 1953, "A value for n-person games"); with n repairs and a value
v(S) of each set S of them, such as a hit rate,

    worth of r = Σ_{S without r} |S|! (n - |S| - 1)! / n! · (v(S + r) - v(S))

The worths of all repairs add up to what all of them together gain.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import product
from math import factorial
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from recsys_teach.backend import tf, tfrs
from recsys_teach.evaluation import board_of_rows, row_metrics
from recsys_teach.features import Ids, Vocabulary
from recsys_teach.lab.sweep import row_numbers
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT, USER
from recsys_teach.splits import new_users
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

REPAIRS = ("log_q", "remove_accidental_hits", "l2", "unknown_user_dropout", "product_bias")  # in the order of 03
Repairs = frozenset[str]
COMBINATIONS: list[Repairs] = [
    frozenset(repair for repair, on in zip(REPAIRS, flags) if on) for flags in product((False, True), repeat=5)
]
Value = TypeVar("Value", float, np.ndarray, pd.DataFrame)


class Vectors:
    """A trained retrieval model as two tables: a recommender. Row 0 of the users is for unknown ids."""

    reads = (USER,)

    def __init__(self, vocabulary: Vocabulary, users: np.ndarray, products: np.ndarray):
        self.names, self.products = vocabulary.users, list(vocabulary.products)
        self.users, self.candidates = users, products  # [1 + users, dim + 1], [products, dim + 1]

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the score of every product for each row's user, `[rows, products]`."""
        return self.users[row_numbers(self.names, reviews[USER])] @ self.candidates.T


class StackedRetrieval(tfrs.Model):
    """A `RetrievalModel` for each combination of repairs, all trained at once.

    Args:
        vocabulary: of the training rows.
        l2, unknown_user_dropout: the values of these repairs where they are switched on.
        combinations: the sets of repairs, one for each model.
        dim: length of the vectors.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        l2: float,
        unknown_user_dropout: float,
        combinations: Sequence[Repairs],
        dim: int = 32,
    ):
        super().__init__()
        towers = UserTower(vocabulary, dim=dim), ProductTower(vocabulary, dim=dim)
        like = RetrievalModel(*towers, log_q=True, l2=l2, unknown_user_dropout=unknown_user_dropout)
        self.like = SimpleNamespace(model=like)  # so that Keras doesn't train its vectors: all models start from them
        self.flags = {
            repair: tf.constant([float(repair in some) for some in combinations], tf.float32) for repair in REPAIRS
        }
        users, products = (tower.embedding.embeddings for tower in towers)
        tables = users, tf.pad(products, [[0, 0], [0, 1]])  # the last number is the bias
        copies = [tf.tile(table[:, None], [1, len(combinations), 1]) for table in tables]
        self.user_table, self.product_table = (tf.Variable(some) for some in copies)  # [ids, models, width]

    @property
    def user_tower(self) -> UserTower:
        return self.like.model.user_tower

    @property
    def product_tower(self) -> ProductTower:
        return self.like.model.product_tower

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """Return the sum of the losses that each model's own `RetrievalModel.compute_loss` would return."""
        like = self.like.model
        kept = like.drop_users(ids)[USER] if training else ids[USER]
        different, column, copies = tf.unique_with_counts(ids[PRODUCT])  # a batch often holds a product several times
        users = tf.transpose(tf.gather(self.user_table, ids[USER]), [1, 0, 2])  # [models, batch, dim]
        unknown = tf.transpose(tf.gather(self.user_table, [0]), [1, 0, 2])
        dropped = tf.cast(kept != ids[USER], tf.float32) * self.flags["unknown_user_dropout"][:, None]
        users = tf.where(dropped[:, :, None] > 0, unknown, users)
        candidates = tf.transpose(tf.gather(self.product_table, different), [1, 0, 2])  # [models, products, dim + 1]
        vectors, bias = candidates[:, :, :-1], candidates[:, :, -1] * self.flags["product_bias"][:, None]
        offset = bias - tf.gather(like.log_q, different) * self.flags["log_q"][:, None]
        scores = tf.matmul(users, vectors, transpose_b=True) + offset[:, None]
        # c copies of a product are one with the score s + log c; without accidental hits, a row has its own only once.
        log_copies = tf.math.log(tf.cast(copies, tf.float32))
        own = tf.one_hot(column, tf.size(different)) * log_copies
        scores += log_copies - self.flags["remove_accidental_hits"][:, None, None] * own
        products = tf.gather(vectors, column, axis=1)
        positive = tf.reduce_sum(users * products, axis=2) + tf.gather(offset, column, axis=1)
        loss = tf.reduce_sum(tf.reduce_logsumexp(scores, axis=2) - positive)
        lengths = tf.reduce_sum(users**2, axis=[1, 2]) + tf.reduce_sum(products**2, axis=[1, 2])
        return loss + like.l2 * tf.reduce_sum(self.flags["l2"] * lengths) / 2 if training else loss

    def recommenders(self) -> list[Vectors]:
        """Return the recommender of each combination, as it is trained by now."""
        users, products = (table.numpy().swapaxes(0, 1) for table in (self.user_table, self.product_table))
        products[:, :, -1] *= self.flags["product_bias"].numpy()[:, None]
        users = np.concatenate([users, np.ones_like(users[:, :, :1])], axis=2)
        return [Vectors(self.user_tower.vocabulary, *tables) for tables in zip(users, products[:, 1:])]


def train_repairs(
    vocabulary: Vocabulary,
    train: pd.DataFrame,
    *,
    l2: float,
    unknown_user_dropout: float,
    dim: int = 32,
    combinations: Iterable[Set[str]] = COMBINATIONS,
    after_epoch: Callable[[int, list[Vectors]], None] | None = None,
    seed: int = 0,
    **settings: Any,
) -> dict[Repairs, Vectors]:
    """Train a retrieval model with each of these combinations of repairs, in one run; return them by their repairs.

    By itself these are all 32; name others like `[set(), {"log_q"}]`. Each is what `RetrievalModel` with these repairs
    would be after `tf.keras.utils.set_random_seed(seed)` and the same `settings` of `train_model`. `after_epoch` gets
    the number of each epoch and the recommenders so far.

    Raises:
        ValueError: there is no such repair.
    """
    tf.keras.utils.set_random_seed(seed)
    named = [frozenset(some) for some in combinations]
    if unknown := set().union(*named) - {*REPAIRS}:
        raise ValueError(f"there is no repair {min(unknown)!r}: expected some of {', '.join(REPAIRS)}.")
    stack = StackedRetrieval(vocabulary, l2=l2, unknown_user_dropout=unknown_user_dropout, dim=dim, combinations=named)
    told = (lambda epoch: after_epoch(epoch, stack.recommenders())) if after_epoch else None
    train_model(stack, train, seed=seed, after_epoch=told, **settings)
    return dict(zip(named, stack.recommenders()))


def worth(values: Mapping[Repairs, Value], repairs: Sequence[str] = REPAIRS) -> dict[str, Value]:
    """Return what each repair is worth, averaged over all orders (see the top of this file).

    `values` has a number, or an array of numbers, for each set of the repairs.

    >>> alone = {frozenset(): 0.0, frozenset("a"): 4.0, frozenset("b"): 1.0}
    >>> worth(alone | {frozenset("ab"): 7.0}, "ab")
    {'a': 5.0, 'b': 2.0}
    """
    found = {}
    for repair in repairs:
        others = [some for some in values if repair not in some]
        orders = [factorial(len(some)) * factorial(len(repairs) - len(some) - 1) for some in others]
        gains = [values[some | {repair}] - values[some] for some in others]
        found[repair] = sum(count * gain for count, gain in zip(orders, gains)) / factorial(len(repairs))
    return found


def name_of(repairs: Repairs) -> str:
    """Return a combination as five flags in the order of `REPAIRS`, such as 11000."""
    return "".join(str(int(repair in repairs)) for repair in REPAIRS)


def repairs_board(runs: Sequence[Mapping[Repairs, Any]], train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Score all combinations on the test rows; return `hit@10` with 95 % intervals, by part of the test rows.

    The rows of the result are the combinations (see `name_of`); `worth of` each repair, over all orders; and `step` of
    each repair, what it adds to those before it in `REPAIRS`. For the parts and the intervals see `scoreboard`.

    Args:
        runs: the recommenders of each training, as `train_repairs` returns them.
    """
    rows = [{some: row_metrics(run[some], train, test, k=(10,)) for some in COMBINATIONS} for run in runs]
    return board_of_combinations(rows, test[USER], new_users(train, test))


def board_of_combinations(
    rows: Sequence[Mapping[Repairs, pd.DataFrame]], users: pd.Series, new: pd.Series
) -> pd.DataFrame:
    """Return the board of metrics that `row_metrics` computed, for each training; see `repairs_board`."""
    values: dict[str, list[pd.DataFrame]] = {name_of(some): [of[some] for of in rows] for some in COMBINATIONS}
    worths = [worth(of) for of in rows]
    values |= {f"worth of {repair}": [of[repair] for of in worths] for repair in REPAIRS}
    order = [frozenset(REPAIRS[:step]) for step in range(len(REPAIRS) + 1)]
    steps = zip(REPAIRS, order, order[1:])
    values |= {f"step {repair}": [of[after] - of[before] for of in rows] for repair, before, after in steps}
    masks = {"all": new | True, "warm users": ~new, "new users": new}
    boards = {
        part: board_of_rows(
            {name: [one[mask] for one in of] for name, of in values.items()}, users[mask], interval=True
        )
        for part, mask in masks.items()
        if mask.any()
    }
    columns = ["hit@10", "hit@10 low", "hit@10 high"]
    return pd.concat({part: board[columns] for part, board in boards.items()}, names=["test rows", "repairs"])
