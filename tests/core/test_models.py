"""The three models: losses worked out by hand, and what each weight and each correction does to them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from recsys_teach.backend import tf, tfrs
from recsys_teach.baselines import EASE, DampedBiases, ItemKNN, Popularity, RateSinceLaunch
from recsys_teach.evaluation import row_ranks, scoreboard
from recsys_teach.features import learn_vocabulary
from recsys_teach.histories import earlier_purchases
from recsys_teach.lab.sweep import ORIGINAL
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import DenseHead, FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.sharing import JointModel
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_by_time
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
U.embedding.set_weights([USER_VECTORS])
P.embedding.set_weights([PRODUCT_VECTORS])
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
    plain, penalised = RetrievalModel(U, P), RetrievalModel(U, P, l2=0.1)
    cost = penalised.compute_loss(ROWS, training=True) - plain.compute_loss(ROWS, training=True)
    np.testing.assert_allclose(cost, 0.05 * ((USERS**2).sum() + (PRODUCTS**2).sum()), rtol=1e-4)
    assert penalised.compute_loss(ROWS) == plain.compute_loss(ROWS)  # validation looks at the errors alone


def test_log_q_of_ten_million_products_is_that_of_shares_below_a_millionth():
    counts = np.ones(10_000_000, np.int64)
    counts[:3] = 100_000_000, 500, 1  # TFRS by itself takes any share below 1e-6 for 1e-6
    counts[3] = 1_000_000_000 - counts.sum() + 1
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    tower = SimpleNamespace(vocabulary=SimpleNamespace(product_counts=counts))
    model = RetrievalModel(U, tower, log_q=True)
    rows = {"product_id": tf.constant([1, 2, 3, 10_000_000], tf.int64)}
    shares = counts[[0, 1, 2, -1]] / 1e9
    assert shares.tolist() == [0.1, 5e-7, 1e-9, 1e-9]
    expected = softmax_loss(vectors.astype(float) @ vectors.T - np.log(shares))
    loss = model.task_loss(tf.constant(vectors), tf.constant(vectors), rows)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_unknown_user_dropout_forgets_users_in_training_only():
    model = RetrievalModel(U, P, unknown_user_dropout=1.0)
    strangers = np.tile(USER_VECTORS[0], (5, 1))
    np.testing.assert_allclose(model.compute_loss(ROWS, training=True), softmax_loss(strangers @ PRODUCTS.T), rtol=1e-5)
    np.testing.assert_allclose(model.compute_loss(ROWS, training=False), softmax_loss(USERS @ PRODUCTS.T), rtol=1e-5)


def test_unknown_user_dropout_forgets_the_share_it_is_told():
    tf.keras.utils.set_random_seed(0)
    users = (
        RetrievalModel(U, P, unknown_user_dropout=0.2).drop_users({"user_id": tf.fill([10_000], 3)})["user_id"].numpy()
    )
    assert set(users) == {0, 3}
    assert (users == 0).mean() == pytest.approx(0.2, abs=0.02)


def test_every_batch_forgets_other_users():
    model = RetrievalModel(U, P, unknown_user_dropout=0.5)
    first, second = (model.drop_users({"user_id": tf.ones(100, tf.int64)})["user_id"].numpy() for _ in range(2))
    assert (first != second).any()


def test_forgetting_changes_the_user_and_nothing_else():
    many = {name: tf.repeat(values, 20) for name, values in ROWS.items()}
    forgotten = RetrievalModel(U, P, unknown_user_dropout=0.5).drop_users(many)
    assert forgotten.keys() == many.keys()
    assert forgotten["product_id"] is many["product_id"]
    assert forgotten["rating"] is many["rating"]
    assert (forgotten["user_id"].numpy() != many["user_id"].numpy()).any()
    kept = forgotten["user_id"].numpy() != 0
    assert (forgotten["user_id"].numpy() == many["user_id"].numpy())[kept].all()


def test_without_dropout_nobody_is_forgotten():
    np.testing.assert_array_equal(RetrievalModel(U, P).drop_users(ROWS)["user_id"], ROWS["user_id"])


def test_scores_are_dot_products_in_the_order_of_products():
    reviews = pd.DataFrame({"user_id": ["b", "nobody"], "product_id": ["x", "x"]})
    scores = RetrievalModel(U, P).scores(reviews)
    np.testing.assert_allclose(scores, USER_VECTORS[[2, 0]] @ PRODUCT_VECTORS[1:].T, rtol=1e-6)


def test_ranking_loss_is_the_summed_squared_error_and_the_heads_penalty():
    vocabulary = replace(VOCABULARY, biases=DampedBiases(TRAIN, damping=5.0), rating_spread=2.0)
    model = RankingModel(U, P, head=FactorHead(vocabulary, scale=0.5), l2=0.1)
    model.compute_loss(ROWS, training=True)
    bias = np.array([[0.0], [1.0], [0.0], [0.0], [0.0]])
    model.head.user_bias.set_weights([bias])  # user a, two of the five rows
    model.head.product_bias.set_weights([np.zeros((4, 1))])
    predicted = 3.0 + 2.0 * (bias[[1, 2, 3, 4, 1], 0] + 0.5 * (USERS * PRODUCTS).sum(axis=1))
    lengths = 0.05 * ((USERS**2).sum() + (PRODUCTS**2).sum())
    errors = ((predicted - TRAIN["rating"]) ** 2).sum()
    penalties = 5 * 2.0**2 * (1 / 2 + 1 / 2) + lengths
    np.testing.assert_allclose(model.compute_loss(ROWS, training=True), errors + penalties, rtol=1e-5)
    np.testing.assert_allclose(model.compute_loss(ROWS), errors, rtol=1e-5)
    np.testing.assert_allclose(model.ratings(TRAIN), predicted, rtol=1e-5)


def test_the_rating_weight_is_that_of_the_errors_and_not_of_the_lengths():
    head = FactorHead(VOCABULARY)
    errors = RankingModel(U, P, head=head).compute_loss(ROWS, training=True)
    lengths = 0.05 * ((USERS**2).sum() + (PRODUCTS**2).sum())
    weighted = RankingModel(U, P, head=head, rating_weight=0.3, l2=0.1).compute_loss(ROWS, training=True)
    np.testing.assert_allclose(weighted, 0.3 * errors + lengths, rtol=1e-5)


def test_the_errors_that_a_dense_head_learns_from_are_those_of_its_ratings():
    model = RankingModel(U, P, head=DenseHead(sizes=[2]))
    model.ratings(TRAIN)  # makes all parameters
    hidden, last = model.head.dense
    hidden.set_weights([np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), np.zeros(2)])  # u_0 and p_0
    last.set_weights([np.array([[1.0], [10.0]]), np.array([0.5])])
    stars = np.array([1 + 20 + 0.5, 0 + 0 + 0.5, 0.5 + 20 + 0.5, 0 + 10 + 0.5, 1 + 0 + 0.5])  # a x, b y, c x, d z, a y
    np.testing.assert_allclose(model.ratings(TRAIN), stars, rtol=1e-6)
    np.testing.assert_allclose(model.compute_loss(ROWS), ((stars - TRAIN["rating"]) ** 2).sum(), rtol=1e-6)


def test_before_training_without_vectors_ratings_are_the_damped_biases():
    products = ProductTower(VOCABULARY, dim=2)
    products(VOCABULARY.catalogue())
    products.embedding.set_weights([np.zeros((4, 2))])
    everything = pd.MultiIndex.from_product([["a", "b", "c", "d", "?"], ["x", "y", "z", "?"]])
    everything = everything.to_frame(index=False, name=["user_id", "product_id"])
    predicted = RankingModel(U, products, head=FactorHead(VOCABULARY)).ratings(everything)
    np.testing.assert_allclose(predicted, DampedBiases(TRAIN).ratings(everything), rtol=1e-6)


def loss_and_gradients(model, rows):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(rows, training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    return loss.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


@pytest.mark.parametrize("head", [DenseHead(), FactorHead(replace(VOCABULARY, biases=DampedBiases(TRAIN, damping=0)))])
def test_unrated_rows_add_nothing_to_the_ranking_loss(head):
    model = RankingModel(U, P, head=head)
    unrated = [1, 4]
    some_rated = ROWS | {"rating": tf.constant(TRAIN["rating"].where(~TRAIN.index.isin(unrated)), tf.float32)}
    only_rated = {name: tf.constant(np.delete(values.numpy(), unrated)) for name, values in ROWS.items()}
    loss, gradients = loss_and_gradients(model, some_rated)
    expected_loss, expected_gradients = loss_and_gradients(model, only_rated)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    assert len(gradients) == len(expected_gradients) >= 4
    for gradient, expected in zip(gradients, expected_gradients):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_a_batch_without_any_rating_has_no_ranking_loss_and_no_gradient():
    model = RankingModel(U, P, head=DenseHead())
    loss, gradients = loss_and_gradients(model, ROWS | {"rating": tf.fill([5], np.nan)})
    assert loss == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_unrated_rows_count_for_retrieval():
    unrated = ROWS | {"rating": tf.fill([5], np.nan)}
    model = MultitaskModel(U, P, rating_weight=0.4, retrieval_weight=1.0)
    np.testing.assert_allclose(model.compute_loss(unrated), RetrievalModel(U, P).compute_loss(ROWS), rtol=1e-6)


def test_multitask_loss_is_the_weighted_sum_of_both_with_one_penalty():
    head = FactorHead(VOCABULARY)
    model = MultitaskModel(U, P, rating_weight=0.3, retrieval_weight=0.7, head=head, log_q=True, l2=0.1)
    rating = RankingModel(U, P, head=head)
    retrieval = RetrievalModel(U, P, log_q=True).compute_loss(ROWS)
    lengths = 0.05 * ((USERS**2).sum() + (PRODUCTS**2).sum())
    penalised = 0.3 * rating.compute_loss(ROWS, training=True) + 0.7 * retrieval + lengths
    np.testing.assert_allclose(model.compute_loss(ROWS, training=True), penalised, rtol=1e-5)
    np.testing.assert_allclose(model.compute_loss(ROWS), 0.3 * rating.compute_loss(ROWS) + 0.7 * retrieval, rtol=1e-5)


def test_the_originals_ratio_is_one_to_one_as_tfrs_counts_in_batches_of_32():
    rows, head = {name: tf.tile(values, [7])[:32] for name, values in ROWS.items()}, DenseHead()
    model = MultitaskModel(U, P, rating_weight=ORIGINAL[0], retrieval_weight=ORIGINAL[1], head=head)
    users, products = model(rows)
    rating = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError())
    theirs = 0.5 * rating(labels=rows["rating"][:, None], predictions=head(users, products, rows))
    theirs += 0.5 * tfrs.tasks.Retrieval()(users, products)
    np.testing.assert_allclose(model.compute_loss(rows), theirs, rtol=1e-5)


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


def test_in_multitask_who_is_forgotten_is_a_stranger_to_the_rating_head_too():
    settings = {"rating_weight": 1.0, "retrieval_weight": 0.5, "head": FactorHead(VOCABULARY)}
    model = MultitaskModel(U, P, unknown_user_dropout=1.0, **settings)
    loss, gradients = loss_and_gradients(model, ROWS)
    strangers = ROWS | {"user_id": tf.zeros_like(ROWS["user_id"])}
    known = MultitaskModel(U, P, **settings).compute_loss(strangers, training=True)
    np.testing.assert_allclose(loss, known, rtol=1e-6)
    everybody = MultitaskModel(U, P, **settings).compute_loss(ROWS)
    np.testing.assert_allclose(model.compute_loss(ROWS, training=False), everybody, rtol=1e-6)
    of = {variable.ref(): gradient for variable, gradient in zip(model.trainable_variables, gradients)}
    user_bias = of[settings["head"].user_bias.embeddings.ref()]
    assert user_bias[0] != 0
    assert (user_bias[1:] == 0).all()
    assert (of[settings["head"].product_bias.embeddings.ref()][1:] != 0).all()


@pytest.mark.parametrize(
    "model", [RetrievalModel(U, P), RankingModel(U, P), MultitaskModel(U, P, rating_weight=1, retrieval_weight=1)]
)
def test_a_loss_leaves_its_batch_as_it_was(model):
    before = dict(ROWS)
    assert model.compute_loss(ROWS, training=True) == model.compute_loss(ROWS, training=True)
    assert before.keys() == ROWS.keys()
    assert all(before[name] is ROWS[name] for name in before)


def planted(users=60, seed=0):
    """Two crowds; each user buys 8 of its own 15 products, and likes the first five of them."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
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
    reviews = planted(users=120)
    train, test = reviews[:800], reviews[800:].reset_index(drop=True)
    vocabulary = learn_vocabulary(train)
    model = MultitaskModel(
        *small_towers(vocabulary),
        rating_weight=1.0,
        retrieval_weight=1.0,
        head=FactorHead(vocabulary),
        log_q=True,
        l2=0.1,
    )
    losses = train_model(model, train, epochs=30, batch_size=64)
    assert losses["retrieval_loss"].iloc[-1] < losses["retrieval_loss"].iloc[0]
    own_half = np.array([[name < "p15" for name in model.products]] * 120)
    users = pd.DataFrame({"user_id": [f"u{user}" for user in range(120)], "product_id": "p00"})
    scores = model.scores(users)
    crowd = np.arange(120) % 2 == 0
    assert np.where(own_half == crowd[:, None], scores, np.inf).min(axis=1).mean() > scores.mean()
    mean_own = np.where(own_half == crowd[:, None], scores, np.nan)
    mean_other = np.where(own_half == crowd[:, None], np.nan, scores)
    assert (np.nanmin(mean_own, axis=1) > np.nanmean(mean_other, axis=1)).all()
    board = scoreboard({"model": model}, train, test)
    assert board["rmse"].item() < 0.5 * test["rating"].std()


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


