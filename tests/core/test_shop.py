"""The generated shop keeps its own rules, and its reviews are drawn from the truth that it states."""

import hashlib
import tracemalloc
from collections import defaultdict
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import chi2_contingency, chisquare, norm

from recsys_teach import shop as shop_module
from recsys_teach.schema import check_reviews
from recsys_teach.shop import NOISE, LowRank, generate_shop, habit_probability

FIRST_DAY = pd.Timestamp("2022-01-01", tz="UTC")


KINDS = ("taste", "habit")
both_kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def shop():
    """The default: the taste shop."""
    return generate_shop()


@pytest.fixture(scope="module")
def habit():
    return generate_shop(kind="habit")


@pytest.fixture(params=KINDS)
def each_shop(request, shop, habit):
    return {"taste": shop, "habit": habit}[request.param]


@pytest.fixture(params=[shop_module.SMALL, 0], ids=["in steps", "by user"])
def sampler(request, monkeypatch):
    """Shops are drawn as small ones are, or as large ones."""
    monkeypatch.setattr(shop_module, "SMALL", request.param)


def columns_of(shop, reviews):
    """The catalogue column of each review's product."""
    return pd.Index(shop.products["product_id"]).get_indexer(reviews["product_id"])


def at(shop, *days):
    """Rows of the first user, on these days."""
    first = shop.reviews[shop.reviews["user_id"] == "U00000"]
    return first[: len(days)].assign(timestamp=[FIRST_DAY + pd.Timedelta(days=day) for day in days])


def centred(table):
    """What is left of a table without the means of its rows and columns."""
    return table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()


def bestsellers(shop):
    """The share of the products that makes half of the sales."""
    sales = shop.reviews["product_id"].value_counts()
    return (1 + (sales.cumsum() < len(shop.reviews) / 2).sum()) / len(shop.products)


def assert_bought_as_often(probability, bought):
    """Check that each column was drawn as often as its probabilities say, give or take 3.5 standard deviations."""
    surprise = np.bincount(bought, minlength=probability.shape[1]) - probability.sum(axis=0)
    spread = np.sqrt((probability * (1 - probability)).sum(axis=0))
    assert (abs(surprise) <= 3.5 * spread + 1).all()


