"""How soon each model is as good as it gets, on MovieLens: `python benchmarks/time_to_quality.py`.

100,836 real ratings, a random fifth held back as the test rows, and a tenth of the rest as validation rows, on which
all settings are chosen. Each model learns from what is left, for more epochs than it needs. After each epoch the clock
is stopped and hit@10 is measured, without what a user rated before. A model has arrived at the end of the first epoch
in which its hit@10 on the validation rows is at least 99 % of the highest of its own epochs; what is reported is the
seconds until then, and hit@10 on the test rows at that moment. For stars it is the RMSE, at most 1 % above its lowest.
A method without epochs (EASE, ItemKNN, damped biases) has arrived when it has been fitted. One line says how soon our
retrieval is as good, on the validation rows, as LightFM when that has arrived.

Ours are the ladder's retrieval and multitask with the recipe for these rows, timed from the table of reviews:
vocabulary, lookups, tracing and training, but not TensorFlow's import. LightFM (WARP) and implicit's iALS are timed
while they fit a matrix that is ready. Surprise's SVD can't go on after an epoch, so it is trained anew with every
number of epochs. It fails if our retrieval takes longer than LightFM, to its own quality or to LightFM's.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from implicit.cpu.als import AlternatingLeastSquares
from lightfm import LightFM
from scipy.sparse import csr_matrix
from side_by_side import REPEATS, Row, ratios, report
from surprise import SVD, Dataset, Reader
from threadpoolctl import threadpool_limits

from recsys_teach import metrics
from recsys_teach.backend import tf
from recsys_teach.evaluation import row_ranks
from recsys_teach.features import learn_vocabulary
from recsys_teach.files.loading import load_reviews
from recsys_teach.ladder import (
    CLASSICS,
    VALIDATION_SHARE,
    build_multitask,
    build_retrieval,
    choose_defaults,
    quality,
)
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.splits import split_at_random
from recsys_teach.training import train_model

AT_MOST, NEAR = 1.0, 0.99
DIM, THREADS = 64, 2
EPOCHS = {"LightFM": 40, "iALS": 30, "SVD": 60}  # ours have the recipe's
SVD_STEP = 5  # epochs
STARS = ("multitask", "SVD", "damped biases")
REVIEWS = load_reviews("movielens")
LEARNT_AND_VALIDATION, TEST = split_at_random(REVIEWS)
TRAIN, VALIDATION = PARTS = split_at_random(LEARNT_AND_VALIDATION, test_share=VALIDATION_SHARE)
USERS, PRODUCTS = (pd.Index(sorted(TRAIN[column].unique())) for column in (USER, PRODUCT))
CELLS = USERS.get_indexer(pd.Index(TRAIN[USER])), PRODUCTS.get_indexer(pd.Index(TRAIN[PRODUCT]))
MATRIX = csr_matrix((np.ones(len(TRAIN), np.float32), CELLS), (len(USERS), len(PRODUCTS)))


@dataclass
class Vectors:
    """A peer's vectors as a recommender; who is unknown has a vector of zeros but for the last number."""

    reads = (USER,)
    users: np.ndarray  # [users, dim]
    matrix: np.ndarray  # [products, dim]
    unknown: float = 0.0

    @property
    def products(self) -> list[str]:
        return list(PRODUCTS)

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        stranger = np.append(np.zeros(self.users.shape[1] - 1), self.unknown)
        return np.vstack([self.users, stranger])[USERS.get_indexer(pd.Index(reviews[USER]))] @ self.matrix.T


def hit_at_10(recommender: Any, seen: pd.DataFrame, rows: pd.DataFrame) -> float:
    """Return the scoreboard's hit@10."""
    return float(metrics.hit(row_ranks(recommender, seen, rows), 10).mean())


def rmse(predicted: np.ndarray, rows: pd.DataFrame) -> float:
    """Return the root of the mean squared error, in stars."""
    return float(np.sqrt(np.mean((predicted - rows[RATING].to_numpy()) ** 2)))


