"""Splits: hold reviews back for the test, and count what is new in them.

A split by time asks the question of a shop that is open: what will people buy next? Its test part has users and
products that training never saw. A random split hides them, and lets the model learn from the future; it answers
another question: how well can we predict the tastes of known users? A split of each user's last reviews asks this too,
but lets the model learn from other users' future only.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from recsys_teach._util import shown
from recsys_teach.schema import PRODUCT, TIMESTAMP, USER


class Split(NamedTuple):
    """The two parts of a reviews table."""

    train: pd.DataFrame
    test: pd.DataFrame


def split_by_time(reviews: pd.DataFrame, *, test_share: float = 0.2) -> Split:
    """Split off the latest `test_share` of the reviews; of reviews in the same second, the later rows."""
    if TIMESTAMP not in reviews:
        raise ValueError(f"a split by time needs a {TIMESTAMP!r} column: add one, or split at random (--split random).")
    _check_times(reviews[TIMESTAMP])
    if reviews[TIMESTAMP].nunique() == 1:
        found = f"all {len(reviews):,} reviews have the same {TIMESTAMP} {reviews[TIMESTAMP].iloc[0]}"
        raise ValueError(f"{found}: split at random (--split random).")
    return _cut(reviews.sort_values(TIMESTAMP, kind="stable"), test_share)


def split_at_random(reviews: pd.DataFrame, *, test_share: float = 0.2, seed: int = 0) -> Split:
    """Split off a random `test_share` of the reviews."""
    return _cut(reviews.iloc[np.random.default_rng(seed).permutation(len(reviews))], test_share)


def split_last(reviews: pd.DataFrame, *, rows: int = 1) -> Split:
    """Split off the latest `rows` reviews of each user; users without more than that stay in the training part whole.

    This is the usual protocol of papers: every user of the test part is known. But training sees reviews of others
    that are later than a test row, such as the first purchases of a product that had not been launched by then (Ji et
    al. 2023, "A critical study on data leakage in recommender system offline evaluation").
    """
    if TIMESTAMP not in reviews:
        raise ValueError(f"a split by the last reviews needs a {TIMESTAMP!r} column: add one, or split at random.")
    _check_times(reviews[TIMESTAMP])
    if rows < 1:
        raise ValueError(f"rows is {rows}: expected 1 or more of each user's last reviews.")
    reviews = reviews.sort_values(TIMESTAMP, kind="stable").reset_index(drop=True)
    of_user = reviews.groupby(USER, sort=False)[USER]
    held_back = (of_user.cumcount(ascending=False) < rows) & (of_user.transform("size") > rows)
    if not held_back.any():
        fewer = "take fewer" if rows > 1 else "split by time or at random (--split random)"
        raise ValueError(f"no user has more than {rows} reviews, so none can be held back: {fewer}.")
    return Split(*(reviews[part].reset_index(drop=True) for part in (~held_back, held_back)))


def _check_times(times: pd.Series) -> None:
    """Raise a ValueError if a table that nobody has checked has no times to sort by."""
    if not (pd.api.types.is_datetime64_any_dtype(times) or pd.api.types.is_numeric_dtype(times)):
        raise ValueError(
            f"the {TIMESTAMP} of these reviews is {times.dtype} (the first is {shown(times.iloc[0])}), which can't be "
            "sorted by time: load_reviews(reviews) makes times of it."
        )
    if times.isna().any():
        raise ValueError(
            f"{times.isna().sum():,} of {len(times):,} reviews have no {TIMESTAMP}: remove them, or split at random."
        )


def _cut(reviews: pd.DataFrame, test_share: float) -> Split:
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}: expected a share between 0 and 1, such as 0.2.")
    train_rows = round(len(reviews) * (1 - test_share))
    if not 0 < train_rows < len(reviews):
        raise ValueError(f"{len(reviews)} reviews can't be split with test_share={test_share}: one part is empty.")
    reviews = reviews.reset_index(drop=True)
    return Split(reviews[:train_rows], reviews[train_rows:].reset_index(drop=True))


def new_users(train: pd.DataFrame, test: pd.DataFrame) -> pd.Series:
    """Return for each test row whether its user is absent from `train` (cold start)."""
    return _absent(test[USER], train[USER])


def new_products(train: pd.DataFrame, test: pd.DataFrame) -> pd.Series:
    """Return for each test row whether its product is absent from `train`."""
    return _absent(test[PRODUCT], train[PRODUCT])


def _absent(ids: pd.Series, known: pd.Series) -> pd.Series:
    """Return which ids aren't among the known ones."""
    return pd.Series(positions(ids, pd.Index(known.unique())) < 0, ids.index, name=ids.name)


def positions(ids: pd.Series, known: pd.Index) -> np.ndarray:
    """Return where each id is in `known`, `[rows]`, -1 if it isn't there.

    Each different id is looked up once, and not by `isin`, which takes 50 times as long for the strings of pandas 3.
    """
    numbers, different = pd.factorize(ids, use_na_sentinel=False)
    return known.get_indexer(pd.Index(different))[numbers]


def describe(split: Split) -> pd.DataFrame:
    """Return a table of both parts of a split: reviews, users, products, and the share of rows with new ones."""
    rows = {
        name: {
            "reviews": len(part),
            "users": part[USER].nunique(),
            "products": part[PRODUCT].nunique(),
            "rows from new users": new_users(split.train, part).mean(),
            "rows of new products": new_products(split.train, part).mean(),
        }
        for name, part in zip(("train", "test"), split)
    }
    return pd.DataFrame(rows).T.astype({"reviews": int, "users": int, "products": int})
