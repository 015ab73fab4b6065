"""Until our retrieval is as good as LightFM, against LightFM and iALS: `python benchmarks/time_to_quality.py`.

A shop of 943 users and 1,682 products, a random fifth of its reviews held back; hit@10 is the scoreboard's, without
what a user bought before. LightFM (WARP, 32 components, 20 epochs, 2 threads) is timed while it fits a matrix that is
ready, and so is implicit's iALS, whose settings were chosen on validation rows as the ladder chooses them. Ours is the
ladder's corrected retrieval with the recipe for its training rows, timed from the table of reviews: vocabulary, tracing
and training, but not TensorFlow's import.

The stopping rule: after each epoch the clock is stopped and hit@10 is measured on the test rows; ours has arrived with
the first epoch in which it is at least LightFM's of the same repeat. So the test rows tell when, here, and nothing
else; what choosing the epochs by validation rows costs is a row of its own, as is Surprise's SVD. It fails if ours
takes longer than the slower of the two, or doesn't get there within the recipe's epochs.
"""

import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from honest_numbers import LARGE
from implicit.als import AlternatingLeastSquares
from lightfm import LightFM
from scipy.sparse import csr_matrix
from side_by_side import REPEATS, Row, ratios, report, seconds
from surprise import SVD, Dataset, Reader
from threadpoolctl import threadpool_limits

from recsys_teach.backend import tf
from recsys_teach.baselines import Oracle, Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import learn_vocabulary
from recsys_teach.ladder import (
    CLASSICS,
    VALIDATION_SHARE,
    build_multitask,
    build_retrieval,
    choose_defaults,
    fit_classic,
    fit_model,
)
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.training import train_model

AT_MOST = 1.0
DIM, LIGHTFM_EPOCHS, THREADS = 32, 20, 2
SHOP = generate_shop(seed=0, **LARGE)
TRAIN, TEST = split_at_random(SHOP.reviews)
USERS, PRODUCTS = (pd.Index(sorted(TRAIN[column].unique())) for column in (USER, PRODUCT))
CELLS = USERS.get_indexer(pd.Index(TRAIN[USER])), PRODUCTS.get_indexer(pd.Index(TRAIN[PRODUCT]))
MATRIX = csr_matrix((np.ones(len(TRAIN), np.float32), CELLS), (len(USERS), len(PRODUCTS)))


@dataclass
class Vectors:
    """A peer's vectors as a recommender; who is unknown has a vector of zeros but for the last number."""

    users: np.ndarray  # [users, dim]
    matrix: np.ndarray  # [products, dim]
    unknown: float = 0.0

    @property
    def products(self) -> list[str]:
        return list(PRODUCTS)

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        stranger = np.append(np.zeros(self.users.shape[1] - 1), self.unknown)
        return np.vstack([self.users, stranger])[USERS.get_indexer(pd.Index(reviews[USER]))] @ self.matrix.T


def measure(recommender, metric: str = "hit@10") -> float:
    """One figure of its line on the scoreboard."""
    return scoreboard({"it": recommender}, TRAIN, TEST).loc["it", metric]


def lightfm(seed: int) -> tuple[float, float]:
    """Seconds and hit@10."""
    model = LightFM(no_components=DIM, loss="warp", random_state=seed)
    took = seconds(lambda: model.fit(MATRIX, epochs=LIGHTFM_EPOCHS, num_threads=THREADS))
    users = np.column_stack([model.user_embeddings, np.ones(len(USERS))])
    return took, measure(Vectors(users, np.column_stack([model.item_embeddings, model.item_biases]), 1.0))


@cache
def ials_settings() -> dict:
    """The settings of the ladder's iALS that are best on validation rows."""
    tuned = fit_classic(CLASSICS["iALS"], TRAIN, split_at_random(TRAIN, test_share=VALIDATION_SHARE))
    return {"factors": tuned.dim, "alpha": tuned.weight, "regularization": tuned.l2, "iterations": tuned.epochs}


def als(seed: int) -> tuple[float, float]:
    """Seconds and hit@10; BLAS with one thread, as implicit itself asks for: it has its own."""
    model = AlternatingLeastSquares(**ials_settings(), random_state=seed, use_gpu=False)
    with threadpool_limits(1, "blas"):
        took = seconds(lambda: model.fit(MATRIX, show_progress=False))
    return took, measure(Vectors(model.user_factors, model.item_factors))


class ArrivedError(Exception):
    """As good as the target: training may end."""


