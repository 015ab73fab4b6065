"""Layer 2: any recommenders on the same test rows, side by side.

A recommender is anything with `products` and `scores(reviews) -> [rows, products]` (higher is better, columns in
the order of `products`), or `ratings(reviews) -> [rows]`, or both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach import metrics
from recsys_teach.schema import CATEGORY, PRODUCT, RATING, SUMMARY, TITLE, USER
from recsys_teach.sentences import shown
from recsys_teach.splits import new_products, new_users

AFTERWARDS = (RATING, SUMMARY)  # what is known of a test row only after the purchase
ANSWERS = (*AFTERWARDS, PRODUCT, TITLE, CATEGORY)  # what recommenders of products don't get to see of it
CELLS = 8_000_000  # scores asked for at once: 32 MB of float32
RATINGS = 100_000  # ratings asked for at once


def scoreboard(
    recommenders: Mapping[str, Any],
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    k: Sequence[int] = (1, 10, 50),
    exclude_seen: bool = True,
    slices: bool = False,
    visible: Sequence[str] = (),
) -> pd.DataFrame:
    """A row for each recommender: `hit@k`, `ndcg@10`, `mrr` (shares, higher is better), `rmse` (stars, lower).

    With `exclude_seen`, what a user bought in `train` isn't recommended again, as in a shop, and buying it again is a
    miss for everybody (`attrs["seen_share"]` says how many test rows that is); without it every product is a
    candidate, as in TFRS's `FactorizedTopK`. Recommenders don't see the answers: `scores` gets rows without product,
    title, category, rating and summary, `ratings` gets rows without rating and summary; `visible` names columns that
    they are shown all the same, such as `["summary"]`, which tells what was bought and how good it was: a leak. What a
    recommender doesn't offer is NaN, and so is the `rmse` of purchases that nobody rated. With `slices` there is a row
    for each recommender *and* part of the test rows: all, warm users, new users, new products, and the share of the
    test rows that this part is.

    Raises:
        ValueError: no recommenders, no test rows, or a recommender that has none of the training rows' products, or
            whose answer has the wrong shape or holds NaN.
    """
    if not recommenders:
        raise ValueError("there are no recommenders to score: expected a dictionary of them by name.")
    if test.empty:
        raise ValueError("the test part has no rows: there is nothing to score.")
    parts = {"all": np.full(len(test), True)}
    if slices:
        cold = new_users(train, test).to_numpy()
        parts |= {"warm users": ~cold, "new users": cold, "new products": new_products(train, test).to_numpy()}

    rows = {}
    for name, recommender in recommenders.items():
        values = row_metrics(recommender, train, test, k=k, exclude_seen=exclude_seen, visible=visible, name=name)
        for part, mask in parts.items():
            mean = values[mask].mean()
            row = mean.drop("squared_error")
            row["rmse"] = np.sqrt(mean["squared_error"])
            rows[name, part] = row if not slices else pd.concat([pd.Series({"share": mask.mean()}), row])
    board = pd.DataFrame(rows).T
    board.index.names = ["model", "test rows"]
    board.attrs = {
        "new_user_share": float(new_users(train, test).mean()),
        "new_product_share": float(new_products(train, test).mean()),
        "seen_share": float(_seen_before(train, test).mean()),
    }
    return board if slices else board.droplevel("test rows")


def row_metrics(
    recommender: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    k: Sequence[int] = (1, 10, 50),
    exclude_seen: bool = True,
    visible: Sequence[str] = (),
    name: str = "the recommender",
) -> pd.DataFrame:
    """The metrics of each test row, before any mean: `hit@k`, `ndcg@10`, `mrr`, `squared_error`."""
    values = pd.DataFrame(index=test.index)
    rank = None
    if hasattr(recommender, "scores"):
        rank = row_ranks(recommender, train, test, exclude_seen=exclude_seen, visible=visible, name=name)
    for depth in k:
        values[f"hit@{depth}"] = np.nan if rank is None else metrics.hit(rank, depth)
    values["ndcg@10"] = np.nan if rank is None else metrics.ndcg(rank, 10)
    values["mrr"] = np.nan if rank is None else metrics.reciprocal_rank(rank)
    values["squared_error"] = np.nan
    if hasattr(recommender, "ratings") and RATING in test:
        asked = _without(test, AFTERWARDS, visible)
        blocks = [asked[start : start + RATINGS] for start in range(0, len(test), RATINGS)]
        predicted = np.concatenate([np.asarray(recommender.ratings(block), dtype=float) for block in blocks])
        if predicted.shape != (len(test),) or not np.isfinite(predicted).all():
            wrong = f"{(~np.isfinite(predicted)).sum():,} of them no finite number"
            raise ValueError(
                f"the ratings of {name} are {predicted.shape}, {wrong}: expected {(len(test),)}, all finite."
            )
        values["squared_error"] = metrics.squared_error(predicted, test[RATING].to_numpy())
    return values


def row_ranks(
    recommender: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    exclude_seen: bool = True,
    visible: Sequence[str] = (),
    name: str = "the recommender",
) -> np.ndarray:
    """The rank of each test row's product among the candidates, `[rows]`, block by block to bound the memory."""
    catalogue = pd.Index(recommender.products)
    if catalogue.empty or not catalogue.is_unique:
        raise ValueError(f"the {len(catalogue)} products of {name} must be one or more, each listed once.")
    if not any(catalogue.isin(part[PRODUCT].unique()).any() for part in (train, test)):
        raise ValueError(
            f"none of the {len(catalogue):,} products of {name} is in the training rows: its products are "
            f"{_kind(catalogue)}, theirs are {_kind(pd.Index(train[PRODUCT]))}; expected the same ids."
        )
    asked, target = _without(test, ANSWERS, visible), catalogue.get_indexer(pd.Index(test[PRODUCT]))
    bought = _bought(train, test, catalogue) if exclude_seen else None
    rank, block_rows = np.empty(len(test)), max(1, CELLS // len(catalogue))
    for start in range(0, len(test), block_rows):
        block = slice(start, start + block_rows)
        scores = _scores(recommender, asked[block], len(catalogue), name)
        rank[block] = metrics.ranks(scores, target[block], None if bought is None else _cells(bought[block]))
        del scores  # before there are others
    return rank


def _without(test: pd.DataFrame, hidden: Sequence[str], visible: Sequence[str]) -> pd.DataFrame:
    """The test rows without the hidden columns, but for those that are to be visible."""
    return test.drop(columns=[column for column in hidden if column not in visible], errors="ignore")


def _kind(ids: pd.Index) -> str:
    """Of which type ids are, and the first of them."""
    kind = "text" if isinstance(ids[0], str) else type(ids[0]).__name__
    return f"{kind} (the first is {shown(ids[0])})"


def _scores(recommender: Any, asked: pd.DataFrame, products: int, name: str) -> np.ndarray:
    """The scores of these rows, floats `[rows, products]`, or a ValueError that says what is wrong with them."""
    scores = recommender.scores(asked)
    scores = np.asarray(scores.toarray() if hasattr(scores, "toarray") else scores)  # SciPy's sparse matrices
    scores = scores if scores.dtype.kind == "f" else scores.astype(float)
    if scores.shape != (len(asked), products):
        raise ValueError(
            f"the scores of {name} are {scores.shape}: expected {(len(asked), products)}, "
            "a row for each review and a column for each product."
        )
    if np.isnan(scores.max()):  # the greatest of numbers is NaN if one of them is
        raise ValueError(f"the scores of {name} hold NaN for {np.isnan(scores).sum():,} of {scores.size:,} values.")
    return scores


def _cells(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Columns of each row as cells: the rows and the columns."""
    return np.repeat(np.arange(len(columns)), [len(some) for some in columns]), np.concatenate(columns)


def _seen_before(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """For each test row: did its user buy its product in `train` already?"""
    users, products = (pd.factorize(pd.concat([train[column], test[column]]))[0] for column in (USER, PRODUCT))
    pairs = pd.Index(users * (products.max() + 1) + products)
    return pairs[len(train) :].isin(pairs[: len(train)])


def _bought(train: pd.DataFrame, test: pd.DataFrame, catalogue: pd.Index) -> list[np.ndarray]:
    """For each test row the catalogue columns that its user bought in `train`, each once."""
    users = pd.Index(test[USER].unique())
    pairs = pd.DataFrame(
        {"user": users.get_indexer(pd.Index(train[USER])), "column": catalogue.get_indexer(pd.Index(train[PRODUCT]))}
    )
    pairs = pairs[(pairs >= 0).all(axis=1)].drop_duplicates().sort_values("user")
    ends = np.searchsorted(pairs["user"], np.arange(len(users)), side="right")
    columns = np.split(pairs["column"].to_numpy(), ends[:-1])  # of each user
    return [columns[user] for user in users.get_indexer(pd.Index(test[USER]))]
