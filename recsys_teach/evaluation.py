"""Evaluation: any recommenders on the same test rows, side by side, with intervals, and a test for leaks.

A recommender is anything with `products` and `scores(reviews) -> [rows, products]` (higher is better, columns in the
order of `products`), or `ratings(reviews) -> [rows]`, or both. If its class has `reads`, the columns of a row that its
scores depend on, then a user's rows that agree in them are scored once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach import metrics
from recsys_teach._util import listed, progress_bar, shown
from recsys_teach.histories import history_cells, purchase_columns
from recsys_teach.schema import (
    CATEGORIES,
    CATEGORY,
    HISTORY,
    PRODUCT,
    RATING,
    SUMMARY,
    TIMESTAMP,
    TITLE,
    USER,
    first_texts,
)
from recsys_teach.splits import positions

AFTERWARDS = (RATING, SUMMARY)  # what is known of a test row only after the purchase
ANSWERS = (*AFTERWARDS, PRODUCT, TITLE, CATEGORY, CATEGORIES)  # columns of a test row that are hidden from `scores`
CELLS = 4_000_000  # scores asked for at once: 16 MB of float32, and there are a few copies
LEAST_ROWS = 32  # that are asked for at once, however many products there are
RATINGS = 100_000  # ratings asked for at once
RESAMPLES = 1_000  # samples of the test part's users behind each interval
DRAWN = 2_000_000  # users drawn at once: 16 MB of integers
SEED = 0  # of these samples: the same board has the same intervals


def scoreboard(
    recommenders: Mapping[str, Any],
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    k: Sequence[int] = (1, 10, 50),
    exclude_seen: bool = True,
    slices: bool | Mapping[str, np.ndarray | pd.Series] = False,
    visible: Sequence[str] = (),
    interval: bool = False,
    against: str | Sequence[str] | None = None,
    consequences: bool = False,
) -> pd.DataFrame:
    """Score recommenders; return a row for each: `hit@k`, `ndcg@10`, `mrr` (shares, higher is better), `rmse` (stars).

    With `exclude_seen`, what a user bought in `train` isn't recommended again, as in a shop, and buying it again is a
    miss for everybody (`attrs["seen_share"]` says how many test rows that is); without it every product is a
    candidate, as in TFRS's `FactorizedTopK`. If the test rows have a `history` (`histories.earlier_purchases`), as in a
    shop that stays open, recommenders may read it, and with `exclude_seen` what is in it isn't recommended either.

    Recommenders don't see the answers: `scores` gets rows without product, title, category, categories, rating and
    summary, `ratings` gets rows without rating and summary. `visible` names columns that stay all the same, such as
    `["summary"]`, which reveals what was bought and how good it was: a leak. Metrics that a recommender doesn't offer
    are NaN, and so is the `rmse` of purchases without ratings.

    With `slices` there is a row for each recommender *and* part of the test rows: all, warm users, new users, new
    products, with the share of the test rows that are in this part. A dictionary of booleans `[rows]` names other parts
    instead.

    With `consequences`, each test row is a visit, in which its user is shown the first ten, and there are four more
    columns: `novelty@10` (bits) and `diversity@10` (of categories) of the lists, and without intervals `coverage@10`
    and `gini@10` of the catalogue; see `metrics`. None of them says whether the lists are good.

    A list in place of a recommender is one model, trained with several seeds. Its row shows the mean over the
    trainings: of each test row's metrics, and of its squared errors before the root.

    With `interval`, each metric `m` is followed by `m low` and `m high`, a 95 % interval by a percentile bootstrap over
    users (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993): 1,000 times, as many users as there are in
    the test part are drawn with replacement, each with all of their rows, since the rows of one user aren't
    independent. Each slice draws from its own users. Where a row has several trainings, each sample draws as many of
    these with replacement, independently of the board's other rows, so that the interval covers the luck of training as
    well. Such an interval is too narrow if there are few users or few trainings, and says nothing about one of either.

    `against` names a row, and implies `interval`: then `m gain`, `m gain low` and `m gain high` follow, the difference
    to that row. It is paired: both rows are scored on the same samples of users, which makes the interval narrower
    than the two rows' own intervals suggest. The gain of `rmse` is in stars, and *negative* is better. If it names
    several rows, such as `["EASE", "damped biases"]`, the first one that has a metric is the rival there.

    Raises:
        ValueError: no recommenders, no test rows, an empty list, an `against` that is no row, or a recommender that has
            none of the training rows' products, or whose answer has the wrong shape or holds NaN; or a history that
            holds what its user bought at the time of the row or later, such as the row's own product.
    """
    if not recommenders:
        raise ValueError("there are no recommenders to score: expected a dictionary of them by name.")
    if test.empty:
        raise ValueError("the test part has no rows: there is nothing to score.")
    empty = [name for name, one in recommenders.items() if isinstance(one, list) and not one]
    if empty:
        raise ValueError(f"{shown(empty[0])} is an empty list: expected a recommender, or one for each training.")
    _rivals(against, recommenders)
    for part, rows in (("training", train), ("test", test)):
        if missing := [column for column in (USER, PRODUCT) if column not in rows]:
            raise ValueError(
                f"the {part} rows have no {missing[0]!r} (columns: {', '.join(map(str, rows))}): a scoreboard needs "
                "the names of load_reviews, even if a model was trained with others."
            )
    for column in (USER, PRODUCT):
        first = [pd.Index(rows[column][:1]) for rows in (train, test) if len(rows)]
        if len({isinstance(ids[0], str) for ids in first}) > 1:
            found = [_kind(ids) for ids in first]
            raise ValueError(
                f"the {column} of the training rows is {found[0]}, that of the test rows is {found[1]}: expected the "
                "same ids in both."
            )
    kinds, parts = _kinds_of_rows(train, test), {"all": np.full(len(test), True)}
    if isinstance(slices, Mapping):
        parts |= {name: _mask(name, rows, test) for name, rows in slices.items()}
    elif slices:
        cold = kinds["new_user"]
        parts |= {"warm users": ~cold, "new users": cold, "new products": kinds["new_product"]}

    settings: dict[str, Any] = {"exclude_seen": exclude_seen, "visible": visible}
    values, lists = {}, {}
    for name, recommender in recommenders.items():
        trainings = {name: recommender}
        if isinstance(recommender, list):
            trainings = {f"{name}[{place}]": one for place, one in enumerate(recommender)}
        values[name] = [row_metrics(one, train, test, k=k, **settings, name=which) for which, one in trainings.items()]
        if consequences:
            lists[name] = [_lists(one, train, test, **settings, name=which) for which, one in trainings.items()]
            for frame, (columns, products) in zip(values[name], lists[name]):
                _add_lists(frame, columns, products, train)
    boards = {}
    for part, mask in parts.items():
        some = {name: [frame[mask] for frame in frames] for name, frames in values.items()}
        boards[part] = board_of_rows(some, test[USER][mask], interval=interval, against=against)
        for column, measure in CATALOGUE_METRICS.items() if consequences else ():
            boards[part][column] = [
                np.mean([measure(columns[mask], len(of)) if (columns >= 0).any() else np.nan for columns, of in found])
                for found in lists.values()
            ]
        if slices:
            boards[part].insert(0, "share", mask.mean())
    board = pd.concat(boards, names=["test rows"]).swaplevel() if slices else boards["all"]
    if slices:
        board = board.reindex(pd.MultiIndex.from_product([recommenders, parts], names=["model", "test rows"]))
    board.attrs = {f"{kind}_share": float(rows.mean()) for kind, rows in kinds.items()}
    return board


CATALOGUE_METRICS = {"coverage@10": metrics.coverage, "gini@10": metrics.exposure_gini}


def _mask(name: str, rows: np.ndarray | pd.Series, test: pd.DataFrame) -> np.ndarray:
    """Return which test rows are in a part; raise a ValueError if that isn't a boolean for each."""
    mask = np.asarray(rows)
    if mask.dtype != bool or mask.shape != (len(test),):
        raise ValueError(
            f"slice {name!r} is {mask.dtype} {mask.shape}: expected a boolean for each of {len(test)} rows."
        )
    return mask


