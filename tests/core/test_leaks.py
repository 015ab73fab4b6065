"""The leak detector on a generated shop: what is honest passes, and what was given the answers is found."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from recsys_teach.baselines import EASE, DampedBiases, ItemKNN, Oracle, Popularity
from recsys_teach.evaluation import beats_oracle, chance_of, row_metrics, scoreboard
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random, split_by_time, split_last


@pytest.fixture(scope="module")
def generated():
    """A generated shop's truth, training rows and test rows."""
    shop = generate_shop(users=300, products=80, reviews_per_user=10, drift=1, seed=1)
    return Oracle(shop), *split_by_time(shop.reviews)


class RatingsLeak:
    """Was given the ratings of the test rows."""

    def __init__(self, test):
        self.test = test

    def ratings(self, reviews):
        return self.test.loc[reviews.index, "rating"].to_numpy()


class PurchaseLeak:
    """Was given the purchases of the test rows."""

    def __init__(self, test, products):
        self.test, self.products = test, products

    def scores(self, reviews):
        return self.test.loc[reviews.index, "product_id"].to_numpy()[:, None] == np.array(self.products)


class Leak(PurchaseLeak, RatingsLeak):
    pass


@pytest.mark.parametrize("honest", [Popularity, DampedBiases])
def test_an_honest_recommender_does_not_beat_the_oracle(generated, honest):
    oracle, train, test = generated
    assert beats_oracle(honest(train), oracle, train, test) == {}


def test_the_oracle_does_not_beat_itself(generated):
    oracle, train, test = generated
    assert beats_oracle(oracle, oracle, train, test) == {}


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_a_leak_beats_the_oracle_in_everything(generated, exclude_seen):
    oracle, train, test = generated
    # What leaks is perfect: rank 1 and no error in every row. So it is ahead by all that the oracle lacks.
    truth = scoreboard({"oracle": oracle}, train, test, exclude_seen=exclude_seen).loc["oracle"]
    gains = {name: 1 - value for name, value in truth.drop("rmse").items()} | {"squared_error": truth["rmse"] ** 2}
    leak = Leak(test, oracle.products)
    assert beats_oracle(leak, oracle, train, test, exclude_seen=exclude_seen) == pytest.approx(gains)
    assert min(gains.values()) > 0


def test_a_leak_of_ratings_beats_the_oracle_in_the_error_alone(generated):
    oracle, train, test = generated
    squared = (oracle.ratings(test) - test["rating"]) ** 2
    assert beats_oracle(RatingsLeak(test), oracle, train, test) == pytest.approx({"squared_error": squared.mean()})


def test_a_leak_of_purchases_beats_the_oracle_in_the_ranks_alone(generated):
    oracle, train, test = generated
    better = beats_oracle(PurchaseLeak(test, oracle.products), oracle, train, test)
    assert set(better) == {"hit@1", "hit@10", "hit@50", "ndcg@10", "mrr"}


def test_gains_are_mean_differences_of_the_row_metrics(generated):
    oracle, train, test = generated

    class Peek(Leak):
        """Looks at every third answer, and asks the oracle for the others."""

        def scores(self, reviews):
            return np.where((reviews.index % 3 == 0)[:, None], super().scores(reviews), oracle.scores(reviews))

        def ratings(self, reviews):
            return np.where(reviews.index % 3 == 0, super().ratings(reviews), oracle.ratings(reviews))

    peek = Peek(test, oracle.products)
    gains = (row_metrics(peek, train, test) - row_metrics(oracle, train, test)).mean().to_dict()
    gains["squared_error"] *= -1
    assert 0 < gains.pop("hit@50") < 0.02  # the oracle misses too few for this to be sure
    better = beats_oracle(peek, oracle, train, test)
    assert better == pytest.approx(gains)
    assert min(better.values()) > 0


def test_a_few_lucky_rows_are_no_leak(generated):
    oracle, train, test = generated

    class Lucky(RatingsLeak):
        def ratings(self, reviews):
            return np.where(reviews.index < 5, super().ratings(reviews), oracle.ratings(reviews))

    lucky = Lucky(test)
    errors = [row_metrics(r, train, test)["squared_error"].mean() for r in (lucky, oracle)]
    assert errors[0] < errors[1]
    assert beats_oracle(lucky, oracle, train, test) == {}


