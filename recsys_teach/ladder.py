"""The ladder: default settings, and the recommenders that `recsys-teach compare` fits, from the floor to multitask.

The defaults are rules of thumb, from the size of the data; each is as simple as the results allowed. What follows from
no rule is chosen on validation rows, held back from the training rows: the one or two settings of each classic, and
the number of epochs of each model. The models read ids only: a review's own summary is written after the purchase, so
a prediction from it would be cheating.
"""

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach import metrics
from recsys_teach.backend import tf
from recsys_teach.baselines import EASE, IALS, DampedBiases, ItemKNN, Popularity, RateSinceLaunch
from recsys_teach.evaluation import row_ranks
from recsys_teach.features import Vocabulary, learn_vocabulary
from recsys_teach.histories import LAST
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import DenseHead, FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT, RATING, TIMESTAMP, has_stars
from recsys_teach.splits import Split, new_users, split_at_random
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model


@dataclass(frozen=True)
class Defaults:
    """Settings of a training.

    Args:
        batch_size: a power of two with about a hundred batches an epoch, from 32 (enough steps for small data) to 256
            (the cost of the in-batch softmax grows with the square; 1,024 took twice the time on 80,000 to 240,000
            rows, and hit@10 was the same within 0.0015).
        unknown_user_dropout: half the share of validation rows from new users, from 0.05 to 0.5: the more new users
            there will be, the more training their vector needs, at the expense of the known users' vectors.
        l2: 0.15 suits ten reviews a user as well as a hundred, since the penalty is added per review: users with more
            reviews may have longer vectors. Training stops before a penalty that is too small does harm.
        learning_rate: of Adagrad, which adapts it to the size of the losses.
        dim: length of the vectors; on real ratings 64 was better than 32 by two percent of the hits, 128 no better.
        max_epochs: the end of a training that validation rows don't end before.
    """

    batch_size: int
    unknown_user_dropout: float
    dim: int = 64
    l2: float = 0.15
    learning_rate: float = 0.1
    max_epochs: int = 30


def choose_defaults(train: pd.DataFrame, validation: pd.DataFrame) -> Defaults:
    """Return the defaults for training rows and the validation rows that were held back from them."""
    return defaults_by_rule(rows=len(train), new_user_share=new_users(train, validation).mean())


def defaults_by_rule(*, rows: int, new_user_share: float) -> Defaults:
    """Return the defaults for this number of training rows and this share of validation rows from new users.

    The share is NaN if no rows were held back for validation: then few new users are expected.
    """
    batch_size = 2 ** round(np.log2(rows / 100))
    return Defaults(
        batch_size=int(np.clip(batch_size, 32, 256)),
        unknown_user_dropout=float(np.clip(np.nan_to_num(new_user_share) / 2, 0.05, 0.5)),
    )


RATING_WEIGHT, RETRIEVAL_WEIGHT = 0.5, 1.0  # by variance of the ratings; flat between 0.2 and 1 of rating to 1
PULL = 300  # of the head's weights: 30 to 3,000 were tried on validation rows of MovieLens and generated shops
# On validation rows by time of both kinds of shop and MovieLens, 0.9 is level with 0.5 or better, and an l2 of 0.05
# level with 0.15 or better.
WITH_HISTORIES: dict[str, Any] = {"unknown_user_dropout": 0.9, "l2": 0.05}
VALIDATION_SHARE = 0.1
PLAIN_EPOCHS = 5  # if nothing can be validated: about the best number on generated shops


def corrections(defaults: Defaults) -> dict[str, Any]:
    """Return the arguments that switch on all corrections of retrieval."""
    return {
        "log_q": True,
        "remove_accidental_hits": True,
        "product_bias": True,
        "l2": defaults.l2,
        "unknown_user_dropout": defaults.unknown_user_dropout,
    }


def towers(
    vocabulary: Vocabulary,
    defaults: Defaults,
    *,
    summary: bool = False,
    history: bool = False,
    last: int = LAST,
    features: Sequence[str] = (),
) -> tuple[UserTower, ProductTower]:
    """Return the untrained towers of a model."""
    users = UserTower(vocabulary, dim=defaults.dim, summary=summary, history=history, last=last)
    return users, ProductTower(vocabulary, dim=defaults.dim, features=features)


def build_textbook_retrieval(vocabulary: Vocabulary, defaults: Defaults) -> RetrievalModel:
    """Return an untrained model of two towers and the in-batch softmax as most tutorials have it."""
    return RetrievalModel(*towers(vocabulary, defaults))


