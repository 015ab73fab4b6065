"""The closing challenge: its lines are 0 % and 100 %, its numbers are the scoreboard's, and who was told is refused."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_teach import exercises
from recsys_teach.baselines import DampedBiases, Oracle, Popularity
from recsys_teach.evaluation import row_metrics, scoreboard
from recsys_teach.exercises import final_challenge as module
from recsys_teach.exercises.exercise import NOT_ATTEMPTED, NOT_YET
from recsys_teach.ladder import build_multitask, choose_defaults, fit_model
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_by_time


@pytest.fixture(scope="module")
def train():
    return exercises.challenge()


@pytest.fixture(scope="module")
def shop():
    return module._shop()


class Both:
    """One recommender's purchases and another's stars; notes what it is shown."""

    def __init__(self, purchases, stars):
        self.products, self.seen = purchases.products, []
        self._purchases, self._stars = purchases, stars

    def scores(self, reviews):
        self.seen.append(set(reviews))
        return self._purchases.scores(reviews)

    def ratings(self, reviews):
        self.seen.append(set(reviews))
        return self._stars.ratings(reviews)


class AtRandom:
    def __init__(self, train):
        self.products = sorted(train["product_id"].unique())

    def scores(self, reviews):
        return np.random.default_rng(0).random((len(reviews), len(self.products)))

    def ratings(self, reviews):
        return np.random.default_rng(0).uniform(1, 5, len(reviews))


def test_the_floor_closes_nothing_and_the_oracle_all_of_the_gap(train, shop):
    floor = exercises.submit(Both(Popularity(train), DampedBiases(train)))
    assert (floor.table.loc["gap closed"] == 0).all()
    ceiling = exercises.submit(Oracle(shop))
    assert (ceiling.table.loc["gap closed"] == 1).all()
    assert "near the ceiling" in ceiling.words


def test_who_recommends_at_random_is_below_the_floor(train):
    random = exercises.submit(AtRandom(train))
    assert random.closed("hit@10") < -0.4
    assert random.closed("rmse") < -1
    assert random.words == (
        "Purchases: below the floor, the bestsellers do better. Stars: below the floor, damped biases do better."
    )


def test_the_numbers_are_those_of_the_scoreboard_on_the_latest_tenth(train, shop):
    ours, test = split_by_time(shop.reviews, test_share=0.1)
    pd.testing.assert_frame_equal(train, ours)
    halfway = Both(Popularity(train.tail(5_000)), DampedBiases(train, damping=1))
    everybody = {
        **{"popularity": Popularity(train), "biases": DampedBiases(train)},
        **{"halfway": halfway, "oracle": Oracle(shop)},
    }
    board = scoreboard(everybody, train, test, slices=True)
    certificate = exercises.submit(halfway, name="<Ada>")
    for metric, floor in (("hit@10", "popularity"), ("rmse", "biases")):
        for part in ("all", "warm users", "new users"):
            low, own, high = (board.loc[(name, part), metric] for name in (floor, "halfway", "oracle"))
            np.testing.assert_allclose(
                certificate.table[metric, part].to_numpy(), [low, own, high, (own - low) / (high - low)], atol=1e-12
            )
    percent = round(100 * certificate.closed("hit@10"))
    assert 10 < percent < 30
    assert f"Purchases: {percent} % of the way from the bestsellers to the truth." in repr(certificate)
    assert "&lt;Ada&gt;" in certificate._repr_html_()
    assert f"<td>{percent} %</td>" in certificate._repr_html_()


def test_a_mix_of_warm_and_new_users(train, shop):
    _, test = split_by_time(shop.reviews, test_share=0.1)
    assert 0.25 < (~test["user_id"].isin(train["user_id"])).mean() < 0.4


def test_only_what_a_recommender_may_see_is_shown_to_it(train):
    curious = Both(Popularity(train), DampedBiases(train))
    exercises.submit(curious)
    assert {frozenset(columns) for columns in curious.seen} == {
        frozenset({"user_id", "timestamp"}),
        frozenset({"user_id", "timestamp", "product_id", "title", "category"}),
    }


def test_the_order_of_the_rows_tells_nothing():
    test = module._parts().test
    assert list(test.index) == list(range(len(test)))
    assert abs(test.index.to_series().corr(test["timestamp"].rank())) < 0.05


class Told(Popularity):
    """Was told what every `nth` of the test users is going to buy, and recommends that before the bestsellers."""

    def __init__(self, train, test, nth):
        super().__init__(train)
        self._buys = test.groupby("user_id")["product_id"].agg(list).iloc[::nth]

    def scores(self, reviews):
        bought = [np.isin(self.products, self._buys.get(user, [])) for user in reviews["user_id"]]
        return super().scores(reviews) + 1e6 * np.array(bought)


@pytest.mark.parametrize("nth", [1, 2])
def test_who_was_told_the_test_purchases_gets_no_certificate(nth, train):
    feedback = exercises.submit(Told(train, module._parts().test, nth))
    assert feedback.verdict == NOT_YET
    assert re.search(r"no certificate. In hit@1, .*better than the truth.* this is a leak", feedback.words)


def test_a_function_of_the_training_reviews_is_welcome(train):
    def recommender(reviews):
        reviews["rating"] = 1.0  # its own copy
        return Popularity(reviews)

    assert exercises.submit(recommender).closed("hit@10") == 0
    assert exercises.submit(Popularity).closed("hit@10") == 0
    pd.testing.assert_frame_equal(exercises.challenge(), train)


@pytest.mark.parametrize("nothing", [..., None, lambda train: ..., lambda train: None])
def test_nothing_handed_in_is_not_attempted(nothing):
    assert exercises.submit(nothing).verdict == NOT_ATTEMPTED


class WrongShape(AtRandom):
    def scores(self, reviews):
        return np.zeros(len(reviews))


class NoProducts:
    def scores(self, reviews):
        return np.zeros((len(reviews), 1))


def test_errors_are_a_sentence(train):
    with pytest.raises(ValueError, match=r"^a int with neither scores nor ratings can't be judged: expected products"):
        exercises.submit(3)
    with pytest.raises(ValueError, match=r"^a NoProducts with scores can't be judged: expected products"):
        exercises.submit(NoProducts())
    with pytest.raises(ValueError, match=r"^the scores of yours are \(5049,\): expected \(5049, 393\)"):
        exercises.submit(WrongShape(train))


def test_the_seed_does_not_stand_in_the_source_and_is_not_the_usual_one(shop):
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert not re.search(r"seed=\d", source)
    assert not shop.reviews.equals(generate_shop(users=2_500, drift=1.0).reviews)


def test_the_model_of_the_course_closes_a_third_of_the_gap_for_purchases_and_a_fifth_for_stars(train):
    parts = split_by_time(train, test_share=0.1)
    model = fit_model(build_multitask, train, parts, choose_defaults(*parts), seed=0)
    certificate = exercises.submit(model)
    assert 0.33 < certificate.closed("hit@10") < 0.6
    assert 0.2 < certificate.closed("rmse") < 0.4
    assert certificate.table.loc["gap closed", ("hit@10", "warm users")] > 0.5
    assert abs(certificate.table.loc["gap closed", ("hit@10", "new users")]) < 0.1

    ahead = row_metrics(model, *module._parts())["hit@10"] - row_metrics(Popularity(train), *module._parts())["hit@10"]
    floor, ceiling = certificate.table["hit@10", "all"][["floor", "ceiling"]]
    assert 0.02 < ahead.std() / len(ahead) ** 0.5 / (ceiling - floor) < 0.04  # so a few points are luck
