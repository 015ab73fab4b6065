"""Charts: each takes a frame and returns its axes and one line of words that say the same.

The words are for readers who can't see the picture; `show` prints them under it. The look is that of `style`.
"""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator
from matplotlib.ticker import MaxNLocator

from recsys_teach._util import listed
from recsys_teach.plots import style
from recsys_teach.plots.style import BLUE, GREY, HATCHED, ORANGE, Picture, styled, three
from recsys_teach.schema import PRODUCT, RATING, TIMESTAMP

FLOORS = {"random", "popularity", "global mean", "damped biases"}  # they need no training: hatched


@styled
def long_tail(reviews: pd.DataFrame) -> Picture:
    """Plot the reviews of each product, the most reviewed first, and how many products hold half of them."""
    counts = reviews[PRODUCT].value_counts().to_numpy()
    half = int(np.searchsorted(counts.cumsum(), counts.sum() / 2)) + 1
    ax = style.axes("product, most reviewed first", "reviews")
    for part, look in ((counts, {"color": GREY, "alpha": 0.4}), (counts[:half], {"color": BLUE})):
        ax.fill_between(np.arange(len(part) + 1), np.append(part, part[-1]), step="post", **look)
    ax.axvline(half, color=BLUE, linestyle="--")
    ax.annotate("← half of all reviews", (half, counts[0]), (6, 0), textcoords="offset points", va="top", color=BLUE)
    return ax, f"The {half:,} most reviewed of {len(counts):,} products hold half of the {counts.sum():,} reviews."


@styled
def rating_shares(reviews: pd.DataFrame) -> Picture:
    """Plot how often each number of stars was given."""
    shares = reviews[RATING].value_counts(normalize=True).sort_index()
    ax = style.axes("stars", "share of the reviews")
    ax.bar([f"{stars:g}" for stars in shares.index], shares, color=BLUE)
    return ax, "Stars: " + ", ".join(f"{stars:g} ({share:.0%})" for stars, share in shares.items()) + "."


@styled
def timeline(train: pd.DataFrame, test: pd.DataFrame) -> Picture:
    """Plot the reviews of each month in both parts of a split."""
    months = [part[TIMESTAMP].dt.tz_localize(None).dt.to_period("M").value_counts() for part in (train, test)]
    index = months[0].index.union(months[1].index).sort_values()
    lower, upper = (counts.reindex(index, fill_value=0) for counts in months)
    ax = style.axes("month", "reviews")
    ax.bar(index.to_timestamp(), lower, width=25, color=BLUE, label="train")
    ax.bar(index.to_timestamp(), upper, width=25, bottom=lower, color=ORANGE, label="test", **HATCHED)
    ax.xaxis.set_major_locator(AutoDateLocator(maxticks=7))
    ax.set_ylim(0, 1.05 * (lower + upper).max())
    style.legend_above(ax)
    first, last, end = test[TIMESTAMP].min(), test[TIMESTAMP].max(), train[TIMESTAMP].max()
    return ax, f"Test reviews run from {first:%d %B %Y} to {last:%d %B %Y}; training goes up to {end:%d %B %Y}."


@styled
def ladder(board: pd.DataFrame, metric: str = "hit@10") -> Picture:
    """Plot one metric of a scoreboard as bars, in the order of its rows, and the oracle as a line: the ceiling."""
    values = board[metric].dropna()
    models = values.drop("oracle", errors="ignore")[::-1]  # bars are numbered upwards
    ax = style.axes(metric, "", height=1.2 + 0.4 * len(models))
    if "oracle" in values:
        ax.axvline(values["oracle"], color=ORANGE, linestyle="--", label=f"ceiling {values['oracle']:.3f}")
    for place, (name, value) in enumerate(models.items()):
        look: dict[str, Any] = {"color": GREY, "label": "floor", **HATCHED} if name in FLOORS else {"color": BLUE}
        ax.barh(place, value, **look)
        ax.annotate(f"{value:.3f}", (value, place), (4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(models)), models.index)
    style.legend_above(ax)
    ax.margins(x=0.12)
    return ax, f"{metric}: " + ", ".join(f"{name} {value:.3f}" for name, value in values.items()) + "."


