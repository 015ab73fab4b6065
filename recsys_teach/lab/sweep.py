"""A sweep: what the weight lab shows of models that differ only in the weights of their two tasks.

That is their scores and some users' lists, and nothing about how the models work: any recommenders will do, and the
file of a sweep is small. `Factors` is the recommender of a stacked model.

A trained pair of towers and its rating head are two tables, which is all that recommending by ids needs:

    score = u · p + c_p                                 c_p: the product bias of retrieval
    stars = mean + b_u + b_p + Σ_d taste_d u_d p_d      for known users and products; else without the sum

The vector and the biases of an id are side by side in its row. So a sweep needs no TensorFlow; `stacking` trains one.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach._util import atomic_write, escape_controls
from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.evaluation import ANSWERS, scoreboard, scores_of
from recsys_teach.schema import CATEGORIES, CATEGORY, PRODUCT, RATING, TIMESTAMP, TITLE, USER, first_texts

FORMAT = "recsys-teach sweep 3"
STORED = {"movielens": Path(__file__).with_name("movielens.json")}  # tools/movielens_sweep.py writes it
TABLES = ("board", "baselines", "catalogue")
TEXTS = (TITLE, CATEGORY, CATEGORIES)  # what describes a product
BOTH = ["hit@10", "rmse"]  # the metrics of the two tasks
ORIGINAL = (0.5 / 32, 0.5)  # 0.5 and 0.5 where TFRS averages ratings over batches of 32 and sums retrieval
BEYOND = 20.0  # the specialists' place on the scale of log2 ratios, further out than any other pair
SHOPPERS, PLACES, LAST = 12, 10, 5  # users to show, products in a list, earlier purchases shown beside it

Lists = list[list[tuple[str, float]]]  # [shoppers][places]: products with their predicted stars, the best first


@dataclass(frozen=True)
class Factors:
    """One trained pair of towers and its head as arrays: a recommender. Row 0 of a table is for unknown ids."""

    reads = (USER,)
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
class Shopper:
    """A user whose lists are shown, and products that they bought."""

    user: str
    bought: list[str]  # the last ones of the training rows, newest first
    later: list[str]  # those of the test rows that are in one of the user's lists


@dataclass(frozen=True, eq=False)
class Sweep:
    """Models by the weights of their tasks, their scores on the test rows, and what they recommend to some users."""

    weights: np.ndarray  # [pairs, 2]: rating_weight, retrieval_weight
    board: pd.DataFrame  # [pairs]: the scoreboard of the models, by `name_of_pair`
    baselines: pd.DataFrame  # the scoreboard of popularity, damped biases and, in a generated shop, the oracle
    shoppers: list[Shopper]
    lists: list[Lists]  # [pairs]: ten products at most that a shopper doesn't own; stars are NaN if none are predicted
    catalogue: pd.DataFrame  # [products that are in a list, or were bought before]: product_id, title, category
    recommenders: list[Any] = field(repr=False)  # [pairs]; None for a pair that comes from a file

    @classmethod
    def from_recommenders(
        cls,
        recommenders: Mapping[tuple[float, float], Any],
        train: pd.DataFrame,
        test: pd.DataFrame,
        *,
        oracle: Any = None,
        visible: Sequence[str] = (),
    ) -> "Sweep":
        """Score recommenders on the test rows, beside the baselines, and return what the lab shows of them.

        Args:
            recommenders: anything that a scoreboard takes, by `(rating_weight, retrieval_weight)`. One without `scores`
                gets no lists, one without `ratings` no stars. A list is one model, trained with several seeds: its
                scores are the means over the trainings, its lists are those of the first.
            oracle: a generated shop's `Oracle`, if there is one.
            visible: see `scoreboard`.

        Raises:
            ValueError: there are no recommenders, or their weights are none; there are no ratings to compare stars
                with; or the scoreboard refuses a recommender.
        """
        weights = _as_weights(recommenders)
        if any(RATING not in part or part[RATING].isna().all() for part in (train, test)):
            remedy = "the lab weighs stars against purchases, so take reviews with ratings."
            raise ValueError(f"the training rows or the test rows have no ratings: {remedy}")
        models = {f"the pair {pair}": one for pair, one in recommenders.items()}  # two may have the same short name
        rivals = {"popularity": Popularity(train), "damped biases": DampedBiases(train)}
        rivals |= {"oracle": oracle} if oracle else {}
        board = scoreboard(models | rivals, train, test, visible=visible)
        board.attrs = {}

        users, facts = _shoppers(train, test), _facts(train, test)
        before, later = (_purchases(part, users) for part in (train, test))
        asked = pd.concat([test, train]).drop_duplicates(USER).set_index(USER).loc[users].reset_index()
        asked = asked[[column for column in asked if column not in ANSWERS or column in visible]]
        lists = [
            _lists(one[0] if isinstance(one, list) else one, asked, before, facts, name=name)
            for name, one in models.items()
        ]
        shoppers = [
            Shopper(user, bought[: -LAST - 1 : -1], [one for one in dict.fromkeys(afterwards) if one in listed])
            for user, bought, afterwards, listed in zip(users, before, later, _listed(lists))
        ]
        products = {product for one in shoppers for product in one.bought}.union(*_listed(lists))
        catalogue = facts.reindex(sorted(products), fill_value="").rename_axis(PRODUCT).reset_index()
        catalogue[TITLE] = catalogue[TITLE].where(catalogue[TITLE] != "", catalogue[PRODUCT])
        return cls(
            weights=weights,
            board=board.iloc[: len(weights)].set_axis(_names(weights)).rename_axis("model"),
            baselines=board.iloc[len(weights) :],
            shoppers=shoppers,
            lists=lists,
            catalogue=catalogue[[PRODUCT, TITLE, CATEGORY]],
            recommenders=list(recommenders.values()),
        )

    def recommender(self, pair: int) -> Any:
        """Return the model of this pair of weights, or the list of its trainings.

        Raises:
            ValueError: the pair comes from a file, which holds no models.
        """
        if self.recommenders[pair] is None:
            missing = f"there is no model of {self.board.index[pair]}, since the file of a sweep holds none"
            raise ValueError(f"{missing}: train this pair again to have one, for instance with train_sweep.")
        return self.recommenders[pair]

    @cached_property
    def floor(self) -> pd.Series:
        """The best score of the baselines, by metric."""
        board = self.baselines.drop("oracle", errors="ignore")
        return board.max().where(board.columns != "rmse", board.min())

    @property
    def ceiling(self) -> pd.Series | None:
        """The scores of the oracle, by metric, if there is one."""
        return self.baselines.T["oracle"] if "oracle" in self.baselines.index else None

    @property
    def presets(self) -> dict[str, tuple[float, float]]:
        """Named weights. "best of both" is the pair that closes most of the gap between floor and ceiling at its
        weaker task. It is chosen on the test rows, so its scores are slightly too good."""
        best = self.weights[int(np.argmax(_balance(self)))]
        named = {"rating only": (1.0, 0.0), "retrieval only": (0.0, 1.0), "the original's ratio": ORIGINAL}
        return named | {"best of both": (float(best[0]), float(best[1]))}

    def nearest(self, rating_weight: float, retrieval_weight: float) -> int:
        """Return the number of the pair with exactly these weights, else of the one whose ratio is nearest."""
        exact = np.isclose(self.weights, (rating_weight, retrieval_weight)).all(axis=1)
        if exact.any():
            return int(np.flatnonzero(exact)[-1])
        places = np.array([_place(*pair) for pair in self.weights])
        return int(np.argmin(np.abs(places - _place(rating_weight, retrieval_weight))))

    def joined(self, other: "Sweep") -> "Sweep":
        """Return a sweep of these pairs and those of another one on the same training and test rows."""
        if not _have_same_rows(self, other):
            raise ValueError("these sweeps are of different rows: only sweeps on the same rows can be joined.")
        later = [dict.fromkeys([*ours.later, *theirs.later]) for ours, theirs in zip(self.shoppers, other.shoppers)]
        return replace(
            self,
            weights=np.concatenate([self.weights, other.weights]),
            board=pd.concat([self.board, other.board]),
            shoppers=[replace(one, later=list(products)) for one, products in zip(self.shoppers, later)],
            lists=[*self.lists, *other.lists],
            catalogue=pd.concat([self.catalogue, other.catalogue]).drop_duplicates(PRODUCT, ignore_index=True),
            recommenders=[*self.recommenders, *other.recommenders],
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write all but the recommenders to one JSON file, or leave an old file as it is."""
        facts: dict[str, Any] = {"format": FORMAT, "weights": self.weights.tolist()}
        for name in TABLES:
            table = getattr(self, name).astype(object)
            facts[name] = table.where(table.notna(), None).to_dict("split")
        facts["shoppers"] = [asdict(one) for one in self.shoppers]
        facts["lists"] = [
            [[(product, None if math.isnan(stars) else stars) for product, stars in one] for one in lists]
            for lists in self.lists
        ]
        text = json.dumps(facts, allow_nan=False, separators=(",", ":"))
        with atomic_write(path) as unfinished:
            unfinished.write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Sweep":
        """Read a file that `save` wrote, or the sweep that comes with the package: "movielens".

        That one is of `split_at_random(load_reviews("movielens"), seed=0)`, by `tools/movielens_sweep.py`.

        Raises:
            FileNotFoundError, OSError: there is no such file, or it can't be read.
            ValueError: it isn't a sweep of this version, or its parts don't fit together.
        """
        try:
            facts = json.loads(Path(STORED.get(str(path), path)).read_text(encoding="utf-8"))
            if facts.pop("format") != FORMAT:
                raise ValueError(f"its format isn't {FORMAT!r}")
            for name in TABLES:
                table = facts[name]
                facts[name] = pd.DataFrame(table["data"], columns=table["columns"]).set_axis(table["index"])
            facts["shoppers"] = [Shopper(**one) for one in facts["shoppers"]]
            sweep = _from_facts(**facts)
        except FileNotFoundError:
            message = f"there is no file {path}: save a sweep there first, with its method save."
            raise FileNotFoundError(message) from None
        except Exception as error:  # a broken file can raise anything
            if isinstance(error, OSError) and error.errno:
                raise OSError(f"{path} can't be read ({error.strerror}): name a file that can.") from error
            message = f"{path} is no sweep that this version can read: train it again, and save it."
            raise ValueError(message) from error
        return sweep


