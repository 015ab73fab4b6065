import numpy as np
import pandas as pd
import pytest

from recsys_teach.baselines import EASE, IALS, DampedBiases, ItemKNN, Oracle, Popularity, RateSinceLaunch
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


# Two products: ann bought both, bob only the first. XᵀX = [[2, 1], [1, 1]].
TWO = reviews(("ann", "tent", 5), ("ann", "wok", 4), ("bob", "tent", 3), ("ann", "tent", 1))
ASKED = reviews(("bob", "", 0), ("ann", "", 0), ("stranger", "", 0))


def test_ease_by_hand():
    """With l2 = 1, P = [[3, 1], [1, 2]]⁻¹ = [[2, -1], [-1, 3]] / 5, so tent → wok is 1 / 3, and wok → tent 1 / 2."""
    ease = EASE(TWO, l2=1)
    assert ease.products == ["tent", "wok"]
    np.testing.assert_allclose(ease.scores(ASKED), [[0, 1 / 3], [1 / 2, 1 / 3], [2, 1]], rtol=1e-6)


@pytest.mark.parametrize(("shrink", "similarity"), [(0, 1 / np.sqrt(2)), (2, 1 / (2 + np.sqrt(2)))])
def test_item_knn_by_hand(shrink, similarity):
    knn = ItemKNN(TWO, shrink=shrink)
    assert knn.products == ["tent", "wok"]
    np.testing.assert_allclose(knn.scores(ASKED), [[0, similarity], [similarity] * 2, [2, 1]], rtol=1e-6)


def planted(users=40, products=12):
    """Everybody buys about a third of the products, popular ones more often."""
    bought = np.random.default_rng(0).random((users, products)) < np.linspace(0.2, 0.7, products)
    bought[:, 0] |= ~bought.any(axis=1)
    user, product = np.nonzero(bought)
    table = pd.DataFrame({"user_id": [f"u{n:02}" for n in user], "product_id": [f"p{n:02}" for n in product]})
    return table, bought.astype(float)


@pytest.mark.parametrize("users", [40, 12, 8])
def test_ease_is_a_ridge_regression_of_each_product_on_the_others(users):
    """Whichever of both matrices is the smaller one."""
    train, bought = planted(users)
    bought = bought[:, bought.any(axis=0)]
    scores = EASE(train, l2=3.0).scores(train.drop_duplicates("user_id"))
    for product in range(bought.shape[1]):
        others = np.delete(bought, product, axis=1)
        weights = np.linalg.solve(others.T @ others + 3.0 * np.eye(others.shape[1]), others.T @ bought[:, product])
        np.testing.assert_allclose(scores[:, product], others @ weights, rtol=1e-4, atol=1e-5)


def test_item_knn_keeps_the_largest_similarities_of_each_product():
    train, bought = planted()
    cosine = bought.T @ bought / np.sqrt(np.outer(bought.sum(axis=0), bought.sum(axis=0)))
    np.fill_diagonal(cosine, 0)
    for column in cosine.T:
        column[column < np.sort(column)[-3]] = 0
    scores = ItemKNN(train, neighbours=3, shrink=0).scores(train.drop_duplicates("user_id"))
    np.testing.assert_allclose(scores, bought @ cosine, rtol=1e-5)


def test_item_knn_keeps_the_first_of_equal_similarities():
    """Each of wok, mug and pot was bought once with tea, and once alone: s = 1 / √(3 · 2), and two of them count."""
    with_tea = [(f"with {other}", product) for other in ("wok", "mug", "pot") for product in ("tea", other)]
    alone = [(f"only {other}", other) for other in ("wok", "mug", "pot")]
    train = pd.DataFrame(with_tea + alone, columns=["user_id", "product_id"])
    knn = ItemKNN(train, neighbours=2, shrink=0)
    scores = pd.DataFrame(knn.scores(train.tail(3)), index=["wok", "mug", "pot"], columns=knn.products)
    np.testing.assert_allclose(scores["tea"], [0, 6**-0.5, 6**-0.5], rtol=1e-6)


def test_item_knn_in_blocks_of_products_is_the_same(monkeypatch):
    train, _ = planted()
    whole = ItemKNN(train, neighbours=4, shrink=2)
    monkeypatch.setattr(ItemKNN, "PAIRS", 300)
    np.testing.assert_array_equal(ItemKNN(train, neighbours=4, shrink=2).scores(train), whole.scores(train))


