"""Histories: what a user bought before, as a column of a reviews table, and as ids for a tower.

An id says nothing about a user who came after training. What this user has bought says a lot, if the shop knows it by
the time of the request. So each row may have a `history`: a tuple of product ids, the most recent one last. There are
two honest ways to get one for the training rows:

    earlier_purchases     what the user had bought before the row: the very task of a shop that stays open
    training_purchases    all other training rows of the user: no times are needed, and each row has a longer history,
                          but it may be later than the row itself

A history never holds the purchase of its own row: it would be the answer.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from recsys_teach._util import progress_bar, shown
from recsys_teach.schema import HISTORY, PRODUCT, TIMESTAMP, USER
from recsys_teach.splits import positions

LOOKED_UP = 1_000_000  # rows at once
LAST = 50  # purchases that are kept of a history, unless told otherwise


def earlier_purchases(reviews: pd.DataFrame, *, last: int = LAST) -> pd.DataFrame:
    """Add the column `history`: the `last` products that the row's user bought before it, the most recent last.

    Before means a smaller timestamp: of purchases in the same second, none is in the history of another. Call this on
    the whole table, then split by time: a shop that stays open knows, at the time of a test row, the user's earlier
    test rows as well. (With a random split, training rows would show earlier test rows: leave the column out there, and
    towers read `training_purchases`.)

    Raises:
        ValueError: there are no timestamps, or `last` is below 1.
    """
    if TIMESTAMP not in reviews:
        raise ValueError(f"earlier purchases need a {TIMESTAMP!r} column: these reviews have none.")
    products, times = reviews[PRODUCT].to_numpy(dtype=object), reviews[TIMESTAMP].astype("int64").to_numpy()
    histories: list[tuple[str, ...]] = [()] * len(reviews)
    for rows in _purchases_of_users(reviews, last):
        before = np.searchsorted(times[rows], times[rows])  # how many are earlier than each row
        bought = tuple(products[rows])
        for row, count in zip(rows, before):
            histories[row] = bought[max(0, count - last) : count]
    return _with(reviews, histories)


def training_purchases(train: pd.DataFrame, *, last: int = LAST) -> pd.DataFrame:
    """Add the column `history` to training rows: what the row's user bought in the other rows, the most recent last.

    The row's own product is left out wherever it stands; of the others, the `last` ones by time are kept (by their
    order in the table, if there are no timestamps).

    Raises:
        ValueError: `last` is below 1.
    """
    products = train[PRODUCT].to_numpy(dtype=object)
    histories: list[tuple[str, ...]] = [()] * len(train)
    for rows in _purchases_of_users(train, last):
        bought = products[rows].tolist()
        for row in rows:
            others: list[str] = []
            own = products[row]
            for product in reversed(bought):
                if len(others) == last:
                    break
                if product != own:
                    others.append(product)
            histories[row] = tuple(reversed(others))
    return _with(train, histories)


def _purchases_of_users(reviews: pd.DataFrame, last: int) -> Iterator[np.ndarray]:
    """Yield the row numbers of each user, in the order of time if there is one; raise a ValueError if `last` < 1."""
    if last < 1:
        raise ValueError(f"last is {last}: expected 1 or more purchases.")
    times = reviews[TIMESTAMP].astype("int64").to_numpy() if TIMESTAMP in reviews else np.arange(len(reviews))
    for numbers in reviews.groupby(USER, sort=False).indices.values():
        rows = np.asarray(numbers)
        yield rows[np.argsort(times[rows], kind="stable")]


def _with(reviews: pd.DataFrame, histories: list[tuple[str, ...]]) -> pd.DataFrame:
    return reviews.assign(**{HISTORY: pd.Series(histories, reviews.index, dtype=object)})


def purchase_columns(train: pd.DataFrame, users: pd.Index, products: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of `products` that each of `users` bought in `train`, each once and in order.

    They are a ragged array: the columns of user n are `columns[splits[n] : splits[n + 1]]`, with `splits`
    `[users + 1]`. Users and products that aren't among these are left out.

    >>> products = ["wok", "tent", "kite", "wok", "wok"]
    >>> train = pd.DataFrame({"user_id": ["b", "a", "b", "b", "c"], "product_id": products})
    >>> purchase_columns(train, pd.Index(["a", "b"]), pd.Index(["kite", "wok"]))
    (array([0, 0, 2]), array([0, 1], dtype=int32))
    """
    pairs = np.empty(len(train), np.int64)  # a number for each pair, -1 for one that is left out
    for start in progress_bar(range(0, len(train), LOOKED_UP), desc="looking up purchases"):
        some = train[start : start + LOOKED_UP]
        user, column = positions(some[USER], users), positions(some[PRODUCT], products)
        known = (user >= 0) & (column >= 0)
        pairs[start : start + LOOKED_UP] = np.where(known, user * len(products) + column, -1)
    pairs.sort()
    first = np.append(pairs[:1] >= 0, pairs[1:] != pairs[:-1])  # each once; np.unique takes much longer
    splits, columns, done = np.zeros(len(users) + 1, np.int64), np.empty(np.count_nonzero(first), np.int32), 0
    for start in range(0, len(train), LOOKED_UP):  # with all at once, memory would hold the pairs twice
        some = slice(start, start + LOOKED_UP)
        user, column = np.divmod(pairs[some][first[some]], max(1, len(products)))
        here, counts = np.unique(user, return_counts=True)
        splits[1 + here] += counts
        columns[done : done + len(column)] = column
        done += len(column)
    return splits.cumsum(), columns


def history_cells(histories: pd.Series, products: Sequence[str] | pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Return which products are in which histories: row numbers, in order, and positions among `products`.

    There is a pair for each purchase, in the order of the histories; products that aren't listed are left out.

    >>> rows, columns = history_cells(pd.Series([("wok", "tent"), (), ("kite", "wok")]), ["tent", "wok"])
    >>> rows.tolist(), columns.tolist()
    ([0, 0, 2], [1, 0, 1])

    Raises:
        ValueError: a history isn't a tuple, a list or an array.
    """
    for history in histories:
        if not isinstance(history, tuple | list | np.ndarray):
            raise ValueError(
                f"a {HISTORY} is {shown(history)}: expected a tuple of product ids in each row, as earlier_purchases "
                "makes them, () where there are none."
            )
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    columns = pd.Index(products).get_indexer(pd.Index(list(chain.from_iterable(histories)), dtype=object))
    return rows[columns >= 0], columns[columns >= 0]


def pad_last(ids: np.ndarray, ends: np.ndarray, counts: np.ndarray, last: int, *, fill: int | str = 0) -> np.ndarray:
    """Return the last ids of each row, at most `last`, as `[rows, longest]`, with `fill` where a row has fewer.

    The ids of all rows are one array: those of a row are the `counts` of them that come before its end.

    >>> pad_last(np.array([7, 8, 9, 5]), ends=np.array([3, 3, 4]), counts=np.array([3, 0, 1]), last=2).tolist()
    [[8, 9], [0, 0], [5, 0]]
    """
    counts = np.minimum(counts, last)
    width = counts.max(initial=0)
    place = (ends - counts)[:, None] + np.arange(width)
    padded = np.append(ids, fill)[np.minimum(place, len(ids))]
    return np.where(np.arange(width) < counts[:, None], padded, fill)
