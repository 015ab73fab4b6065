"""The state of the weight lab without widgets: two weights, the trained model nearest to them, its recommendations.

`LabState` is plain data. `page` turns it into HTML, `view` adds sliders.
"""

import math

import numpy as np
import pandas as pd

from recsys_teach.lab.sweep import Sweep
from recsys_teach.schema import CATEGORY, PRODUCT, TITLE

MAX_WEIGHT = 1000.0
ORIGINAL = (0.5 / 32, 0.5)  # 0.5 and 0.5 where TFRS averages ratings over batches of 32 and sums retrieval
BEYOND = 20.0  # the specialists' place on the scale of log2 ratios, further out than any other pair


class LabState:
    """The weights of the two tasks, the trained pair nearest to them, and the user whose recommendations are shown.

    Args:
        sweep: the trained models; `add` adds another one.
    """

    def __init__(self, sweep: Sweep):
        self.sweep = sweep
        self.shoppers = _shoppers(sweep)
        self.shopper = self.shoppers[0]
        self.rating_weight, self.retrieval_weight = self.presets["best of both"]
        self.trail: list[int] = []  # the pairs that were shown, in order, without repetitions in a row
        self._before: list[str] = []  # the products recommended before the last move
        self._now: list[str] = []
        self._moved()

    @property
    def presets(self) -> dict[str, tuple[float, float]]:
        """Named weights. "best of both" is the pair that closes most of the gap between floor and ceiling at its
        weaker task. It is chosen on the test rows of the sweep, so its scores are slightly too good."""
        best = self.sweep.weights[int(np.argmax(_balance(self.sweep)))]
        named = {"rating only": (1.0, 0.0), "retrieval only": (0.0, 1.0), "the original's ratio": ORIGINAL}
        return named | {"best of both": (float(best[0]), float(best[1]))}

    @property
    def pair(self) -> int:
        """The trained pair with exactly these weights, or else the one whose ratio is nearest."""
        weights = self.sweep.weights
        exact = np.isclose(weights, (self.rating_weight, self.retrieval_weight)).all(axis=1)
        if exact.any():
            return int(np.flatnonzero(exact)[-1])
        places = np.array([place(*pair) for pair in weights])
        return int(np.argmin(np.abs(places - place(self.rating_weight, self.retrieval_weight))))

    @property
    def is_trained(self) -> bool:
        """Whether a model was trained with exactly these weights."""
        return bool(np.isclose(self.sweep.weights[self.pair], (self.rating_weight, self.retrieval_weight)).all())

    def set_weights(self, rating_weight: float, retrieval_weight: float) -> None:
        """Set both weights; if one is out of range, raise a ValueError and change nothing."""
        for name, weight in (("the rating weight", rating_weight), ("the retrieval weight", retrieval_weight)):
            if not 0 <= weight <= MAX_WEIGHT:
                raise ValueError(f"{name} is {weight}: expected a number from 0 to {MAX_WEIGHT:g}.")
        if rating_weight == retrieval_weight == 0:
            raise ValueError("both weights are 0: there is nothing to learn; give at least one task a weight.")
        self.rating_weight, self.retrieval_weight = float(rating_weight), float(retrieval_weight)
        self._moved()

    def set_shopper(self, user: str) -> None:
        """Show the recommendations for another of the `shoppers`."""
        if user not in self.shoppers:
            raise ValueError(f"{user!r} is none of this lab's shoppers: expected one of {self.shoppers}.")
        self.shopper = user
        self._before = self._now = []
        self._moved()

    def add(self, trained: Sweep) -> None:
        """Add freshly trained pairs to the sweep, and show them if they are the nearest."""
        self.sweep = self.sweep.joined(trained)
        self._moved()

    def row(self) -> pd.DataFrame:
        """Return this pair's scores as a table by metric: `model`, `floor`, `difference` and, if known, `ceiling`."""
        model, floor = self.sweep.board.iloc[self.pair], self.sweep.floor
        table = pd.DataFrame({"model": model, "floor": floor, "difference": model - floor})
        return table if self.sweep.ceiling is None else table.assign(ceiling=self.sweep.ceiling)

    def top(self, k: int = 5) -> pd.DataFrame:
        """Return the shopper's first `k` products: `product_id`, `title`, `category`, predicted `stars`, `move` (places
        gained since the list before, negative if lost, NaN if it is new), and whether it was `bought` later."""
        user = self.sweep.users.index(self.shopper) + 1
        model = self.sweep.recommender(self.pair)
        best = self._best(k)
        table = self.sweep.catalogue.iloc[best].reset_index(drop=True)
        table["stars"] = model.stars(np.full(len(best), user), best + 1)
        now = list(table[PRODUCT])
        table["move"] = [self._before.index(p) - i if p in self._before else np.nan for i, p in enumerate(now)]
        if not self._before:
            table["move"] = 0.0
        later = self.sweep.bought_later
        table["bought"] = np.isin(best + 1, later[later[:, 0] == user, 1])
        return table

    def bought_before(self, last: int = 5) -> pd.DataFrame:
        """Return the shopper's last purchases in the training rows, newest first: `product_id`, `title`, `category`."""
        user = self.sweep.users.index(self.shopper) + 1
        products = self.sweep.bought[self.sweep.bought[:, 0] == user, 1][::-1][:last]
        return self.sweep.catalogue.iloc[products - 1][[PRODUCT, TITLE, CATEGORY]].reset_index(drop=True)

    def _moved(self) -> None:
        pair = self.pair
        if not self.trail or self.trail[-1] != pair:
            self.trail.append(pair)
        now = list(self.sweep.catalogue[PRODUCT].iloc[self._best(5)])
        if now != self._now:
            self._before, self._now = self._now, now

    def _best(self, k: int) -> np.ndarray:
        """Return the positions in the catalogue of the shopper's best products that they don't own yet, best first."""
        user = self.sweep.users.index(self.shopper) + 1
        model = self.sweep.recommender(self.pair)
        scores = model.scores(pd.DataFrame({"user_id": [self.shopper]}))[0]
        owned = self.sweep.bought[self.sweep.bought[:, 0] == user, 1] - 1
        scores[owned] = -np.inf
        best = np.argsort(-scores, kind="stable")[:k]
        return best[scores[best] > -np.inf]


