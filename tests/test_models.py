"""The three models: losses worked out by hand, and what each weight and each correction does to them."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import learn_vocabulary
from recsys_teach.heads import FactorHead
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.scoreboard import scoreboard
from recsys_teach.towers import ProductTower, UserTower, training_rows
from recsys_teach.training import train_model

TRAIN = pd.DataFrame(
    {
        "user_id": ["a", "b", "c", "d", "a"],
        "product_id": ["x", "y", "x", "z", "y"],
        "rating": [5.0, 3.0, 4.0, 1.0, 2.0],
    }
)
VOCABULARY = learn_vocabulary(TRAIN)
U, P = UserTower(VOCABULARY, dim=2), ProductTower(VOCABULARY, dim=2)
ROWS = training_rows(TRAIN, U, P)
USER_VECTORS = np.array([[0.3, 0.1], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [-1.0, 0.2]])  # unknown, a, b, c, d
PRODUCT_VECTORS = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])  # unknown, x, y, z
U(dict.fromkeys(["user_id"], tf.constant(["a"]))), P({"product_id": tf.constant(["x"])})
U.user_embedding.set_weights([USER_VECTORS])
P.product_embedding.set_weights([PRODUCT_VECTORS])
USERS = USER_VECTORS[[1, 2, 3, 4, 1]]
PRODUCTS = PRODUCT_VECTORS[[1, 2, 1, 3, 2]]
SHARES = np.array([2, 2, 2, 1, 2]) / 5


def softmax_loss(logits):
    return -np.diag(log_softmax(logits, axis=1)).sum()


def test_textbook_loss_is_the_in_batch_softmax_summed():
    loss = RetrievalModel(U, P).compute_loss(ROWS, training=True)
    np.testing.assert_allclose(loss, softmax_loss(USERS @ PRODUCTS.T), rtol=1e-5)


def test_log_q_subtracts_the_log_of_each_products_share():
    loss = RetrievalModel(U, P, log_q=True).compute_loss(ROWS, training=True)
    np.testing.assert_allclose(loss, softmax_loss(USERS @ PRODUCTS.T - np.log(SHARES)), rtol=1e-5)


def test_accidental_hits_are_no_wrong_answers():
    names = TRAIN["product_id"].to_numpy()
    accidental = (names[:, None] == names[None, :]) & ~np.eye(5, dtype=bool)
    loss = RetrievalModel(U, P, remove_accidental_hits=True).compute_loss(ROWS, training=True)
    np.testing.assert_allclose(loss, softmax_loss(np.where(accidental, -np.inf, USERS @ PRODUCTS.T)), rtol=1e-5)


def test_l2_costs_half_the_squared_length_of_the_vectors_in_the_batch():
    plain = RetrievalModel(U, P).compute_loss(ROWS)
    penalised = RetrievalModel(U, P, l2=0.1).compute_loss(ROWS)
    np.testing.assert_allclose(penalised - plain, 0.05 * ((USERS**2).sum() + (PRODUCTS**2).sum()), rtol=1e-4)


def test_unknown_user_dropout_forgets_users_in_training_only():
    model = RetrievalModel(U, P, unknown_user_dropout=1.0)
    forgotten, _ = model(ROWS, training=True)
    np.testing.assert_allclose(forgotten, np.tile(USER_VECTORS[0], (5, 1)), rtol=1e-6)
    known, _ = model(ROWS, training=False)
    np.testing.assert_allclose(known, USERS, rtol=1e-6)


def test_unknown_user_dropout_forgets_the_share_it_is_told():
    tf.keras.utils.set_random_seed(0)
    many = {"user_id": tf.ones(10_000, tf.int64), "product_id": tf.ones(10_000, tf.int64)}
    vectors, _ = RetrievalModel(U, P, unknown_user_dropout=0.2)(many, training=True)
    assert np.isclose(vectors.numpy()[:, 0], USER_VECTORS[0, 0]).mean() == pytest.approx(0.2, abs=0.02)


def test_scores_are_dot_products_in_the_order_of_products():
    reviews = pd.DataFrame({"user_id": ["b", "nobody"], "product_id": ["x", "x"]})
    scores = RetrievalModel(U, P).scores(reviews)
    np.testing.assert_allclose(scores, USER_VECTORS[[2, 0]] @ PRODUCT_VECTORS[1:].T, rtol=1e-6)


def test_ranking_loss_is_the_summed_squared_error_and_the_heads_penalty():
    model = RankingModel(U, P, head=FactorHead(VOCABULARY, damping=5.0, scale=0.5), l2=0.1)
    model.compute_loss(ROWS)
    bias = np.array([[0.0], [1.0], [0.0], [0.0], [0.0]])
    model.head.user_bias.set_weights([bias])  # user a, two of the five rows
    predicted = 3.0 + 0.5 * (USERS * PRODUCTS).sum(axis=1) + bias[[1, 2, 3, 4, 1], 0]
    lengths = 0.05 * ((USERS**2).sum() + (PRODUCTS**2).sum())
    expected = ((predicted - TRAIN["rating"]) ** 2).sum() + 5 * (1 / 2 + 1 / 2) + lengths
    np.testing.assert_allclose(model.compute_loss(ROWS), expected, rtol=1e-5)
    np.testing.assert_allclose(model.ratings(TRAIN), predicted, rtol=1e-5)


def test_multitask_loss_is_the_weighted_sum_of_both_with_one_penalty():
    head = FactorHead(VOCABULARY)
    model = MultitaskModel(U, P, rating_weight=0.3, retrieval_weight=0.7, head=head, log_q=True, l2=0.1)
    rating = RankingModel(U, P, head=head).compute_loss(ROWS)
    retrieval = RetrievalModel(U, P, log_q=True).compute_loss(ROWS)
    lengths = 0.05 * ((USERS**2).sum() + (PRODUCTS**2).sum())
    np.testing.assert_allclose(model.compute_loss(ROWS), 0.3 * rating + 0.7 * retrieval + lengths, rtol=1e-5)


def test_multitask_passes_every_correction_on():
    model = MultitaskModel(
        U,
        P,
        rating_weight=0.0,
        retrieval_weight=1.0,
        log_q=True,
        remove_accidental_hits=True,
        unknown_user_dropout=1.0,
        product_bias=True,
    )
    alone = RetrievalModel(U, P, log_q=True, remove_accidental_hits=True, unknown_user_dropout=1.0, product_bias=True)
    for each in (model.retrieval, alone):
        each.product_bias.set_weights([np.array([[0.0], [0.5], [-1.0], [2.0]])])
    np.testing.assert_allclose(model.compute_loss(ROWS, training=True), alone.compute_loss(ROWS, training=True))
    assert alone.compute_loss(ROWS, training=True) != alone.compute_loss(ROWS, training=False)


@pytest.mark.parametrize(
    "model", [RetrievalModel(U, P), RankingModel(U, P), MultitaskModel(U, P, rating_weight=1, retrieval_weight=1)]
)
def test_a_loss_leaves_its_batch_as_it_was(model):
    before = dict(ROWS)
    assert model.compute_loss(ROWS, training=True) == model.compute_loss(ROWS, training=True)
    assert before.keys() == ROWS.keys()
    assert all(before[name] is ROWS[name] for name in before)


def planted(seed=0):
    """Two crowds of 30 users; each buys 8 of its own 15 products, and likes the first five of them."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(60):
        crowd = user % 2
        for product in rng.permutation(15)[:8]:
            rows.append((f"u{user}", f"p{crowd * 15 + product:02d}", 5.0 if product < 5 else 2.0))
    reviews = pd.DataFrame(rows, columns=["user_id", "product_id", "rating"])
    return reviews.iloc[rng.permutation(len(reviews))].reset_index(drop=True)


