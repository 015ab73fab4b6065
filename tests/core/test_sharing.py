"""Two models trained as one, weights that are learned, and experts that both tasks share."""

import math

import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.sharing import RATING, RETRIEVAL, Experts, JointModel, expert_towers
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.towers import ProductTower, UserTower, training_rows
from recsys_teach.training import train_model

TRAIN, TEST = split_at_random(generate_shop(users=60, products=30, seed=1).reviews, seed=0)
VOCABULARY = learn_vocabulary(TRAIN)


def models(towers=None, l2=0.1, **arguments):
    """A retrieval model and a ranking model, by default on the same towers."""
    tf.keras.utils.set_random_seed(0)
    pair = UserTower(VOCABULARY, dim=4), ProductTower(VOCABULARY, dim=4)
    towers = towers or {RETRIEVAL: pair, RATING: pair}
    ranking = RankingModel(*towers[RATING], head=FactorHead(VOCABULARY), rating_weight=0.5)
    return JointModel(RetrievalModel(*towers[RETRIEVAL], l2=l2, product_bias=True), ranking, **arguments)


def batch(model, rows=64):
    return training_rows(TRAIN.head(rows), model.user_tower, model.product_tower)


@pytest.mark.parametrize("training", [False, True])
def test_two_models_on_the_same_towers_are_the_multitask_model(training):
    joint = models()
    weights = {"rating_weight": 0.5, "retrieval_weight": 1.0}
    towers = joint.user_tower, joint.product_tower
    both = MultitaskModel(*towers, head=FactorHead(VOCABULARY), l2=0.1, product_bias=True, **weights)
    ids = batch(joint)
    expected = both.compute_loss(ids, training=training)
    assert float(joint.compute_loss(ids, training=training)) == pytest.approx(float(expected), rel=1e-6)


def test_a_joint_model_recommends_as_one_of_its_models_and_rates_as_the_other():
    joint = models()
    assert joint.products == joint.retrieval.products
    np.testing.assert_array_equal(joint.scores(TEST), joint.retrieval.scores(TEST))
    np.testing.assert_array_equal(joint.ratings(TEST), joint.ranking.ratings(TEST))


def test_uncertainty_weighs_each_loss_by_its_noise_and_charges_for_noise():
    # variances 2 and 4: retrieval / 2 + rating / 4 / 2, and for each of 64 rows log √2 + log √4
    joint = models(uncertainty=True)
    ids = batch(joint)
    joint.log_variances.assign([math.log(2), math.log(4)])
    retrieval, rating = float(joint.retrieval.compute_loss(ids)), float(joint.ranking.compute_loss(ids))
    expected = retrieval / 2 + rating / 8 + 64 * (math.log(2) + math.log(4)) / 2
    assert float(joint.compute_loss(ids)) == pytest.approx(expected, rel=1e-6)


def test_uncertainty_learns_the_variances_at_which_the_loss_is_least():
    # of e^-s L + s B / 2 that is e^s = 2 L / B, of e^-t L / 2 + t B / 2 it is e^t = L / B
    joint = models(uncertainty=True)
    ids = batch(joint)
    losses = [float(model.compute_loss(ids, training=True)) for model in (joint.retrieval, joint.ranking)]
    joint.log_variances.assign([math.log(2 * losses[0] / 64), math.log(losses[1] / 64)])
    with tf.GradientTape() as tape:
        loss = joint.compute_loss(ids, training=True)
    np.testing.assert_allclose(tape.gradient(loss, joint.log_variances), [0, 0], atol=1e-3)


def mixture(**how):
    """Experts of two numbers: the shared ones double them and swap them, a task's own one negates them."""
    experts = Experts(2, **how)
    for task in (RETRIEVAL, RATING):
        experts(tf.zeros((1, 2)), task)
        for own in experts.own[task]:
            own.set_weights([-np.eye(2), np.zeros(2)])
    for expert, kernel in zip(experts.shared, ([[2.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]])):
        expert.set_weights([np.array(kernel), np.zeros(2)])
    return experts


def test_a_gate_mixes_the_experts_by_shares_that_depend_on_the_vector():
    experts = mixture(shared=2)
    # the gate of stars has scores (0, first number · log 3): shares (1/4, 3/4) for (1, 5), (1/2, 1/2) for (0, 6)
    experts.gates[RATING].set_weights([np.array([[0.0, math.log(3)], [0.0, 0.0]]), np.zeros(2)])
    experts.gates[RETRIEVAL].set_weights([np.zeros((2, 2)), np.array([0.0, -100.0])])  # the first one alone
    vectors = tf.constant([[1.0, 5.0], [0.0, 6.0]])
    np.testing.assert_allclose(experts(vectors, RATING), [[0.5 + 3.75, 2.5 + 0.75], [3.0, 6.0]], rtol=1e-6)
    np.testing.assert_allclose(experts(vectors, RETRIEVAL), 2 * vectors, rtol=1e-6)


def test_own_experts_of_a_task_are_mixed_with_the_shared_ones():
    experts = mixture(shared=1, own=1)
    experts.gates[RATING].set_weights([np.zeros((2, 2)), np.array([0.0, 0.0])])  # half double, half negate
    np.testing.assert_allclose(experts(tf.constant([[1.0, 5.0]]), RATING), [[0.5, 2.5]], rtol=1e-6)


def test_towers_of_experts_share_embeddings_and_shared_experts_but_not_gates_and_own_experts():
    joint = models(expert_towers(VOCABULARY, dim=4, shared=2, own=1))
    ids = batch(joint)
    joint.compute_loss(ids)  # makes all variables
    gradients = {}
    for task, model in ((RETRIEVAL, joint.retrieval), (RATING, joint.ranking)):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(ids)
        found = tape.gradient(loss, joint.trainable_variables)
        gradients[task] = [gradient is not None for gradient in found]
    both = [all(pair) for pair in zip(*gradients.values())]
    # both: two embeddings, and a kernel and a bias of two experts in each tower
    assert sum(both) == 2 + 2 * 2 * 2
    # one task alone: a gate and an own expert in each tower; and the product bias, or the biases of the head
    assert sum(gradients[RETRIEVAL]) - sum(both) == 2 * 2 * 2 + 1
    assert sum(gradients[RATING]) - sum(both) == 2 * 2 * 2 + 2
    assert np.any(joint.retrieval(ids)[0] != joint.ranking(ids)[0])


def test_experts_train_and_learn_both_tasks():
    joint = models(expert_towers(VOCABULARY, dim=4), l2=0.0)
    losses = train_model(joint, TRAIN, epochs=30, batch_size=16)
    assert losses["retrieval_loss"].iloc[-1] < 0.98 * losses["retrieval_loss"].iloc[0]
    assert losses["rating_loss"].iloc[-1] < losses["rating_loss"].iloc[0]
    assert pd.notna(joint.ratings(TEST)).all()