def place(rating_weight: float, retrieval_weight: float) -> float:
    """Return the place of these weights on the ratio slider: log2 of their ratio, the specialists at its ends."""
    if rating_weight == 0:
        return -BEYOND
    if retrieval_weight == 0:
        return BEYOND
    return float(np.clip(math.log2(rating_weight) - math.log2(retrieval_weight), 1 - BEYOND, BEYOND - 1))


def _balance(sweep: Sweep) -> np.ndarray:
    """Return for each pair the share of the gap from floor to ceiling (or best pair) closed at its weaker task."""
    floor = sweep.floor
    board = sweep.board[["hit@10", "rmse"]]
    top = (
        sweep.ceiling
        if sweep.ceiling is not None
        else pd.Series({"hit@10": board["hit@10"].max(), "rmse": board["rmse"].min()})
    )
    gap = (top - floor)[["hit@10", "rmse"]].abs()  # if no pair reaches the floor, further below is still worse
    shares = (board - floor)[["hit@10", "rmse"]] * [1, -1] / gap
    return shares.min(axis=1).fillna(-np.inf).to_numpy()


def _shoppers(sweep: Sweep, count: int = 12) -> list[str]:
    """Return users to show: those with the most held-back purchases among users with five purchases or more."""
    size = len(sweep.users) + 1
    before, later = (np.bincount(rows[:, 0], minlength=size)[1:] for rows in (sweep.bought, sweep.bought_later))
    held_back = np.where(before >= min(5, int(np.max(before))), later, -1)
    order = pd.Series(held_back).sort_values(ascending=False, kind="stable").index
    return [sweep.users[user] for user in order[:count]]