@styled
def intervals(board: pd.DataFrame, metric: str = "hit@10", *, ax: Axes | None = None) -> Picture:
    """Plot one metric of a scoreboard with intervals: a dot for each row, in their order, and a line from low to high.

    A gain, such as `hit@10 gain`, has a line at 0; rows whose interval includes 0 are hollow. Draws into `ax` if there
    is one. Raises a ValueError if the board has no intervals of this metric.
    """
    columns = [metric, f"{metric} low", f"{metric} high"]
    if missing := [column for column in columns if column not in board]:
        raise ValueError(f"the board has no {listed(missing)}: make it with scoreboard(…, interval=True or against=…).")
    gain = metric.endswith(" gain")
    rows = board[columns].dropna()[::-1]  # places are numbered upwards
    if ax is None:
        ax = style.axes(metric, "", height=1.2 + 0.4 * len(rows))
    ax.set_xlabel(metric)
    if gain:
        ax.axvline(0, color=GREY, linestyle="--")
    words, signed = [], "+.3f" if gain else ".3f"
    for place, (name, value, low, high) in enumerate(rows.itertuples()):
        colour, marker = (GREY, "s") if name in FLOORS else (ORANGE, "*") if name == "oracle" else (BLUE, "o")
        hollow: dict[str, Any] = {}
        if gain and low <= 0 <= high:
            hollow = {"markerfacecolor": "white", "label": "interval includes 0"}
        ax.plot([low, high], [place, place], color=colour)
        ax.plot([value], [place], marker, color=colour, markersize=11 if marker == "*" else 8, **hollow)
        end, away, side = (low, -6, "right") if gain and value < 0 else (high, 6, "left")  # not across the line at 0
        ax.annotate(f"{value:{signed}}", (end, place), (away, 0), textcoords="offset points", ha=side, va="center")
        words.append(f"{name} {value:{signed}} ({low:{signed}} to {high:{signed}})")
    ax.set_yticks(range(len(rows)), rows.index)
    style.legend_above(ax)
    ax.margins(x=0.27 if gain else 0.12)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    return ax, f"{metric}, with 95% intervals: " + ", ".join(words[::-1]) + "."


@styled
def lines(table: pd.DataFrame, y: str) -> Picture:
    """Plot each column of a table as a line over its index, which names the x axis; `y` names the other."""
    ax = style.axes(str(table.index.name or ""), y)
    for name, colour, marker, dash in zip(table, style.COLOURS, style.MARKERS, ("-", "--", ":", "-.") * 2):
        ax.plot(table.index, table[name], marker=marker, linestyle=dash, color=colour, label=str(name))
    if pd.api.types.is_integer_dtype(table.index):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend_above(ax)
    spans = (
        f"{name} {three(values.iloc[0])} at first, {three(values.iloc[-1])} at last" for name, values in table.items()
    )
    return ax, f"{y[:1].upper()}{y[1:]}: " + "; ".join(spans) + "."


def learning_curves(curve: pd.DataFrame) -> Picture:
    """Plot errors by epoch: columns `train` and `validation`, indexed by epoch from 1."""
    ax, _ = lines(curve[["train", "validation"]].rename_axis("epoch"), "rmse (stars)")
    best, last = curve["validation"].idxmin(), curve.iloc[-1]
    words = f"Training rows: {curve['train'].iloc[0]:.3f} down to {last['train']:.3f}. Validation rows: "
    return ax, words + f"best in epoch {best} ({curve['validation'].min():.3f}), {last['validation']:.3f} at last."