def test_a_leak_of_ratings_is_found_among_unrated_purchases(generated):
    oracle, train, test = generated
    test = test.assign(rating=test["rating"].where(test.index % 5 > 0))

    class Leak(RatingsLeak):
        def ratings(self, reviews):
            return np.nan_to_num(super().ratings(reviews), nan=3.0)

    squared = (oracle.ratings(test) - test["rating"]) ** 2
    assert beats_oracle(Leak(test), oracle, train, test) == pytest.approx({"squared_error": squared.mean()})


def test_one_row_a_user_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    gain = pd.Series(rng.normal(0.2, 1, 50))
    expected = ttest_1samp(gain, 0, alternative="greater").pvalue
    assert chance_of(gain, pd.Series(range(50))) == pytest.approx(expected, rel=1e-9)


def test_rows_of_one_user_count_as_one_user():
    rng = np.random.default_rng(1)
    gain = pd.Series(rng.normal(0.3, 1, 30))
    copies = pd.concat([gain] * 20, ignore_index=True)
    users = pd.Series(list(range(30)) * 20)
    assert chance_of(copies, users) == pytest.approx(chance_of(gain, users[:30]), rel=1e-9)
    assert chance_of(copies, pd.Series(range(600))) < 1e-4 < chance_of(copies, users)
    missing = pd.Series([*copies, np.nan])  # rows without a number don't count, whatever their index
    same = chance_of(missing.set_axis([0] * 601), pd.Series([*users, "?"], [0] * 601))
    assert same == pytest.approx(chance_of(copies, users), rel=1e-9)


def test_no_gain_at_all_and_a_single_user_prove_nothing():
    users = pd.Series(list("aabb"))
    assert chance_of(pd.Series([0.0, 0, 0, 0]), users) == 1
    assert chance_of(pd.Series([1.0, 1, 1, 1]), users) == 0
    assert chance_of(pd.Series([1.0, 2, 3, 4]), pd.Series(list("aaaa"))) == 1


class LooksAhead:
    """Knows the truth of a habit shop, and multiplies it by the links with the user's next training purchase."""

    def __init__(self, shop, train):
        self.oracle, self.products = Oracle(shop), list(shop.products["product_id"])
        self.links = shop.links.toarray()
        self.train = train.sort_values("timestamp", kind="stable")

    def scores(self, reviews):
        asked = reviews[["user_id", "timestamp"]].reset_index(drop=True).reset_index(names="row")
        found = pd.merge_asof(
            asked.sort_values("timestamp"),
            self.train[["user_id", "timestamp", "product_id"]],
            on="timestamp",
            by="user_id",
            direction="forward",
        )
        later = pd.Index(self.products).get_indexer(pd.Index(found.sort_values("row")["product_id"]))
        factor = np.where(later[:, None] >= 0, 0.02 + self.links[:, later].T, 1)
        return self.oracle.scores(reviews) * factor


@pytest.fixture(scope="module")
def habit():
    return generate_shop(kind="habit", users=800, products=200, reviews_per_user=12, seed=2)


@pytest.mark.parametrize("split", [split_at_random, split_by_time, split_last])
def test_classics_do_not_beat_the_oracle_of_a_habit_shop(habit, split):
    train, test = split(habit.reviews)
    for honest in (Popularity, ItemKNN, EASE, DampedBiases):
        assert beats_oracle(honest(train), Oracle(habit), train, test) == {}


def test_later_training_rows_beat_the_oracle_of_a_habit_shop_in_a_random_split_alone(habit):
    train, test = split_at_random(habit.reviews)
    better = beats_oracle(LooksAhead(habit, train), Oracle(habit), train, test)
    assert better["hit@1"] > 0.1
    assert better["hit@10"] > 0.03
    for split in (split_by_time, split_last):  # where training has no later rows of the same users
        train, test = split(habit.reviews)
        assert beats_oracle(LooksAhead(habit, train), Oracle(habit), train, test) == {}
