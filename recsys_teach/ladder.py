"""Floor 6: the whole ladder on one training table, from the floor to the multitask model.

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
from recsys_teach.heads import FactorHead
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

L2 = 0.15  # stops overfitting within 10 epochs; half of it overfits, twice as much flattens the vectors
RATING_WEIGHT, RETRIEVAL_WEIGHT = 0.4, 1.0  # flat between 0.2 and 0.5 of rating to 1 of retrieval
CORRECTIONS: dict[str, Any] = {
    "log_q": True,
    "remove_accidental_hits": True,
    "l2": L2,
    "unknown_user_dropout": 0.2,  # enough for the vector of strangers to be trained, little enough for the others
    "product_bias": True,
}


def textbook_retrieval(vocabulary: Vocabulary) -> RetrievalModel:
    """Two towers and the in-batch softmax as most tutorials have them."""
    return RetrievalModel(UserTower(vocabulary), ProductTower(vocabulary))


def corrected_retrieval(vocabulary: Vocabulary) -> RetrievalModel:
    """The same with all corrections."""
    return RetrievalModel(UserTower(vocabulary), ProductTower(vocabulary), **CORRECTIONS)


def ranking(vocabulary: Vocabulary) -> RankingModel:
    """Two towers and biased matrix factorisation."""
    return RankingModel(UserTower(vocabulary), ProductTower(vocabulary), head=FactorHead(vocabulary), l2=L2)


def multitask(vocabulary: Vocabulary) -> MultitaskModel:
    """Both tasks on one pair of towers."""
    return MultitaskModel(
        UserTower(vocabulary),
        ProductTower(vocabulary),
        rating_weight=RATING_WEIGHT,
        retrieval_weight=RETRIEVAL_WEIGHT,
        head=FactorHead(vocabulary),
        **CORRECTIONS,
    )


MODELS: dict[str, Callable[[Vocabulary], Any]] = {
    "textbook retrieval": textbook_retrieval,
    "retrieval": corrected_retrieval,
    "ranking": ranking,
    "multitask": multitask,
}


def fit_ladder(train: pd.DataFrame, *, seed: int = 0) -> tuple[dict[str, Any], dict[str, float]]:
    """Fit the two baselines and the four models; return the recommenders and the seconds each took, by name.

    `seed` is given to Keras before each model (`tf.keras.utils.set_random_seed`, which seeds Python and numpy too).
    """
    recommenders: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for name, fit in (("popularity", Popularity), ("damped biases", DampedBiases)):
        start = time.perf_counter()
        recommenders[name] = fit(train)
        seconds[name] = time.perf_counter() - start

    vocabulary = learn_vocabulary(train)
    for name, build in MODELS.items():
        start = time.perf_counter()
        tf.keras.utils.set_random_seed(seed)
        recommenders[name] = model = build(vocabulary)
        train_model(model, train, seed=seed)
        seconds[name] = time.perf_counter() - start
    return recommenders, seconds