@both_kinds
@pytest.mark.usefixtures("sampler")
def test_the_same_seed_gives_the_same_shop(kind):
    one, two = (generate_shop(kind=kind, users=80, products=40, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.reviews, two.reviews)
    pd.testing.assert_frame_equal(one.products, two.products)
    np.testing.assert_array_equal(one.mean_rating, two.mean_rating)


def test_the_taste_shop_is_the_default_and_has_not_changed(shop):
    columns = [shop.reviews[name].astype(str) for name in ("user_id", "product_id", "rating", "summary", "timestamp")]
    lines = "\n".join(columns[0].str.cat(columns[1:], sep="\t"))
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == "828293fe213d583f"
    small = generate_shop(kind="taste", users=80, products=40, seed=3)
    pd.testing.assert_frame_equal(small.reviews, generate_shop(users=80, products=40, seed=3).reviews)


@both_kinds
def test_users_drawn_one_by_one_make_the_same_shop_as_all_at_once(monkeypatch, kind):
    size = {"kind": kind, "users": 80, "products": 40, "drift": 1, "seed": 3}
    at_once = generate_shop(**size)
    monkeypatch.setattr(shop_module, "CELLS", 1)
    pd.testing.assert_frame_equal(generate_shop(**size).reviews, at_once.reviews)


@both_kinds
def test_another_seed_gives_another_shop(kind):
    one, two = (generate_shop(kind=kind, users=80, products=40, seed=seed) for seed in (3, 4))
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


def test_its_reviews_are_a_valid_reviews_table(each_shop):
    pd.testing.assert_frame_equal(check_reviews(each_shop.reviews), each_shop.reviews, check_dtype=False)


def test_reviews_are_ordered_by_time(each_shop):
    assert each_shop.reviews["timestamp"].is_monotonic_increasing


def test_nobody_buys_a_product_twice(each_shop):
    assert not each_shop.reviews.duplicated(["user_id", "product_id"]).any()


@pytest.mark.parametrize(
    ("table", "key", "day"), [("products", "product_id", "launched"), ("users", "user_id", "joined")]
)
def test_nothing_happens_before_launch_or_joining(each_shop, table, key, day):
    first_day = each_shop.reviews[key].map(getattr(each_shop, table).set_index(key)[day])
    assert (each_shop.reviews["timestamp"] >= first_day).all()
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


@pytest.mark.parametrize("drift", [0, 2.5])
def test_purchase_probability_is_the_softmax_of_the_docstring(drift):
    shop = generate_shop(users=30, products=24, drift=drift, seed=1)
    asked = shop.reviews[::20]
    for probability, (_, row) in zip(shop.purchase_probability(asked), asked.iterrows()):
        day = (row["timestamp"] - FIRST_DAY).total_seconds() / 86_400
        exponent = shop.attraction[int(row["user_id"].removeprefix("U"))] + shop.trend * (day / 730 - 1 / 2)
        weights = np.exp(exponent) * (shop.products["launched"] <= row["timestamp"]).to_numpy()
        np.testing.assert_allclose(probability, weights / weights.sum())


@pytest.mark.parametrize("strength", [0, 1.5, 4])
def test_taste_strength_multiplies_affinity(strength):
    # Ratings reveal it: they are 2 a, plus something for the product and for the user, which centring removes.
    shop = generate_shop(users=60, products=40, taste_strength=strength, seed=1)
    np.testing.assert_allclose(centred(shop.attraction), strength * centred(shop.mean_rating) / 2, atol=1e-12)


def test_attraction_is_taste_plus_popularity():
    alone = {"taste_strength": 4, "popularity_skew": 0}, {"taste_strength": 0, "popularity_skew": 1.2}
    both, taste, popularity = (
        generate_shop(users=60, products=40, seed=1, **arguments).attraction for arguments in ({}, *alone)
    )
    np.testing.assert_allclose(both, taste + popularity, atol=1e-12)
    assert abs(taste).max() <= 4  # unit vectors have no product beyond 1
    assert (popularity == popularity[0]).all()


@pytest.mark.parametrize("amount", [0.5, 3])
def test_popularity_and_trend_are_normal_with_the_spread_asked_for(amount):
    shop = generate_shop(users=2, products=4_000, popularity_skew=amount, drift=amount, taste_strength=0, seed=1)
    for drawn in (shop.attraction[0] / amount, shop.trend / amount):
        np.testing.assert_allclose([drawn.mean(), drawn.std()], [0, 1], atol=0.05)
    assert abs(np.corrcoef(shop.attraction[0], shop.trend)[0, 1]) < 0.05


def test_without_taste_everybody_buys_alike():
    shop = generate_shop(users=40, products=24, taste_strength=0, drift=1, seed=1)
    probability = shop.purchase_probability(shop.reviews.assign(timestamp=FIRST_DAY + pd.Timedelta(days=400)))
    assert (probability == probability[0]).all()
    assert probability[0].max() > 2 / 24  # but not everything


def test_without_taste_and_skew_all_that_is_on_sale_is_as_likely():
    shop = generate_shop(users=40, products=24, taste_strength=0, popularity_skew=0, seed=1)
    launched = (shop.products["launched"] <= FIRST_DAY + pd.Timedelta(days=400)).to_numpy()
    np.testing.assert_allclose(shop.purchase_probability(at(shop, 400))[0], launched / launched.sum())


def test_the_larger_the_skew_the_fewer_bestsellers():
    shares = [
        bestsellers(generate_shop(users=400, products=200, popularity_skew=skew, seed=1)) for skew in (0, 0.6, 1.2, 2.4)
    ]
    assert (np.diff(shares) < -0.03).all()


def test_by_default_a_sixth_of_the_products_makes_half_of_the_sales(shop):
    assert bestsellers(shop) == pytest.approx(1 / 6, abs=0.02)


def test_drift_changes_the_odds_by_the_trend_from_the_first_day_to_the_last():
    shop = generate_shop(users=40, products=24, drift=1, seed=1)
    first, middle, last = shop.purchase_probability(at(shop, 0, 365, 730))
    sold = first > 0
    gains = np.log(last[sold] / first[sold])
    np.testing.assert_allclose(gains - gains[0], shop.trend[sold] - shop.trend[sold][0])
    odds = np.log(middle[sold] / middle[sold][0])
    np.testing.assert_allclose(odds, shop.attraction[0, sold] - shop.attraction[0, sold][0])


def test_without_drift_the_odds_stay():
    shop = generate_shop(users=40, products=24, seed=1)
    first, last = shop.purchase_probability(at(shop, 0, 730))
    np.testing.assert_allclose(last[first > 0] / last[first > 0].sum(), first[first > 0])


@pytest.mark.parametrize("seed", [0, 1])
def test_with_drift_rising_products_sell_more_and_more(seed):
    rising = generate_shop(users=600, products=24, reviews_per_user=8, drift=2, seed=seed).trend > 0
    gains = []
    for drift in (0, 2):
        shop = generate_shop(users=600, products=24, reviews_per_user=8, drift=drift, seed=seed)
        bought = columns_of(shop, shop.reviews)
        old = (shop.products["launched"] == FIRST_DAY).to_numpy()[bought]
        early, *_, late = np.array_split(rising[bought[old]], 4)
        gains.append(late.mean() - early.mean())
    assert abs(gains[0]) < 0.05
    assert gains[1] > 0.2


def test_a_product_is_on_sale_from_the_second_of_its_launch(shop):
    column = int(shop.products["launched"].to_numpy().argmax())
    launch = shop.products["launched"].iloc[column]
    around = shop.reviews[:2].assign(timestamp=[launch - pd.Timedelta(seconds=1), launch])
    assert (shop.purchase_probability(around)[:, column] > 0).tolist() == [False, True]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"drift": 3},
        {"taste_strength": 1.5, "popularity_skew": 0.3},
        {"kind": "habit"},
        {"kind": "habit", "drift": 3},
    ],
)
@pytest.mark.usefixtures("sampler")
def test_products_are_bought_as_often_as_their_probability_says(arguments):
    shop = generate_shop(users=2_000, products=24, reviews_per_user=4, seed=1, **arguments)
    bought = columns_of(shop, shop.reviews)
    probability = shop.purchase_probability(shop.reviews)
    basket = defaultdict(list)
    for row, (user, column) in enumerate(zip(shop.reviews["user_id"], bought)):
        probability[row, basket[user]] = 0  # nobody buys twice
        basket[user].append(column)
    probability /= probability.sum(axis=1, keepdims=True)

    place = (probability > probability[np.arange(len(bought)), bought][:, None]).sum(axis=1)
    by_place = -np.sort(-probability, axis=1)  # the user's likeliest product first
    early = np.arange(len(bought)) < len(bought) // 2
    for part in (early, ~early, early | ~early):
        for chances, times in ((probability[part], bought[part]), (by_place[part], place[part])):
            assert_bought_as_often(chances, times)