@styled
def trade_off(
    points: pd.DataFrame,
    *,
    floor: tuple[str, float] | None = None,
    rival: tuple[str, float, float] | None = None,
    log_x: bool = False,
) -> Picture:
    """Plot the second column of `points` over the first: a line through its rows, named by the index if there is room.

    `floor` (name, y) is a dashed line, `rival` (name, x, y) a square; with `log_x`, x is on a logarithmic scale.
    """
    rows = [(f"{name:g}" if isinstance(name, float) else str(name), x, y) for name, x, y in points.itertuples()]
    ax = style.axes(*points.columns)
    ax.plot(points.iloc[:, 0], points.iloc[:, 1], "o-", color=BLUE, label=f"at each point: {points.index.name}")
    if log_x:
        ax.set_xscale("log")
        ax.xaxis.set(major_formatter="{x:g}", minor_formatter="")  # exponents would be too small to read
    if floor:
        ax.axhline(floor[1], color=GREY, linestyle="--", label=f"{floor[0]} {three(floor[1])}")
    if rival:
        ax.plot(*rival[1:], "s", color=ORANGE, markersize=11, label=rival[0])
    ax.margins(0.08)
    style.legend_above(ax)
    style.name_points(ax, rows)
    words = f"{points.index.name}, as ({', '.join(points.columns)}): "
    words += ", ".join(f"{name} ({three(x)}, {three(y)})" for name, x, y in [*rows, *([rival] if rival else [])])
    return ax, words + (f"; the floor, {floor[0]}, is at {three(floor[1])}." if floor else ".")


