"""Layer 3: the exercises of notebook 03: the in-batch softmax, two corrections of it, and a model to beat the floor."""

from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.special import softmax

from recsys_teach.baselines import Oracle, Popularity
from recsys_teach.exercise import Exercise, empty
from recsys_teach.scoreboard import scoreboard
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_by_time

USERS, PRODUCTS = np.array([[1.0, 0.0], [0.0, 1.0], [0.2, 0.5]]), np.array([[2.0, 0.0], [0.5, 2.0], [1.0, 1.0]])
SCORES = np.array([[3.0, -1.0, 0.5, 1.0], [0.0, 2.0, -2.0, 1.5], [1.0, -0.5, 2.5, -1.0], [0.5, 1.0, -1.5, 2.0]])
COUNTS = np.array([400, 10, 80, 2])
WHO, WHAT = np.array(["Anna", "Ben", "Anna", "Dora"]), np.array(["tent", "wok", "kite", "tent"])


def in_batch_loss(users, products):
    """The in-batch softmax loss, summed over the batch; both `[batch, dim]`, user b bought product b."""
    scores = users @ products.T
    return np.sum(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))


def log_q_correction(scores, counts):
    """The corrected scores `[batch, batch]`; `counts` `[batch]`: in how many training rows each column's product is."""
    return scores - np.log(counts / counts.sum())


def without_accidental_hits(scores, users, products):
    """The scores `[batch, batch]`, -inf for accidental hits; `users` and `products` `[batch]`: who bought what."""
    hits = products[:, None] == products[None, :]
    return np.where(hits & ~np.eye(len(products), dtype=bool), -np.inf, scores)


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
    category = train.drop_duplicates("product_id").set_index("product_id")["category"][counts.index]
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


def _of_numbers(what):
    """A probe that looks at `what` of the answer's numbers, and at anything else as it is."""

    def probe(result):
        return what(np.asarray(result)) if not empty(result) and np.asarray(result).dtype.kind in "iuf" else result

    return probe


centred = _of_numbers(lambda scores: scores - scores.mean())  # a constant in all scores doesn't matter to a softmax
chances = _of_numbers(lambda scores: softmax(scores, axis=-1))  # nor does a very large negative number for -inf


@lru_cache(maxsize=1)
def _shop():
    """A small shop that isn't the notebook's, and its split by time."""
    shop = generate_shop(users=800, products=240, seed=9)
    return shop, split_by_time(shop.reviews)


def _hits(answer):
    """hit@10 of popularity, of the answer and of the truth, for warm users and for new ones."""
    shop, (train, test) = _shop()
    recommender = answer(train.copy())
    if not hasattr(recommender, "scores"):
        return recommender
    rivals = {"floor": Popularity(train), "yours": recommender, "ceiling": Oracle(shop)}
    return scoreboard(rivals, train, test, k=(10,), slices=True)["hit@10"].unstack("test rows")


NO_SCORES = "What you return has no scores(reviews): return the recommender itself, trained."
LEAK = "That is better than the oracle, which knows the truth. Where did it see the test rows?"
BOTH = "Not far enough above popularity for warm users, and below it for strangers. Which faults are left?"
STRANGERS = "Good for warm users, but strangers get noise: no training row has touched their vector."
ONE_LIST = "Strangers get what popularity gives them, but warm users hardly more. Has it learned their taste?"


def _wrong_with(hits):
    if not isinstance(hits, pd.DataFrame):
        return NO_SCORES
    hits = hits[["warm users", "new users"]]
    if (hits.loc["yours"] > hits.loc["ceiling"]).any():
        return LEAK
    warm, new = hits.loc["yours"] >= [1.3, 0.95] * hits.loc["floor"]
    return {(True, True): None, (True, False): STRANGERS, (False, True): ONE_LIST, (False, False): BOTH}[warm, new]


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        number="03.1",
        reference=in_batch_loss,
        probe=lambda answer: answer(USERS.copy(), PRODUCTS.copy()),
        mistakes=(
            (lambda u, p: in_batch_loss(u, p) / len(u), "That is the mean. Here the loss is summed over the batch."),
            (lambda u, p: in_batch_loss(p, u), "Your softmax goes down the columns. Each user chooses among products."),
            (lambda u, p: -in_batch_loss(u, p), "A probability's logarithm is negative, a loss isn't: where is minus?"),
            (lambda u, p: -np.log(softmax(u @ p.T, axis=1)).sum(), "All cells are in it. Only the diagonal is right."),
        ),
        hint="Scores are users @ products.T. Then e to each, divided by its row's sum, and -log of the diagonal.",
        right="It would be 0 only if every row's own product got all of the probability.",
    ),
    Exercise(
        number="03.2",
        reference=log_q_correction,
        probe=lambda answer: centred(answer(SCORES.copy(), COUNTS.copy())),
        mistakes=(
            (lambda s, c: s + np.log(c), "You added it, and popular products are wrong too often. Take it off."),
            (lambda s, c: s - c / c.sum(), "That is the share without its logarithm. Scores are exponents of e."),
            (lambda s, c: s - np.log(c)[:, None], "That goes off the rows: a softmax doesn't see it. Try the columns."),
        ),
        hint="The counts belong to the columns, and numpy takes an array [batch] off every row, column by column.",
        right="Counts or shares are the same here: the logarithm of the total is in all scores, and cancels.",
    ),
    Exercise(
        number="03.3",
        reference=without_accidental_hits,
        probe=lambda answer: chances(answer(SCORES.copy(), WHO.copy(), WHAT.copy())),
        mistakes=(
            (lambda s, u, p: np.where(p[:, None] == p, -np.inf, s), "The diagonal is gone too, the right answers."),
            (
                lambda s, u, p: np.nan_to_num(without_accidental_hits(s, u, p), neginf=0),
                "A score of 0 still takes part, for e to the 0 is 1. Which exponent gives 0?",
            ),
            (lambda s, u, p: s * np.nan, "It is NaN: 0 times infinity isn't 0. Choose, with np.where for instance."),
            (lambda s, u, p: without_accidental_hits(s, p, u), "That compares users. Which *products* are equal?"),
            (lambda s, u, p: np.tril(s) + np.triu(without_accidental_hits(s, u, p), 1), "And below the diagonal?"),
        ),
        hint="products[:, None] == products is true where two rows have the same product, but on the diagonal as well.",
        right="Dora's tent is no longer wrong in Anna's row. But Anna's own kite, of another row, still is.",
    ),
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
        ),
        hint="RetrievalModel has an argument for each fault of this notebook. Train it as the last fit did.",
        right="Far above the floor for those it knows, and no worse than the floor for those it doesn't.",
    ),
)