def test_expected_rating_is_the_mean_of_the_rounded_and_clipped_normal(each_shop):
    reviews = each_shop.reviews[::100]
    noise = norm.ppf((np.arange(20_000) + 0.5) / 20_000, scale=NOISE)
    users = reviews["user_id"].str.removeprefix("U").astype(int)
    means = each_shop.mean_rating[users, columns_of(each_shop, reviews)]
    expected = [np.clip(np.rint(mean + noise), 1, 5).mean() for mean in means]
    np.testing.assert_allclose(each_shop.expected_rating(reviews), expected, atol=3e-4)


def test_observed_ratings_are_close_to_the_expected_ones(each_shop):
    expected = each_shop.expected_rating(each_shop.reviews)
    assert each_shop.reviews["rating"].mean() == pytest.approx(expected.mean(), abs=0.015)
    fifths = pd.qcut(expected, 5, labels=False)
    observed = each_shop.reviews["rating"].groupby(fifths).mean()
    np.testing.assert_allclose(observed, pd.Series(expected).groupby(fifths).mean(), atol=0.04)


def test_ratings_are_whole_stars(each_shop):
    assert sorted(each_shop.reviews["rating"].unique()) == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_about_the_share_asked_for_is_rated(share):
    reviews = generate_shop(users=300, products=40, rated_share=share, seed=1).reviews
    rated = reviews["rating"].notna()
    assert rated.mean() == pytest.approx(share, abs=0.02)
    assert ((reviews["summary"] != "") == rated).all()
    pd.testing.assert_frame_equal(check_reviews(reviews, unrated=True), reviews)


