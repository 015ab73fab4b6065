from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.baselines import DampedBiases
from recsys_teach.features import learn_vocabulary
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import DenseHead, FactorHead
from recsys_teach.towers import ProductTower, UserTower, look_up_ids
from recsys_teach.training import train_model

TRAIN = pd.DataFrame(
    {"user_id": ["a", "a", "b"], "product_id": ["x", "y", "y"], "rating": [5.0, 3.0, 4.0]}
)  # a wrote 2 reviews, b 1; x has 1, y has 2; the mean is 4
VOCABULARY = learn_vocabulary(TRAIN)
USERS, PRODUCTS = tf.constant([[1.0, 2.0], [0.0, 1.0]]), tf.constant([[3.0, 1.0], [5.0, -2.0]])
IDS = {"user_id": tf.constant([1, 2]), "product_id": tf.constant([1, 2])}


def head_with_biases(*, damping=5.0, **settings):
    """A head of ratings with a spread of 2 stars."""
    biases = DampedBiases(TRAIN, damping=damping)
    head = FactorHead(replace(VOCABULARY, biases=biases, rating_spread=2.0), **settings)
    head(USERS, PRODUCTS, IDS)
    head.user_bias.set_weights([np.array([[0.5], [1.0], [-1.0]])])  # unknown, a, b
    head.product_bias.set_weights([np.array([[0.0], [0.2], [0.4]])])  # unknown, x, y
    return head


def test_before_training_a_factor_head_without_vectors_says_the_damped_biases():
    # With five average ratings each: x is (5 - 4) / 6 above the mean, y (-1 + 0) / 7. What they leave over
    # is 5/6 and -6/7 for a's two ratings, in all -1/42, so a is -1/42 / 7; and 1/7 for b's only one, so b is 1/7 / 6.
    predicted = FactorHead(VOCABULARY)(tf.zeros((2, 2)), PRODUCTS, IDS)
    np.testing.assert_allclose(predicted, [[4 + 1 / 6 - 1 / 294], [4 - 1 / 7 + 1 / 42]], rtol=1e-6)


def test_before_training_a_factor_head_says_what_damped_biases_say_to_strangers_too():
    rng = np.random.default_rng(0)
    train = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in rng.integers(12, size=80)],
            "product_id": [f"p{n}" for n in rng.integers(9, size=80)],
            "rating": rng.integers(1, 6, 80).astype(float),
        }
    )
    train.loc[rng.random(80) < 0.3, "rating"] = np.nan
    train.loc[train["product_id"] == "p3", "rating"] = np.nan  # bought, and never rated
    pairs = pd.MultiIndex.from_product([[f"u{n}" for n in range(14)], [f"p{n}" for n in range(11)]])
    everything = pairs.to_frame(index=False, name=["user_id", "product_id"])
    vocabulary = learn_vocabulary(train)
    ids = look_up_ids(everything, UserTower(vocabulary), ProductTower(vocabulary))
    predicted = FactorHead(vocabulary)(tf.zeros((len(pairs), 2)), tf.zeros((len(pairs), 2)), ids)
    np.testing.assert_allclose(predicted[:, 0], DampedBiases(train).ratings(everything), rtol=1e-6)


def test_stars_are_mean_plus_spread_times_biases_plus_scaled_dot_product():
    # 4 + 2 * (1 + 0.2 + 0.5 * (3 + 2)) and 4 + 2 * (-1 + 0.4 + 0.5 * (-2))
    np.testing.assert_allclose(head_with_biases(scale=0.5)(USERS, PRODUCTS, IDS), [[11.4], [0.8]], rtol=1e-6)


def test_each_dimension_has_a_weight_of_its_own():
    # 4 + 2 * (1 + 0.2 + 0.5 * 3 - 1 * 2) and 4 + 2 * (-1 + 0.4 - 1 * (-2))
    head = head_with_biases()
    head.weight.assign([0.5, -1.0])
    np.testing.assert_allclose(head(USERS, PRODUCTS, IDS), [[5.4], [6.8]], rtol=1e-6)


def test_over_an_epoch_weights_cost_the_pull_times_the_squares_of_their_distance_from_the_mean():
    head = head_with_biases(damping=0.0, pull=7.0)  # of three rows; in stars, the weights are 1 and 3, their mean is 2
    head.weight.assign([0.5, 1.5])
    np.testing.assert_allclose(head.penalty(IDS), 2 / 3 * 7 * (1 + 1), rtol=1e-6)
    assert head_with_biases(damping=0.0, pull=7.0).penalty(IDS).numpy() == 0


def head_with_own_vectors():
    """Strangers have v_u = (1, 1), user a (1, 2), b (3, 0); unknown products v_p = (1, 1), x (2, 1), y (-1, 4)."""
    head = head_with_biases(damping=0.0, scale=0.0, own_dim=2, own_l2=0.6)
    head.own_user.set_weights([np.array([[1.0, 1.0], [1.0, 2.0], [3.0, 0.0]])])
    head.own_product.set_weights([np.array([[1.0, 1.0], [2.0, 1.0], [-1.0, 4.0]])])
    return head


def test_own_vectors_of_the_head_add_to_stars_where_both_ids_are_known():
    # 4 + 2 * (1 + 0.2 + 2 + 2), 4 + 2 * (-1 + 0.4 - 3), and without vectors: 4 + 2 * (0.5 + 0.2), 4 + 2 * 1
    some = {"user_id": tf.constant([1, 2, 0, 1]), "product_id": tf.constant([1, 2, 1, 0])}
    words = {"summary": tf.constant([[2], [2], [2], [2]]), "title": tf.constant([[2], [2], [2], [2]])}
    for ids in (some, some | words):
        stars = head_with_own_vectors()(tf.ones((4, 2)), tf.ones((4, 2)), ids)
        np.testing.assert_allclose(stars[:, 0], [14.4, -3.2, 5.4, 6.0], rtol=1e-6)