def test_a_rate_since_launch_by_hand():
    """Of six reviews tent has the first two and the third, kite the fourth and the last, wok the fifth, at one time."""
    days = pd.to_datetime([f"2023-01-{day:02}" for day in (1, 2, 3, 4, 4, 6)], utc=True)
    names = ["tent", "tent", "tent", "kite", "wok", "kite"]
    train = pd.DataFrame({"user_id": list("abcdef"), "product_id": names, "timestamp": days}).sample(frac=1)
    rates = RateSinceLaunch(train, damping=2)
    assert rates.products == ["kite", "tent", "wok"]
    np.testing.assert_allclose(rates.scores(train[:2]), [[3 / 5, 4 / 8, 2 / 5]] * 2)


def test_a_rate_since_launch_with_much_damping_is_popularity():
    train, _ = planted()
    train["timestamp"] = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(train)), unit="h")
    places = (
        np.argsort(-one.scores(train)[0], kind="stable")
        for one in (Popularity(train), RateSinceLaunch(train, damping=1e9))
    )
    assert next(places).tolist() == next(places).tolist()


def test_ials_solves_each_users_weighted_ridge_regression():
    """At the minimum, (Σ_i c_ui p_i p_iᵀ + l2 I) u = Σ_i c_ui x_ui p_i; and so for products, the other way round."""
    pytest.importorskip("implicit")
    train, bought = planted()
    model = IALS(train, dim=3, weight=4.0, l2=2.0, epochs=300, seed=1)
    users, products = model._users.astype(float), model._products.astype(float)
    for cells, ours, theirs in ((bought, users, products), (bought.T, products, users)):
        for row, vector in zip(cells, ours):
            weights = np.where(row, 4.0, 1.0)
            matrix = (theirs.T * weights) @ theirs + 2.0 * np.eye(3)
            np.testing.assert_allclose(matrix @ vector, theirs.T @ (weights * row), atol=0.02)
    asked = train.drop_duplicates("user_id")
    np.testing.assert_allclose(model.scores(asked), users @ products.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [EASE, ItemKNN, IALS])
def test_rows_of_one_user_are_alike_in_any_order_of_rows(build):
    if build is IALS:
        pytest.importorskip("implicit")
    train, _ = planted()
    model, asked = build(train), train.sample(frac=1, random_state=0)
    scores = pd.DataFrame(model.scores(asked), asked["user_id"])
    for user, rows in scores.groupby(level=0):
        assert (rows.to_numpy() == rows.to_numpy()[:1]).all()
        np.testing.assert_allclose(rows.iloc[:1], model.scores(pd.DataFrame({"user_id": [user]})), rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: EASE(TWO, l2=0), "l2 is 0: expected a number above 0"),
        (lambda: RateSinceLaunch(TWO), "a rate since launch needs a 'timestamp' column"),
        (lambda: ItemKNN(TWO, neighbours=0), "neighbours is 0, shrink 20.0: expected 1 or more, and 0 or more"),
        (lambda: ItemKNN(TWO, shrink=-1), "shrink -1: expected 1 or more, and 0 or more"),
    ],
)
def test_bad_settings_of_the_classics_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_ease_says_how_many_products_are_too_many(monkeypatch):
    assert EASE.can_fit(TWO)
    monkeypatch.setattr(EASE, "CELLS", 3)
    assert not EASE.can_fit(TWO)
    with pytest.raises(ValueError, match="2 users and 2 products: expected 3 pairs at most; leave rare products out"):
        EASE(TWO)


def test_damped_biases_of_categorical_ids_are_those_of_texts():
    categorical = TRAIN.astype({"user_id": "category", "product_id": "category"})
    asked = reviews(("ann", "rake", 1.0), ("stranger", "never seen", 1.0))
    expected = DampedBiases(TRAIN).ratings(pd.concat([TRAIN, asked]))
    for table in (categorical, TRAIN):
        biases = DampedBiases(table)
        np.testing.assert_allclose(biases.ratings(categorical), expected[: len(TRAIN)])
        np.testing.assert_allclose(biases.ratings(asked), expected[len(TRAIN) :])