@both_kinds
def test_the_rated_share_changes_ratings_and_summaries_alone(kind):
    size = {"kind": kind, "users": 300, "products": 40, "drift": 1, "seed": 1}
    full, part = generate_shop(**size), generate_shop(**size, rated_share=0.5)
    rated = part.reviews["rating"].notna()
    pd.testing.assert_frame_equal(part.reviews[rated], full.reviews[rated])
    bought = full.reviews.drop(columns=["rating", "summary"])
    pd.testing.assert_frame_equal(part.reviews.drop(columns=["rating", "summary"]), bought)
    for truth in ("attraction", "trend", "mean_rating"):
        np.testing.assert_array_equal(getattr(part, truth), getattr(full, truth))


def test_chance_decides_what_is_rated():
    size = {"users": 300, "products": 40, "reviews_per_user": 12, "seed": 1}
    stars = generate_shop(**size).reviews["rating"]
    rated = generate_shop(**size, rated_share=0.5).reviews["rating"].notna()
    assert (rated.groupby(stars).mean() - 0.5).abs().max() < 0.06
    assert max(abs(part.mean() - 0.5) for part in np.array_split(rated.to_numpy(), 6)) < 0.06  # at any time


@pytest.mark.parametrize("change", [{"drift": 2}, {"popularity_skew": 0}, {"taste_strength": 1}])
def test_the_same_people_come_at_the_same_times_and_buy_something_else(change):
    size = {"users": 80, "products": 40, "seed": 1}
    usual, other = generate_shop(**size), generate_shop(**size, **change)
    pd.testing.assert_frame_equal(other.products, usual.products)
    pd.testing.assert_frame_equal(other.users, usual.users)
    np.testing.assert_array_equal(other.mean_rating, usual.mean_rating)
    came = ["user_id", "timestamp"]
    pd.testing.assert_frame_equal(other.reviews[came], usual.reviews[came])
    assert (other.reviews["product_id"] != usual.reviews["product_id"]).mean() > 0.2


@pytest.mark.parametrize("truth", ["purchase_probability", "expected_rating"])
def test_a_stranger_is_refused(each_shop, truth):
    reviews = each_shop.reviews[:3].assign(user_id=["U00000", "mallory", "U00001"])
    with pytest.raises(ValueError, match="no user_id 'mallory'"):
        getattr(each_shop, truth)(reviews)


@both_kinds
@pytest.mark.parametrize(("products", "seed"), [(2, 0), (4, 0), (8, 1), (16, 8)])
@pytest.mark.usefixtures("sampler")
def test_a_small_shop_keeps_the_rules(products, seed, kind):
    shop = generate_shop(kind=kind, users=50, products=products, seed=seed)
    assert not shop.reviews.duplicated(["user_id", "product_id"]).any()
    launched = shop.reviews["product_id"].map(shop.products.set_index("product_id")["launched"])
    assert (shop.reviews["timestamp"] >= launched).all()


@pytest.mark.parametrize(
    "size",
    [
        {"users": 1},
        {"products": 1},
        {"reviews_per_user": 0},
        {"reviews_per_user": float("nan")},
        {"reviews_per_user": float("inf")},
    ],
)
def test_a_shop_without_a_choice_is_refused(size):
    with pytest.raises(ValueError, match="expected at least 2 users, 2 products"):
        generate_shop(**size)


AMOUNT, SHARE = "a number, 0 or more", "a share above 0, at most 1"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *((name, value, AMOUNT) for name in ("popularity_skew", "taste_strength", "drift") for value in (-0.1, np.inf)),
        *((name, np.nan, AMOUNT) for name in ("popularity_skew", "taste_strength", "drift")),
        *(("rated_share", value, SHARE) for value in (0, -0.1, 1.01, np.nan)),
    ],
)
def test_an_impossible_amount_is_refused(name, value, expected):
    with pytest.raises(ValueError, match=rf"^{name} is {value}: expected {expected}\.$"):
        generate_shop(users=20, products=10, **{name: value})


def test_the_truth_about_an_unknown_product_is_refused():
    shop = generate_shop(users=20, products=10, seed=0)
    with pytest.raises(ValueError, match="no product_id 'nope'"):
        shop.expected_rating(shop.reviews[:1].assign(product_id="nope"))