def test_own_vectors_cost_half_their_squared_lengths_in_units_of_the_squared_spread():
    # of a 1 + 4, of b 9, of x 4 + 1, of y 1 + 16: 36, half of which counts, in units of 2² stars²
    np.testing.assert_allclose(head_with_own_vectors().penalty(IDS), 0.6 * 4 * 36 / 2, rtol=1e-6)


def test_a_retrieval_loss_leaves_the_own_vectors_alone():
    towers = UserTower(VOCABULARY, dim=2), ProductTower(VOCABULARY, dim=2)
    model = MultitaskModel(
        *towers, rating_weight=0.0, retrieval_weight=1.0, l2=0.1, head=FactorHead(VOCABULARY, own_dim=2)
    )
    head = model.ranking.head
    before = [table.embeddings.numpy() for table in (head.own_user, head.own_product)]
    train_model(model, TRAIN, epochs=2)
    np.testing.assert_array_equal(before[0], head.own_user.embeddings)
    np.testing.assert_array_equal(before[1], head.own_product.embeddings)


def test_without_a_pull_the_weights_are_fixed_and_cost_nothing():
    head = head_with_biases(damping=0.0, pull=None)
    head.weight.assign([0.5, 1.5])
    assert head.penalty(IDS).numpy() == 0
    assert len(head.trainable_variables) == 2  # the biases
    assert len(head_with_biases(pull=1.0).trainable_variables) == 3


def test_taste_is_left_out_where_neither_an_id_nor_a_word_is_known():
    ids = {"user_id": tf.constant([0, 0, 1, 0]), "product_id": tf.constant([1, 1, 0, 0])}
    words = {"summary": tf.constant([[0, 0], [3, 0], [0, 0], [5, 2]]), "title": tf.constant([[0], [0], [0], [4]])}
    head, users, products = head_with_biases(scale=0.5), tf.ones((4, 2)), tf.ones((4, 2))
    # biases, twice for the spread of 2: x 0.2, the unknown user 0.5, a 1; taste, if any: 2 * 0.5 * 2
    bare, worded = head(users, products, ids), head(users, products, ids | words)
    np.testing.assert_allclose(bare[:, 0], [4 + 1.4, 4 + 1.4, 4 + 2, 4 + 1], rtol=1e-6)
    np.testing.assert_allclose(worded[:, 0], [4 + 1.4, 4 + 1.4 + 2, 4 + 2, 4 + 1 + 2], rtol=1e-6)


def test_a_word_that_is_unknown_tells_nothing_and_the_commonest_one_does():
    ids = {"user_id": tf.constant([0, 0, 0]), "product_id": tf.constant([1, 1, 1])}
    words = {"summary": tf.constant([[1, 1], [1, 2], [2, 0]])}  # 0 pads, 1 is unknown, 2 is the commonest
    stars = head_with_biases(scale=0.5)(tf.ones((3, 2)), tf.ones((3, 2)), ids | words)
    np.testing.assert_allclose(stars[:, 0], [4 + 1.4, 4 + 1.4 + 2, 4 + 1.4 + 2], rtol=1e-6)


@pytest.mark.parametrize("damping", [0.0, 3.0, 5.0])
def test_penalty_spreads_the_damping_of_the_biases_over_their_rows(damping):
    # in stars, user a: 2² / 2 rows, b: 2² / 1; product x: 0.4² / 1, y: 0.8² / 2
    expected = damping * (2 + 4 + 0.16 + 0.32)
    np.testing.assert_allclose(head_with_biases(damping=damping).penalty(IDS), expected, rtol=1e-6)


def test_over_an_epoch_each_bias_costs_damping_times_the_square_of_its_stars():
    epoch = {"user_id": tf.constant([1, 1, 2]), "product_id": tf.constant([1, 2, 2])}
    expected = 3 * (2**2 + 2**2 + 0.4**2 + 0.8**2)
    np.testing.assert_allclose(head_with_biases(damping=3.0).penalty(epoch), expected, rtol=1e-6)


def test_ratings_20_times_as_high_make_stars_20_times_as_high_and_the_penalty_as_its_squared_errors():
    scaled = [learn_vocabulary(TRAIN.assign(rating=TRAIN["rating"] * times)) for times in (1, 20)]
    low, high = (FactorHead(vocabulary) for vocabulary in scaled)
    for head in (low, high):
        head(USERS, PRODUCTS, IDS)
        head.weight.assign([0.2, 0.6])
    np.testing.assert_allclose(high(USERS, PRODUCTS, IDS), 20 * low(USERS, PRODUCTS, IDS), rtol=1e-6)
    np.testing.assert_allclose(high.penalty(IDS), 400 * low.penalty(IDS), rtol=1e-5)


def test_a_dense_head_starts_near_the_stars_it_is_told():
    far = DenseHead(start=4.0)(1e-4 * USERS, 1e-4 * PRODUCTS, IDS)
    np.testing.assert_allclose(far, [[4.0], [4.0]], atol=0.01)
    assert DenseHead().penalty(IDS).numpy() == 0


def test_a_dense_head_sees_both_vectors_side_by_side():
    head = DenseHead(sizes=[2])
    head(USERS, PRODUCTS, IDS)
    hidden, last = head.dense
    hidden.set_weights([np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), np.zeros(2)])  # u_0 and p_0
    last.set_weights([np.array([[1.0], [10.0]]), np.array([0.5])])
    np.testing.assert_allclose(head(USERS, PRODUCTS, IDS), [[1 + 30 + 0.5], [0 + 50 + 0.5]])