def small_towers(vocabulary):
    tf.keras.utils.set_random_seed(3)
    return UserTower(vocabulary, dim=8), ProductTower(vocabulary, dim=8)


def test_multitask_with_one_weight_trains_to_the_specialist():
    reviews = planted()
    vocabulary = learn_vocabulary(reviews)
    alone = RetrievalModel(*small_towers(vocabulary), log_q=True, l2=0.1)
    train_model(alone, reviews, epochs=2, batch_size=64)
    both = MultitaskModel(*small_towers(vocabulary), rating_weight=0.0, retrieval_weight=1.0, log_q=True, l2=0.1)
    train_model(both, reviews, epochs=2, batch_size=64)
    np.testing.assert_allclose(both.scores(reviews), alone.scores(reviews), atol=1e-4)


def test_training_finds_both_crowds_and_what_they_like():
    reviews = planted()
    train, test = reviews[:400], reviews[400:].reset_index(drop=True)
    vocabulary = learn_vocabulary(train)
    model = MultitaskModel(
        *small_towers(vocabulary),
        rating_weight=1.0,
        retrieval_weight=1.0,
        head=FactorHead(vocabulary),
        log_q=True,
        l2=0.05,
    )
    losses = train_model(model, train, epochs=30, batch_size=64)
    assert losses["retrieval_loss"].iloc[-1] < losses["retrieval_loss"].iloc[0]
    own_half = np.array([[name < "p15" for name in model.products]] * 60)
    users = pd.DataFrame({"user_id": [f"u{user}" for user in range(60)], "product_id": "p00"})
    scores = model.scores(users)
    crowd = np.arange(60) % 2 == 0
    assert np.where(own_half == crowd[:, None], scores, np.inf).min(axis=1).mean() > scores.mean()
    mean_own = np.where(own_half == crowd[:, None], scores, np.nan)
    mean_other = np.where(own_half == crowd[:, None], np.nan, scores)
    assert (np.nanmin(mean_own, axis=1) > np.nanmean(mean_other, axis=1)).all()
    board = scoreboard({"model": model}, train, test)
    assert board["rmse"].item() < 0.5 * test["rating"].std()