def _place(rating_weight: float, retrieval_weight: float) -> float:
    """Return log2 of the ratio of two weights, the specialists far out at its ends (as `place` in lab.js)."""
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


def _from_facts(
    weights: list, board: pd.DataFrame, baselines: pd.DataFrame, shoppers: list[Shopper], lists: list, catalogue: Any
) -> Sweep:
    """Return the sweep that was read from a file; raise an error if its parts don't fit together."""
    sweep = Sweep(
        weights=_as_weights(weights),
        board=board.astype(float).rename_axis("model"),
        baselines=baselines.astype(float).rename_axis("model"),
        shoppers=shoppers,
        lists=[
            [[(product, math.nan if stars is None else float(stars)) for product, stars in one] for one in of_pair]
            for of_pair in lists
        ],
        catalogue=catalogue[[PRODUCT, TITLE, CATEGORY]],
        recommenders=[None] * len(weights),
    )
    known = set(sweep.catalogue[PRODUCT])
    products = {product for one in shoppers for product in (*one.bought, *one.later)}.union(*_listed(sweep.lists))
    texts = [*sweep.catalogue.to_numpy().flat, *baselines.index, *(one.user for one in shoppers)]
    numbers = [*sweep.board.to_numpy().flat, *sweep.baselines.to_numpy().flat]
    numbers += [stars for of_pair in sweep.lists for one in of_pair for _, stars in one]
    sound = (
        list(board.index) == _names(sweep.weights)
        and list(board) == list(baselines)
        and sweep.floor[BOTH].notna().all()
        and {len(of_pair) for of_pair in lists} == {len(shoppers)} == {len({one.user for one in shoppers})}
        and len(lists) == len(weights)
        and len(known) == len(sweep.catalogue)
        and products <= known
        and all(isinstance(text, str) for text in texts)
        and not any(math.isinf(number) for number in numbers)
    )
    if not sound:
        raise ValueError("its parts don't fit together")
    return sweep