def build_retrieval(
    vocabulary: Vocabulary,
    defaults: Defaults,
    *,
    history: bool = False,
    last: int = LAST,
    features: Sequence[str] = (),
) -> RetrievalModel:
    """Return an untrained model of two towers and the in-batch softmax with all corrections.

    `history`, `last` and `features` are those of the towers. With histories, most training rows forget who the user is,
    and the penalty is smaller (`WITH_HISTORIES`).
    """
    if history:
        defaults = replace(defaults, **WITH_HISTORIES)
    how: dict[str, Any] = {"history": history, "last": last, "features": features}
    return RetrievalModel(*towers(vocabulary, defaults, **how), **corrections(defaults))


def build_ranking(vocabulary: Vocabulary, defaults: Defaults) -> RankingModel:
    """Return an untrained model of two towers and biased matrix factorisation, with errors in units of the spread."""
    return RankingModel(
        *towers(vocabulary, defaults),
        head=FactorHead(vocabulary),
        rating_weight=1 / vocabulary.rating_spread**2,
        l2=defaults.l2,
    )


def build_shared_head(vocabulary: Vocabulary, defaults: Defaults) -> FactorHead:
    """Return an untrained head for towers that serve both tasks: it takes what helps from them, and has own vectors."""
    return FactorHead(vocabulary, scale=0.1, pull=PULL, own_dim=defaults.dim)


def build_multitask(
    vocabulary: Vocabulary,
    defaults: Defaults,
    *,
    head: DenseHead | FactorHead | None = None,
    rating_weight: float = RATING_WEIGHT,
    summary: bool = False,
) -> MultitaskModel:
    """Return an untrained model of both tasks; `summary` and another head are for text that is known at query time.

    `rating_weight` is in units of 1 / variance of the ratings, so that one of 100 stars isn't heard 400 times as loud.
    """
    return MultitaskModel(
        *towers(vocabulary, defaults, summary=summary),
        rating_weight=rating_weight / vocabulary.rating_spread**2,
        retrieval_weight=RETRIEVAL_WEIGHT,
        head=head or build_shared_head(vocabulary, defaults),
        **corrections(defaults),
    )


MODELS: dict[str, Callable[[Vocabulary, Defaults], Any]] = {
    "textbook retrieval": build_textbook_retrieval,
    "retrieval": build_retrieval,
    "ranking": build_ranking,
    "multitask": build_multitask,
}

# The classics by name, each with the settings to choose from; the first is for who can't choose.
CLASSICS: dict[str, list[Callable[[pd.DataFrame], Any]]] = {
    "popularity": [Popularity],
    "rate since launch": [partial(RateSinceLaunch, damping=reviews) for reviews in (2_000, 200, 20_000)],
    "damped biases": [partial(DampedBiases, damping=ratings) for ratings in (5, 1, 2, 10, 20)],
    "ItemKNN": [partial(ItemKNN, shrink=s, neighbours=n) for s, n in product((20, 0, 100), (50, 200))],
    "EASE": [partial(EASE, l2=l2) for l2 in (300, 30, 100, 1_000)],
    "iALS": [partial(IALS, weight=w, l2=l2) for w, l2 in product((3, 1, 10), (30, 10, 100))],
}
ABOUT_STARS = ("damped biases", "ranking", "multitask")


