import numpy as np
import pandas as pd
import pytest

from recsys_teach.baselines import DampedBiases, Oracle, Popularity
from recsys_teach.shop import generate_shop


def reviews(*rows):
    return pd.DataFrame(rows, columns=["user_id", "product_id", "rating"])


TRAIN = reviews(("ann", "wok", 5.0), ("ann", "tent", 3.0), ("bob", "wok", 4.0), ("cy", "tent", 2.0))


def test_popularity_counts_purchases_in_the_order_of_its_products():
    train = reviews(("ann", "wok", 1), ("bob", "tent", 5), ("bob", "wok", 1), ("cy", "wok", 1), ("cy", "kite", 5))
    popularity = Popularity(train)
    assert popularity.products == ["kite", "tent", "wok"]
    assert popularity.scores(train[:2]).tolist() == [[1, 1, 3], [1, 1, 3]]


def test_popularity_is_the_same_for_strangers():
    assert Popularity(TRAIN).scores(reviews(("stranger", "kite", 1))).tolist() == [[2, 2]]


# The mean is 3.5. Undamped, wok adds (1.5 + 0.5) / 2 = 1 and tent (-0.5 - 1.5) / 2 = -1; of what is left, ann adds
# (0.5 + 0.5) / 2, bob -0.5 and cy -0.5. With damping 5, wok adds 2 / 7 and tent -2 / 7; ann adds 1 / 7,
# bob (0.5 - 2 / 7) / 6 = 1 / 28 and cy (-1.5 + 2 / 7) / 6 = -17 / 84.
@pytest.mark.parametrize(
    ("user", "product", "undamped", "damped"),
    [
        ("ann", "wok", 3.5 + 1 + 0.5, 3.5 + 2 / 7 + 1 / 7),
        ("bob", "tent", 3.5 - 1 - 0.5, 3.5 - 2 / 7 + 1 / 28),
        ("cy", "wok", 3.5 + 1 - 0.5, 3.5 + 2 / 7 - 17 / 84),
        ("stranger", "wok", 3.5 + 1, 3.5 + 2 / 7),
        ("ann", "kite", 3.5 + 0.5, 3.5 + 1 / 7),
        ("stranger", "kite", 3.5, 3.5),
    ],
)
def test_damped_biases_by_hand(user, product, undamped, damped):
    asked = reviews((user, product, 1.0))
    assert DampedBiases(TRAIN, damping=0).ratings(asked) == pytest.approx([undamped])
    assert DampedBiases(TRAIN).ratings(asked) == pytest.approx([damped])


def test_the_biases_themselves_by_hand():
    biases = DampedBiases(TRAIN)
    assert biases.mean == 3.5
    assert biases.product_bias.to_dict() == pytest.approx({"tent": -2 / 7, "wok": 2 / 7})
    assert biases.user_bias.to_dict() == pytest.approx({"ann": 1 / 7, "bob": 1 / 28, "cy": -17 / 84})


def test_strangers_get_the_mean_and_not_the_middle_of_the_ratings():
    train = reviews(("ann", "wok", 5.0), ("bob", "tent", 5.0), ("cy", "kite", 2.0))
    assert DampedBiases(train).ratings(reviews(("stranger", "rake", 1.0))) == pytest.approx([4])


@pytest.mark.parametrize("damping", [0, 5])
def test_unrated_purchases_do_not_count_as_ratings(damping):
    unrated = reviews(
        ("ann", "wok", np.nan), ("bob", "tent", np.nan), ("stranger", "tent", np.nan), ("cy", "kite", np.nan)
    )
    mixed, rated = (DampedBiases(train, damping=damping) for train in (pd.concat([unrated, TRAIN]), TRAIN))
    asked = reviews(
        *((user, product, 1.0) for user in ("ann", "bob", "cy", "stranger") for product in ("wok", "tent", "kite"))
    )
    np.testing.assert_allclose(mixed.ratings(asked), rated.ratings(asked))


def test_unrated_purchases_count_for_popularity():
    assert Popularity(TRAIN.assign(rating=np.nan)).scores(TRAIN[:1]).tolist() == [[2, 2]]


def test_damped_biases_do_not_look_at_the_rating_asked_for():
    biases = DampedBiases(TRAIN)
    np.testing.assert_array_equal(biases.ratings(TRAIN), biases.ratings(TRAIN.assign(rating=np.nan)))


def test_predictions_keep_the_order_of_the_rows():
    biases = DampedBiases(TRAIN)
    shuffled = TRAIN.iloc[[2, 0, 3, 1]]
    np.testing.assert_array_equal(biases.ratings(shuffled), biases.ratings(TRAIN)[[2, 0, 3, 1]])


@pytest.mark.parametrize("damping", [-1, -0.001, float("nan")])
def test_damping_below_zero_is_refused(damping):
    with pytest.raises(ValueError, match=f"damping is {damping}: expected a number of ratings, 0 or more"):
        DampedBiases(TRAIN, damping=damping)


def test_the_oracle_says_what_the_shop_knows():
    shop = generate_shop(users=60, products=40, reviews_per_user=5, seed=2)
    oracle, asked = Oracle(shop), shop.reviews[::7]
    assert oracle.products == shop.products["product_id"].tolist()
    np.testing.assert_array_equal(oracle.scores(asked), shop.purchase_probability(asked))
    np.testing.assert_array_equal(oracle.ratings(asked), shop.expected_rating(asked))


def test_a_product_without_a_rating_has_no_bias_without_damping_either():
    biases = DampedBiases(reviews(("ann", "wok", 5.0), ("bob", "wok", 3.0), ("bob", "kite", np.nan)), damping=0)
    assert biases.product_bias.to_dict() == {"kite": 0.0, "wok": 0.0}
    assert biases.damping == 0


def test_what_was_counted_elsewhere_recommends_and_predicts_the_same():
    popularity = Popularity.from_counts(["tent", "wok"], np.array([2, 2]))
    assert popularity.scores(TRAIN).tolist() == Popularity(TRAIN).scores(TRAIN).tolist()
    own = DampedBiases(TRAIN, damping=2.0)
    given = {"mean": own.mean, "user_bias": own.user_bias, "product_bias": own.product_bias, "damping": 2.0}
    assert DampedBiases.from_biases(**given).ratings(TRAIN).tolist() == own.ratings(TRAIN).tolist()
