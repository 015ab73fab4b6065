"""The generated shop keeps its own rules, and its reviews are drawn from the truth that it states."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from recsys_teach.schema import check_reviews
from recsys_teach.shop import NOISE, generate_shop


@pytest.fixture(scope="module")
def shop():
    return generate_shop()


def columns_of(shop, reviews):
    """The catalogue column of each review's product."""
    return pd.Index(shop.products["product_id"]).get_indexer(reviews["product_id"])


def test_the_same_seed_gives_the_same_shop():
    one, two = (generate_shop(users=80, products=40, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.reviews, two.reviews)
    pd.testing.assert_frame_equal(one.products, two.products)
    np.testing.assert_array_equal(one.mean_rating, two.mean_rating)


def test_another_seed_gives_another_shop():
    one, two = (generate_shop(users=80, products=40, seed=seed) for seed in (3, 4))
    assert len(one.reviews) != len(two.reviews)
    assert set(one.products["title"]) != set(two.products["title"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_about_thirty_thousand_reviews_by_default(seed):
    shop = generate_shop(seed=seed)
    assert len(shop.reviews) == pytest.approx(30_000, rel=0.05)
    assert shop.reviews["user_id"].nunique() == len(shop.users) == 1_500
    assert len(shop.products) == 400


def test_reviews_per_user_is_an_average():
    reviews = generate_shop(users=1_000, products=200, reviews_per_user=10, seed=1).reviews
    assert len(reviews) == pytest.approx(10_000, rel=0.05)


def test_its_reviews_are_a_valid_reviews_table(shop):
    pd.testing.assert_frame_equal(check_reviews(shop.reviews), shop.reviews, check_dtype=False)


def test_reviews_are_ordered_by_time(shop):
    assert shop.reviews["timestamp"].is_monotonic_increasing


def test_nobody_buys_a_product_twice(shop):
    assert not shop.reviews.duplicated(["user_id", "product_id"]).any()


@pytest.mark.parametrize(
    ("table", "key", "day"), [("products", "product_id", "launched"), ("users", "user_id", "joined")]
)
def test_nothing_happens_before_launch_or_joining(shop, table, key, day):
    first_day = shop.reviews[key].map(getattr(shop, table).set_index(key)[day])
    assert (shop.reviews["timestamp"] >= first_day).all()
    assert first_day.nunique() > 50  # many of them later than the first day


def test_reviews_show_title_and_category_of_their_product(shop):
    shown = shop.reviews[["product_id", "title", "category"]]
    expected = shop.products[["product_id", "title", "category"]].iloc[columns_of(shop, shop.reviews)]
    pd.testing.assert_frame_equal(shown, expected.reset_index(drop=True))


def test_titles_are_unique(shop):
    assert shop.products["title"].is_unique


def test_the_first_word_of_a_summary_tells_the_stars(shop):
    words = shop.reviews["summary"].str.replace(",", "").str.split().str[0]
    seen = set(zip(shop.reviews["rating"], words))
    assert seen == {
        *((1, "Broken"), (1, "Terrible"), (1, "Awful")),
        *((2, "Disappointing"), (2, "Poor"), (2, "Weak")),
        *((3, "Average"), (3, "The"), (3, "Decent")),
        *((4, "Good"), (4, "Solid"), (4, "Nice")),
        *((5, "Love"), (5, "Perfect"), (5, "Excellent")),
    }


def test_a_summary_names_its_product_and_no_other_category(shop):
    noun = shop.reviews["title"].str.extract(r"^\w+ (.*?)(?: \d+)?$")[0]  # "Kestrel camp stove 2" → "camp stove"
    assert all(name in summary for name, summary in zip(noun, shop.reviews["summary"]))
    assert shop.reviews["category"].groupby(noun).nunique().eq(1).all()
    named = shop.reviews["summary"].str.extract(r" for (\w+)$")[0]
    assert (named.dropna() == shop.reviews["category"][named.notna()]).all()
    assert named.notna().mean() == pytest.approx(1 / 3, abs=0.02)  # one phrase of three


def test_purchase_probabilities_sum_to_one_and_spare_what_is_not_launched(shop):
    reviews = shop.reviews[::50]
    probability = shop.purchase_probability(reviews)
    assert probability.shape == (len(reviews), 400)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    for row, now in enumerate(reviews["timestamp"]):
        launched = (shop.products["launched"] <= now).to_numpy()
        np.testing.assert_array_equal(probability[row] > 0, launched)


def test_purchase_probability_is_the_softmax_of_the_docstring(shop):
    last = shop.reviews[-1:]
    user = int(last["user_id"].iloc[0].removeprefix("U"))
    launched = (shop.products["launched"] <= last["timestamp"].iloc[0]).to_numpy()
    weights = [np.exp(4 * a + p) for a, p in zip(shop.affinity[user], shop.popularity)] * launched
    np.testing.assert_allclose(shop.purchase_probability(last)[0], weights / weights.sum())


def test_a_product_is_on_sale_from_the_second_of_its_launch(shop):
    column = int(shop.products["launched"].to_numpy().argmax())
    launch = shop.products["launched"].iloc[column]
    around = shop.reviews[:2].assign(timestamp=[launch - pd.Timedelta(seconds=1), launch])
    assert (shop.purchase_probability(around)[:, column] > 0).tolist() == [False, True]


def test_products_are_bought_as_often_as_their_probability_says():
    shop = generate_shop(users=2_000, products=24, reviews_per_user=4, seed=1)
    bought = columns_of(shop, shop.reviews)
    probability = shop.purchase_probability(shop.reviews)
    basket = defaultdict(list)
    for row, (user, column) in enumerate(zip(shop.reviews["user_id"], bought)):
        probability[row, basket[user]] = 0  # nobody buys twice
        basket[user].append(column)
    probability /= probability.sum(axis=1, keepdims=True)

    place = (probability > probability[np.arange(len(bought)), bought][:, None]).sum(axis=1)
    by_place = -np.sort(-probability, axis=1)  # the user's likeliest product first
    for chances, times in ((probability, bought), (by_place, place)):
        surprise = np.bincount(times, minlength=24) - chances.sum(axis=0)
        spread = np.sqrt((chances * (1 - chances)).sum(axis=0))
        assert (abs(surprise) <= 3.5 * spread + 1).all()


def test_expected_rating_is_the_mean_of_the_rounded_and_clipped_normal(shop):
    reviews = shop.reviews[::100]
    noise = norm.ppf((np.arange(20_000) + 0.5) / 20_000, scale=NOISE)
    users = reviews["user_id"].str.removeprefix("U").astype(int)
    means = shop.mean_rating[users, columns_of(shop, reviews)]
    expected = [np.clip(np.rint(mean + noise), 1, 5).mean() for mean in means]
    np.testing.assert_allclose(shop.expected_rating(reviews), expected, atol=3e-4)


def test_observed_ratings_are_close_to_the_expected_ones(shop):
    expected = shop.expected_rating(shop.reviews)
    assert shop.reviews["rating"].mean() == pytest.approx(expected.mean(), abs=0.015)
    fifths = pd.qcut(expected, 5, labels=False)
    observed = shop.reviews["rating"].groupby(fifths).mean()
    np.testing.assert_allclose(observed, pd.Series(expected).groupby(fifths).mean(), atol=0.04)


def test_ratings_are_whole_stars(shop):
    assert sorted(shop.reviews["rating"].unique()) == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("truth", ["purchase_probability", "expected_rating"])
def test_a_stranger_is_refused(shop, truth):
    reviews = shop.reviews[:3].assign(user_id=["U00000", "mallory", "U00001"])
    with pytest.raises(ValueError, match="no user_id 'mallory'"):
        getattr(shop, truth)(reviews)


@pytest.mark.parametrize(("products", "seed"), [(4, 0), (8, 1), (16, 8)])
def test_a_small_shop_keeps_the_rules(products, seed):
    shop = generate_shop(users=50, products=products, seed=seed)
    assert not shop.reviews.duplicated(["user_id", "product_id"]).any()
    launched = shop.reviews["product_id"].map(shop.products.set_index("product_id")["launched"])
    assert (shop.reviews["timestamp"] >= launched).all()


@pytest.mark.parametrize(
    "size", [{"users": 1}, {"products": 1}, {"reviews_per_user": 0}, {"reviews_per_user": float("nan")}]
)
def test_a_shop_without_a_choice_is_refused(size):
    with pytest.raises(ValueError, match="expected at least 2 users and 2 products"):
        generate_shop(**size)


def test_the_truth_about_an_unknown_product_is_refused():
    shop = generate_shop(users=20, products=10, seed=0)
    with pytest.raises(ValueError, match="no product_id 'nope'"):
        shop.expected_rating(shop.reviews[:1].assign(product_id="nope"))