def _as_weights(pairs: Iterable) -> np.ndarray:
    """Return pairs of weights as an array `[pairs, 2]`; raise a ValueError if they are none."""
    given = list(pairs)
    try:
        weights = np.array([(float(rating), float(retrieval)) for rating, retrieval in given])
    except (TypeError, ValueError):
        weights = np.array([])
    if not (weights.size and np.isfinite(weights).all() and (weights >= 0).all() and weights.any(axis=1).all()):
        expected = "expected one pair (rating_weight, retrieval_weight) or more, of numbers of 0 or more, not both 0."
        raise ValueError(f"the weights are {escape_controls(given, 80)}: {expected}")
    return weights


def _names(weights: np.ndarray) -> list[str]:
    return [name_of_pair(*pair) for pair in weights]


def _shoppers(train: pd.DataFrame, test: pd.DataFrame) -> list[str]:
    """Return users to show: those with the most held-back purchases among users with five purchases or more."""
    before = train[USER].value_counts().sort_index()
    later = test[USER].value_counts().reindex(before.index, fill_value=0)
    held_back = later.where(before >= min(5, before.max()), -1)
    return held_back.sort_values(ascending=False, kind="stable").index[:SHOPPERS].tolist()


def _purchases(reviews: pd.DataFrame, users: Sequence[str]) -> list[list[str]]:
    """Return the products of each of these users' reviews, in order of time if it is known."""
    theirs = reviews[reviews[USER].isin(users)]
    if TIMESTAMP in reviews:
        theirs = theirs.sort_values(TIMESTAMP, kind="stable")
    products = {user: of_user.tolist() for user, of_user in theirs.groupby(USER)[PRODUCT]}
    return [products.get(user, []) for user in users]


