"""Layer 6: the whole ladder on one training table, from the floor to the multitask model.

The models look at ids only. A review's own summary is written after the purchase: to predict from it would be to
cheat.
"""

import time
from collections.abc import Callable
from typing import Any

import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.features import Vocabulary, learn_vocabulary
from recsys_teach.heads import DenseHead, FactorHead
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import RankingModel
from recsys_teach.recipes import Recipe, recipe_for
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT, has_stars
from recsys_teach.splits import Split, split_at_random
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

RATING_WEIGHT, RETRIEVAL_WEIGHT = 0.4, 1.0  # by variance of the ratings; flat between 0.2 and 1 of rating to 1
VALIDATION_SHARE = 0.1
PLAIN_EPOCHS = 5  # where nothing can be validated: about what generated shops ask for

Towers = tuple[UserTower, ProductTower]


def corrections(recipe: Recipe) -> dict[str, Any]:
    """All corrections of retrieval, switched on."""
    return {
        "log_q": True,
        "remove_accidental_hits": True,
        "product_bias": True,
        "l2": recipe.l2,
        "unknown_user_dropout": recipe.unknown_user_dropout,
    }


def textbook_retrieval(vocabulary: Vocabulary, recipe: Recipe) -> RetrievalModel:
    """Two towers and the in-batch softmax as most tutorials have them."""
    return RetrievalModel(UserTower(vocabulary), ProductTower(vocabulary))


def corrected_retrieval(vocabulary: Vocabulary, recipe: Recipe) -> RetrievalModel:
    """Two towers and the in-batch softmax with all corrections."""
    return RetrievalModel(UserTower(vocabulary), ProductTower(vocabulary), **corrections(recipe))


def ranking(vocabulary: Vocabulary, recipe: Recipe) -> RankingModel:
    """Two towers and biased matrix factorisation, with errors measured against the spread of the ratings."""
    return RankingModel(
        UserTower(vocabulary),
        ProductTower(vocabulary),
        head=FactorHead(vocabulary),
        rating_weight=1 / vocabulary.rating_spread**2,
        l2=recipe.l2,
    )


def multitask(
    vocabulary: Vocabulary,
    recipe: Recipe,
    *,
    head: DenseHead | None = None,
    summary: bool = False,
    towers: Towers | None = None,
) -> MultitaskModel:
    """Both tasks on one pair of towers; `summary` and another head are for text that is known at query time."""
    user_tower, product_tower = towers or (UserTower(vocabulary, summary=summary), ProductTower(vocabulary))
    return MultitaskModel(
        user_tower,
        product_tower,
        rating_weight=RATING_WEIGHT / vocabulary.rating_spread**2,
        retrieval_weight=RETRIEVAL_WEIGHT,
        head=head or FactorHead(vocabulary),
        **corrections(recipe),
    )


MODELS: dict[str, Callable[[Vocabulary, Recipe], Any]] = {
    "textbook retrieval": textbook_retrieval,
    "retrieval": corrected_retrieval,
    "ranking": ranking,
    "multitask": multitask,
}

ABOUT_STARS = ("damped biases", "ranking", "multitask")


def fit_ladder(
    train: pd.DataFrame, *, seed: int = 0, split: Callable[..., Split] = split_at_random
) -> tuple[dict[str, Any], dict[str, float]]:
    """Fit the two baselines and the four models; return the recommenders and the seconds each took, by name.

    Where there are no stars to learn from (`schema.has_stars`), those that predict stars are left out.

    `split` is how the test rows were held back; the validation rows, a tenth of `train`, are held back the same way.
    `seed` is given to Keras before each model (`tf.keras.utils.set_random_seed`, which seeds Python and numpy too).
    """
    recommenders: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    if len(train) < 10:
        raise ValueError(f"{len(train)} training rows are too few to hold a tenth of them back: expected 10 or more.")
    parts = split(train, test_share=VALIDATION_SHARE)
    recipe = recipe_for(*parts)
    fits: dict[str, Callable] = {
        "popularity": lambda: Popularity(train),
        "damped biases": lambda: DampedBiases(train),
    }
    fits |= {
        name: lambda build=build: fit_model(build, train, parts, recipe, seed=seed) for name, build in MODELS.items()
    }
    if not has_stars(train):
        fits = {name: fit for name, fit in fits.items() if name not in ABOUT_STARS}
    for name, fit in fits.items():
        start = time.perf_counter()
        recommenders[name] = fit()
        seconds[name] = time.perf_counter() - start
    return recommenders, seconds


def fit_model(
    build: Callable, train: pd.DataFrame, parts: Split, recipe: Recipe, *, seed: int, max_words: int = 0
) -> Any:
    """Train twice: without the validation rows, to see after how many epochs to stop, then on all of `train`.

    `build(vocabulary, recipe)` makes the model; `parts` are `train` without and of its validation rows; `max_words`
    is for `learn_vocabulary`.
    """
    settings: dict[str, Any] = {"batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate, "seed": seed}
    epochs = PLAIN_EPOCHS
    if parts.test[PRODUCT].isin(parts.train[PRODUCT]).any():
        tf.keras.utils.set_random_seed(seed)
        model = build(learn_vocabulary(parts.train, max_words=max_words), recipe)
        losses = train_model(model, parts.train, epochs=recipe.max_epochs, validation=parts.test, **settings)
        epochs = 1 + int(losses["validation"].argmin())
    tf.keras.utils.set_random_seed(seed)
    model = build(learn_vocabulary(train, max_words=max_words), recipe)
    train_model(model, train, epochs=epochs, **settings)
    return model