@pytest.mark.parametrize("kind", ["fashion", "", None])
def test_an_unknown_kind_is_refused_with_the_two_that_there_are(kind):
    with pytest.raises(ValueError, match=rf'^kind is {kind!r}: expected "taste" or "habit"\.$'):
        generate_shop(kind=kind)


def test_taste_strength_is_refused_where_taste_decides_no_purchases():
    with pytest.raises(ValueError, match=r"^taste_strength is 2\.0: leave it out"):
        generate_shop(kind="habit", taste_strength=2.0)


# Large shops: another sampler, and no array of users × products.

# Six products, two of which are launched later, of two categories, in a ring of links.
LAUNCHED, CATEGORIES = np.array([300.0, 0.0, 0.0, 500.0, 0.0, 0.0]), np.array([0, 0, 0, 1, 1, 1])
LOGITS, TREND = np.array([0.5, 1.5, 0.0, 1.0, -0.5, 0.3]), np.array([2.0, -3.0, 1.0, 0.0, 4.0, -1.0])
RING = (np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), -1, axis=1)) / 2
samplers = pytest.mark.parametrize("draw", [shop_module._draw_in_steps, shop_module._draw_by_user])


def drawn_baskets(draw, kind, times, *, logits=LOGITS, trend=TREND):
    """What each user buys who comes on the days of a list in `times`, in the order of the purchases."""
    links = csr_array(RING) if kind == "habit" else None
    same_for_all = LowRank(np.ones((len(times), 1)), logits[:, None])
    times = [np.array(days) for days in times]
    drawn = draw(np.random.default_rng(7), same_for_all, trend, times, LAUNCHED, links, CATEGORIES)
    baskets = [[] for _ in times]
    for day, user, product in sorted(zip(drawn[2], drawn[0], drawn[1])):
        assert LAUNCHED[product] <= day
        baskets[user].append(int(product))
    return baskets


def probability_of(basket, days, kind, trend):
    """The probability that a user buys these products on these days, one after the other."""
    total = 1.0
    for step, (product, day) in enumerate(zip(basket, days)):
        logits = LOGITS + trend * (day / 730 - 0.5)
        logits[day < LAUNCHED] = -np.inf
        logits[list(basket[:step])] = -np.inf
        chances = np.exp(logits) / np.exp(logits).sum()
        if kind == "habit":
            last = np.array([[*basket[:step][::-1], -1, -1, -1][:3]])
            chances = habit_probability(logits[None], last, csr_array(RING), CATEGORIES)[0]
        total *= chances[product]
    return total


@pytest.mark.parametrize(
    ("draw", "tries"), [(shop_module._draw_in_steps, 20), *((shop_module._draw_by_user, tries) for tries in (0, 1, 20))]
)
@both_kinds
@pytest.mark.parametrize("drift", [0, 1])
def test_whole_baskets_are_as_frequent_as_the_truth_says(monkeypatch, draw, kind, drift, tries):
    monkeypatch.setattr(shop_module, "TRIES", tries)
    days, users, trend = (100.0, 200.0, 400.0, 700.0), 5_000, drift * TREND
    expected = {basket: users * probability_of(basket, days, kind, trend) for basket in permutations(range(6), 4)}
    assert sum(expected.values()) == pytest.approx(users)
    found = pd.Series([tuple(basket) for basket in drawn_baskets(draw, kind, [days] * users, trend=trend)])
    table = pd.DataFrame({"expected": expected, "found": found.value_counts()}).fillna(0)
    assert table.loc[table["expected"] == 0, "found"].sum() == 0
    table = table.groupby(np.where(table["expected"] < 5, -1, np.arange(len(table)))).sum()  # the rare ones are one
    assert len(table) > 40
    assert chisquare(table["found"], table["expected"]).pvalue > 1e-3


@samplers
@both_kinds
def test_who_owns_all_but_one_buys_that_one_and_then_nothing(draw, kind):
    unlikely = np.array([0.0, 50.0, 0.0, 0.0, -50.0, -800.0])
    days = [600.0 + day for day in range(8)]
    baskets = drawn_baskets(draw, kind, [days] * 50, logits=unlikely, trend=0 * TREND)
    assert all(sorted(basket) == list(range(6)) for basket in baskets)
    if kind == "taste":
        assert all(basket[-2:] == [4, 5] for basket in baskets)