def _facts(train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Return what the reviews say about each product: title, category and categories, "" where they say nothing."""
    reviews = pd.concat([train, test])
    products = pd.Index(reviews[PRODUCT].unique())
    return pd.DataFrame({column: first_texts(reviews, column, products) for column in TEXTS}, index=products)


def _lists(recommender: Any, asked: pd.DataFrame, owned: list[list[str]], facts: pd.DataFrame, *, name: str) -> Lists:
    """Return the best products for the user of each row that `owned` doesn't hold, and their predicted stars.

    `facts` are the columns that describe products, by product.
    """
    if not hasattr(recommender, "scores"):
        return [[] for _ in owned]
    products = pd.Index(recommender.products)
    best = []
    for scores, bought in zip(scores_of(recommender, asked, len(products), name), owned):
        scores = np.where(products.isin(bought), -np.inf, scores)
        order = np.argsort(-scores, kind="stable")[:PLACES]
        best.append(products[order[scores[order] > -np.inf]])
    counts = [len(one) for one in best]
    listed = np.concatenate(best)
    stars = np.full(len(listed), np.nan)
    if hasattr(recommender, "ratings") and len(listed):
        pairs = asked.iloc[np.repeat(np.arange(len(best)), counts)].reset_index(drop=True)
        pairs = pairs.assign(**{PRODUCT: listed}, **facts.reindex(listed, fill_value="").reset_index(drop=True))
        stars = np.asarray(recommender.ratings(pairs), float).round(3)
    places = list(zip(listed.tolist(), stars.tolist()))
    ends = np.cumsum(counts)
    return [places[end - count : end] for end, count in zip(ends, counts)]


def _listed(lists: list[Lists]) -> list[set[str]]:
    """Return for each shopper all products that any pair lists."""
    return [{product for one in of_shopper for product, _ in one} for of_shopper in zip(*lists)]


def _have_same_rows(one: Sweep, two: Sweep) -> bool:
    """Return whether two sweeps have the same shoppers, with the same purchases, and equal baselines."""
    in_both = [ours & theirs for ours, theirs in zip(_listed(one.lists), _listed(two.lists))]
    ours, theirs = (
        [(shopper.user, shopper.bought, both & set(shopper.later)) for shopper, both in zip(sweep.shoppers, in_both)]
        for sweep in (one, two)
    )
    return (
        len(one.shoppers) == len(two.shoppers)
        and ours == theirs
        and list(one.baselines.index) == list(two.baselines.index)
        and list(one.baselines) == list(two.baselines)
        and np.allclose(one.baselines, two.baselines, equal_nan=True)
    )


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