def ours(seed: int, target: float) -> tuple[float, float, int]:
    """Seconds and hit@10 at the end of the first epoch that is as good as `target`, or of the last; which it was."""
    hits, took = [], 0.0
    start = time.perf_counter()
    recipe = choose_defaults(*split_at_random(TRAIN, test_share=VALIDATION_SHARE))
    tf.keras.utils.set_random_seed(seed)
    model = build_retrieval(learn_vocabulary(TRAIN), recipe)

    def after_epoch(epoch: int) -> None:
        nonlocal start, took
        took += time.perf_counter() - start
        hits.append(measure(model))
        if hits[-1] >= target:
            raise ArrivedError
        start = time.perf_counter()

    settings = {"batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate, "seed": seed}
    with suppress(ArrivedError):
        train_model(model, TRAIN, epochs=recipe.max_epochs, after_epoch=after_epoch, **settings)
    return took, hits[-1], len(hits)


def chosen(build) -> tuple[float, object]:
    """Seconds and the model of `fit_model`, which trains twice: to choose the epochs, then on all training rows."""
    start = time.perf_counter()
    parts = split_at_random(TRAIN, test_share=VALIDATION_SHARE)
    model = fit_model(build, TRAIN, parts, choose_defaults(*parts), seed=0)
    return time.perf_counter() - start, model


def surprise() -> tuple[float, float]:
    """Seconds and RMSE of Surprise's SVD."""
    table = Dataset.load_from_df(TRAIN[[USER, PRODUCT, RATING]], Reader(rating_scale=(1, 5)))
    rows, model = table.build_full_trainset(), SVD(n_factors=DIM, random_state=0)
    took = seconds(lambda: model.fit(rows))
    predicted = [model.predict(user, product).est for user, product in zip(TEST[USER], TEST[PRODUCT])]
    return took, float(np.sqrt(np.mean((np.array(predicted) - TEST[RATING]) ** 2)))


def main() -> None:
    """Print who took how long, and how good all are."""
    rounds = []
    for seed in range(1 + REPEATS):
        peers = {"LightFM": lightfm(seed), "ALS": als(seed)}
        rounds.append(peers | {"ours": ours(seed, peers["LightFM"][1])})
    first, *rounds = rounds  # the first one is to warm up
    took = {name: [turn[name][0] for turn in rounds] for name in first}
    hit = {name: [turn[name][1] for turn in rounds] for name in first}
    slower, faster = sorted(("LightFM", "ALS"), key=lambda name: np.median(took[name]), reverse=True)
    text = {name: f"{np.median(took[name]):.2f} s" for name in first}
    arrived = [turn["ours"][1] >= turn["LightFM"][1] for turn in rounds]
    quality = [f"{name} {np.median(hit[name]):.3f} ({min(hit[name]):.3f}–{max(hit[name]):.3f})" for name in first]
    epochs = [turn["ours"][2] for turn in rounds]
    notes = [
        f"Time to quality: {len(TRAIN):,} training and {len(TEST):,} test rows. hit@10 when the clock stopped: "
        f"{', '.join(quality)}, popularity {measure(Popularity(TRAIN)):.3f}, oracle {measure(Oracle(SHOP)):.3f}.",
        f"Ours was as good as LightFM in {sum(arrived)} of {REPEATS} repeats, after "
        f"{' or '.join(map(str, sorted(set(epochs))))} epochs; the first time in a process, "
        f"which isn't counted, it took {first['ours'][0]:.2f} s.",
    ]
    values = [ratio if there else float("inf") for ratio, there in zip(ratios(took["ours"], took[slower]), arrived)]
    what, both = "time to LightFM's hit@10", "the slower of LightFM and ALS"
    rows = [Row(what, text["ours"], f"{text[slower]}: {slower}, {both}", values, at_most=AT_MOST, notes=notes)]
    rows.append(Row(what, text["ours"], f"{text[faster]}: {faster}, the faster", ratios(took["ours"], took[faster])))
    alone, retrieval = chosen(build_retrieval)
    says = f"{alone:.2f} s, hit@10 {measure(retrieval):.3f}"
    against = f"{text[slower]}: {slower}"
    rows.append(Row("retrieval, epochs chosen by validation", says, against, [alone / np.median(took[slower])]))
    (both_tasks, model), (svd, rmse) = chosen(build_multitask), surprise()
    says, own = f"{svd:.2f} s, RMSE {rmse:.3f}: Surprise's SVD", measure(model, "rmse")
    rows.append(Row("multitask, RMSE", f"{both_tasks:.2f} s, RMSE {own:.3f}", says, [own / rmse]))
    report(__file__, rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
