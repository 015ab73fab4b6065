"""Floor 2: the course's pictures. Each takes a frame and returns its axes and one line of words that say the same.

The words are for those who can't see the picture, and `show` prints them under it. Colours are Okabe & Ito's, which
colour-blind readers can tell apart.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from recsys_teach.schema import PRODUCT, RATING, TIMESTAMP

BLUE, ORANGE, GREEN, GREY, PINK = "#0072B2", "#E69F00", "#009E73", "#7F7F7F", "#CC79A7"


def long_tail(reviews: pd.DataFrame) -> tuple[Axes, str]:
    """Reviews a product, the most reviewed first, and how many products hold half of all reviews."""
    counts = reviews[PRODUCT].value_counts().to_numpy()
    half = int(np.searchsorted(counts.cumsum(), counts.sum() / 2)) + 1
    ax = _axes("product, most reviewed first", "reviews")
    for part, style in ((counts, {"color": GREY, "alpha": 0.4}), (counts[:half], {"color": BLUE})):
        ax.fill_between(np.arange(len(part) + 1), np.append(part, part[-1]), step="post", **style)
    ax.annotate("half of all reviews", (half, counts[half - 1]), (12, 12), textcoords="offset points", color=BLUE)
    words = f"The {half:,} most reviewed of {len(counts):,} products hold half of the {counts.sum():,} reviews."
    return ax, words


def rating_shares(reviews: pd.DataFrame) -> tuple[Axes, str]:
    """How often each number of stars was given."""
    shares = reviews[RATING].value_counts(normalize=True).sort_index()
    ax = _axes("stars", "share of the reviews")
    ax.bar([f"{stars:g}" for stars in shares.index], shares, color=BLUE)
    words = "Stars: " + ", ".join(f"{stars:g} ({share:.0%})" for stars, share in shares.items()) + "."
    return ax, words


def timeline(train: pd.DataFrame, test: pd.DataFrame) -> tuple[Axes, str]:
    """Reviews a month in both parts of a split."""
    parts = {"train": (train, BLUE), "test": (test, ORANGE)}
    ax = _axes("month", "reviews")
    bottom: pd.Series | float = 0.0
    months = {n: p[TIMESTAMP].dt.tz_localize(None).dt.to_period("M").value_counts() for n, (p, _) in parts.items()}
    index = months["train"].index.union(months["test"].index).sort_values()
    for name, (_, colour) in parts.items():
        counts = months[name].reindex(index, fill_value=0)
        ax.bar(index.to_timestamp(), counts, width=25, bottom=bottom, color=colour, label=name)
        bottom = counts
    ax.legend(frameon=False)
    first, last, before = test[TIMESTAMP].min(), test[TIMESTAMP].max(), train[TIMESTAMP].max()
    return (
        ax,
        f"Test reviews run from {first:%d %B %Y} to {last:%d %B %Y}; training goes up to {before:%d %B %Y}.",
    )


def ladder(board: pd.DataFrame, metric: str = "hit@10") -> tuple[Axes, str]:
    """One metric of a scoreboard as bars, in the order of its rows; the oracle, if there, as a line: the ceiling."""
    values = board[metric].dropna()
    models = values.drop("oracle", errors="ignore")
    ax = _axes(metric, "", height=1.2 + 0.4 * len(models))
    floors = {"random", "popularity", "global mean", "damped biases"}
    ax.barh(models.index[::-1], models[::-1], color=[GREY if name in floors else BLUE for name in models.index[::-1]])
    for place, value in enumerate(models[::-1]):
        ax.annotate(f"{value:.3f}", (value, place), (4, 0), textcoords="offset points", va="center")
    if "oracle" in values:
        ax.axvline(values["oracle"], color=ORANGE, linestyle="--", label=f"ceiling {values['oracle']:.3f}")
        ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    ax.margins(x=0.12)
    return ax, f"{metric}: " + ", ".join(f"{name} {value:.3f}" for name, value in values.items()) + "."


def learning_curves(curve: pd.DataFrame) -> tuple[Axes, str]:
    """Errors by round of training: columns `train` and `validation`, indexed by round."""
    ax = _axes("round of training", "rmse (stars)")
    for name, colour in (("train", BLUE), ("validation", ORANGE)):
        ax.plot(curve.index, curve[name], "o-", color=colour, label=name)
    ax.legend(frameon=False)
    best, last = curve["validation"].idxmin(), curve.iloc[-1]
    words = f"Training rows: {curve['train'].iloc[0]:.3f} down to {last['train']:.3f}. Validation rows: "
    return ax, words + f"best in round {best} ({curve['validation'].min():.3f}), {last['validation']:.3f} at last."


def calibration(predicted: np.ndarray, ratings: pd.Series, *, bins: int = 10) -> tuple[Axes, str]:
    """Mean rating by predicted rating, in bins of as many rows each; on the diagonal, a prediction can be believed."""
    frame = pd.DataFrame({"predicted": predicted, "rating": ratings.to_numpy()}).dropna()
    places = frame["predicted"].rank(method="min") - 1  # equal predictions stay together
    means = frame.groupby(places * bins // len(frame)).mean()
    ax = _axes("predicted stars", "stars given (mean)")
    ends = [means.min().min(), means.max().max()]
    ax.plot(ends, ends, color=GREY, linestyle="--", label="right on average")
    ax.plot(means["predicted"], means["rating"], "o-", color=BLUE, label="the model")
    ax.legend(frameon=False)
    low, high = means.iloc[0], means.iloc[-1]
    words = f"Where it says {low['predicted']:.2f} stars, {low['rating']:.2f} were given on average; "
    return ax, words + f"where it says {high['predicted']:.2f}, {high['rating']:.2f}."


def pareto(points: pd.DataFrame, floor: pd.Series, ceiling: pd.Series | None = None) -> tuple[Axes, str]:
    """Retrieval (`hit@10`, right is better) against ratings (`rmse`, up is better), a point for each row of `points`.

    Points on the Pareto front are filled and joined, dominated ones hollow. `floor` and `ceiling` are the best of the
    baselines and the oracle: Series with `hit@10` and `rmse`.
    """
    front = points[on_front(points)].sort_values("hit@10")
    ax = _axes("hit@10 →", "rmse (stars, up is better)")
    ax.plot(points["hit@10"], points["rmse"], "o", color=BLUE, fillstyle="none", label="dominated")
    ax.plot(front["hit@10"], front["rmse"], "o-", color=BLUE, label="Pareto front")
    ax.plot(floor["hit@10"], floor["rmse"], "s", color=GREY, markersize=11, label="floor")
    if ceiling is not None:
        ax.plot(ceiling["hit@10"], ceiling["rmse"], "*", color=ORANGE, markersize=11, label="ceiling")
    for name, point in points[_apart(points["rmse"], ax)].iterrows():
        left = point["hit@10"] < points["hit@10"].median()  # names stand outside, where they don't meet
        offset, side = ((-8, -3), "right") if left else ((8, -3), "left")
        xy = point["hit@10"], point["rmse"]
        ax.annotate(str(name), xy, offset, textcoords="offset points", ha=side, fontsize=9)
    ax.invert_yaxis()
    ax.legend(frameon=False)
    spans = ", ".join(f"{name} ({point['hit@10']:.3f}, {point['rmse']:.3f})" for name, point in front.iterrows())
    return ax, f"On the Pareto front, as (hit@10, RMSE): {spans}."


def _apart(heights: pd.Series, ax: Axes) -> list[bool]:
    """Which points can be named without one name on another: from the top, those a line of text below the last one."""
    line = 0.08 * abs(np.diff(ax.get_ylim())[0])
    named, last = pd.Series(False, heights.index), -np.inf
    for name, height in heights.sort_values().items():
        if height - last >= line:
            named[name], last = True, height
    return named.tolist()


def on_front(points: pd.DataFrame) -> pd.Series:
    """For each point: is there no other that is at least as good in `hit@10` and `rmse`, and better in one?"""
    hits, errors = points["hit@10"].to_numpy(), points["rmse"].to_numpy()
    as_good = (hits[None, :] >= hits[:, None]) & (errors[None, :] <= errors[:, None])
    better = (hits[None, :] > hits[:, None]) | (errors[None, :] < errors[:, None])
    return pd.Series(~(as_good & better).any(axis=1), points.index)


def show(picture: tuple[Axes, str]) -> None:
    """Show a picture, and under it its words."""
    _, words = picture
    plt.show()
    print(words)  # noqa: T201


def _axes(x: str, y: str, *, height: float = 3.2) -> Axes:
    _, ax = plt.subplots(figsize=(7, height), layout="constrained")
    ax.set(xlabel=x, ylabel=y)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
