"""The exercises of notebook 03: the in-batch softmax, two corrections, a model that beats the floor, and its loss."""

from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.special import softmax

from recsys_teach.baselines import Oracle, Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.exercises.exercise import Exercise, choice, empty, same
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


def _bought_in_any_row(scores, users, products):
    bought = (users[:, None] == users) @ (products[:, None] == products)
    return np.where(bought & ~np.eye(len(users), dtype=bool), -np.inf, scores)


def _centred(scores):
    """Return the scores without a constant of each row, which doesn't change the row's softmax."""
    return np.asarray(scores) - np.mean(scores, axis=-1, keepdims=True)


def _chances(scores):
    """Return the softmax of each row: a score of -inf and a very large negative score give the same."""
    return softmax(np.asarray(scores), axis=-1)


def build(train):
    """A recommender that has learned from `train`: with `products`, and `scores(reviews)` `[rows, products]`."""
    return _by_category(train, new_user=1.0)


TWO_TOWERS = """def build(train):
    tf.keras.utils.set_random_seed(0)
    vocabulary = learn_vocabulary(train)
    towers = UserTower(vocabulary), ProductTower(vocabulary)
    corrections = {"log_q": True, "remove_accidental_hits": True, "l2": 0.1, "unknown_user_dropout": 0.3}
    model = RetrievalModel(*towers, **corrections, product_bias=True)
    train_model(model, train, epochs=6)
    return model"""


def _by_category(train, new_user):
    """Popularity times how much more of a category a user buys than others do; for a new user, times `new_user`."""
    counts = train["product_id"].value_counts().sort_index()
    category = first_texts(train, "category", counts.index)
    usual = train["category"].value_counts(normalize=True).sort_index()
    own = pd.crosstab(train["user_id"], train["category"])[usual.index] + 3 * usual
    lift = own.div(own.sum(axis=1), axis=0) / usual
    return SimpleNamespace(
        products=list(counts.index),
        scores=lambda rows: counts.to_numpy() * lift.reindex(rows["user_id"]).fillna(new_user)[category].to_numpy(),
    )


def _with_test_rows(train):
    """Return a recommender that has seen the test rows."""
    products, bought = sorted(train["product_id"].unique()), _shop()[1].test["product_id"].to_numpy()
    return SimpleNamespace(products=products, scores=lambda rows: 1.0 * (bought[:, None] == np.array(products)))


@lru_cache(maxsize=1)
def _shop():
    """Return a small shop, which isn't the notebook's, and its split by time."""
    shop = generate_shop(users=800, products=240, seed=9)
    return shop, split_by_time(shop.reviews)


def _hits(answer):
    """Return the hit@10 of an answer to 03.4, between the floor and the ceiling; what it returned, if not that."""
    recommender = answer(_shop()[1].train.copy())
    if not hasattr(recommender, "scores") or isinstance(recommender, type):
        return recommender
    return OTHER_TABLE if set(recommender.products) - set(_shop()[1].train["product_id"]) else _board(recommender)


def _board(recommender):
    """Return the hit@10 of popularity, of a recommender and of the truth, for warm users and for new users."""
    shop, (train, test) = _shop()
    rivals = {"floor": Popularity(train), "yours": recommender, "ceiling": Oracle(shop)}
    return scoreboard(rivals, train, test, k=(10,), slices=True)["hit@10"].unstack("test rows")


OTHER_TABLE = "Its products aren't all in `train`: the notebook's `fit` uses the notebook's train, not this one."
NO_SCORES = "The returned object has no method scores(reviews): return the trained recommender itself."
LEAK = "It is better than the oracle, which knows the truth. How did it get to know the test rows?"
BOTH = "Too few hits for warm users, and fewer than popularity for new users. Which faults are left?"
NEW_USERS = "Enough hits for warm users, too few for new users. Does any training row change their vector?"
ONE_LIST = "Enough hits for new users, but hardly more for warm users. Has it learned their taste?"


