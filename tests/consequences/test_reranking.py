"""Re-ranking: less of what is popular, more categories, by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.consequences.reranking import CategoryPenalty, PopularityPenalty
from recsys_teach.evaluation import activity_groups, row_lists, scoreboard

CATEGORY = {"tent": "camping", "lamp": "camping", "wok": "cooking", "pan": "cooking"}
TRAIN = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "ann", "bob", "bob", "cat", "dan"],
        "product_id": ["tent", "lamp", "wok", "tent", "pan", "tent", "lamp"],
    }
)
TRAIN["category"] = TRAIN["product_id"].map(CATEGORY)
VISITORS = pd.DataFrame({"user_id": ["bob", "new"], "product_id": ["wok", "pan"]})


class Fixed:
    products = ("tent", "lamp", "wok", "pan")

    def scores(self, reviews):
        return np.tile([4.0, 3.0, 2.0, -1.0], (len(reviews), 1))


def test_the_penalty_is_the_standardised_log_of_the_purchases():
    scores = np.array([4.0, 3.0, 2.0, -1.0])
    logs = np.log([4, 3, 2, 2])  # one more than 3, 2, 1 and 1 purchases
    by_hand = (scores - 2) / np.sqrt(14 / 4) - 0.7 * (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(PopularityPenalty(Fixed(), TRAIN, weight=0.7).scores(VISITORS), [by_hand, by_hand])


def test_without_a_weight_nothing_changes():
    lists = row_lists(Fixed(), TRAIN, VISITORS, k=4)
    for kind in (PopularityPenalty, CategoryPenalty):
        np.testing.assert_array_equal(row_lists(kind(Fixed(), TRAIN, weight=0), TRAIN, VISITORS, k=4), lists)


def test_popularity_with_its_whole_weight_subtracted_has_no_favourites():
    class LogPopularity(Popularity):
        def scores(self, reviews):
            return np.log1p(super().scores(reviews))

    scores = PopularityPenalty(LogPopularity(TRAIN), TRAIN, weight=1).scores(VISITORS)
    np.testing.assert_allclose(scores, 0, atol=1e-12)


def test_excluded_products_stay_excluded():
    class Without(Fixed):
        def scores(self, reviews):
            return np.where([False, True, False, False], -np.inf, super().scores(reviews))

    scores = PopularityPenalty(Without(), TRAIN, weight=9).scores(VISITORS)
    assert np.isneginf(scores[:, 1]).all()
    assert np.isfinite(np.delete(scores, 1, axis=1)).all()


def greedy(scores, categories, owned, weight):
    """Maximal marginal relevance, place by place."""
    picked, left = [], [column for column in range(len(scores)) if column not in owned]
    while left:
        values = [scores[c] - weight * sum(categories[p] == categories[c] for p in picked) for c in left]
        picked.append(left.pop(int(np.argmax(values))))
    return picked


@pytest.mark.parametrize("weight", [0.3, 1.0, 5.0])
def test_the_category_penalty_picks_as_the_greedy_rule_does(weight):
    rng = np.random.default_rng(0)
    products = [f"p{n}" for n in range(20)]
    categories = rng.integers(4, size=20)
    train = pd.DataFrame({"user_id": np.repeat([f"u{n}" for n in range(10)], 8)})
    train["product_id"] = np.concatenate([rng.choice(products, 8, replace=False) for _ in range(10)])
    train["category"] = [f"c{categories[int(name[1:])]}" for name in train["product_id"]]
    assert train["product_id"].nunique() == 20

    class Noise:
        def scores(self, reviews):
            return np.stack([np.random.default_rng(int(user[1:])).random(20) for user in reviews["user_id"]])

    noise = Noise()
    noise.products = products
    visitors = pd.DataFrame({"user_id": ["u0", "u3", "u99"], "product_id": "p1"})
    lists = row_lists(CategoryPenalty(noise, train, weight=weight), train, visitors, k=20)
    for row, user in zip(lists, visitors["user_id"]):
        scores = noise.scores(pd.DataFrame({"user_id": [user]}))[0]
        owned = [int(name[1:]) for name in train.loc[train["user_id"] == user, "product_id"]]
        expected = greedy((scores - scores.mean()) / scores.std(), categories, owned, weight)
        assert row[row >= 0].tolist() == expected


def test_they_are_recommenders_for_the_scoreboard():
    board = scoreboard({"penalty": PopularityPenalty(Fixed(), TRAIN, weight=9)}, TRAIN, VISITORS, k=(1,))
    assert board.loc["penalty", "hit@1"] == 0.5  # wok is the better one of the two rare products; Bob has pan
    assert np.isnan(board.loc["penalty", "rmse"])


def test_what_cant_be_reranked_is_told():
    with pytest.raises(ValueError, match="a DampedBiases has no scores"):
        PopularityPenalty(DampedBiases(TRAIN.assign(rating=3.0)), TRAIN, weight=1)
    with pytest.raises(ValueError, match="weight is -1: expected a number of standard deviations, 0 or more"):
        PopularityPenalty(Fixed(), TRAIN, weight=-1)
    with pytest.raises(ValueError, match="a category penalty needs a 'category' column"):
        CategoryPenalty(Fixed(), TRAIN.drop(columns="category"), weight=1)


def test_groups_of_users_by_their_rows():
    test = pd.DataFrame({"user_id": ["ann", "bob", "cat", "new", "ann"], "product_id": "pan"})
    groups = activity_groups(TRAIN, test)  # 3, 2, 1 and 1 rows; the median is 1.5
    assert {name: mask.tolist() for name, mask in groups.items()} == {
        "new users": [False, False, False, True, False],
        "rare users": [False, False, True, False, False],
        "keen users": [True, True, False, False, True],
    }
    assert scoreboard({"popularity": Popularity(TRAIN)}, TRAIN, test, slices=groups).loc[
        ("popularity", "rare users"), "share"
    ] == pytest.approx(1 / 5)
