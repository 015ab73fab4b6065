"""The comparison: the whole ladder on any reviews, as plain data and as a table; what `recsys-teach compare` prints."""

import math
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_teach.baselines import Oracle
from recsys_teach.evaluation import scoreboard
from recsys_teach.files.loading import load_reviews
from recsys_teach.schema import PRODUCT, TIMESTAMP, USER, has_stars
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, split_at_random, split_by_time, split_last

RIVALS = ("EASE", "ItemKNN", "damped biases")  # gains are over the first one that is there and has the metric
ENDS = ("low", "high", "gain", "gain low", "gain high")
COMPARED = ("retrieval", "hit@10"), ("ranking", "rmse"), ("multitask", "hit@10"), ("multitask", "rmse")


class SplitKind(str, Enum):
    """The ways to hold reviews back."""

    time = "time"
    random = "random"
    last = "last"


def hold_back(kind: SplitKind, seed: int) -> Callable[..., Split]:
    """Return the function that splits reviews in this way."""
    if kind is SplitKind.random:
        return partial(split_at_random, seed=seed)
    return split_by_time if kind is SplitKind.time else split_last


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
    splitter = hold_back(split, seed)
    parts = splitter(reviews)

    from recsys_teach.ladder import fit_ladder  # TensorFlow takes seconds to load: not before the data is known good

    recommenders, seconds = fit_ladder(parts.train, seed=seed, split=splitter, exclude_seen=exclude_seen)
    if shop:
        recommenders["oracle"], seconds["oracle"] = Oracle(shop), 0.0
    rivals = [name for name in RIVALS if name in recommenders]
    board = scoreboard(recommenders, *parts, exclude_seen=exclude_seen, against=rivals)
    found = board.astype(object).where(board.notna(), None)
    metrics = [str(name) for name in board if f"{name} gain" in board]
    rows = [
        {"model": model} | found.loc[model, metrics].to_dict() | {"fit_seconds": seconds[model]}
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
        "rivals": {metric: _rival(board, rivals, metric) for metric in metrics},
        "intervals": [
            {"model": model, "metric": metric} | {end: found.loc[model, f"{metric} {end}"] for end in ENDS}
            for model in recommenders
            for metric in metrics
            if found.loc[model, metric] is not None
        ],
    }


def _rival(board: pd.DataFrame, rivals: list[str], metric: str) -> str | None:
    """Return the row that gains of this metric are over."""
    return next((name for name in rivals if board[metric].notna()[name]), None)


def verdicts(result: dict) -> Iterator[str]:
    """Yield a sentence for each model and its metrics: by how much it is better or worse than its rival, or level."""
    for found in result["intervals"]:
        model, metric, gain = found["model"], found["metric"], found["gain"]
        if (model, metric) in COMPARED and gain is not None:
            low, high = found["gain low"], found["gain high"]
            more = low > 0 or high < 0
            word = "level" if not more else "better" if (gain < 0) == (metric == "rmse") else "worse"
            rival = result["rivals"][metric]
            yield f"{metric} of {model} - {rival}: {gain:+.3f}, 95% [{low:+.3f}, {high:+.3f}], {word}"


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
        caption=escape(  # or rich would take [classics] for a style, and leave it out
            f"{data['new_user_share']:.0%} of the test rows are from new users, {data['new_product_share']:.0%} "
            f"of new products, {data['seen_share']:.0%} of products that the user had already; those are "
            f"{'no candidates' if result['exclude_seen'] else 'candidates like all others'}. "
            f"{little if sure else ''}{'' if data['stars'] else purchases}{_left_out(result)}hit, ndcg, mrr: higher is "
            "better; rmse (stars): lower. Settings of classics and epochs of models were chosen on validation rows of "
            "the training part.\n" + "\n".join(verdicts(result))
        ),
    )
    for column in columns:
        heading = "fit (s)" if column == "fit_seconds" else column
        table.add_column(heading, justify="left" if column == "model" else "right", no_wrap=True)
    for row in result["rows"]:
        table.add_row(row["model"], *(_number(row[c], 1 if c == "fit_seconds" else 3) for c in columns[1:]))
    return table


def _left_out(result: dict) -> str:
    """Return why a classic isn't in the table, as text."""
    there = {row["model"] for row in result["rows"]}
    times = "" if "rate since launch" in there else "The rate since launch is left out: there are no times. "
    large = (
        "" if "EASE" in there else "EASE is left out: it would keep too many numbers for so many users and products. "
    )
    extra = "" if "iALS" in there else "iALS is left out: it needs pip install 'recsys-teach[classics]'. "
    return times + large + extra


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def show(table: Table) -> None:
    """Print a table, whole also where the terminal is narrower: a number that is cut would look like another one."""
    console = Console()
    whole = console.measure(table, options=console.options.update(max_width=1_000)).maximum
    Console(width=max(console.width, whole)).print(table)


def scores_table(board: pd.DataFrame) -> Table:
    """Return a frame of numbers as a table for a terminal, with its index as the first column."""
    table = Table(str(board.index.name or ""), box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in board:
        table.add_column(str(column), justify="right", no_wrap=True)
    for name, row in board.iterrows():
        table.add_row(str(name), *(_number(None if math.isnan(value) else value, 3) for value in row))
    return table