def _wrong_with(hits):
    """Return what is wrong with an answer to 03.4, or None."""
    if not isinstance(hits, pd.DataFrame):
        return hits if isinstance(hits, str) else NO_SCORES
    hits = hits[["warm users", "new users"]]
    yours, bound = hits.loc["yours"], [1.3, 0.9] * hits.loc["floor"]
    if (yours > hits.loc["ceiling"]).any():
        return LEAK
    warm, new = yours >= bound
    if warm and new:
        return None
    words = NEW_USERS if warm else ONE_LIST if new else BOTH
    return (
        words + " hit@10: " + ", ".join(f"{part} {yours[part]:.3f}, to reach {bound[part]:.3f}" for part in bound.index)
    )


PLANTED = (  # vectors of users and of products, and log_q of the products
    (*BATCHES[0], np.log([0.3, 0.1, 0.05])),
    (*BATCHES[1], np.log([0.02, 0.4])),
)
LOSS_EPOCHS = 3


def compute_loss(self, features, training=False):
    """The in-batch softmax loss with the logQ correction, summed over the batch; `features`: columns `[batch]`."""
    return _loss(self, features)


COMPUTE_LOSS = """def compute_loss(self, features, training=False):
    users = self.user_tower(features["user_id"])
    products = self.product_tower(features["product_id"])
    scores = tf.matmul(users, products, transpose_b=True) - features["log_q"]
    right = tf.range(tf.shape(scores)[0])
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(right, scores))"""


def _loss(model, features, *, log_q=-1.0, of_users=False, first_column=False, rows=False, mean=False):
    """Return the loss, or that of a usual mistake: log_q added (1) or left out (0), a softmax over users, and so on."""
    from recsys_teach.backend import tf

    users, products = model.user_tower(features["user_id"]), model.product_tower(features["product_id"])
    scores = tf.matmul(users, products, transpose_b=True) + log_q * features["log_q"]
    scores = tf.transpose(scores) if of_users else scores
    right = tf.range(tf.shape(scores)[0]) * (0 if first_column else 1)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(right, scores)
    return losses if rows else tf.reduce_mean(losses) if mean else tf.reduce_sum(losses)


def _planted_losses(answer):
    """Return the loss of each planted batch; the dots or None, if the answer returns these."""
    from recsys_teach.backend import tf

    losses = []
    for users, products, log_q in PLANTED:
        model = SimpleNamespace(
            user_tower=lambda ids, vectors=users: tf.constant(vectors, tf.float32),
            product_tower=lambda ids, vectors=products: tf.constant(vectors, tf.float32),
        )
        ids = tf.constant([str(row) for row in range(len(users))])
        features = {"user_id": ids, "product_id": ids, "log_q": tf.constant(log_q, tf.float32)}
        losses.append(answer(model, features, training=True))
    return losses


def _trained_by(answer):
    """Return the hit@10 of a model that was trained with an answer to 03.5 (see `_board`), or what is wrong with it."""
    losses = _planted_losses(answer)
    if empty(losses):
        return losses
    if words := _wrong_loss(losses):
        return words
    from recsys_teach.adapters import recommender
    from recsys_teach.backend import tf, tfrs
    from recsys_teach.features import learn_vocabulary
    from recsys_teach.training import train_model

    train = _shop()[1].train
    vocabulary = learn_vocabulary(train)
    tf.keras.utils.set_random_seed(0)
    model = type("YourModel", (tfrs.Model,), {"compute_loss": answer})()
    for name, ids in (("user_tower", vocabulary.users), ("product_tower", vocabulary.products)):
        lookup, embedding = tf.keras.layers.StringLookup(vocabulary=ids), tf.keras.layers.Embedding(len(ids) + 1, 32)
        setattr(model, name, tf.keras.Sequential([lookup, embedding]))
    share = train["product_id"].map(train["product_id"].value_counts()) / len(train)
    rows = train[["user_id", "product_id"]].assign(log_q=np.log(share))
    train_model(model, rows, epochs=LOSS_EPOCHS)
    return _board(recommender(model.user_tower, model.product_tower, vocabulary.products))