@samplers
@both_kinds
def test_where_everything_on_sale_is_owned_users_wait_for_the_next_launch(draw, kind):
    days = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 299.0, 300.0, 301.0, 499.0, 500.0]
    late_and_loved = LOGITS + 1_000 * (LAUNCHED > 0)
    for basket in drawn_baskets(draw, kind, [days] * 50, logits=late_and_loved):
        assert sorted(basket[:4]) == [1, 2, 4, 5]
        assert basket[4:] == [0, 3]


@samplers
@both_kinds
def test_who_comes_before_the_first_launch_buys_nothing(draw, kind):
    early, usual = drawn_baskets(draw, kind, [[-2.0, -1.0], [1.0, 2.0]])
    assert early == []
    assert len(usual) == 2


def test_a_shop_of_more_cells_than_small_is_drawn_by_user(monkeypatch):
    usual = generate_shop(users=80, products=40, seed=3)
    monkeypatch.setattr(shop_module, "SMALL", 80 * 40)
    pd.testing.assert_frame_equal(generate_shop(users=80, products=40, seed=3).reviews, usual.reviews)
    monkeypatch.setattr(shop_module, "SMALL", 80 * 40 - 1)
    other = generate_shop(users=80, products=40, seed=3)
    pd.testing.assert_frame_equal(other.users, usual.users)
    assert len(other.reviews) == len(usual.reviews)
    assert not other.reviews["product_id"].equals(usual.reviews["product_id"])


def test_rows_and_cells_of_factors_by_hand():
    factors = LowRank(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0], [0.0, 1.0]]))
    np.testing.assert_array_equal(factors.rows(np.array([1, 0])), [[39, 53, 4], [17, 23, 2]])
    np.testing.assert_array_equal(factors.cells(np.array([1, 0, 1]), np.array([0, 1, 2])), [39, 23, 4])


@both_kinds
def test_a_large_shop_and_its_truth_take_less_than_its_cells(kind):
    users, products = 3_000, 3_000
    tracemalloc.start()
    try:
        shop = generate_shop(kind=kind, users=users, products=products, reviews_per_user=2, seed=1)
        rows = shop.reviews[::300]
        probability = shop.purchase_probability(rows)
        expected = shop.expected_rating(shop.reviews)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * users * products  # bytes; a table of floats has 8 for each cell
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert shop.reviews["rating"].mean() == pytest.approx(expected.mean(), abs=0.05)


# The habit shop: purchases follow the last purchases.


def law_of_the_docstring(shop, user, now, history):
    """The purchase probabilities of a habit shop, product by product, from columns bought before, the oldest first."""
    day = (now - FIRST_DAY).total_seconds() / 86_400
    category, linked = shop.products["category"].to_numpy(), shop.links.toarray() > 0
    free = [i for i in range(len(category)) if shop.products["launched"][i] <= now and i not in history]
    popularity = {i: np.exp(shop.attraction[user, i] + shop.trend[i] * (day / 730 - 1 / 2)) for i in free}
    softmax = {i: popularity[i] / sum(popularity.values()) for i in free}
    last = history[:-4:-1]
    recency = np.array([3, 2, 1])[: len(last)] / sum([3, 2, 1][: len(last)])
    weights = np.zeros(len(category))
    for i in free:
        weights[i] = 0.1 * softmax[i]
        for share, bought in zip(recency, last):
            weights[i] += 0.7 * share * linked[bought, i] / linked[bought].sum()
        if last and category[i] == category[last[0]]:
            weights[i] += 0.2 * softmax[i] / sum(softmax[j] for j in free if category[j] == category[i])
    return weights / weights.sum()


@pytest.mark.parametrize("drift", [0, 2.5])
def test_the_probability_of_a_habit_shop_is_the_law_of_the_docstring(drift):
    shop = generate_shop(kind="habit", users=30, products=24, drift=drift, seed=1)
    probability, baskets = shop.purchase_probability(shop.reviews), defaultdict(list)
    rows = zip(shop.reviews["user_id"], shop.reviews["timestamp"], columns_of(shop, shop.reviews))
    for row, (user, now, bought) in enumerate(rows):
        expected = law_of_the_docstring(shop, int(user.removeprefix("U")), now, baskets[user])
        np.testing.assert_allclose(probability[row], expected, atol=1e-12)
        baskets[user].append(bought)
    assert max(map(len, baskets.values())) > 5


