"""Candidates, what is known of them, the ranker's arithmetic, the order of the final list, and no leaks."""

import math

import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.baselines import EASE, ItemKNN, Oracle, Popularity
from recsys_teach.evaluation import beats_oracle, row_lists, scoreboard
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.two_stages import GROUPS, FirstStage, Ranker, Requests, TwoStages, fit_two_stages, train_ranker


class Fixed:
    """A recommender with the same scores for everybody."""

    def __init__(self, **scores):
        self.products, self._scores = list(scores), np.array(list(scores.values()), float)

    def scores(self, reviews):
        return np.tile(self._scores, (len(reviews), 1))


def day(*numbers):
    return pd.to_datetime([86_400 * number for number in numbers], unit="s", utc=True)


# Ann buys a, b, c on days 0, 1, 2; Bob b, a on days 100 and 101; Cy d on day 101. a and b are tea, c and d are cups.
TRAIN = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "ann", "bob", "bob", "cy"],
        "product_id": ["a", "b", "c", "b", "a", "d"],
        "timestamp": day(0, 1, 2, 100, 101, 101),
        "category": ["tea", "tea", "cup", "tea", "tea", "cup"],
    }
)
SCORES = Fixed(a=4.0, b=3.0, c=2.0, d=1.0)


def known_of(user, when, train=TRAIN, products="abcd", groups=GROUPS, source=SCORES):
    """The features of these products for a user on a day, by name, a number for each product."""
    stage = FirstStage(train, {"source": source}, groups=groups)
    asked = pd.DataFrame({"user_id": [user], "timestamp": day(when)})
    columns = np.array([["abcd".index(product) for product in products]])
    found = stage.features(asked, columns, stage.scores(asked))
    return dict(zip(stage.names, found[0].T.astype(float)))


def test_a_score_is_in_standard_deviations_of_all_products_and_has_a_rank():
    found = known_of("bob", 102, products="ad")
    # 4, 3, 2, 1: mean 2.5, variance 1.25
    assert found["source score"] == pytest.approx([1.5 / math.sqrt(1.25), -1.5 / math.sqrt(1.25)])
    assert found["source rank"] == pytest.approx([math.log(1), math.log(4)])


def test_popularity_is_a_share_and_activity_counts_the_users_purchases():
    found = known_of("bob", 102)
    assert found["popularity"] == pytest.approx(np.log([2 / 6, 2 / 6, 1 / 6, 1 / 6]))
    assert found["activity"] == pytest.approx([math.log(3)] * 4)
    assert known_of("new", 102)["activity"] == pytest.approx([0.0] * 4)


def test_the_share_of_a_category_is_pulled_towards_everybodys():
    # tea has 4 of 6 purchases; of bob's two purchases both are tea: (2 + 5 · 4/6) / (2 + 5)
    found = known_of("bob", 102)
    tea, cup = (2 + 20 / 6) / 7, (0 + 10 / 6) / 7
    assert found["category share"] == pytest.approx([tea, tea, cup, cup])
    assert found["category lift"] == pytest.approx(np.log([tea * 6 / 4] * 2 + [cup * 6 / 2] * 2))
    assert known_of("new", 102)["category lift"] == pytest.approx([0.0] * 4)


def test_of_several_categories_each_counts_its_part():
    train = TRAIN.drop(columns="category").assign(categories=["tea|cup", "tea", "cup", "tea", "tea|cup", "cup"])
    tea = (1.5 + 5 * 3 / 6) / 7  # everybody: a is half tea, so 2 · ½ + 2 of 6
    assert known_of("bob", 102, train)["category share"] == pytest.approx([0.5, tea, 1 - tea, 1 - tea])