def _wrong_loss(losses):
    """Return what is wrong with the losses of the planted batches, if it is a usual mistake, or None."""
    for mistake, words in WRONG_LOSSES:
        if same(losses, _planted_losses(mistake)):
            return words
    shapes = [getattr(loss, "shape", None) for loss in losses]
    return None if all(shape is not None and len(shape) == 0 for shape in shapes) else NO_LOSS


NO_LOSS = "Return a single number, a tensor of TensorFlow without dimensions, so that Keras can compute its gradient."
FEW_HITS = "The model gets too few hits. Is a row a user, is log_q subtracted, is column b right in row b?"
WRONG_LOSSES = (
    (
        lambda self, features, training=False: _loss(self, features, mean=True),
        "That is the mean over the batch: its gradients are too small for a few epochs. Return the sum.",
    ),
    (
        lambda self, features, training=False: _loss(self, features, log_q=1.0),
        "You added log_q: popular products then lose even more in the dot products. Subtract it.",
    ),
    (
        lambda self, features, training=False: _loss(self, features, log_q=0.0),
        "This is the loss without logQ. Subtract log_q from the columns: [batch] from [batch, batch] does so.",
    ),
    (
        lambda self, features, training=False: _loss(self, features, first_column=True),
        "In every row, column 0 is your right answer. In row b it is column b: the labels are 0, 1, 2, …",
    ),
    (
        lambda self, features, training=False: _loss(self, features, of_users=True),
        "Your rows are products. Each user chooses among the products, so a row should be a user.",
    ),
    (
        lambda self, features, training=False: _loss(self, features, rows=True),
        "That is a loss for each row. Add them up with tf.reduce_sum.",
    ),
    (
        lambda self, features, training=False: -_loss(self, features),
        "The sign is wrong: training makes this number small, and with it the probability of the right answers.",
    ),
)


def _wrong_with_model(hits):
    """Return what is wrong with an answer to 03.5, or None."""
    if not isinstance(hits, pd.DataFrame):
        return hits
    yours, floor = hits.loc[["yours", "floor"], "warm users"]
    return None if yours > 1.1 * floor else f"{FEW_HITS} hit@10: {yours:.3f}, popularity {floor:.3f}, for warm users."


