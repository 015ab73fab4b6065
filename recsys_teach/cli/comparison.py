"""The comparison: the whole ladder on any reviews, as plain data and as a table; what `recsys-teach compare` prints."""

import math
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table

from recsys_teach.baselines import Oracle
from recsys_teach.evaluation import scoreboard
from recsys_teach.files.loading import load_reviews
from recsys_teach.schema import PRODUCT, TIMESTAMP, USER, has_stars
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, split_at_random, split_by_time


class SplitKind(str, Enum):
    """The two ways to hold reviews back."""

    time = "time"
    random = "random"


def compare(
    source: str,
    *,
    split: SplitKind | None,
    seed: int,
    exclude_seen: bool,
    **how: Any,
) -> dict:
    """Return the scores of the ladder on `source` as plain data, ready for JSON; a missing score is None.

    `data["candidates"]` is the number of products in the training rows: with a k as large as that, hit@k is the same
    for all models. `how` are the options of `load_reviews` about a file. A table of purchases has no rows about stars.
    """
    shop = None
    if source in ("generated", "generated-habit"):
        shop = generate_shop(kind="habit" if source == "generated-habit" else "taste", seed=seed)
    reviews = shop.reviews if shop else load_reviews(source, **how)
    if split is None:
        split = SplitKind.time if TIMESTAMP in reviews else SplitKind.random
    hold_back: Callable[..., Split] = split_by_time if split is SplitKind.time else partial(split_at_random, seed=seed)
    parts = hold_back(reviews)

    from recsys_teach.ladder import fit_ladder  # TensorFlow takes seconds to load: not before the data is known good

    recommenders, seconds = fit_ladder(parts.train, seed=seed, split=hold_back)
    if shop:
        recommenders["oracle"], seconds["oracle"] = Oracle(shop), 0.0
    board = scoreboard(recommenders, *parts, exclude_seen=exclude_seen)
    rows = [
        {"model": model}
        | {column: None if math.isnan(value) else value for column, value in board.loc[model].items()}
        | {"fit_seconds": seconds[model]}
        for model in recommenders
    ]
    return {
        "data": {
            "source": source,
            "reviews": len(reviews),
            "users": reviews[USER].nunique(),
            "products": reviews[PRODUCT].nunique(),
            "train": len(parts.train),
            "test": len(parts.test),
            "candidates": parts.train[PRODUCT].nunique(),
            "stars": has_stars(parts.train),
            **board.attrs,
        },
        "split": split.value,
        "seed": seed,
        "exclude_seen": exclude_seen,
        "rows": rows,
    }


def ladder_table(result: dict) -> Table:
    """Return a result of `compare` as a table for a terminal."""
    data = result["data"]
    columns = list(result["rows"][0])
    sure = [name for name in columns if name.startswith("hit@") and int(name[4:]) >= data["candidates"]]
    again = result["exclude_seen"] and data["seen_share"] > 0
    known = "can only be missed by what is new or bought again" if again else "can't be missed by a known product"
    little = f"{' and '.join(sure)} {known}: the models know {data['candidates']}. "
    purchases = (
        "These are purchases: there are no ratings, or only one value, so the rows about stars are left out (if a "
        "column holds ratings, name it: --column theirs=rating). "
    )
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=f"{data['reviews']:,} reviews, {data['users']:,} users, {data['products']:,} products; "
        f"{result['split']} split, {data['test']:,} held back",
        caption=f"{data['new_user_share']:.0%} of the test rows are from new users, {data['new_product_share']:.0%} "
        f"of new products, {data['seen_share']:.0%} of products that the user had already; those are "
        f"{'no candidates' if result['exclude_seen'] else 'candidates like all others'}. "
        f"{little if sure else ''}{'' if data['stars'] else purchases}hit, ndcg, mrr: higher is better; "
        "rmse (stars): lower.",
    )
    for column in columns:
        heading = "fit (s)" if column == "fit_seconds" else column
        table.add_column(heading, justify="left" if column == "model" else "right", no_wrap=True)
    for row in result["rows"]:
        table.add_row(row["model"], *(_number(row[c], 1 if c == "fit_seconds" else 3) for c in columns[1:]))
    return table


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def scores_table(board: pd.DataFrame) -> Table:
    """Return a frame of numbers as a table for a terminal, with its index as the first column."""
    table = Table(str(board.index.name or ""), box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in board:
        table.add_column(str(column), justify="right", no_wrap=True)
    for name, row in board.iterrows():
        table.add_row(str(name), *(_number(None if math.isnan(value) else value, 3) for value in row))
    return table
