"""The exercises of notebook 05: weights on one scale, the Pareto front, a choice among trained pairs."""

import numpy as np
import pandas as pd

from recsys_teach.exercises.exercise import Exercise

METRICS = ["hit@10", "rmse"]
POINTS = pd.DataFrame(
    [(0.31, 0.80), (0.30, 0.76), (0.28, 0.75), (0.28, 0.78), (0.25, 0.75), (0.30, 0.76), (0.20, 0.90)],
    index=["a", "b", "c", "d", "e", "f", "g"],
    columns=METRICS,
)
OTHER_POINTS = pd.DataFrame(
    [(0.12, 1.02), (0.18, 1.10), (0.15, 0.98), (0.18, 1.05), (0.09, 0.97)], index=list("vwxyz"), columns=METRICS
)
BOARD = pd.DataFrame(
    [(0.05, 0.3, 0.85), (0.06, 0.32, 0.8), (0.02, 0.29, 0.78), (0.03, 0.24, 0.77), (0.02, 0.2, 0.83), (0, 0.01, 0.98)],
    index=["retrieval only", "1/8 : 1", "1 : 1", "4 : 1", "rating only", "no good"],
    columns=["hit@1", *METRICS],
)
OTHER_BOARD = pd.DataFrame(  # at 1.0, "y" isn't the first that fits, nor has it the highest or the lowest rmse
    [(0.10, 0.97), (0.25, 0.93), (0.18, 0.90), (0.22, 1.0), (0.40, 1.2)], index=list("xyzvw"), columns=METRICS
)
FLOOR = pd.Series({"hit@1": 0.01, "hit@10": 0.18, "rmse": 0.86})
CEILING = pd.Series({"hit@1": 0.09, "hit@10": 0.38, "rmse": 0.70})
CLOSED = pd.DataFrame([(0.97, 0.30), (0.50, 0.50), (0.35, 0.95), (0.75, 0.35)], index=list("pqst"), columns=METRICS)
OTHER_FLOOR = pd.Series({"hit@10": 0.05, "rmse": 1.10})  # here hits have a small gap, and stars a large one
OTHER_CEILING = pd.Series({"hit@10": 0.20, "rmse": 0.60})
OTHER_SHOP = OTHER_FLOOR + CLOSED * (OTHER_CEILING - OTHER_FLOOR), OTHER_FLOOR, OTHER_CEILING


def on_one_scale(rating_weight, retrieval_weight, batch_size):
    """Weights of a mean (ratings) and a sum (retrieval) over a batch → weights of two sums: rating, retrieval."""
    return rating_weight / batch_size, retrieval_weight


def most_hits(board, most):
    """The name of the pair with the highest hit@10 of those whose rmse is `most` or less; ValueError if none is."""
    fits = board[board["rmse"] <= most]
    if fits.empty:
        raise ValueError(f"no pair has an rmse of {most} or less")
    return fits["hit@10"].idxmax()


def on_front(points):
    """For each row, a boolean: is there no other that is at least as good at both, and better at one?"""
    hits, errors = points["hit@10"].to_numpy(), points["rmse"].to_numpy()
    as_good = (hits >= hits[:, None]) & (errors <= errors[:, None])
    better = (hits > hits[:, None]) | (errors < errors[:, None])
    return ~(as_good & better).any(axis=1)


def best_of_both(board, floor, ceiling):
    """The name of the pair that gets furthest from floor to ceiling at its weaker task; hit@10 and rmse count."""
    metrics = ["hit@10", "rmse"]
    gap = ceiling[metrics] - floor[metrics]
    closed = (board[metrics] - floor[metrics]) / gap
    return closed.min(axis=1).idxmax()


def _front(points, *, sign=-1, need=np.any):
    """A front by another rule: the sign of an error, and where it is necessary to be better."""
    values = points[METRICS].to_numpy() * [1, sign]
    rival, own = values[None], values[:, None]
    return ~((rival >= own).all(axis=2) & need(rival > own, axis=2)).any(axis=1)


def _without_itself(points):
    values = points[METRICS].to_numpy() * [1, -1]
    return (values[None] >= values[:, None]).all(axis=2).sum(axis=1) == 1


def _best_of_each(points):
    return ((points["hit@10"] == points["hit@10"].max()) | (points["rmse"] == points["rmse"].min())).to_numpy()


def _closed(board, floor, ceiling):
    return ((board - floor) / (ceiling - floor))[METRICS]


