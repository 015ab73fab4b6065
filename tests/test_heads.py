import numpy as np
import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.heads import DenseHead, FactorHead

TRAIN = pd.DataFrame(
    {"user_id": ["a", "a", "b"], "product_id": ["x", "y", "y"], "rating": [5.0, 3.0, 4.0]}
)  # a wrote 2 reviews, b 1; x has 1, y has 2; the mean is 4
VOCABULARY = learn_vocabulary(TRAIN)
USERS, PRODUCTS = tf.constant([[1.0, 2.0], [0.0, 1.0]]), tf.constant([[3.0, 1.0], [5.0, -2.0]])
IDS = {"user_id": tf.constant([1, 2]), "product_id": tf.constant([1, 2])}


def head_with_biases(**settings):
    head = FactorHead(VOCABULARY, **settings)
    head(USERS, PRODUCTS, IDS)
    head.user_bias.set_weights([np.array([[0.5], [1.0], [-1.0]])])  # unknown, a, b
    head.product_bias.set_weights([np.array([[0.0], [0.2], [0.4]])])  # unknown, x, y
    return head


def test_before_training_a_factor_head_without_vectors_says_the_mean():
    predicted = FactorHead(VOCABULARY)(tf.zeros((2, 2)), PRODUCTS, IDS)
    np.testing.assert_array_equal(predicted, [[4.0], [4.0]])


def test_stars_are_mean_plus_biases_plus_scaled_dot_product():
    # 4 + 1 + 0.2 + 0.5 * (3 + 2) and 4 - 1 + 0.4 + 0.5 * (-2)
    np.testing.assert_allclose(head_with_biases(scale=0.5)(USERS, PRODUCTS, IDS), [[7.7], [2.4]], rtol=1e-6)


def test_penalty_spreads_damping_over_the_rows_of_each_bias():
    # user a: 1² / 2 rows, b: 1² / 1; product x: 0.2² / 1, y: 0.4² / 2
    expected = 5 * (0.5 + 1 + 0.04 + 0.08)
    np.testing.assert_allclose(head_with_biases(damping=5.0).penalty(IDS), expected, rtol=1e-6)


def test_over_an_epoch_each_bias_costs_damping_times_its_square():
    epoch = {"user_id": tf.constant([1, 1, 2]), "product_id": tf.constant([1, 2, 2])}
    np.testing.assert_allclose(head_with_biases(damping=5.0).penalty(epoch), 5 * (1 + 1 + 0.2**2 + 0.4**2), rtol=1e-6)


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
