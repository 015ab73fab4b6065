"""The state of the weight lab without widgets: two weights, the trained model nearest to them, its recommendations.

`LabState` is plain data. `page` turns it into HTML, `view` adds sliders.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from recsys_teach.lab.sweep import BOTH, LAST, Shopper, Sweep

MAX_WEIGHT = 1000.0
ORIGINAL = (0.5 / 32, 0.5)  # 0.5 and 0.5 where TFRS averages ratings over batches of 32 and sums retrieval
SHOWN = 5  # products of a list
BEYOND = 20.0  # the specialists' place on the scale of log2 ratios, further out than any other pair


class Place(NamedTuple):
    """A place in a shopper's list."""

    product_id: str
    title: str
    category: str
    stars: float  # predicted; NaN if the model predicts none
    move: float  # places gained since the list before, negative if lost; NaN if the product is new in the list
    bought: bool  # in the test rows


class LabState:
    """The weights of the two tasks, the trained pair nearest to them, and the user whose recommendations are shown.

    Args:
        sweep: the trained models; `add` adds another one.
    """

    def __init__(self, sweep: Sweep):
        self._show(sweep)
        self.shoppers = [one.user for one in sweep.shoppers]
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
        self._show(self.sweep.joined(trained))
        self._moved()

    def row(self) -> pd.DataFrame:
        """Return this pair's scores as a table by metric: `model`, `floor`, `difference` and, if known, `ceiling`."""
        model, floor = self.sweep.board.iloc[self.pair], self.sweep.floor
        table = pd.DataFrame({"model": model, "floor": floor, "difference": model - floor})
        return table if self.sweep.ceiling is None else table.assign(ceiling=self.sweep.ceiling)

    def top(self, k: int = SHOWN) -> list[Place]:
        """Return the first `k` places of the shopper's list, ten at most; none if the model doesn't recommend."""
        places = []
        for number, (product, stars) in enumerate(self._list()[:k]):
            move = 0.0 if not self._before else math.nan
            if product in self._before:
                move = self._before.index(product) - number
            places.append(Place(product, *self._texts[product], stars, move, product in self._purchases.later))
        return places

    def bought_before(self, last: int = LAST) -> list[tuple[str, str]]:
        """Return title and category of the shopper's last purchases in training, five at most, newest first."""
        return [self._texts[product] for product in self._purchases.bought[:last]]

    @property
    def _purchases(self) -> Shopper:
        return self.sweep.shoppers[self.shoppers.index(self.shopper)]

    def _list(self) -> list[tuple[str, float]]:
        """Return the shopper's products by the pair that is shown, best first, with their predicted stars."""
        return self.sweep.lists[self.pair][self.shoppers.index(self.shopper)]

    def _show(self, sweep: Sweep) -> None:
        """Take this sweep, and its titles and categories by product."""
        self.sweep = sweep
        self._texts = {
            product: (title, category) for product, title, category in sweep.catalogue.itertuples(index=False)
        }

    def _moved(self) -> None:
        pair = self.pair
        if not self.trail or self.trail[-1] != pair:
            self.trail.append(pair)
        now = [product for product, _ in self._list()[:SHOWN]]
        if now and now != self._now:
            self._before, self._now = self._now, now


def place(rating_weight: float, retrieval_weight: float) -> float:
    """Return the place of these weights on the ratio slider: log2 of their ratio, the specialists at its ends."""
    if rating_weight == 0:
        return -BEYOND
    if retrieval_weight == 0:
        return BEYOND
    return float(np.clip(math.log2(rating_weight) - math.log2(retrieval_weight), 1 - BEYOND, BEYOND - 1))


def _balance(sweep: Sweep) -> np.ndarray:
    """Return for each pair the share of the gap from floor to ceiling (or best pair) closed at its weaker task.

    It is -inf for a pair that has one task only.
    """
    floor, board = sweep.floor[BOTH], sweep.board[BOTH]
    top = pd.Series({"hit@10": board["hit@10"].max(), "rmse": board["rmse"].min()})
    if sweep.ceiling is not None:
        top = sweep.ceiling[BOTH]
    gap = (top - floor).abs()  # if no pair reaches the floor, further below is still worse
    shares = (board - floor) * [1, -1] / gap
    return shares.min(axis=1).where(board.notna().all(axis=1), -np.inf).fillna(-np.inf).to_numpy()