def test_age_and_demand_are_those_of_the_moment():
    found = known_of("bob", 101)  # what is sold on day 101 itself is not known yet
    assert found["launched"].tolist() == [1, 1, 1, 1]
    assert found["age"] == pytest.approx(np.log1p([101, 100, 99, 0]))
    # of the last thirty days, one sale: b; twenty more as in the shop as a whole
    expected = np.log((np.array([0, 1, 0, 0]) + 20 * np.array([2, 2, 1, 1]) / 6) / 21)
    assert found["recent sales"] == pytest.approx(expected)
    assert known_of("bob", 100)["launched"].tolist() == [1, 1, 1, 0]
    assert found["pause"] == pytest.approx([math.log(2)] * 4)
    assert known_of("bob", 100)["pause"] == pytest.approx([math.log(366)] * 4)  # the first purchase


def test_the_rate_since_launch_counts_the_shops_sales_since_then():
    found = known_of("bob", 102)["rate since launch"]
    # six, five, four sales since the first of a, b, c; of the last two, at the same moment, both count for d
    assert found == pytest.approx(np.log([3 / 206, 3 / 205, 2 / 204, 2 / 202]))


def test_what_is_bought_near_the_last_purchases_by_hand():
    # pairs: a b twice at a distance of 1, b c once, a c once at a distance of 2; buyers: a 2, b 2, c 1, d 1
    near = {"ab": 2 / (2 + 5), "bc": 1 / (math.sqrt(2) + 5), "ac": 0.5 / (math.sqrt(2) + 5)}
    found = known_of("bob", 101)  # bob has bought b by now, not a yet
    assert found["purchases before"] == pytest.approx([math.log(2)] * 4)
    assert found["near the last 1"] == pytest.approx(np.log(np.array([near["ab"], 0, near["bc"], 0]) + 0.003))
    found = known_of("bob", 102)  # first a, then b, which counts half
    assert found["near the last 1"] == pytest.approx(np.log(np.array([0, near["ab"], near["ac"], 0]) + 0.003))
    both = np.array([near["ab"] / 2, near["ab"], near["ac"] + near["bc"] / 2, 0])
    assert found["near the last 3"] == pytest.approx(np.log(both + 0.003))
    assert known_of("new", 102)["near the last 10"] == pytest.approx([math.log(0.003)] * 4)


def test_later_purchases_of_the_user_are_not_in_the_features_of_a_request():
    first = known_of("bob", 100)
    assert first["purchases before"].tolist() == [0] * 4
    assert first["near the last 10"] == pytest.approx([math.log(0.003)] * 4)


def test_without_a_time_the_request_is_after_all_training_rows():
    stage = FirstStage(TRAIN, {"source": SCORES})
    asked = pd.DataFrame({"user_id": ["bob"]})
    columns = np.arange(4)[None]
    found = dict(zip(stage.names, stage.features(asked, columns, stage.scores(asked))[0].T))
    assert found["purchases before"][0] == pytest.approx(math.log(3))
    assert found["near the last 3"] == pytest.approx(known_of("bob", 102)["near the last 3"])


def test_features_need_the_columns_that_they_are_of():
    plain = FirstStage(TRAIN[["user_id", "product_id"]], {"source": SCORES})
    assert plain.names == ["source score", "source rank", "popularity", "activity"]
    assert FirstStage(TRAIN, {"one": SCORES, "two": SCORES}, groups=["scores"]).names == [
        *("one score", "one rank", "two score", "two rank")
    ]


@pytest.mark.parametrize("groups", [["scores", "colour"], ["vectors"]])
def test_unknown_groups_are_refused(groups):
    with pytest.raises(ValueError, match="no group of features"):
        FirstStage(TRAIN, {"source": SCORES}, groups=groups)


def test_sources_without_the_training_rows_products_are_refused():
    with pytest.raises(ValueError, match="3 products, the training rows have 4"):
        FirstStage(TRAIN, {"source": Fixed(a=1.0, b=2.0, c=3.0)})
    with pytest.raises(ValueError, match="no sources"):
        FirstStage(TRAIN, {})


def test_products_in_another_order_are_put_into_ours():
    other = known_of("bob", 102, source=Fixed(d=1.0, c=2.0, a=4.0, b=3.0))
    assert other["source score"] == pytest.approx(known_of("bob", 102)["source score"])


