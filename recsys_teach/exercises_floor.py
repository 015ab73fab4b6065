"""Layer 3: the last exercise of notebook 03: a model that beats the floor, judged in a small shop of its own."""

from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pandas as pd

from recsys_teach.baselines import Oracle, Popularity
from recsys_teach.exercise import Exercise
from recsys_teach.schema import first_texts
from recsys_teach.scoreboard import scoreboard
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_by_time


def build(train):
    """A recommender that has learned from `train`: with `products`, and `scores(reviews)` `[rows, products]`."""
    return _by_category(train, stranger=1.0)


TWO_TOWERS = """def build(train):
    tf.keras.utils.set_random_seed(0)
    vocabulary = learn_vocabulary(train)
    towers = UserTower(vocabulary), ProductTower(vocabulary)
    corrections = {"log_q": True, "remove_accidental_hits": True, "l2": 0.1, "unknown_user_dropout": 0.3}
    model = RetrievalModel(*towers, **corrections, product_bias=True)
    train_model(model, train, epochs=6)
    return model"""


def _by_category(train, stranger):
    """Popularity times how much more of a category a user buys than others do, for a stranger times `stranger`."""
    counts = train["product_id"].value_counts().sort_index()
    category = first_texts(train, "category", counts.index)
    usual = train["category"].value_counts(normalize=True).sort_index()
    own = pd.crosstab(train["user_id"], train["category"])[usual.index] + 3 * usual
    lift = own.div(own.sum(axis=1), axis=0) / usual
    return SimpleNamespace(
        products=list(counts.index),
        scores=lambda rows: counts.to_numpy() * lift.reindex(rows["user_id"]).fillna(stranger)[category].to_numpy(),
    )


def _told(train):
    """Somebody who was shown the test rows."""
    products, bought = sorted(train["product_id"].unique()), _shop()[1].test["product_id"].to_numpy()
    return SimpleNamespace(products=products, scores=lambda rows: 1.0 * (bought[:, None] == np.array(products)))


@lru_cache(maxsize=1)
def _shop():
    """A small shop that isn't the notebook's, and its split by time."""
    shop = generate_shop(users=800, products=240, seed=9)
    return shop, split_by_time(shop.reviews)


def _hits(answer):
    """hit@10 of popularity, of the answer and of the truth, for warm users and for new ones."""
    shop, (train, test) = _shop()
    recommender = answer(train.copy())
    if not hasattr(recommender, "scores") or isinstance(recommender, type):
        return recommender
    if set(recommender.products) - set(train["product_id"]):
        return OTHER_TABLE
    rivals = {"floor": Popularity(train), "yours": recommender, "ceiling": Oracle(shop)}
    return scoreboard(rivals, train, test, k=(10,), slices=True)["hit@10"].unstack("test rows")


OTHER_TABLE = "It knows products that `train` doesn't have: `fit` learns from the notebook's train, not this one."
NO_SCORES = "What you return has no scores(reviews): return the recommender itself, trained."
LEAK = "That is better than the oracle, which knows the truth. Where did it see the test rows?"
BOTH = "Not far enough above popularity for warm users, and below it for strangers. Which faults are left?"
STRANGERS = "Good for warm users, but strangers get too little. Has any training row touched their vector?"
ONE_LIST = "Strangers get what popularity gives them, but warm users hardly more. Has it learned their taste?"


def _wrong_with(hits):
    if not isinstance(hits, pd.DataFrame):
        return hits if isinstance(hits, str) else NO_SCORES
    hits = hits[["warm users", "new users"]]
    yours, bound = hits.loc["yours"], [1.3, 0.9] * hits.loc["floor"]
    if (yours > hits.loc["ceiling"]).any():
        return LEAK
    warm, new = yours >= bound
    if warm and new:
        return None
    words = STRANGERS if warm else ONE_LIST if new else BOTH
    return (
        words + " hit@10: " + ", ".join(f"{part} {yours[part]:.3f}, to reach {bound[part]:.3f}" for part in bound.index)
    )


EXERCISES = (
    Exercise(
        number="03.4",
        reference=build,
        probe=_hits,
        verdict=_wrong_with,
        solution=TWO_TOWERS,
        mistakes=(
            (lambda train: _by_category(train.assign(user_id="nobody"), stranger=0.0), BOTH),
            (lambda train: _by_category(train, stranger=0.0), STRANGERS),
            (Popularity, ONE_LIST),
            (_told, LEAK),
            (lambda train: Popularity(generate_shop(users=800, products=260, seed=9).reviews), OTHER_TABLE),
        ),
        hint="RetrievalModel has an argument for each fault of this notebook. "
        "Write the steps of `fit` out, for this `train`.",
        right="Far above the floor for those it knows, and about as good as the floor for those it doesn't.",
    ),
)