class Unsaid:
    """A recommender that doesn't say what it reads, so that it is asked for every row."""

    def __init__(self, recommender):
        self.products, self.scores = recommender.products, recommender.scores


@pytest.mark.parametrize("histories", [False, True])
@pytest.mark.parametrize(
    "fit",
    [
        *(Popularity, RateSinceLaunch, ItemKNN, EASE),
        lambda train: retrieval(train),
        lambda train: retrieval(train, summary=True),
        lambda train: retrieval(train, history=True),
        lambda train: MultitaskModel(*towers(train), rating_weight=1.0, retrieval_weight=1.0),
        lambda train: JointModel(retrieval(train), RankingModel(*towers(train))),
    ],
)
def test_scores_depend_on_nothing_else_than_what_a_recommender_reads(fit, histories):
    shop = generate_shop(users=60, products=30).reviews
    table = earlier_purchases(shop) if histories else shop
    train, test = split_by_time(table, test_share=0.4)
    it = fit(train)
    assert "reads" in vars(type(it))
    visible = ["summary"]
    expected = row_ranks(Unsaid(it), train, test, visible=visible)
    np.testing.assert_array_equal(row_ranks(it, train, test, visible=visible), expected)


def towers(train, **settings):
    vocabulary = learn_vocabulary(train, max_words=50)
    return UserTower(vocabulary, **settings), ProductTower(vocabulary)


def retrieval(train, **settings):
    return RetrievalModel(*towers(train, **settings))