ASKED = pd.DataFrame({"user_id": ["ann", "bob", "new"], "timestamp": day(102, 102, 102)})


def test_candidates_are_the_best_products_that_the_user_has_not_bought():
    stage = FirstStage(TRAIN, {"source": SCORES})
    columns, shown = stage.candidates(ASKED, SCORES.scores(ASKED), 2)
    assert columns[1:].tolist() == [[2, 3], [0, 1]]
    assert columns[0, 0] == 3  # ann has bought all but d
    assert shown.tolist() == [[True, False], [True, True], [True, True]]


HELD_BACK = pd.DataFrame(
    {"user_id": ["bob", "bob", "cy"], "product_id": ["d", "a", "b"], "timestamp": day(102, 102, 102)}
)


def test_requests_say_which_candidate_was_bought_if_any():
    requests = FirstStage(TRAIN, {"source": SCORES}).requests(HELD_BACK, 2)
    # bob's candidates are c and d; a, which he has already, isn't one; cy's are a and b
    assert requests.bought.tolist() == [[False, True], [False, False], [False, True]]
    assert requests.shown.all()


def test_requests_keep_the_order_of_the_rows():
    stage = FirstStage(TRAIN, {"source": SCORES})
    turned = stage.requests(HELD_BACK[::-1], 2)
    for array, other in zip(turned, stage.requests(HELD_BACK, 2)):
        np.testing.assert_array_equal(array[::-1], other)
    with pytest.raises(ValueError, match="no rows to learn from"):
        stage.requests(HELD_BACK[:0], 2)


def test_the_features_of_requests_do_not_know_what_was_bought():
    shop = generate_shop(users=60, products=30, seed=3).reviews
    past, held_back = split_at_random(shop, seed=0)
    stage = FirstStage(past, {"EASE": EASE(past), "ItemKNN": ItemKNN(past)})
    others = held_back.assign(product_id=held_back["product_id"].sample(frac=1, random_state=1).to_numpy())
    found, other = stage.requests(held_back, 10), stage.requests(others, 10)
    np.testing.assert_array_equal(found.features, other.features)
    assert (found.bought != other.bought).any()


def test_random_negatives_hold_what_was_bought_once():
    requests = FirstStage(TRAIN, {"source": SCORES}).requests(HELD_BACK, 3, random_negatives=True)
    assert requests.bought.tolist() == [[True, False, False]] * 3
    popularity = requests.features[:, :, 2]
    assert popularity[:, 0] == pytest.approx(np.log([1 / 6, 2 / 6, 2 / 6]))


def requests_of(features, bought, shown=None):
    features, bought = np.array(features, np.float32), np.array(bought, bool)
    return Requests(features, np.ones_like(bought) if shown is None else np.array(shown, bool), bought)


# two requests with two candidates of two features, whose means are 0 and variances 1
PLANTED = requests_of([[[1, 1], [-1, 1]], [[1, -1], [-1, -1]]], [[1, 0], [0, 0]])


def ranker(**how):
    model = Ranker(PLANTED, **how)
    model(tf.constant(PLANTED.features))
    return model


def test_cross_layers_by_hand():
    model = ranker(crosses=2)
    # W_1 takes (x, y) to (2y, x), plus b = (1, 0); W_2 takes (x, y) to (x, 0)
    model.crosses[0].set_weights([np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([1.0, 0.0])])
    model.crosses[1].set_weights([np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros(2)])
    model.logit.set_weights([np.array([[1.0], [10.0]]), np.array([0.5])])
    # x_0 = (2, 3): x_1 = (2, 3) ⊙ (6 + 1, 2) + (2, 3) = (16, 9); x_2 = (2, 3) ⊙ (16, 0) + (16, 9) = (48, 9)
    features = tf.constant([[[2.0, 3.0], [0.0, 0.0]]])
    np.testing.assert_allclose(model(features), [[48 + 90 + 0.5, 0.5]], rtol=1e-4)