@styled
def feedback_loops(loops: Mapping[str, pd.DataFrame]) -> Picture:
    """Plot what `feedback.simulate` says of several shops, by round: their hits, and their sales of new products.

    `loops` are tables of rounds by name. On the left is `hit@10`, on the right `new`, as a mean over the last five
    rounds, and as a dashed line what it would be if everybody found what they want, in the first of the tables.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 4.2), layout="constrained", sharex=True)
    left.set(xlabel="round", ylabel="hit@10 (true)")
    right.set(xlabel="round", ylabel="new products' share of sales")
    first = next(iter(loops.values()))
    right.plot(first.index, first["new wanted"], "--", color=GREY, label="what users want")
    words = []
    for (name, table), colour, marker in zip(loops.items(), style.COLOURS, style.MARKERS):
        look: dict[str, Any] = {"color": colour, "marker": marker, "markevery": 4, "label": name}
        new = table["new"].rolling(5, min_periods=1).mean()
        left.plot(table.index, table["hit@10"], **look)
        right.plot(table.index, new, **look)
        hits = table["hit@10"].iloc[[0, -1]]
        words.append(f"{name}: hit@10 {hits.iloc[0]:.3f} at first, {hits.iloc[1]:.3f} at last, new {new.iloc[-1]:.0%}")
    for ax in (left, right):
        ax.tick_params(labelsize=12, width=1.5)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_ylim(0, None)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, columnspacing=1.2)
    return left, "; ".join(words) + f"; of what users want, {first['new wanted'].iloc[-1]:.0%} is new."


@styled
def calibration(predicted: np.ndarray, ratings: pd.Series, *, bins: int = 10) -> Picture:
    """Plot the mean rating by predicted rating, in bins of as many rows; on the diagonal, predictions are right."""
    frame = pd.DataFrame({"predicted": predicted, "rating": ratings.to_numpy()}).dropna()
    places = frame["predicted"].rank(method="min") - 1  # equal predictions stay together
    means = frame.groupby(places * bins // len(frame)).mean()
    ax = style.axes("predicted stars", "stars given (mean)")
    ends = [means.min().min(), means.max().max()]
    ax.plot(ends, ends, color=GREY, linestyle="--", label="right on average")
    ax.plot(means["predicted"], means["rating"], "o-", color=BLUE, label="the model")
    style.legend_above(ax)
    low, high = means.iloc[0], means.iloc[-1]
    words = f"Where it says {low['predicted']:.2f} stars, {low['rating']:.2f} were given on average; "
    return ax, words + f"where it says {high['predicted']:.2f}, {high['rating']:.2f}."


@styled
def reliability(tables: Mapping[str, pd.DataFrame]) -> Picture:
    """Plot the tables of `metrics.reliability`, by model: the share that was bought by the predicted probability.

    Both axes are logarithmic, since most products are rarely bought; a bin without a purchase isn't drawn. On the
    diagonal, predictions are right.
    """
    ax = style.axes("predicted probability of a purchase", "share bought")
    ends = [min(table["predicted"].min() for table in tables.values())]
    ends.append(max(table["predicted"].max() for table in tables.values()))
    ax.plot(ends, ends, color=GREY, linestyle="--", label="right on average")
    for (name, table), colour, marker in zip(tables.items(), style.COLOURS, style.MARKERS):
        ax.plot(table["predicted"], table["bought"], marker=marker, color=colour, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log", nonpositive="mask")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set(major_formatter="{x:g}", minor_formatter="")  # exponents would be too small to read
    style.legend_above(ax)
    tops = [
        f"{name} {table['predicted'].iloc[-1]:.2%} and {table['bought'].iloc[-1]:.2%}" for name, table in tables.items()
    ]
    return ax, f"Predicted and bought in the bin of the highest predictions: {', '.join(tops)}."


@styled
def pareto(points: pd.DataFrame, floor: pd.Series, ceiling: pd.Series | None = None) -> Picture:
    """Plot retrieval (`hit@10`, right is better) against ratings (`rmse`, up is better), a point for each row.

    Points on the Pareto front are filled and joined, dominated ones hollow; they are named where there is room. `floor`
    and `ceiling` are the best of the baselines and the oracle: Series with `hit@10` and `rmse`. If `points` are of a
    scoreboard with intervals, a thin line shows each. A row without one of the two isn't drawn.
    """
    points = points.dropna(subset=["hit@10", "rmse"])
    front = points[on_front(points)].sort_values("hit@10")
    ax = style.axes("hit@10 →", "rmse (stars, up is better)")
    if {f"{metric} {end}" for metric in ("hit@10", "rmse") for end in ("low", "high")} <= set(points):
        whiskers: dict[str, Any] = {"color": BLUE, "linewidth": 1, "alpha": 0.6}
        ax.hlines(points["rmse"], points["hit@10 low"], points["hit@10 high"], **whiskers)
        ax.vlines(points["hit@10"], points["rmse low"], points["rmse high"], **whiskers)
    ax.plot(points["hit@10"], points["rmse"], "o", color=BLUE, fillstyle="none", label="dominated")
    ax.plot(front["hit@10"], front["rmse"], "o-", color=BLUE, label="Pareto front")
    ax.plot(floor["hit@10"], floor["rmse"], "s", color=GREY, markersize=11, label="floor")
    if ceiling is not None:
        ax.plot(ceiling["hit@10"], ceiling["rmse"], "*", color=ORANGE, markersize=11, label="ceiling")
    ax.margins(0.08)
    ax.invert_yaxis()
    style.legend_above(ax)
    style.name_points(ax, list(pd.concat([front, points.drop(front.index)])[["hit@10", "rmse"]].itertuples()))
    spans = ", ".join(f"{name} ({point['hit@10']:.3f}, {point['rmse']:.3f})" for name, point in front.iterrows())
    return ax, f"On the Pareto front, as (hit@10, RMSE): {spans}."


def on_front(points: pd.DataFrame) -> pd.Series:
    """Return for each point whether no other is at least as good in `hit@10` and `rmse`, and better in one.

    A point that has one of the two only, and NaN for the other, is not on the front.
    """
    hits, errors = points["hit@10"].to_numpy(), points["rmse"].to_numpy()
    as_good = (hits[None, :] >= hits[:, None]) & (errors[None, :] <= errors[:, None])
    better = (hits[None, :] > hits[:, None]) | (errors[None, :] < errors[:, None])
    known = ~np.isnan(hits) & ~np.isnan(errors)
    return pd.Series(known & ~(as_good & better).any(axis=1), points.index)


def show(picture: Picture) -> None:
    """Show a picture and print its words under it, in lines that fit: a notebook may cut a long one inside a number."""
    plt.show()
    print(fill(picture[1], 100, break_on_hyphens=False))  # noqa: T201