EXERCISES: tuple[Exercise, ...] = (
    choice(
        "03.a",
        right="b",
        hint="Why is log Q subtracted in training? And is there a batch when the model recommends?",
        a="No. That takes popularity out of the scores again: these are the scores of the textbook's model.",
        b="Yes. log Q makes up for the wrong answers of a batch, and there is no batch when the model recommends.",
        c="No. The dot products contain popularity already. With log Q added, it would count twice.",
    ),
    choice(
        "03.b",
        right="c",
        hint="How many wrong answers does a row have in each of the two cases?",
        a="No. Overfitting makes the loss of the training rows smaller, not larger.",
        b="No. A smaller step may be slower, but here the two losses don't measure the same thing.",
        c="Yes. A row has 511 wrong answers instead of 63. Compare the models by their hits among all products.",
    ),
    choice(
        "03.c",
        right="a",
        hint="There are two kinds of luck in each number: the seed, and the users of the test rows.",
        a="Yes. Both kinds of luck are in this interval. Users who are easy for both models don't make it wider.",
        b="No. The two intervals may overlap although the interval of the paired difference excludes 0.",
        c="No. With another seed, or with other users in the test rows, the order may be the other one.",
        d="No. This removes the luck of training, but not that of the test rows: other users could be in them.",
    ),
    Exercise(
        number="03.1",
        reference=in_batch_loss,
        inputs=BATCHES,
        mistakes=(
            (lambda u, p: in_batch_loss(u, p) / len(u), "That is the mean over the batch. Return the sum."),
            (lambda u, p: -np.log(np.diag(softmax(u @ p.T, axis=1))), "One number for the batch: add the rows up."),
            (lambda u, p: in_batch_loss(p, u), "Your softmax goes down the columns. Each user chooses among products."),
            (
                lambda u, p: -in_batch_loss(u, p),
                "The logarithm of a probability is negative, and a loss is positive: a minus is missing.",
            ),
            (
                lambda u, p: -np.log(softmax(u @ p.T, axis=1)).sum(),
                "You added up all cells. Take the diagonal only: it has the right answers.",
            ),
        ),
        hint="The scores are users @ products.T. Apply a softmax to each row, then add up -log of the diagonal.",
        right="The loss is 0 only if the right answer has the probability 1 in every row.",
    ),
    Exercise(
        number="03.2",
        reference=log_q_correction,
        inputs=((SCORES, COUNTS), (OTHER_SCORES, OTHER_COUNTS)),
        look=_centred,
        given="less the mean of each row, which doesn't matter to a softmax",
        mistakes=(
            (lambda s, c: s + np.log(c), "You added it: then popular products lose even more. Subtract it."),
            (
                lambda s, c: s - c / c.sum(),
                "You subtracted the share itself. A score is an exponent of e: subtract the logarithm.",
            ),
            (
                lambda s, c: s - np.log(c)[:, None],
                "You subtracted a constant from each row, and this doesn't change the row's softmax. The counts belong "
                "to the columns.",
            ),
        ),
        hint="The counts belong to the columns. NumPy subtracts an array [batch] from every row of [batch, batch].",
        right="Counts and shares give the same loss: the logarithm of the total is a constant in all scores of a row.",
    ),
    Exercise(
        number="03.3",
        reference=without_accidental_hits,
        inputs=((SCORES, WHO, WHAT), (OTHER_SCORES, OTHER_WHO, OTHER_WHAT)),
        look=_chances,
        given="after a softmax of each row",
        mistakes=(
            (
                lambda s, u, p: np.where(p[:, None] == p, -np.inf, s),
                "You removed the diagonal as well: these are the right answers.",
            ),
            (
                lambda s, u, p: np.nan_to_num(without_accidental_hits(s, u, p), neginf=0),
                "A score of 0 still counts in the softmax, for e to the 0 is 1. Which exponent gives 0?",
            ),
            (
                lambda s, u, p: s * np.nan,
                "The result is NaN: 0 times infinity isn't 0. Use np.where instead of a product.",
            ),
            (lambda s, u, p: without_accidental_hits(s, p, u), "That compares users. Which *products* are equal?"),
            (_bought_in_any_row, "You also removed what Anna bought in another row. Compare products only."),
        ),
        hint="products[:, None] == products is true where two rows have the same product, also on the diagonal.",
        right="Dora's tent is no longer a wrong answer in Anna's row. Anna's kite, of another row, still is.",
    ),
    Exercise(
        number="03.4",
        reference=build,
        probe=_hits,
        verdict=_wrong_with,
        solution=TWO_TOWERS,
        mistakes=(
            (lambda train: _by_category(train.assign(user_id="nobody"), new_user=0.0), BOTH),
            (lambda train: _by_category(train, new_user=0.0), NEW_USERS),
            (Popularity, ONE_LIST),
            (_with_test_rows, LEAK),
            (lambda train: Popularity(generate_shop(users=800, products=260, seed=9).reviews), OTHER_TABLE),
        ),
        hint="RetrievalModel has an argument for each repair of this notebook. "
        "Write out the steps of `fit`, with a vocabulary of this `train`.",
        right="Far above popularity for warm users, and about as good as popularity for new users.",
    ),
    Exercise(
        number="03.5",
        reference=compute_loss,
        probe=_trained_by,
        verdict=_wrong_with_model,
        solution=COMPUTE_LOSS,
        mistakes=WRONG_LOSSES,
        hint="Vectors from both towers, a matrix product, minus log_q, then "
        "tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores) with the labels tf.range(batch), and the sum.",
        right="A model was trained with your loss, and it gets more hits for warm users than popularity does.",
    ),
)