def _lists(recommender: Any, *given: pd.DataFrame, name: str, **settings: Any) -> tuple[np.ndarray, pd.Index]:
    """Return the lists of ten of each test row, and the products that their columns are."""
    if not hasattr(recommender, "scores"):
        return np.full((len(given[1]), 10), -1), pd.Index([0])
    return row_lists(recommender, *given, k=10, name=name, **settings), pd.Index(recommender.products)


def _add_lists(frame: pd.DataFrame, lists: np.ndarray, products: pd.Index, train: pd.DataFrame) -> None:
    """Insert the metrics of each row's list before its squared error."""
    shares = train[PRODUCT].value_counts(normalize=True).reindex(products).fillna(1 / len(train))  # new: as if once
    place = list(frame).index("squared_error")
    frame.insert(place, "novelty@10", metrics.novelty(lists, shares.to_numpy()))
    groups = pd.factorize(pd.Series(first_texts(train, CATEGORY, products)).replace("", None))[0]  # unknown: -1
    frame.insert(place + 1, "diversity@10", metrics.diversity(lists, groups) if CATEGORY in train else np.nan)


def board_of_rows(
    values: Mapping[str, list[pd.DataFrame]],
    users: pd.Series,
    *,
    interval: bool = False,
    against: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return a scoreboard of metrics that `row_metrics` computed, a frame for each training; see `scoreboard`.

    `users` are those of the rows. Rows of several test parts can be put together to one board: if their users are
    different people, give them different names.
    """
    averages = {name: sum(frames[1:], frames[0]) / len(frames) for name, frames in values.items()}
    board = pd.DataFrame({name: frame.mean() for name, frame in averages.items()}).T.rename_axis("model")
    board["rmse"] = np.sqrt(board.pop("squared_error"))
    if not interval and against is None:
        return board
    numbers = pd.factorize(users)[0]
    samples = _resample({name: _totals_of_users(frames, numbers) for name, frames in values.items()})
    kinds = {"": (board, samples)}
    if against is not None:
        places = [list(board.index).index(name) for name in _rivals(against, values)]
        of_metric = np.argmax(board.iloc[places].notna().to_numpy(), axis=0)  # the first rival that has this metric
        rival = np.array(places)[of_metric], np.arange(len(board.columns))
        kinds[" gain"] = board - board.to_numpy()[rival], samples - samples[rival][None]
    columns = {}
    for place, metric in enumerate(board):
        for kind, (value, spread) in kinds.items():
            columns[f"{metric}{kind}"] = value[metric].to_numpy()
            columns[f"{metric}{kind} low"], columns[f"{metric}{kind} high"] = _ends(spread[:, place])
    return pd.DataFrame(columns, board.index)


def _rivals(against: str | Sequence[str] | None, rows: Mapping[str, Any]) -> list[str]:
    """Return the names of the rows that gains are over; raise a ValueError if one is no row, or there is none."""
    if against is None:
        return []
    rivals = [against] if isinstance(against, str) else list(against)
    strange = [name for name in rivals if name not in rows]
    if strange or not rivals:
        found = shown(strange[0]) if strange else "empty"
        raise ValueError(f"against={found} is no row of this board: expected one of {listed(rows)}.")
    return rivals


def _ends(samples: np.ndarray) -> np.ndarray:
    """Return the ends of the 95 % intervals of samples `[recommenders, samples]`; those that are NaN don't count."""
    return pd.DataFrame(samples.T).quantile([0.025, 0.975]).to_numpy()


def _totals_of_users(values: list[pd.DataFrame], users: np.ndarray) -> np.ndarray:
    """Return each user's sums of metrics, `[users, trainings + 1, metrics]`; the last are the numbers of rows.

    `values` are the `row_metrics` of each training, `users` the number of each row's user.
    """
    trainings = np.stack(values, axis=1)  # [rows, trainings, metrics]
    known = ~np.isnan(trainings).any(axis=1, keepdims=True)
    cells = np.concatenate([np.where(known, trainings, 0), known], axis=1)
    shape = cells.shape[1:]
    sums = pd.DataFrame(cells.reshape(len(cells), shape[0] * shape[1])).groupby(users).sum()
    return sums.to_numpy().reshape(len(sums), *shape)


def _resample(totals: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the metrics of each recommender on the same samples of users, `[recommenders, metrics, samples]`.

    Users are drawn from one random stream, and each recommender's trainings from a stream of their own.
    """
    users = len(next(iter(totals.values())))
    rng, step = np.random.default_rng(SEED), max(1, DRAWN // max(1, users))
    sums = {name: np.zeros((RESAMPLES, *total.shape[1:])) for name, total in totals.items()}
    for start in range(0, RESAMPLES if users else 0, step):
        first_cells = users * np.arange(min(step, RESAMPLES - start))[:, None]  # a row of cells for each sample
        drawn = rng.integers(users, size=(len(first_cells), users)) + first_cells
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)
        for name, total in totals.items():
            sums[name][start : start + step] = np.tensordot(times, total, axes=1)

    samples = []
    for place, both in enumerate(sums.values(), start=1):
        trainings, count = both[:, :-1], both[:, -1]
        shape = trainings.shape[:2]
        chosen = np.random.default_rng([SEED, place]).integers(shape[1], size=shape)
        with np.errstate(invalid="ignore"):  # a metric without any row is NaN
            means = np.take_along_axis(trainings, chosen[:, :, None], axis=1).mean(axis=1) / count
        means[:, -1] **= 0.5  # the rmse
        samples.append(means.T)
    return np.stack(samples)


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
    """Return the metrics of each test row, before any mean: `hit@k`, `ndcg@10`, `mrr`, `squared_error`."""
    if not (hasattr(recommender, "scores") or hasattr(recommender, "ratings")):
        raise ValueError(
            f"{name} has neither scores nor ratings, it is a {type(recommender).__name__}: a Keras model becomes a "
            "recommender by recommender(model.user_model, model.item_model, products)."
        )
    nothing = np.full(len(test), np.nan)
    rank, errors = None, nothing
    if hasattr(recommender, "scores"):
        _check_histories(train, test)
        rank = row_ranks(recommender, train, test, exclude_seen=exclude_seen, visible=visible, name=name)
    if hasattr(recommender, "ratings") and RATING in test:
        errors = metrics.squared_error(_ratings(recommender, test, visible, name), test[RATING].to_numpy())
    values = {f"hit@{depth}": nothing if rank is None else metrics.hit(rank, depth) for depth in k}
    values["ndcg@10"] = nothing if rank is None else metrics.ndcg(rank, 10)
    values["mrr"] = nothing if rank is None else metrics.reciprocal_rank(rank)
    return pd.DataFrame(values | {"squared_error": errors}, test.index)


def _ratings(recommender: Any, test: pd.DataFrame, visible: Sequence[str], name: str) -> np.ndarray:
    """Return the predicted stars of each test row, `[rows]`, or raise a ValueError."""
    asked = _without(test, AFTERWARDS, visible)
    blocks = [asked[start : start + RATINGS] for start in range(0, len(test), RATINGS)]
    predicted = np.concatenate([np.asarray(recommender.ratings(block), dtype=float) for block in blocks])
    if predicted.shape != (len(test),) or not np.isfinite(predicted).all():
        wrong = f"{(~np.isfinite(predicted)).sum():,} of them no finite number"
        raise ValueError(f"the ratings of {name} are {predicted.shape}, {wrong}: expected {(len(test),)}, all finite.")
    return predicted


def row_ranks(
    recommender: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    exclude_seen: bool = True,
    visible: Sequence[str] = (),
    name: str = "the recommender",
) -> np.ndarray:
    """Return the rank of each test row's product among the candidates, `[rows]`; blocks of rows bound the memory."""
    catalogue = _catalogue(recommender, train, test, name)
    target = positions(test[PRODUCT], catalogue)
    rank = np.empty(len(test))
    settings: dict[str, Any] = {"exclude_seen": exclude_seen, "visible": visible, "name": name}
    for rows, query, scores, bought in _blocks(recommender, catalogue, train, test, **settings):
        row = query if len(rows) > len(scores) else None
        rank[rows] = metrics.ranks(scores, target[rows], row=row, left_out=bought)
        del scores  # before there are others
    return rank


def row_lists(
    recommender: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    k: int,
    exclude_seen: bool = True,
    visible: Sequence[str] = (),
    name: str = "the recommender",
) -> np.ndarray:
    """Return the columns of the `k` best candidates of each test row's user, best first, `[rows, k]`; -1: none left."""
    catalogue = _catalogue(recommender, train, test, name)
    lists = np.full((len(test), k), -1)
    settings: dict[str, Any] = {"exclude_seen": exclude_seen, "visible": visible, "name": name}
    for rows, query, scores, bought in _blocks(recommender, catalogue, train, test, **settings):
        if bought is not None:
            scores = scores.copy()
            scores[bought] = -np.inf
        lists[rows] = best_columns(scores, k)[query]
        del scores
    return lists


def best_columns(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the `k` highest scores of each row, best first, `[rows, k]`; -1 where only -inf is left.

    Of equal scores, the first column comes first.

    >>> best_columns(np.array([[0.1, 0.9, 0.5, 0.5], [-np.inf, 0.2, -np.inf, -np.inf]]), k=2)
    array([[ 1,  2],
           [ 1, -1]])
    """
    best, width = np.full((len(scores), k), -1), min(k, scores.shape[1])
    least = np.partition(scores, -width, axis=1)[:, -width, None]
    higher, equal = scores > least, scores == least
    room = width - np.count_nonzero(higher, axis=1)[:, None]
    some = np.nonzero(higher | equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= room))[1].reshape(-1, width)
    of_some = np.take_along_axis(scores, some, axis=1)
    order = np.argsort(-of_some, axis=1, kind="stable")
    columns, of_best = (np.take_along_axis(each, order, axis=1) for each in (some, of_some))
    best[:, :width] = np.where(of_best > -np.inf, columns, -1)
    return best


def _catalogue(recommender: Any, train: pd.DataFrame, test: pd.DataFrame, name: str) -> pd.Index:
    """Return the products of a recommender; raise a ValueError if they can't be those of these rows."""
    catalogue = pd.Index(recommender.products)
    if catalogue.empty or not catalogue.is_unique:
        raise ValueError(f"the {len(catalogue)} products of {name} must be one or more, each listed once.")
    ids = [part[PRODUCT] for part in (test, train) if PRODUCT in part]
    if not any((positions(some, catalogue) >= 0).any() for some in ids):
        raise ValueError(
            f"none of the {len(catalogue):,} products of {name} is in the training rows: its products are "
            f"{_kind(catalogue)}, theirs are {_kind(pd.Index(train[PRODUCT]))}; expected the same ids."
        )
    return catalogue


def _blocks(
    recommender: Any,
    catalogue: pd.Index,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    exclude_seen: bool,
    visible: Sequence[str],
    name: str,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray] | None]]:
    """Yield the numbers of some test rows, the query of each, the scores of these queries, `[queries, products]`, and
    the cells of the scores that aren't candidates.
    """
    asked = _without(test, ANSWERS, visible)
    at_once = max(LEAST_ROWS, CELLS // len(catalogue))
    first, query = _queries(recommender, asked)
    if len(first) == len(asked) > at_once:  # then each block has few users, whom a recommender may score once itself
        first = np.argsort(pd.factorize(test[USER])[0], kind="stable")
        query = np.argsort(first)
    order = np.argsort(query, kind="stable")
    ends = np.searchsorted(query[order], np.arange(len(first) + 1))  # of the rows of each query
    bought = _bought(train, test.iloc[first], catalogue) if exclude_seen else None
    with progress_bar(desc=f"scoring {name}", total=len(test), unit=" rows", unit_scale=True) as bar:
        for start in range(0, len(first), at_once):
            some = slice(start, start + at_once)
            rows = order[ends[start] : ends[min(start + at_once, len(first))]]
            scores = scores_of(recommender, asked.iloc[first[some]], len(catalogue), name)
            yield rows, query[rows] - start, scores, None if bought is None else _cells(bought[some])
            del scores
            bar.update(len(rows))


def _queries(recommender: Any, asked: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each query, `[queries]`, and the query of each row: rows with the same scores share one.

    A recommender whose class has no `reads` is asked for every row (a subclass may read more than its parent). So is
    any other one if the rows have histories, for then what isn't a candidate differs, and if few rows share a query.
    """
    every = np.arange(len(asked))
    reads = recommender.reads if "reads" in vars(type(recommender)) else None
    if reads is None or HISTORY in asked:
        return every, every
    columns = [column for column in asked if column == USER or column in reads]
    query = asked.groupby(columns, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    first = np.unique(query, return_index=True)[1]
    return (first, query) if 2 * len(first) <= len(asked) else (every, every)


def _without(test: pd.DataFrame, hidden: Sequence[str], visible: Sequence[str]) -> pd.DataFrame:
    """Return the test rows without the hidden columns, except those that are to be visible."""
    return test.drop(columns=[column for column in hidden if column not in visible], errors="ignore")


def _kind(ids: pd.Index) -> str:
    """Return the type of ids, and the first of them, as text."""
    kind = "text" if isinstance(ids[0], str) else type(ids[0]).__name__
    return f"{kind} (the first is {shown(ids[0])})"


def scores_of(recommender: Any, asked: pd.DataFrame, products: int, name: str) -> np.ndarray:
    """Return the scores of these rows, floats `[rows, products]`; raise a ValueError that says what is wrong."""
    scores = recommender.scores(asked)
    scores = np.asarray(scores.toarray() if hasattr(scores, "toarray") else scores)  # SciPy's sparse matrices
    scores = scores if scores.dtype.kind == "f" else scores.astype(float)
    if scores.shape != (len(asked), products):
        raise ValueError(
            f"the scores of {name} are {scores.shape}: expected {(len(asked), products)}, "
            "a row for each review and a column for each product."
        )
    if scores.size and np.isnan(scores.max()):  # the greatest of numbers is NaN if one of them is
        raise ValueError(f"the scores of {name} hold NaN for {np.isnan(scores).sum():,} of {scores.size:,} values.")
    return scores


def _cells(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of each row as cells: an array of rows and one of columns."""
    return np.repeat(np.arange(len(columns)), [len(some) for some in columns]), np.concatenate(columns)


def _check_histories(train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Raise a ValueError if a test row's history tells what its user bought at that time or later only.

    Without times, only the row's own product can be found there: that is the answer, if the user bought it just once.
    """
    if HISTORY not in test:
        return
    users, products = _numbered(train, test)
    pairs = users * (products.max() + 1) + products
    known = pd.Index(pd.concat([train[PRODUCT], test[PRODUCT]]).unique())
    rows, columns = history_cells(test[HISTORY], known)
    row_of_cell = len(train) + rows
    cells = users[row_of_cell] * (products.max() + 1) + columns
    if TIMESTAMP in train and TIMESTAMP in test:
        times = pd.concat([train[TIMESTAMP], test[TIMESTAMP]]).astype("int64").to_numpy()
        first = pd.Series(times).groupby(pairs).min()
        leaks = first.reindex(cells).to_numpy() >= times[row_of_cell]  # NaN, a purchase in neither part, is no leak
    else:
        once = ~pd.Series(pairs).duplicated(keep=False).to_numpy()
        leaks = (cells == pairs[row_of_cell]) & once[row_of_cell]
    if leaks.any():
        cell = int(np.argmax(leaks))
        raise ValueError(
            f"the {HISTORY} of test row {rows[cell]} holds {shown(known[columns[cell]])}, which its user bought at the "
            "time of that row or later, so it tells the answers: make histories with earlier_purchases(reviews) of the "
            "whole table, before it is split."
        )


def _numbered(train: pd.DataFrame, test: pd.DataFrame) -> list[np.ndarray]:
    """Return numbers of the users and of the products, `[training rows + test rows]` each, in order of appearance."""
    both = ([part[column] for part in (train, test)] for column in (USER, PRODUCT))
    return [pd.factorize(pd.concat(ids), use_na_sentinel=False)[0] for ids in both]


def _kinds_of_rows(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return which test rows are of a new user, which of a new product, and which their user has `seen`, `[rows]` each.

    Seen is what the user bought in `train` already, or in the row's history.
    """
    kinds, (users, products) = {}, _numbered(train, test)
    for name, numbers in (("new_user", users), ("new_product", products)):
        kinds[name] = numbers[len(train) :] > numbers[: len(train)].max(initial=-1)
    pairs = users * (products.max() + 1) + products
    kinds["seen"] = pd.Index(pairs[len(train) :]).isin(pairs[: len(train)])
    if HISTORY in test:
        kinds["seen"] |= np.array([product in history for product, history in zip(test[PRODUCT], test[HISTORY])])
    return kinds


def _bought(train: pd.DataFrame, test: pd.DataFrame, catalogue: pd.Index) -> list[np.ndarray]:
    """Return for each test row the catalogue columns that its user bought in `train` or in its history, each once."""
    users = pd.Index(test[USER].unique())
    splits, purchases = purchase_columns(train, users, catalogue)
    columns = np.split(purchases, splits[1:-1])  # of each user
    bought = [columns[user] for user in positions(test[USER], users)]
    if HISTORY in test:
        rows, of_histories = history_cells(test[HISTORY], catalogue)
        of_rows = np.split(of_histories, np.searchsorted(rows, np.arange(1, len(test))))
        bought = [np.union1d(*both) for both in zip(bought, of_rows)]
    return bought


def activity_groups(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return which test rows are of `new users`, `rare users` and `keen users`, for the `slices` of a scoreboard.

    New users have no training rows. Rare users have as many as the median user of `train`, or fewer; keen users more.
    """
    counts = train[USER].value_counts()
    rows = test[USER].map(counts).fillna(0).to_numpy(float)
    keen = rows > counts.median()
    return {"new users": rows == 0, "rare users": (rows > 0) & ~keen, "keen users": keen}


def beats_oracle(
    recommender: Any,
    oracle: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    exclude_seen: bool = True,
    visible: Sequence[str] = (SUMMARY,),
) -> dict[str, float]:
    """Return the metrics in which a recommender is better than the truth, and by how much: the sign of a leak.

    A model of the training rows alone is not clearly better than the `baselines.Oracle` of a generated shop, except by
    luck: one in ten thousand for each metric, by a paired t-test. The rows of a user aren't independent, since a taste
    that was guessed well by luck is guessed well in all of them. So the test counts users, with the mean gain and its
    cluster-robust standard error (Liang & Zeger 1986). A metric in the result means that the recommender used
    something that is known only after the purchase. The summaries of the test rows are visible, since a leak can't be
    found in a hidden column. An empty result proves nothing: a leak may be small. A model that knows a user's *other*
    test rows has an honest advantage: the oracle doesn't exclude what was bought in the meantime. In a habit shop and
    a random split, so does a model that uses training rows *after* a test row: the oracle looks back only (see `shop`).
    """
    settings: dict[str, Any] = {"exclude_seen": exclude_seen, "visible": visible}
    own, true = (row_metrics(recommender, train, test, **settings) for recommender in (recommender, oracle))
    gain = own - true
    gain["squared_error"] *= -1  # here, less is better
    known = gain.columns[gain.notna().any()]
    return {name: float(gain[name].mean()) for name in known if chance_of(gain[name], test[USER]) < 1e-4}


def chance_of(gain: pd.Series, users: pd.Series) -> float:
    """Return the probability of a mean gain as large by luck alone, if users are independent and their rows aren't.

    With G users, n rows and the residuals e: t = mean / √(G / (G - 1) · Σ_users (Σ_rows e)²) · n, with G - 1 degrees
    of freedom; rows without a number don't count. One row a user makes it the paired t-test.
    """
    from scipy.special import stdtr  # a scoreboard alone doesn't wait for SciPy

    known = gain.notna().to_numpy()
    gain = gain[known]
    of_users = (gain - gain.mean()).groupby(users[known].to_numpy()).sum()
    groups = len(of_users)
    if groups < 2:
        return 1.0
    error = np.sqrt(groups / (groups - 1) * (of_users**2).sum()) / len(gain)
    if error == 0:
        return 0.0 if gain.mean() > 0 else 1.0
    return float(stdtr(groups - 1, -gain.mean() / error))  # the survival function of t