@dataclass
class Course:
    """What was measured after each epoch of a training, and the seconds until then, without those of measuring."""

    seconds: list[float] = field(default_factory=list)
    hits: list[tuple[float, float]] = field(default_factory=list)  # of the validation rows and of the test rows
    errors: list[tuple[float, float]] = field(default_factory=list)  # RMSE, likewise
    started: float = field(default_factory=time.perf_counter)

    def stop(self, recommender: Callable[[], Any]) -> None:
        """Stop the clock, measure a recommender, and go on."""
        self.stop_at(time.perf_counter() - self.started + (self.seconds[-1] if self.seconds else 0.0), recommender())
        self.started = time.perf_counter()

    def stop_at(self, seconds: float, it: Any) -> None:
        """Measure a recommender that took these seconds."""
        self.seconds.append(seconds)
        if hasattr(it, "scores"):
            seen = (TRAIN, VALIDATION), (LEARNT_AND_VALIDATION, TEST)
            self.hits.append(tuple(hit_at_10(it, *parts) for parts in seen))
        if hasattr(it, "ratings"):
            self.errors.append(tuple(rmse(it.ratings(rows), rows) for rows in (VALIDATION, TEST)))

    def arrival(self, *, stars: bool = False, at: float | None = None) -> tuple[int, float, float]:
        """Return the epoch that is nearly as good as the best, the seconds until its end, and the test rows' figure.

        With `at`, the first epoch with at least this hit@10 on the validation rows.
        """
        pairs = self.errors if stars else self.hits
        good = np.array([1 / validation if stars else validation for validation, _ in pairs])
        wanted = NEAR * good.max() if at is None else at
        assert good.max() >= wanted, (good, wanted)
        place = int(np.argmax(good >= wanted))
        return place + 1, self.seconds[place], pairs[place][1]