def test_the_probabilities_of_a_habit_shop_sum_to_one_over_what_can_be_bought(habit):
    probability, bought = habit.purchase_probability(habit.reviews), columns_of(habit, habit.reviews)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert probability.min() == 0
    launched, baskets = habit.products["launched"], defaultdict(list)
    for row, (user, now) in enumerate(zip(habit.reviews["user_id"], habit.reviews["timestamp"])):
        if row % 100 == 0:
            available = (launched <= now).to_numpy(copy=True)
            available[baskets[user]] = False
            np.testing.assert_array_equal(probability[row] > 0, available)
        baskets[user].append(bought[row])


def test_purchases_of_a_habit_shop_are_as_likely_as_its_truth_says(habit):
    bought, probability = columns_of(habit, habit.reviews), habit.purchase_probability(habit.reviews)
    logs = np.log(probability, out=np.zeros_like(probability), where=probability > 0)
    expected = (probability * logs).sum(axis=1)  # of the log-likelihood: minus the entropy
    variance = (probability * logs**2).sum(axis=1) - expected**2
    surprise = logs[np.arange(len(bought)), bought] - expected
    for part in (slice(None), slice(0, 10_000), slice(10_000, 20_000), slice(20_000, None)):
        assert abs(surprise[part].sum()) < 3.5 * np.sqrt(variance[part].sum())
    assert surprise.mean() == pytest.approx(0, abs=0.03)  # nats, of about 3.7
    # Grouped by probability: of the cells that are this likely, as many were bought.
    groups = np.digitize(probability, [1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.4])
    by_group = np.stack([(probability * (groups == group)).sum(axis=1) for group in range(8)], axis=1)
    assert_bought_as_often(by_group, groups[np.arange(len(bought)), bought])
    assert by_group.sum(axis=0).min() > 20


def test_first_purchases_of_a_habit_shop_follow_popularity_alone(habit):
    first = habit.reviews.drop_duplicates("user_id")
    probability = habit.purchase_probability(first)
    weights = np.exp(habit.attraction[0]) * (habit.products["launched"].to_numpy() <= first[["timestamp"]].to_numpy())
    np.testing.assert_allclose(probability, weights / weights.sum(axis=1, keepdims=True))
    assert_bought_as_often(probability, columns_of(habit, first))


def test_most_purchases_of_a_habit_shop_go_with_one_of_the_last_three(habit):
    linked, bought = habit.links.toarray() > 0, columns_of(habit, habit.reviews)
    columns = pd.Series(bought).groupby(habit.reviews["user_id"])
    earlier = [columns.shift(steps) for steps in (1, 2, 3)]
    known = earlier[2].notna().to_numpy()
    goes = [linked[some[known].astype(int), bought[known]] for some in earlier]
    assert np.mean([some.mean() for some in goes]) > 0.1
    assert goes[0].mean() > goes[1].mean() > goes[2].mean()
    assert 0.5 < np.any(goes, axis=0).mean() < 0.8


def test_the_history_of_a_row_comes_from_the_shop_whatever_rows_are_asked_about(habit):
    some = habit.reviews.sample(200, random_state=0)
    whole = habit.purchase_probability(habit.reviews)[some.index]
    hidden = some[["user_id", "timestamp"]].reset_index(drop=True)
    np.testing.assert_array_equal(habit.purchase_probability(hidden), whole)
    np.testing.assert_array_equal(habit.purchase_probability(hidden[:1]), whole[:1])


def test_a_purchase_counts_from_the_next_second_on_and_at_any_later_time(habit):
    user = habit.reviews["user_id"].value_counts().index[0]
    row = habit.reviews[habit.reviews["user_id"] == user][4:5]
    column, when = columns_of(habit, row)[0], row["timestamp"].iloc[0]
    times = [when, when + pd.Timedelta(seconds=1), when + pd.Timedelta(days=50_000), when - pd.Timedelta(days=50_000)]
    rows = pd.concat([row] * 4).assign(timestamp=times)
    assert (habit.purchase_probability(rows[:3])[:, column] > 0).tolist() == [True, False, False]
    last, (cell, _) = habit._history(np.full(4, int(user.removeprefix("U"))), shop_module._days(rows["timestamp"]))
    sold = (habit.reviews["user_id"] == user).sum()
    assert np.bincount(cell, minlength=4).tolist() == [4, 5, sold, 0]
    assert (last >= 0).sum(axis=1).tolist() == [3, 3, 3, 0]