def test_the_same_seeds_give_the_same_model():
    reviews = planted()
    vocabulary = learn_vocabulary(reviews)
    scores = []
    for _ in range(2):
        model = RetrievalModel(*small_towers(vocabulary), unknown_user_dropout=0.2)
        train_model(model, reviews, epochs=2, batch_size=64, seed=5)
        scores.append(model.scores(reviews))
    np.testing.assert_array_equal(scores[0], scores[1])


def test_training_reports_every_epoch():
    vocabulary = learn_vocabulary(TRAIN)
    seen = []
    model = MultitaskModel(*small_towers(vocabulary), rating_weight=1.0, retrieval_weight=1.0)
    losses = train_model(model, TRAIN, epochs=3, after_epoch=seen.append)
    assert seen == [1, 2, 3]
    assert losses.index.tolist() == [1, 2, 3]
    assert set(losses) == {"rating_loss", "retrieval_loss"}
    assert losses.notna().all(axis=None)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ((-1.0, 1.0), "rating_weight is -1.0"),
        ((1.0, float("nan")), "retrieval_weight is nan"),
        ((float("inf"), 1.0), "rating_weight is inf"),
        ((0.0, 0.0), "both weights are 0"),
    ],
)
def test_bad_weights_are_refused(weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        MultitaskModel(U, P, rating_weight=weights[0], retrieval_weight=weights[1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hit_rates_equal_tfrs_factorized_top_k(seed):
    rng = np.random.default_rng(seed)
    reviews = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in rng.integers(20, size=120)],
            "product_id": [f"p{n:02d}" for n in rng.integers(15, size=120)],
            "rating": 3.0,
        }
    )
    train, test = reviews[:80], reviews[80:].reset_index(drop=True)
    vocabulary = learn_vocabulary(train)
    model = RetrievalModel(*small_towers(vocabulary))
    train_model(model, train, epochs=1, batch_size=16)
    test = test[test["product_id"].isin(vocabulary.products)].reset_index(drop=True)

    k = list(range(1, 16))
    products = model.product_tower({"product_id": tf.constant(vocabulary.products)})
    candidates = tf.data.Dataset.from_tensor_slices((tf.constant(vocabulary.products), products)).batch(7)
    theirs = tfrs.metrics.FactorizedTopK(candidates, ks=k)
    users = model.user_tower({"user_id": tf.constant(test["user_id"].to_numpy(dtype=object))})
    positives = model.product_tower({"product_id": tf.constant(test["product_id"].to_numpy(dtype=object))})
    theirs.update_state(users, positives, true_candidate_ids=tf.constant(test["product_id"].to_numpy(dtype=object)))

    ours = scoreboard({"model": model}, train, test, k=k, exclude_seen=False)
    np.testing.assert_allclose([ours[f"hit@{depth}"].item() for depth in k], theirs.result(), atol=1e-6)


def test_a_product_bias_is_added_to_everybodys_score():
    model = RetrievalModel(U, P, product_bias=True)
    bias = np.array([[9.0], [0.5], [-1.0], [2.0]])  # unknown, x, y, z
    model.product_bias.set_weights([bias])
    logits = USERS @ PRODUCTS.T + bias[[1, 2, 1, 3, 2], 0]
    np.testing.assert_allclose(model.compute_loss(ROWS), softmax_loss(logits), rtol=1e-5)
    reviews = pd.DataFrame({"user_id": ["b", "nobody"], "product_id": ["x", "x"]})
    expected = USER_VECTORS[[2, 0]] @ PRODUCT_VECTORS[1:].T + bias[1:, 0]
    np.testing.assert_allclose(model.scores(reviews), expected, rtol=1e-6)
