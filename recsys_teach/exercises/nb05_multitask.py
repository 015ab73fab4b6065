"""The exercises of notebook 05: weights on one scale, the Pareto front, a choice of weights, the loss of a model."""

from functools import cache
from numbers import Real

import numpy as np
import pandas as pd

from recsys_teach.evaluation import scoreboard
from recsys_teach.exercises.exercise import Exercise, choice, empty
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random

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
BATCHES = (8, 2.0, 0.5), (40, 0.3, 3.0)  # rows, rating_weight and retrieval_weight of the model
WEIGHTS = 0.05, 1.0  # of the model that is trained


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


def joint_loss(model, features):
    """The loss of a batch, a number: each task's loss summed over the batch, times its weight."""
    rating, retrieval, rows = _of_tasks(model, features)
    return model.rating_weight * rows * rating + model.retrieval_weight * retrieval


JOINT_LOSS = """def joint_loss(model, features):
    users = model.user_model(features["user_id"])
    movies = model.movie_model(features["product_id"])
    stars = model.rating_model(tf.concat([users, movies], axis=1))
    rows = tf.cast(tf.size(features["rating"]), tf.float32)
    rating_loss = rows * model.rating_task(labels=features["rating"], predictions=stars)
    retrieval_loss = model.retrieval_task(users, movies)
    return model.rating_weight * rating_loss + model.retrieval_weight * retrieval_loss"""


def _of_tasks(model, features):
    """What the two tasks return, a mean for the ratings and a sum for retrieval, and the number of rows."""
    from recsys_teach import tf  # only here: the other exercises don't need it

    users, movies = model.user_model(features["user_id"]), model.movie_model(features["product_id"])
    stars = model.rating_model(tf.concat([users, movies], axis=1))
    rating = model.rating_task(labels=features["rating"], predictions=stars)
    return rating, model.retrieval_task(users, movies), tf.cast(tf.size(features["rating"]), tf.float32)


def _otherwise(loss):
    """A wrong answer: `loss(rating, retrieval, rows, rating_weight, retrieval_weight)` of what the tasks return."""
    return lambda model, features: loss(*_of_tasks(model, features), model.rating_weight, model.retrieval_weight)


@cache
def _shop():
    """The training rows and the test rows of a small shop."""
    return split_at_random(generate_shop(users=300, products=100, seed=7).reviews, seed=0)


def _ids(column):
    return sorted(_shop().train[column].unique())


def _model(loss, rating_weight, retrieval_weight):
    """An untrained joint model of the small shop, always with the same parameters, that has this loss."""
    from recsys_teach import tf, tfrs

    layers = tf.keras.layers

    def embedding(ids):
        return tf.keras.Sequential([layers.StringLookup(vocabulary=ids), layers.Embedding(len(ids) + 1, 16)])

    class Joint(tfrs.Model):
        def __init__(self):
            super().__init__()
            self.user_model, self.movie_model = embedding(_ids("user_id")), embedding(_ids("product_id"))
            start = tf.keras.initializers.Constant(_shop().train["rating"].mean())
            hidden = layers.Dense(16, activation="relu")
            self.rating_model = tf.keras.Sequential([hidden, layers.Dense(1, bias_initializer=start)])
            self.rating_task = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError())
            self.retrieval_task = tfrs.tasks.Retrieval()
            self.rating_weight, self.retrieval_weight = rating_weight, retrieval_weight

        def compute_loss(self, features, training=False):
            return loss(self, features)

    tf.keras.utils.set_random_seed(0)
    return Joint()


def _losses(answer):
    """What an answer returns for two batches, each with a model of other weights."""
    from recsys_teach import tf

    columns = {"user_id": tf.string, "product_id": tf.string, "rating": tf.float32}
    found = []
    for rows, *weights in BATCHES:
        head = _shop().train.head(rows)
        batch = {name: tf.constant(head[name].tolist(), dtype) for name, dtype in columns.items()}
        found.append(answer(_model(joint_loss, *weights), batch))
    return found


