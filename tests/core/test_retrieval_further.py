"""The losses of `benchmarks/retrieval_further.py`: numbers by hand, gradients of the softmax over all products."""

import numpy as np
import pandas as pd
import pytest
from retrieval_further import CorrectedLogQ, CosineRetrieval, HardNegatives, MixedNegatives

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT, USER
from recsys_teach.towers import ProductTower, UserTower

REPAIRS = {"log_q": True, "remove_accidental_hits": True, "product_bias": True}
BATCH = {USER: tf.constant([1, 2, 3, 1]), PRODUCT: tf.constant([1, 2, 2, 3])}  # product 2 twice: accidental hits
OWN = [0, 1, 1, 2]  # the columns of these products


def model_of(kind, **how):
    """A model of 3 users and 5 products, bought 5, 4, 3, 2 and 1 times, with random vectors and biases."""
    sold = [f"p{n}" for n in range(5) for _ in range(5 - n)]
    rows = pd.DataFrame({"product_id": sold, "user_id": [f"u{n % 3}" for n in range(len(sold))], "rating": 3.0})
    vocabulary = learn_vocabulary(rows)
    tf.keras.utils.set_random_seed(7)
    model = kind(UserTower(vocabulary, dim=3), ProductTower(vocabulary, dim=3), **REPAIRS | how)
    rng = np.random.default_rng(0)
    for layer in (model.user_tower.embedding, model.product_tower.embedding, model.product_bias):
        layer.set_weights([rng.normal(size=weights.shape) for weights in layer.get_weights()])
    return model


def loss_of(model, batch=BATCH):
    return float(model.task_loss(*model(batch), batch))


def scores_and_shares(model):
    """The score of each product for each row of the batch `[4, 5]`, and the share of each product `[5]`."""
    users, everything = model.user_tower(BATCH), {PRODUCT: tf.range(1, 6)}
    candidates = model.candidate_vectors(model.product_tower(everything), everything)
    return (model.query_vectors(users).numpy() @ candidates.numpy().T).astype(float), np.array([5, 4, 3, 2, 1]) / 15


def softmax_loss(weights, wrong):
    """Σ -log(own / (own + Σ wrong)) of weights `[4, 5]`, the columns of the wrong ones of each row given."""
    own = [weights[row, column] for row, column in enumerate(OWN)]
    return sum(-np.log(a / (a + weights[row, wrong[row]].sum())) for row, a in enumerate(own))


def test_without_uniform_negatives_it_is_the_repaired_model():
    assert loss_of(model_of(MixedNegatives)) == pytest.approx(loss_of(model_of(RetrievalModel)), rel=1e-5)


def test_cosine_over_temperature():
    model = model_of(CosineRetrieval, temperature=0.5)
    for tower, at, vector in (("user_tower", 1, [3.0, 4.0, 0.0]), ("product_tower", 2, [0.0, 10.0, 0.0])):
        weights = getattr(model, tower).embedding.get_weights()[0]
        weights[at] = vector
        getattr(model, tower).embedding.set_weights([weights])
    bias = model.product_bias.embeddings.numpy()[2, 0]
    scores = model.scores(pd.DataFrame({"user_id": ["u0"]}))
    assert scores[0, 1] == pytest.approx(0.8 / 0.5 + bias, abs=1e-5)  # (3, 4, 0) · (0, 10, 0) = 40 = 0.8 · 5 · 10


def test_mixed_negatives_by_hand(monkeypatch):
    """Four rows and two uniform draws, of products 2 and 4: a draw is of product c with (3 Q_c + 2 / 5) / 5."""
    monkeypatch.setattr(tf.random, "uniform", lambda *_: tf.constant([2, 4]))
    model = model_of(MixedNegatives, uniform=2)
    scores, share = scores_and_shares(model)
    weights = np.exp(scores) / ((3 * share + 2 / 5) / 5)
    wrong = [[1, 1, 2, 1, 3], [0, 2, 3], [0, 2, 3], [0, 1, 1, 1, 3]]  # columns: the batch's others, then the draws
    assert loss_of(model) == pytest.approx(softmax_loss(weights, wrong), rel=1e-5)


def test_hard_negatives_keep_the_highest_scores_of_each_row(monkeypatch):
    """Of draws 1, 3, 4, 5, each row keeps one, which counts as the only draw: (3 Q_c + 1 / 5) / 4."""
    monkeypatch.setattr(tf.random, "uniform", lambda *_: tf.constant([1, 3, 4, 5]))
    model = model_of(HardNegatives, uniform=4, hard=1)
    scores, share = scores_and_shares(model)
    weights = np.exp(scores) / ((3 * share + 1 / 5) / 4)
    in_batch = [[1, 1, 2], [0, 2], [0, 2], [0, 1, 1]]
    hardest = [max({0, 2, 3, 4} - {OWN[row]}, key=lambda c: weights[row, c]) for row in range(4)]
    assert len(set(hardest)) > 1
    expected = softmax_loss(weights, [[*in_batch[row], hardest[row]] for row in range(4)])
    assert loss_of(model) == pytest.approx(expected, rel=1e-5)


def test_corrected_log_q_by_hand():
    """Each row has 3 draws, 0 where they are its own product; its loss has the weight 1 - P(own)."""
    model = model_of(CorrectedLogQ)
    scores, share = scores_and_shares(model)
    expected = 0.0
    for row, (own, wrong) in enumerate([(0, [1, 1, 2]), (1, [0, 2]), (1, [0, 2]), (2, [0, 1, 1])]):
        others = sum(np.exp(scores[row, column]) / share[column] for column in wrong) / 3
        right = np.exp(scores[row, own])
        expected += others / (right + others) * np.log(others / right)
    assert loss_of(model) == pytest.approx(expected, rel=1e-5)


def test_corrected_log_q_has_the_gradient_of_the_softmax_over_all_products(monkeypatch):
    """If every product is drawn as often as it should be, nothing is left of chance: the gradients are equal."""
    every = tf.constant([1, 2, 3, 4, 5] * 40)
    monkeypatch.setattr(tf.random, "uniform", lambda *_: every)
    model = model_of(CorrectedLogQ, uniform=len(every))
    one = {USER: tf.constant([1]), PRODUCT: tf.constant([4])}  # no other row in the batch, so all draws are uniform
    with tf.GradientTape() as tape:
        loss = model.task_loss(*model(one), one)
    found = tape.gradient(loss, [model.product_bias.embeddings])[0]
    found = tf.convert_to_tensor(found).numpy()[1:, 0]
    scores = scores_and_shares(model)[0][0]
    softmax = np.exp(scores) / np.exp(scores).sum()
    assert found == pytest.approx(softmax - [0, 0, 0, 1, 0], abs=1e-5)