def test_purchases_of_a_user_of_a_habit_shop_are_at_least_a_second_apart():
    # With this seed, six would be in the same second as the one before.
    reviews = generate_shop(kind="habit", users=1_000, products=100, reviews_per_user=30, seed=6).reviews
    assert not reviews.duplicated(["user_id", "timestamp"]).any()
    apart = shop_module._a_second_apart(np.array([0.0, 0.1, 0.4, 1.2, 9.6]) / 86_400)
    np.testing.assert_allclose(apart * 86_400, [0, 1, 2, 3, 10])


def test_links_hold_both_ways_and_are_few_and_in_part_within_the_category(habit):
    links = habit.links.toarray()
    np.testing.assert_array_equal(links > 0, links.T > 0)
    np.testing.assert_allclose(links.sum(axis=1), 1)
    assert not links.diagonal().any()
    number = (links > 0).sum(axis=1)
    assert number.min() >= 1
    assert number.mean() == pytest.approx(4, abs=0.1)
    np.testing.assert_allclose(links, (links > 0) / number[:, None])  # each of them as likely
    category = habit.products["category"].to_numpy()
    same = (category[:, None] == category)[links > 0]
    assert same.mean() == pytest.approx(1 / 2 + 1 / 16, abs=0.03)
    assert ((links > 0) & (category[:, None] == category)).any(axis=1).all()


def test_short_vectors_hold_only_a_part_of_the_links(habit):
    power = np.linalg.svd(habit.links.toarray(), compute_uv=False) ** 2
    assert power[:32].sum() < 0.4 * power.sum()


@pytest.mark.parametrize("products", [2, 3, 8, 9])
def test_in_the_smallest_habit_shop_each_product_goes_with_another(products):
    links = generate_shop(kind="habit", users=10, products=products, seed=1).links.toarray()
    np.testing.assert_allclose(links.sum(axis=1), 1)
    assert not links.diagonal().any()


def test_the_truth_of_a_shop_with_two_purchases_is_known():
    shop = generate_shop(kind="habit", users=2, products=2, reviews_per_user=1, seed=0)
    np.testing.assert_allclose(shop.purchase_probability(shop.reviews).sum(axis=1), 1)


def test_popularity_without_skew_makes_all_first_purchases_as_likely():
    shop = generate_shop(kind="habit", users=40, products=24, popularity_skew=0, seed=1)
    probability = shop.purchase_probability(shop.reviews.drop_duplicates("user_id"))
    for row in probability:
        np.testing.assert_allclose(row[row > 0], 1 / (row > 0).sum())


def styles_of(shop):
    """The hidden style of each product: two of the same one are liked alike by everybody, apart from their quality."""
    pattern = centred(shop.mean_rating).T.round(6)
    return np.unique(pattern, axis=0, return_inverse=True)[1].ravel()


def test_liking_has_twelve_styles_that_tell_nothing_of_category_and_links():
    shop = generate_shop(kind="habit", users=300, products=2_400, seed=1)
    styles = styles_of(shop)
    sizes = np.bincount(styles)
    assert len(sizes) == 12
    assert sizes.min() > 150
    table = pd.crosstab(styles, shop.products["category"])
    assert chi2_contingency(table).pvalue > 1e-3
    one, other = shop.links.nonzero()
    assert (styles[one] == styles[other]).mean() == pytest.approx(1 / 12, abs=0.015)
    assert centred(shop.mean_rating).std() == pytest.approx(0.5, abs=0.03)


def test_stars_of_a_habit_shop_say_nothing_about_its_purchases(habit):
    liking, bought = centred(habit.mean_rating), columns_of(habit, habit.reviews)
    users = habit.reviews["user_id"].str.removeprefix("U").astype(int)
    chosen = liking[users, bought]
    assert abs(chosen.mean()) < 4 * chosen.std() / np.sqrt(len(chosen))
    probability = habit.purchase_probability(habit.reviews[:5_000])
    assert abs(np.corrcoef(probability.ravel(), liking[users[:5_000]].ravel())[0, 1]) < 0.005