def _judged(answer):
    """The losses of two batches, and what a model reaches that is trained with this loss; or what came instead."""
    from recsys_teach import recommender, train_model

    losses = _losses(answer)
    if empty(losses):
        return losses
    if not all(isinstance(loss, Real) or getattr(loss, "shape", None) == () for loss in losses):
        return NO_NUMBER
    model = _model(answer, *WEIGHTS)
    try:
        train_model(model, _shop().train, epochs=5, batch_size=64)
    except Exception as error:  # what works on one batch may not work in TensorFlow's graph
        return f"{NO_GRAPH} It stopped with {type(error).__name__}."
    trained = recommender(model.user_model, model.movie_model, _ids("product_id"), rating_model=model.rating_model)
    row = scoreboard({"yours": trained}, *_shop(), k=(10,)).loc["yours"]
    return [float(loss) for loss in losses], f"hit@10 {row['hit@10']:.3f}, RMSE {row['rmse']:.3f}"


NO_NUMBER = "The loss of a batch is one number: yours is something else."
NO_GRAPH = (
    "Your loss is a number for one batch, but it can't be trained: TensorFlow makes a graph of it, in which the batch "
    'has no fixed size. Take tf.size(features["rating"]), not len.'
)
MEAN_AND_SUM = (
    "The rating loss is a mean and the retrieval loss is a sum. So the weight of the stars depends on the batch size: "
    "multiply the mean by the rows."
)
BOTH_MEANS = "Both are means now: they are on one scale, but sums were asked for, so that both weigh as in the formula."
NO_WEIGHTS = "Both losses are sums, but the two weights don't count: multiply each loss by its weight."
SWAPPED = "The weights are swapped: rating_weight belongs to the rating loss."
NO_STARS = "The rating loss isn't in it: such a model never learns stars."
NO_PURCHASES = "The retrieval loss isn't in it: such a model never learns what people buy."
TIMES_ROWS = "You multiplied both by the rows. The retrieval task returns a sum already."
WRONG_LOSSES = (
    (_otherwise(lambda rating, retrieval, n, a, b: a * rating + b * retrieval), MEAN_AND_SUM),
    (_otherwise(lambda rating, retrieval, n, a, b: a * rating + b * retrieval / n), BOTH_MEANS),
    (_otherwise(lambda rating, retrieval, n, a, b: n * rating + retrieval), NO_WEIGHTS),
    (_otherwise(lambda rating, retrieval, n, a, b: rating + retrieval), f"{MEAN_AND_SUM} And the weights don't count."),
    (_otherwise(lambda rating, retrieval, n, a, b: b * n * rating + a * retrieval), SWAPPED),
    (_otherwise(lambda rating, retrieval, n, a, b: b * retrieval), NO_STARS),
    (_otherwise(lambda rating, retrieval, n, a, b: a * n * rating), NO_PURCHASES),
    (_otherwise(lambda rating, retrieval, n, a, b: n * (a * rating + b * retrieval)), TIMES_ROWS),
)


@cache
def _known():
    """The losses and results of the right answer, and the losses of the usual mistakes."""
    return _judged(joint_loss), [_losses(mistake) for mistake, _ in WRONG_LOSSES]


def _wrong_with(judged):
    if isinstance(judged, str):
        return judged
    (right, reached_right), mistakes = _known()
    losses, reached = judged
    if np.allclose(losses, right, rtol=1e-3):
        return None
    consequence = f" Trained with it (weights 0.05 and 1), it reaches {reached}; with the right loss {reached_right}."
    for (_, words), wrong in zip(WRONG_LOSSES, mistakes):
        if np.allclose(losses, wrong, rtol=1e-3):
            return words + consequence
    rows, *weights = BATCHES[0]
    return (
        f"Not right, nor one of the usual mistakes: for {rows} rows and the weights {weights[0]} (rating) and "
        f"{weights[1]} (retrieval) it gives {losses[0]:.4g}, where {right[0]:.4g} is right." + consequence
    )


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


