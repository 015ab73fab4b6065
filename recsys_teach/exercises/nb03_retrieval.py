"""The exercises of notebook 03: the in-batch softmax, two corrections of it, and a model that beats the floor."""

from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.special import softmax

from recsys_teach.baselines import Oracle, Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.exercises.exercise import Exercise
from recsys_teach.schema import first_texts
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_by_time

BATCHES = (  # users, products
    (np.array([[1.0, 0.0], [0.0, 1.0], [0.2, 0.5]]), np.array([[2.0, 0.0], [0.5, 2.0], [1.0, 1.0]])),
    (np.array([[0.5, 1.0, -1.0], [1.0, 0.3, 2.0]]), np.array([[1.0, -0.4, 0.2], [0.0, 0.6, 1.5]])),
)
SCORES = np.array([[3.0, -1.0, 0.5, 1.0], [0.0, 2.0, -2.0, 1.5], [1.0, -0.5, 2.5, -1.0], [0.5, 1.0, -1.5, 2.0]])
OTHER_SCORES = np.array([[0.3, 1.2, -0.7], [2.2, 0.1, 0.9], [-1.4, 0.6, 1.1]])
COUNTS, OTHER_COUNTS = np.array([400, 10, 80, 2]), np.array([7, 1_200, 30])
WHO, WHAT = np.array(["Anna", "Ben", "Anna", "Dora"]), np.array(["tent", "wok", "kite", "tent"])
OTHER_WHO, OTHER_WHAT = np.array(["Eve", "Eve", "Finn"]), np.array(["pan", "pan", "hat"])  # Eve bought two pans


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


def _all_of_hers(scores, users, products):
    bought = (users[:, None] == users) @ (products[:, None] == products)
    return np.where(bought & ~np.eye(len(users), dtype=bool), -np.inf, scores)


def _centred(scores):
    """A constant in all scores of a row doesn't matter to its softmax."""
    return np.asarray(scores) - np.mean(scores, axis=-1, keepdims=True)


def _chances(scores):
    """Nor does it matter whether a score is -inf, or a very large negative number."""
    return softmax(np.asarray(scores), axis=-1)


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


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        number="03.1",
        reference=in_batch_loss,
        inputs=BATCHES,
        mistakes=(
            (lambda u, p: in_batch_loss(u, p) / len(u), "That is the mean. Here the loss is summed over the batch."),
            (lambda u, p: -np.log(np.diag(softmax(u @ p.T, axis=1))), "One number for the batch: add the rows up."),
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
        inputs=((SCORES, COUNTS), (OTHER_SCORES, OTHER_COUNTS)),
        look=_centred,
        given="less the mean of each row, which doesn't matter to a softmax",
        mistakes=(
            (lambda s, c: s + np.log(c), "You added it, and popular products are wrong too often. Take it off."),
            (lambda s, c: s - c / c.sum(), "That is the share without its logarithm. Scores are exponents of e."),
            (
                lambda s, c: s - np.log(c)[:, None],
                "To a softmax these are the scores as they were: it ignores what is subtracted from a whole row. The "
                "counts belong to the columns.",
            ),
        ),
        hint="The counts belong to the columns, and numpy takes an array [batch] off every row, column by column.",
        right="Counts or shares are the same here: the logarithm of the total is in all scores, and cancels.",
    ),
    Exercise(
        number="03.3",
        reference=without_accidental_hits,
        inputs=((SCORES, WHO, WHAT), (OTHER_SCORES, OTHER_WHO, OTHER_WHAT)),
        look=_chances,
        given="after a softmax of each row",
        mistakes=(
            (lambda s, u, p: np.where(p[:, None] == p, -np.inf, s), "The diagonal is gone too, the right answers."),
            (
                lambda s, u, p: np.nan_to_num(without_accidental_hits(s, u, p), neginf=0),
                "A score of 0 still takes part, for e to the 0 is 1. Which exponent gives 0?",
            ),
            (lambda s, u, p: s * np.nan, "It is NaN: 0 times infinity isn't 0. Choose, with np.where for instance."),
            (lambda s, u, p: without_accidental_hits(s, p, u), "That compares users. Which *products* are equal?"),
            (_all_of_hers, "What Anna bought in another row stays in. Here only the row's own product counts."),
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
            (lambda train: Popularity(generate_shop(users=800, products=260, seed=9).reviews), OTHER_TABLE),
        ),
        hint="RetrievalModel has an argument for each fault of this notebook. "
        "Write the steps of `fit` out, for this `train`.",
        right="Far above the floor for those it knows, and about as good as the floor for those it doesn't.",
    ),
)