def test_features_are_scaled_to_mean_0_and_variance_1_and_cut_at_5():
    requests = requests_of([[[10.0, 7.0], [14.0, 7.0]]], [[1, 0]])  # mean 12, standard deviation 2; and a constant
    model = Ranker(requests, crosses=0, softmax=True)
    logits = model(tf.constant([[[10.0, 7.0], [16.0, 7.0], [100.0, 7.0]]]))
    np.testing.assert_allclose(logits, [[-1, 2, 5]], rtol=1e-5)


def test_what_was_not_shown_does_not_count_for_the_scale():
    requests = requests_of([[[10.0], [14.0], [500.0]]], [[1, 0, 0]], [[1, 1, 0]])
    np.testing.assert_allclose(Ranker(requests, softmax=True)(tf.constant([[[14.0]]])), [[1]], rtol=1e-5)


def test_an_untrained_ranker_has_the_order_of_retrieval_and_the_share_of_purchases():
    logits = ranker()(tf.constant(PLANTED.features)).numpy()
    base = math.log(0.25 / 0.75)  # one of four candidates was bought
    np.testing.assert_allclose(logits, [[1 + base, -1 + base], [1 + base, -1 + base]], rtol=1e-5)


def loss(logits, bought, shown, **how):
    """The loss of a ranker whose logits are the feature itself."""
    model = Ranker(requests_of([[[1.0], [-1.0]]], [[1, 0]]), crosses=0, **how)
    model.logit.set_weights([np.ones((1, 1)), np.zeros(1)])
    rows = {"features": tf.constant(logits, tf.float32)[:, :, None], "bought": tf.constant(np.array(bought, bool))}
    return float(model.compute_loss(rows | {"shown": tf.constant(np.array(shown, bool))}))


LOGITS = [[math.log(3), 0.0, 2.0], [0.0, math.log(3), 0.0]]


def test_the_log_loss_is_summed_over_the_candidates_that_were_shown():
    # first request: ln 4/3 for the purchase, ln 2 for the other one; second: ln 2, ln 4, ln 2; and the mean of both
    found = loss(LOGITS, [[1, 0, 0], [0, 0, 0]], [[1, 1, 0], [1, 1, 1]])
    assert found == pytest.approx(
        (math.log(4 / 3) + math.log(2) + math.log(2) + math.log(4) + math.log(2)) / 2, rel=1e-5
    )


def test_the_softmax_is_over_what_was_shown_and_over_requests_with_a_purchase():
    found = loss(LOGITS, [[1, 0, 0], [0, 0, 0]], [[1, 1, 0], [1, 1, 1]], softmax=True)
    assert found == pytest.approx(math.log(4 / 3), rel=1e-5)
    assert loss(LOGITS, [[0] * 3] * 2, [[1] * 3] * 2, softmax=True) == 0


def test_requests_without_a_purchase_have_no_part_in_the_gradient_of_the_softmax():
    both, first = (requests_of(PLANTED.features[:rows], PLANTED.bought[:rows]) for rows in (2, 1))
    model, gradients = ranker(softmax=True), []
    for requests in (both, first):
        with tf.GradientTape() as tape:
            found = model.compute_loss({name: tf.constant(values) for name, values in requests._asdict().items()})
        gradients.append(tape.gradient(found, model.logit.kernel).numpy())
    assert np.abs(gradients[0]).max() > 0
    np.testing.assert_allclose(*gradients, rtol=1e-5)


def test_probabilities_are_sigmoids_or_a_softmax():
    base = 1 / 3  # the odds of one purchase in four
    expected = [math.e * base / (1 + math.e * base), base / math.e / (1 + base / math.e)]
    np.testing.assert_allclose(ranker().probabilities(PLANTED.features)[0], expected, rtol=1e-5)
    of_choice = ranker(softmax=True).probabilities(PLANTED.features)
    np.testing.assert_allclose(of_choice[0], [1 / (1 + math.e**-2), 1 / (1 + math.e**2)], rtol=1e-5)
    of_one = ranker(softmax=True).probabilities(PLANTED.features, np.tile([False, True], (len(PLANTED.features), 1)))
    np.testing.assert_array_equal(of_one[0], [0, 1])