EXERCISES: tuple[Exercise, ...] = (
    choice(
        "05.a",
        right="b",
        hint="One row more adds its error to a sum. What does it do to a mean?",
        a="The weights are the same, but the sum that one of them multiplies is about eight times as large.",
        b="The sum grows with the batch, the mean does not. Sum both losses, and the balance no longer depends on the "
        "batch size.",
        c="The other way round: the retrieval loss is the sum, so it is the one that grows with the batch.",
    ),
    choice(
        "05.b",
        right="c",
        hint="Which sum of gradients is nearly 0 where training comes to rest?",
        a="That does not follow: in this notebook the cosine is negative, and each task still gains from the other.",
        b="With any weights the sum of all gradients is nearly 0 at the end, so the two tasks oppose each other there.",
        c="A cosine on training rows says what each task still asks for, not who gains. Held-back rows say that.",
    ),
    choice(
        "05.c",
        right="a",
        hint="Purchases and stars are about different tastes here. Which parameters do both tasks train?",
        a="Purchases train the shared embeddings for other people's tastes. Embeddings that only stars train keep the "
        "rater's own taste, and the specialist's quality.",
        b="Gates choose among layers, but all of these layers read the shared embedding, which purchases still train.",
        c="Such weights follow the size of each loss. They don't separate two tastes in one dot product.",
        d="Between two weights you only choose which task suffers: one dot product can't hold two different tastes.",
    ),
    Exercise(
        number="05.1",
        reference=on_one_scale,
        inputs=((0.5, 0.5, 32), (1.0, 2.0, 256)),
        mistakes=(
            (lambda a, b, n: (a * n, b), "A mean is the sum divided by the rows of the batch: yours multiplies."),
            (lambda a, b, n: (a, b / n), "The retrieval loss is a sum already. Which of the two was a mean?"),
            (lambda a, b, n: (a / n, b / n), "You divided both, and so their ratio is what it was: one was a mean."),
            (lambda a, b, n: (a, b * n), "The ratio is right, but both now weigh too much beside the L2 penalty."),
            (lambda a, b, n: (b, a / n), "The order is wrong: first the rating weight, then the retrieval weight."),
        ),
        hint="Write the mean as sum / batch_size. Which factor is then before the sum?",
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
                "Of the pairs that satisfy it you took the lowest rmse. Take the one with the most hits.",
            ),
            (lambda b, most: b["hit@10"].idxmax(), "That is the most hits of all pairs, whatever their rmse."),
            (lambda b, most: b["hit@10"][b["rmse"] >= most].idxmax(), "You kept those whose rmse is too high."),
            (lambda b, most: b["hit@10"][b["rmse"] < most].idxmax(), "An rmse of exactly `most` is allowed, too."),
            (
                lambda b, most: most_hits(b, max(most, b["rmse"].min())),
                "When no pair is good enough, yours names one all the same. Then raise a ValueError.",
            ),
        ),
        hint="First keep the rows that satisfy the condition, then find the highest hit@10 among them (idxmax).",
        right="Whatever `most` is, this pair is on the front (except for ties): the front is the list of such answers.",
    ),
    Exercise(
        number="05.3",
        reference=on_front,
        inputs=((POINTS,), (OTHER_POINTS,)),
        mistakes=(
            (lambda p: _front(p, sign=1), "You look for the highest rmse. An error is better when it is lower."),
            (_best_of_each, "These are the best at one task each. Pairs between them can be on the front as well."),
            (lambda p: _front(p, need=np.all), "To dominate, better at one task and equal at the other is enough."),
            (_without_itself, "Your front leaves out equal points. To dominate, a point must be better at one task."),
            (lambda p: ~on_front(p), "These are the dominated rows: return the opposite."),
        ),
        hint="Compare every row with every other: values[None] has the rivals, values[:, None] the row itself. Two "
        "tables of booleans: as good at both, better at one.",
        right="Each pair on the front is best for some wish; no wish needs any of the others.",
    ),
    Exercise(
        number="05.4",
        reference=best_of_both,
        inputs=((BOARD, FLOOR, CEILING), OTHER_SHOP),
        mistakes=(
            (_without_floor, "You compare with the ceiling alone. Count only what goes beyond the floor."),
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
        hint="For both metrics (pair - floor) / (ceiling - floor): for rmse both differences are negative. Then take "
        "the smaller of the two shares.",
        right="That is how the lab finds its best of both. With a mean, a very good result at one task would make up "
        "for a bad one at the other.",
    ),
    Exercise(
        number="05.5",
        reference=joint_loss,
        probe=_judged,
        verdict=_wrong_with,
        solution=JOINT_LOSS,
        mistakes=WRONG_LOSSES,
        hint="Vectors of both models first, then tf.concat([users, movies], axis=1) for the rating model. Which of the "
        'two tasks returns a mean? The number of rows is tf.cast(tf.size(features["rating"]), tf.float32).',
        right="The balance of the two tasks no longer depends on the batch size: 0.5 means the same with 32 rows and "
        "with 2,048. This is the loss of MultitaskModel, without its penalty.",
    ),
)