def _without_floor(board, floor, ceiling):
    return np.minimum(board["hit@10"] / ceiling["hit@10"], ceiling["rmse"] / board["rmse"]).idxmax()


EXERCISES = (
    Exercise(
        number="05.1",
        reference=on_one_scale,
        inputs=((0.5, 0.5, 32), (1.0, 2.0, 256)),
        mistakes=(
            (lambda a, b, n: (a * n, b), "A mean is the sum divided by the rows of the batch: yours multiplies."),
            (lambda a, b, n: (a, b / n), "The retrieval loss is a sum already. Which of the two was a mean?"),
            (lambda a, b, n: (a / n, b / n), "You divided both, and so their ratio is what it was: one was a mean."),
            (lambda a, b, n: (a, b * n), "The ratio is right, but both now weigh too much beside the L2 penalty."),
            (lambda a, b, n: (b, a / n), "The order is turned: first the rating weight, then the retrieval weight."),
        ),
        hint="Write the mean as sum / batch_size. What then stands before the sum?",
        right="The original's 0.5 to 0.5 with batches of 32 is 1 to 32 here. With batches of 256 it would be 1 to 256.",
    ),
    Exercise(
        number="05.2",
        reference=most_hits,
        inputs=(*((BOARD, most) for most in (0.79, 0.80, 0.82)), (OTHER_BOARD, 1.0), (BOARD, 0.5)),
        mistakes=(
            (lambda b, most: b["rmse"].idxmin(), "That is the lowest rmse of all, and `most` makes no difference."),
            (
                lambda b, most: b["rmse"][b["rmse"] <= most].idxmin(),
                "Of those that satisfy it you took the lowest rmse. It only has to do: the hits decide.",
            ),
            (lambda b, most: b["hit@10"].idxmax(), "That is the most hits of all pairs, whatever their rmse."),
            (lambda b, most: b["hit@10"][b["rmse"] >= most].idxmax(), "You kept those whose rmse is too high."),
            (lambda b, most: b["hit@10"][b["rmse"] < most].idxmax(), "An rmse of exactly `most` is allowed, too."),
            (
                lambda b, most: most_hits(b, max(most, b["rmse"].min())),
                "When no pair is good enough, yours names one all the same. Then raise a ValueError.",
            ),
        ),
        hint="First keep the rows that satisfy it, then ask these for the highest hit@10 (idxmax).",
        right="Whatever `most` is, this pair is on the front (but for ties): the front is the list of such answers.",
    ),
    Exercise(
        number="05.3",
        reference=on_front,
        inputs=((POINTS,), (OTHER_POINTS,)),
        mistakes=(
            (lambda p: _front(p, sign=1), "You look for the highest rmse. An error is better when it is lower."),
            (_best_of_each, "These are the best at one task each. What lies between can be on the front as well."),
            (lambda p: _front(p, need=np.all), "To dominate, better at one task and equal at the other is enough."),
            (_without_itself, "Two equal points throw each other off your front. To dominate, one must be better."),
            (lambda p: ~on_front(p), "These are the dominated ones: turn it round."),
        ),
        hint="Compare every row with every other: values[None] has the rivals, values[:, None] the row itself. Two "
        "tables of booleans: as good at both, better at one.",
        right="Each pair on the front is the best for somebody; of the others, nobody needs any.",
    ),
    Exercise(
        number="05.4",
        reference=best_of_both,
        inputs=((BOARD, FLOOR, CEILING), OTHER_SHOP),
        mistakes=(
            (_without_floor, "You compare with the ceiling alone. What the floor can do, too, is no merit."),
            (
                lambda b, f, c: (_closed(b, f, c) * [1, -1]).min(axis=1).idxmax(),
                "Your shares of rmse come out negative. It falls from floor to ceiling, so both differences do.",
            ),
            (lambda *a: _closed(*a).mean(axis=1).idxmax(), "You took the mean of both. The weaker one counts."),
            (lambda *a: _closed(*a).max(axis=1).idxmax(), "You took the stronger task of each pair."),
            (
                lambda b, f, c: (_closed(b, f, c) * (c - f)[METRICS].abs()).min(axis=1).idxmax(),
                "You compare shares of hits with stars. Divide each gain by its gap first: then both are shares.",
            ),
        ),
        hint="For both metrics (pair - floor) / (ceiling - floor): the signs see to rmse. Then the smaller of both.",
        right="That is how the lab finds its best of both. A mean would let a triumph at one task pay for a failure at "
        "the other.",
    ),
)