@pytest.mark.parametrize("softmax", [False, True])
def test_training_finds_a_cross_that_no_sum_of_features_can_express(softmax):
    # of two candidates, the one is bought whose second and third features have the same sign
    rng = np.random.default_rng(0)
    features = rng.choice([-1.0, 1.0], (640, 2, 3))
    features[:, 1, 2] = -features[:, 0, 2] * features[:, 0, 1] * features[:, 1, 1]  # so that there is always one
    right = features[:, :, 1] * features[:, :, 2] > 0
    requests = requests_of(features, right)
    found = {}
    for crosses in (0, 2):
        tf.keras.utils.set_random_seed(0)
        model = Ranker(requests, crosses=crosses, softmax=softmax)
        train_ranker(model, requests, epochs=40)
        best = model.probabilities(requests.features).argmax(axis=1)
        found[crosses] = right[np.arange(len(best)), best].mean()
    assert found[2] > 0.99
    assert found[0] < 0.6


class Backwards:
    """A ranker that turns retrieval's order around."""

    def probabilities(self, features):
        return 1 / (1 + np.exp(features[:, :, 0]))


def test_candidates_come_first_in_the_rankers_order_and_the_rest_follows_in_retrievals():
    two = TwoStages(FirstStage(TRAIN, {"source": SCORES}), Backwards(), candidates=2)
    test = ASKED.assign(product_id="a")
    lists = row_lists(two, TRAIN, test, k=4)
    assert lists.tolist() == [[3, -1, -1, -1], [3, 2, -1, -1], [1, 0, 2, 3]]
    scores = two.scores(ASKED)
    assert (scores[1] >= 0).tolist() == [False, False, True, True]  # probabilities for the candidates alone
    assert scores[1, 0] > scores[1, 1]  # what bob has bought already is in retrieval's order


def test_one_candidate_leaves_retrievals_order_as_it_is():
    two = TwoStages(FirstStage(TRAIN, {"source": SCORES}), Backwards(), candidates=1)
    np.testing.assert_array_equal(row_lists(two, TRAIN, ASKED.assign(product_id="a"), k=4)[2], [0, 1, 2, 3])


def test_retrieval_is_fitted_without_the_rows_that_the_ranker_learns_from_and_then_with_them():
    shop = generate_shop(users=60, products=30, seed=3).reviews
    parts, seen = split_at_random(shop, seed=0), []

    def fit(rows):
        seen.append(rows)
        return Popularity(rows)

    two = fit_two_stages({"popularity": fit}, shop, parts, candidates=10)
    assert [len(rows) for rows in seen] == [len(parts.train), len(shop)]
    pd.testing.assert_frame_equal(seen[0], parts.train)
    np.testing.assert_array_equal(
        two.first_stage.sources["popularity"].scores(shop[:1]), Popularity(shop).scores(shop[:1])
    )


def test_in_a_shop_of_habits_the_last_purchases_put_the_candidates_in_a_better_order():
    shop = generate_shop(kind="habit", users=300, products=60, seed=1).reviews
    train, test = split_at_random(shop, seed=1)
    parts = split_at_random(train, seed=1)
    two = fit_two_stages({"EASE": EASE}, train, parts, candidates=30)
    board = scoreboard({"EASE": EASE(train), "two stages": two}, train, test)
    assert board.loc["two stages", "ndcg@10"] > 1.15 * board.loc["EASE", "ndcg@10"]
    again = fit_two_stages({"EASE": EASE}, train, parts, candidates=30)
    np.testing.assert_array_equal(again.scores(test[:50]), two.scores(test[:50]))


def test_two_stages_do_not_beat_the_truth():
    shop = generate_shop(users=300, products=60, seed=1)
    train, test = split_at_random(shop.reviews, seed=1)
    two = fit_two_stages({"EASE": EASE}, train, split_at_random(train, seed=1), candidates=30)
    assert beats_oracle(two, Oracle(shop), train, test) == {}