def ours(build: Callable, seed: int, epochs: int | None) -> Course:
    """Train one of the ladder's models."""
    course = Course()
    recipe = choose_defaults(TRAIN, VALIDATION)
    tf.keras.utils.set_random_seed(seed)
    model = build(learn_vocabulary(TRAIN), recipe)
    settings = {"batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate, "seed": seed}
    after = {"after_epoch": lambda _: course.stop(lambda: model)}
    train_model(model, TRAIN, epochs=epochs or recipe.max_epochs, **after, **settings)
    return course


def lightfm(seed: int, epochs: int | None, **settings: Any) -> Course:
    """Train LightFM, epoch by epoch."""
    model = LightFM(no_components=DIM, loss="warp", random_state=seed, **settings)

    def vectors() -> Vectors:
        users = np.column_stack([model.user_embeddings, np.ones(len(USERS))])
        return Vectors(users, np.column_stack([model.item_embeddings, model.item_biases]), 1.0)

    course = Course()
    for _ in range(epochs or EPOCHS["LightFM"]):
        model.fit_partial(MATRIX, epochs=1, num_threads=THREADS)
        course.stop(vectors)
    return course


@cache
def lightfm_settings() -> dict[str, Any]:
    """Return the settings of LightFM whose best epoch is best on the validation rows."""
    grid = [{"learning_rate": rate, "item_alpha": l2, "user_alpha": l2} for rate in (0.05, 0.02) for l2 in (0, 1e-4)]
    return max(grid, key=lambda settings: max(lightfm(0, None, **settings).hits)[0])


@cache
def classic(name: str) -> Any:
    """Return the settings of the ladder's classic that are best on the validation rows, as a function of `train`."""
    return max(CLASSICS[name], key=lambda fit: quality(fit(TRAIN), *PARTS))


def ials(seed: int, epochs: int | None) -> Course:
    """Train implicit's iALS, BLAS with one thread, as it itself asks for: it has its own."""
    chosen = classic("iALS").keywords
    settings = {"factors": DIM, "alpha": chosen["weight"], "regularization": chosen["l2"]}
    model = AlternatingLeastSquares(**settings, iterations=epochs or EPOCHS["iALS"], random_state=seed)

    def after_epoch(*_: Any) -> None:
        course.stop(lambda: Vectors(model.user_factors, model.item_factors))

    with threadpool_limits(1, "blas"):
        course = Course()
        model.fit(MATRIX, show_progress=False, callback=after_epoch)
    return course


class Stars:
    """Surprise's model as one that predicts stars."""

    def __init__(self, model: SVD):
        self.model = model

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        return np.array([self.model.predict(user, item).est for user, item in zip(reviews[USER], reviews[PRODUCT])])


def svd(seed: int, epochs: int | None, **settings: Any) -> Course:
    """Train Surprise's SVD with every fifth number of epochs."""
    scale = (TRAIN[RATING].min(), TRAIN[RATING].max())
    rows = Dataset.load_from_df(TRAIN[[USER, PRODUCT, RATING]], Reader(rating_scale=scale)).build_full_trainset()
    course = Course()
    for count in range(SVD_STEP, (epochs or EPOCHS["SVD"]) + SVD_STEP, SVD_STEP):
        start = time.perf_counter()
        model = SVD(n_factors=DIM, n_epochs=count, random_state=seed, **settings).fit(rows)
        course.stop_at(time.perf_counter() - start, Stars(model))
    return course


@cache
def svd_settings() -> dict[str, Any]:
    """Return the penalty of Surprise's SVD whose best epoch is best on the validation rows."""
    return min(
        ({"reg_all": l2} for l2 in (0.02, 0.05, 0.1)), key=lambda settings: min(svd(0, None, **settings).errors)[0]
    )


def fitted(name: str) -> Course:
    """Fit one of the classics in one step."""
    fit, course = classic(name), Course()
    model = fit(TRAIN)
    course.stop(lambda: model)
    return course


def turn(seed: int, epochs: int | None = None) -> dict[str, Course]:
    """Train all, one after the other."""
    return {
        "retrieval": ours(build_retrieval, seed, epochs),
        "LightFM": lightfm(seed, epochs, **lightfm_settings()),
        "iALS": ials(seed, epochs),
        "EASE": fitted("EASE"),
        "ItemKNN": fitted("ItemKNN"),
        "multitask": ours(build_multitask, seed, epochs),
        "SVD": svd(seed, epochs, **svd_settings()),
        "damped biases": fitted("damped biases"),
    }


def as_good_as_lightfm(turns: list[dict[str, Course]]) -> Row:
    """Return the line of how soon retrieval has the hits that LightFM has when it has arrived."""
    theirs = [each["LightFM"].arrival() for each in turns]
    aims = [each["LightFM"].hits[epoch - 1][0] for each, (epoch, *_) in zip(turns, theirs)]
    ours = [each["retrieval"].arrival(at=aim) for each, aim in zip(turns, aims)]
    counts, took, figures = (list(column) for column in zip(*ours))
    return Row(
        "MovieLens: seconds until retrieval's hit@10 is as good as LightFM's then",
        f"{statistics.median(took):.2f} s, hit@10 {statistics.median(figures):.3f}",
        f"{statistics.median(seconds for _, seconds, _ in theirs):.2f} s: LightFM",
        ratios(took, [seconds for _, seconds, _ in theirs]),
        at_most=AT_MOST,
        notes=[f"Retrieval is as good as LightFM after {min(counts)} to {max(counts)} epochs."],
    )


def main() -> None:
    """Print who took how long, and how good all are."""
    turn(0, epochs=2)  # to warm up
    turns = [turn(seed) for seed in range(REPEATS)]
    took, text, epochs = {}, {}, {}

    def learn(name: str, metric: str) -> tuple[str, str]:
        arrivals = [each[name].arrival(stars=metric == "RMSE") for each in turns]
        counts, took[name, metric], figures = (list(column) for column in zip(*arrivals))
        figure = f"{statistics.median(figures):.3f}"
        if min(figures) < max(figures):
            figure += f" ({min(figures):.3f}–{max(figures):.3f})"
        text[name, metric] = f"{statistics.median(took[name, metric]):.2f} s, {metric} {figure}"
        steps = SVD_STEP if name == "SVD" else 1
        epochs[name, metric] = f"{name} {min(counts) * steps}–{max(counts) * steps}"
        return name, metric

    def row(one: tuple[str, str], other: tuple[str, str], **claim: float) -> Row:
        what = f"MovieLens: seconds until {one[0]}'s {one[1]} is near its best"
        return Row(what, text[one], f"{text[other]}: {other[0]}", ratios(took[one], took[other]), **claim)

    retrieval, multitask = learn("retrieval", "hit@10"), learn("multitask", "hit@10")
    others = [learn(name, "hit@10") for name in ("LightFM", "iALS", "EASE", "ItemKNN")]
    stars = [learn(name, "RMSE") for name in STARS]
    rows = [row(retrieval, other, **({"at_most": AT_MOST} if other == others[0] else {})) for other in others]
    rows.insert(1, as_good_as_lightfm(turns))
    rows += [row(multitask, others[0]), *(row(stars[0], other) for other in stars[1:])]
    spent = [each["retrieval"].seconds for each in turns]
    epoch = statistics.median(np.diff(seconds).mean() for seconds in spent)
    before = statistics.median(seconds[0] - np.diff(seconds).mean() for seconds in spent)
    rows[0].notes.extend(
        [
            f"{len(TRAIN):,} training, {len(VALIDATION):,} validation and {len(TEST):,} test rows. Settings chosen on "
            f"validation rows: LightFM {lightfm_settings()}, iALS {classic('iALS').keywords}, EASE "
            f"{classic('EASE').keywords}, ItemKNN {classic('ItemKNN').keywords}, SVD {svd_settings()}.",
            f"Epochs until then, least–greatest: for hit@10 "
            f"{', '.join(epochs[one] for one in (retrieval, multitask, *others[:2]))}; for the RMSE "
            f"{', '.join(epochs[one] for one in stars[:2])}.",
            f"Of retrieval's seconds, {before:.2f} pass before its first step (vocabulary, lookups, tracing), and "
            f"{epoch:.2f} in each epoch; all {len(spent[0])} epochs take "
            f"{statistics.median(seconds[-1] for seconds in spent):.1f}.",
        ]
    )
    report(__file__, rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