def fit_ladder(
    train: pd.DataFrame,
    *,
    seed: int = 0,
    split: Callable[..., Split] = split_at_random,
    exclude_seen: bool = True,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Fit the classics and the four models; return the recommenders and the seconds each took, by name.

    What doesn't apply is left out: models that predict stars, if there are none to learn from (`schema.has_stars`); the
    rate since launch without times; EASE with too many products; iALS without the extra `classics`. `split` is the
    function that held the test rows back; it also holds back the validation rows, a tenth of `train` if it takes a
    `test_share`, as all but `split_last` do. `exclude_seen` is that of the scoreboard, and of the choice of settings
    and epochs. `seed` is given to Keras before each model (`tf.keras.utils.set_random_seed`, which seeds Python and
    numpy too).
    """
    if len(train) < 10:
        raise ValueError(f"{len(train)} training rows are too few to hold a tenth of them back: expected 10 or more.")
    try:
        parts = split(train, test_share=VALIDATION_SHARE) if _takes_share(split) else split(train)
    except ValueError:  # what is left can't be split in this way once more, such as users with one review each
        parts = split_at_random(train, test_share=VALIDATION_SHARE)
    defaults = choose_defaults(*parts)
    by: dict[str, Any] = {"how_good": partial(quality, exclude_seen=exclude_seen)}
    fits: dict[str, Callable] = {
        name: partial(fit_classic, settings, train, parts, **by) for name, settings in CLASSICS.items()
    }
    fits |= {name: partial(fit_model, build, train, parts, defaults, seed=seed, **by) for name, build in MODELS.items()}
    missing = set() if has_stars(train) else set(ABOUT_STARS)
    missing |= set() if TIMESTAMP in train else {"rate since launch"}
    missing |= set() if EASE.can_fit(train) else {"EASE"}
    missing |= set() if find_spec("implicit") else {"iALS"}
    recommenders: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for name, fit in fits.items():
        if name not in missing:
            start = time.perf_counter()
            recommenders[name] = fit()
            seconds[name] = time.perf_counter() - start
    return recommenders, seconds


def _takes_share(split: Callable) -> bool:
    try:
        inspect.signature(split).bind(None, test_share=VALIDATION_SHARE)
    except TypeError:
        return False
    return True


def quality(recommender: Any, train: pd.DataFrame, held_back: pd.DataFrame, *, exclude_seen: bool = True) -> float:
    """Return how good a recommender is on rows that were held back: nDCG / RMSE, or nDCG or 1 / RMSE alone.

    The nDCG is that of whole rankings, without a cut, to which every row contributes; the RMSE divides it, so that one
    percent of either counts alike. With `exclude_seen`, what a user bought in `train` is no candidate. The ranks are
    those of 40 million scores at most.
    """
    found = 1.0
    if hasattr(recommender, "scores"):
        some = max(1_000, 40_000_000 // len(recommender.products))
        asked = held_back.sample(some, random_state=0) if some < len(held_back) else held_back
        how: dict[str, Any] = {"visible": asked.columns.tolist(), "exclude_seen": exclude_seen}
        found *= metrics.ndcg(row_ranks(recommender, train, asked, **how), len(recommender.products)).mean()
    rated = all(RATING in part and part[RATING].notna().any() for part in (train, held_back))
    if hasattr(recommender, "ratings") and rated:
        errors = metrics.squared_error(recommender.ratings(held_back), held_back[RATING].to_numpy())
        found /= max(np.sqrt(np.nanmean(errors)), 1e-6)
    return float(found)


def fit_classic(
    settings: Sequence[Callable], train: pd.DataFrame, parts: Split, *, how_good: Callable[..., float] = quality
) -> Any:
    """Return the classic with the settings of the best quality on the validation rows, fitted on all training rows.

    `parts` are the training and the validation part of `train`; `how_good` is `quality`, or like it.
    """
    best = 0
    if len(settings) > 1:
        best = int(np.argmax([how_good(fit(parts.train), *parts) for fit in settings]))
    return settings[best](train)


def fit_model(
    build: Callable,
    train: pd.DataFrame,
    parts: Split,
    defaults: Defaults,
    *,
    seed: int,
    max_words: int = 0,
    how_good: Callable[..., float] = quality,
) -> Any:
    """Train a model twice and return it: first to `find_best_epoch`, then on all rows.

    `build(vocabulary, defaults)` makes the model; `parts` are the training and the validation part of `train`;
    `max_words` is for `learn_vocabulary`; `how_good` is `quality`, or like it.
    """
    epochs, _ = find_best_epoch(build, parts, defaults, seed=seed, max_words=max_words, how_good=how_good)
    tf.keras.utils.set_random_seed(seed)
    model = build(learn_vocabulary(train, max_words=max_words), defaults)
    train_model(model, train, epochs=epochs, **_settings(defaults, seed))
    return model


def find_best_epoch(
    build: Callable,
    parts: Split,
    defaults: Defaults,
    *,
    seed: int,
    max_words: int = 0,
    how_good: Callable[..., float] = quality,
) -> tuple[int, float]:
    """Train a model on the training part; return its best epoch by `how_good` on the validation part, and that quality.

    Where the validation rows say nothing, it is `PLAIN_EPOCHS`, and the quality is NaN. See `fit_model`.
    """
    if parts.test[PRODUCT].isin(parts.train[PRODUCT]).any():
        tf.keras.utils.set_random_seed(seed)
        model = build(learn_vocabulary(parts.train, max_words=max_words), defaults)
        settings = _settings(defaults, seed) | {"quality": partial(how_good, model, *parts)}
        found = train_model(model, parts.train, epochs=defaults.max_epochs, **settings)["quality"]
        if found.nunique() > 1 or len(found) == 1:  # else the validation rows say nothing
            return 1 + int(found.argmax()), float(found.max())
    return PLAIN_EPOCHS, np.nan


def _settings(defaults: Defaults, seed: int) -> dict[str, Any]:
    return {"batch_size": defaults.batch_size, "learning_rate": defaults.learning_rate, "seed": seed}
