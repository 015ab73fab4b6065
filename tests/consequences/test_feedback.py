"""The simulated shop, its log, the A/B test and the estimates from a log: on shops whose truth is planted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recsys_teach.baselines import ItemKNN, Oracle, Popularity
from recsys_teach.consequences import feedback as module
from recsys_teach.consequences.feedback import ab_test, ratio, simulate
from recsys_teach.consequences.off_policy import off_policy_board
from recsys_teach.shop import LowRank, Shop, generate_shop

DAY = pd.Timestamp("2022-01-05", tz="UTC")


def planted_shop(chances, start):
    """A shop where each user wants the products with these probabilities; `start` are pairs of user and product."""
    chances = np.asarray(chances, float)
    users, products = ([f"{kind}{n:02d}" for n in range(size)] for kind, size in zip("up", chances.shape))
    catalogue = pd.DataFrame({"product_id": products, "title": products, "category": "a", "launched": DAY})
    catalogue.loc[1::2, "category"] = "b"
    reviews = pd.DataFrame(start, columns=["user", "product"])
    reviews = pd.DataFrame(
        {
            "user_id": [users[u] for u in reviews["user"]],
            "product_id": [products[p] for p in reviews["product"]],
            "timestamp": DAY,
            "category": [catalogue["category"][p] for p in reviews["product"]],
        }
    )
    people = pd.DataFrame({"user_id": users, "joined": DAY})
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(chances), -1_000)  # for "never": its exp is 0, and it can be multiplied by 0
    attraction = LowRank(logits, np.eye(len(products)))
    three_stars = LowRank(np.full((len(users), 1), 3.0), np.ones((len(products), 1)))
    return Shop(reviews, catalogue, people, attraction, np.zeros(len(products)), three_stars)


class InOrder:
    """Recommends a list of products, the first one first, to everybody."""

    def __init__(self, products):
        self.products = list(products)

    def scores(self, reviews):
        return np.tile(-np.arange(len(self.products), dtype=float), (len(reviews), 1))


def two_sorts(users=6, products=24):
    """Everybody wants p00 to p11 alike, and nothing else; p12 and p13 have been bought by everybody."""
    chances = np.tile(np.repeat([1 / 12, 0.0], [12, products - 12]), (users, 1))
    return planted_shop(chances, [(user, product) for user in range(users) for product in (12, 13)])


def test_the_first_round_by_hand():
    shop = two_sorts()
    wanted = InOrder(f"p{n:02d}" for n in (0, 1, 2, 14, 15, 16, 17, 18, 19, 20, 21))
    feedback = simulate(shop, lambda _: wanted, rounds=1, organic=0)
    first = feedback.rounds.loc[1]
    assert first["hit@10"] == pytest.approx(3 / 12)
    assert first["coverage@10"] == pytest.approx(10 / 24)
    assert first["gini@10"] == pytest.approx(14 / 24)  # 14 products never, ten equally often
    assert first["diversity@10"] == pytest.approx(6 * 4 / 45)  # six are even, of one category, and four odd
    assert first["tail wanted"] == pytest.approx(6 / 12)  # six of twelve equal ones hold half
    assert first["purchases"] == feedback.exposures["bought"].sum() == len(feedback.reviews) - 12
    assert set(feedback.exposures.loc[feedback.exposures["bought"], "product_id"]) <= {"p00", "p01", "p02"}
    assert (feedback.exposures["propensity"] == 1).all()
    assert list(feedback.exposures["place"][:10]) == list(range(1, 11))


def test_what_is_wanted_is_found_in_the_list_or_by_search():
    shop = two_sorts(users=40)
    nothing, all_found = (simulate(shop, lambda _: InOrder(["p12", "p13", "p14"]), organic=o, rounds=3) for o in (0, 1))
    assert nothing.rounds["purchases"].tolist() == [0, 0, 0]
    assert nothing.rounds["tail"].isna().all()
    assert all_found.rounds["purchases"].tolist() == [40, 40, 40]
    assert not all_found.exposures["bought"].any()
    assert not all_found.reviews.duplicated(["user_id", "product_id"]).any()  # nobody buys a product twice
    assert all_found.reviews["round"].value_counts().to_dict() == {0: 80, 1: 40, 2: 40, 3: 40}


def test_a_shop_that_is_sold_out_sells_nothing_more():
    shop = planted_shop(np.full((2, 3), 1 / 3), [(0, 0), (1, 0)])
    feedback = simulate(shop, Popularity, rounds=4, organic=1)
    assert feedback.rounds["purchases"].tolist() == [2, 2, 0, 0]
    assert feedback.rounds["hit@10"].tolist()[2:] == [0, 0]
    assert feedback.rounds["ever sold"].iloc[-1] == len(set(feedback.reviews["product_id"])) / 3


def test_a_round_without_visitors_sells_nothing():
    feedback = simulate(two_sorts(), Popularity, rounds=2, visit_share=0.0)
    assert feedback.rounds["purchases"].tolist() == [0, 0]
    assert feedback.rounds["ever sold"].tolist() == [2 / 24, 2 / 24]
    assert feedback.rounds.drop(columns=["purchases", "ever sold"]).isna().all(axis=None)
    assert feedback.exposures.empty
    assert len(feedback.reviews) == 12


def test_the_long_tail_is_what_all_users_want_less_whoever_visits_first():
    # p00 holds more than half of the demand of all users together, and nothing of that of u00
    shop = planted_shop([[0, 0.5, 0.5, 0], [0.9, 0.05, 0.05, 0], [0.9, 0.05, 0.05, 0]], [(0, 3)])
    how = {"rounds": 1, "visit_share": 0.4, "organic": 0}
    of_shops = pd.concat([simulate(shop, lambda _: InOrder(["p00"]), seed=seed, **how).rounds for seed in range(9)])
    visited = of_shops.dropna(subset="hit@10")
    assert visited["hit@10"].min() == 0  # nobody but u00 came
    np.testing.assert_allclose(visited["hit@10"] + visited["tail wanted"], 1)


@pytest.mark.parametrize("how", [{}, {"explore": 3}, {"explore": 3, "explore_by": "thompson", "visit_share": 0.7}])
def test_visitors_in_small_blocks_see_and_buy_the_same(monkeypatch, how):
    shop = generate_shop(users=40, products=30, reviews_per_user=5, kind="habit", seed=1)
    whole = simulate(shop, Popularity, rounds=2, **how)
    monkeypatch.setattr(module, "CELLS", 7 * 30)
    blocks = simulate(shop, Popularity, rounds=2, **how)
    for one, other in zip(whole, blocks):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("explore", [1, 4, 10])
def test_propensities_sum_to_the_places_of_a_list(explore):
    shop = two_sorts()
    log = simulate(shop, Popularity, rounds=1, explore=explore, organic=0).exposures
    # Everybody owns two of 24, which are all that popularity knows, so the other 10 - explore places are empty.
    assert (log["propensity"] == explore / 22).all()
    assert (log.groupby("user_id").size() == explore).all()
    log = simulate(shop, lambda _: InOrder(shop.products["product_id"]), rounds=1, explore=explore, organic=0).exposures
    by_chance = log["propensity"] < 1
    assert (log["propensity"][by_chance] == explore / (12 + explore)).all()
    # Shown for certain, and each of the 12 + explore others perhaps: ten places in all.
    assert (~by_chance).sum() / 6 + (12 + explore) * log["propensity"].min() == pytest.approx(10)
    assert (log.groupby("user_id").size() == 10).all()


def test_random_places_are_random():
    shop = planted_shop(np.full((3_000, 20), 1 / 20), [(user, 0) for user in range(3_000)])
    log = simulate(shop, lambda _: InOrder(shop.products["product_id"]), rounds=1, explore=2, organic=0).exposures
    others = log.loc[log["propensity"] < 1, "product_id"].value_counts()
    assert set(others.index) == {f"p{n:02d}" for n in range(9, 20)}  # p00 is owned, p01 to p08 are in every list
    assert (abs(others - 3_000 * 2 / 11) < 4 * np.sqrt(3_000 * 2 / 11)).all()


def test_thompson_sampling_finds_what_sells():
    # Nobody has bought p29, and the recommender doesn't know it; everybody wants it, or else p28.
    shop = planted_shop(np.tile([0.0] * 28 + [0.3, 0.7], (300, 1)), [(user, user % 12) for user in range(300)])
    blind, wise = (
        simulate(shop, lambda _: InOrder(["p00"]), rounds=2, explore=2, explore_by=kind, organic=0)
        for kind in ("random", "thompson")
    )
    assert wise.exposures["propensity"].isna().sum() == 2 * 2 * 300
    second = [f.exposures.loc[(f.exposures["round"] == 2), "product_id"].eq("p29").sum() for f in (blind, wise)]
    assert second[1] > 3 * second[0]
    assert wise.rounds.loc[2, "purchases"] > 3 * blind.rounds.loc[2, "purchases"]


def test_new_products_are_those_that_never_sold():
    shop = planted_shop(np.tile([0.0, 0.25, 0.75], (2_000, 1)), [(user, user % 2) for user in range(2_000)])
    first = simulate(shop, lambda _: InOrder(["p00"]), rounds=1, organic=1).rounds.loc[1]
    assert first["new wanted"] == pytest.approx((0.75 + 1) / 2)  # half of the users own p01
    assert abs(first["new"] - 0.875) < 4 * np.sqrt(0.25 * 0.75 / 2_000)
    assert first["ever sold"] == 1


def test_the_same_seed_gives_the_same_shop_and_another_one_another():
    shop = generate_shop(users=60, products=40, reviews_per_user=4, seed=1)
    one, same, other = (simulate(shop, Popularity, rounds=2, explore=2, visit_share=0.7, seed=s) for s in (1, 1, 2))
    for first, second in zip(one, same):
        pd.testing.assert_frame_equal(first, second)
    assert not one.reviews.equals(other.reviews)


def test_visitors_and_wants_dont_depend_on_the_recommender():
    shop = generate_shop(users=80, products=40, reviews_per_user=4, seed=1)
    one, other = (simulate(shop, fit, rounds=1, organic=1, visit_share=0.5).reviews for fit in (Popularity, ItemKNN))
    pd.testing.assert_frame_equal(one, other)  # everybody finds what they want


def test_the_recommender_is_fitted_again_on_all_purchases():
    seen = []

    def fit(reviews):
        seen.append(len(reviews))
        return Popularity(reviews)

    shop = two_sorts()
    feedback = simulate(shop, fit, rounds=3, organic=1)
    assert seen == [12, 18, 24]
    more = simulate(shop, fit, rounds=1, organic=1, start=feedback.reviews)
    assert seen[3:] == [30]
    assert more.rounds.index.tolist() == [4]
    assert more.reviews["timestamp"].max() > feedback.reviews["timestamp"].max()


def test_in_a_habit_shop_wants_follow_the_last_purchase():
    links = csr_array(np.roll(np.eye(12), 1, axis=1))  # each product goes with the next one
    plain = planted_shop(np.full((200, 12), 1 / 12), [(user, 0) for user in range(200)])
    shop = replace(plain, links=links)
    bought = simulate(shop, Popularity, rounds=2, organic=1).reviews
    for number, product in ((1, "p01"), (2, "p02")):
        share = (bought.loc[bought["round"] == number, "product_id"] == product).mean()
        assert share > 0.3  # 1 / 12 without links
    second = bought[bought["user_id"].isin(bought.loc[bought["product_id"] == "p01", "user_id"])]
    assert (second.loc[second["round"] == 2, "product_id"] == "p02").mean() > 0.3


def test_the_truth_is_the_best_recommender():
    shop = generate_shop(users=200, products=60, reviews_per_user=5, seed=3)
    hits = [simulate(shop, fit, rounds=1).rounds["hit@10"].item() for fit in (lambda _: Oracle(shop), Popularity)]
    assert hits[0] > hits[1]


def test_what_cant_be_simulated_is_told():
    shop = two_sorts()
    for explore in (11, 0.3):
        with pytest.raises(ValueError, match=f"explore is {explore}: expected a number of places, from 0 to 10"):
            simulate(shop, Popularity, explore=explore)
    with pytest.raises(ValueError, match="organic is 2: expected a probability from 0 to 1"):
        simulate(shop, Popularity, organic=2)
    with pytest.raises(ValueError, match="start has users or products that this shop hasn't"):
        simulate(shop, Popularity, start=shop.reviews.replace("p12", "tent"))
    with pytest.raises(ValueError, match="explore_by is 'greedy': expected"):
        simulate(shop, Popularity, explore_by="greedy")
    with pytest.raises(ValueError, match="rounds is 0: expected 1 or more"):
        simulate(shop, Popularity, rounds=0)
    with pytest.raises(ValueError, match="a object has no scores, so it can't fill a list"):
        simulate(shop, lambda reviews: object())
    with pytest.raises(ValueError, match="the shop has no product 'tent', which this InOrder recommends"):
        simulate(shop, lambda reviews: InOrder(["p00", "tent"]))
    with pytest.raises(ValueError, match="an A/B test of 1 recommender: expected two or more"):
        ab_test(shop, {"a": InOrder(["p00"])}, shop.reviews)


def test_an_ab_test_by_hand():
    # With no chance left: one arm shows the only product that anybody wants, the other one doesn't.
    shop = planted_shop(np.tile([0, 1.0, 0, 0], (9, 1)), [(user, 0) for user in range(9)])
    arms = {"blind": InOrder(["p02"]), "right": InOrder(["p01", "p03"])}
    table = ab_test(shop, arms, shop.reviews, organic=0)
    assert table["users"].tolist() == [5, 4]
    assert table["purchases"].tolist() == [0, 1]
    assert table["purchases gain"].tolist() == [0, 1]
    assert table["purchases gain low"].tolist() == [0, 1]  # no spread in either arm


def test_the_error_of_an_ab_test_is_that_of_two_means():
    shop = planted_shop(np.tile(np.repeat([1 / 20, 0], [20, 1]), (400, 1)), [(user, 0) for user in range(400)])
    table = ab_test(shop, {"five": InOrder(f"p{n:02d}" for n in range(1, 6)), "none": InOrder(["p20"])}, shop.reviews)
    share = table.loc["five", "purchases"]
    assert abs(share - 5 / 19) < 4 * np.sqrt(5 / 19 * 14 / 19 / 200)
    half = 1.96 * np.sqrt(share * (1 - share) / 199)
    assert table.loc["five", "purchases high"] - share == pytest.approx(half)
    assert table.loc["none", "purchases gain low"] == pytest.approx(-share - half)


def test_a_ratio_of_sums_and_its_error():
    bought, visits = np.array([1.0, 0, 2, 1]), np.array([2.0, 1, 2, 3])
    value, error = ratio(bought, visits)
    assert value == 4 / 8
    assert error == pytest.approx(np.sqrt(4 / 3 * (0**2 + 0.5**2 + 1**2 + 0.5**2)) / 8)


LOG = pd.DataFrame(
    {
        "round": 1,
        "user_id": ["ann", "ann", "bob", "bob", "cat", "cat"],
        "product_id": ["pan", "kite", "pan", "wok", "kite", "wok"],
        "propensity": [1.0, 0.5, 1.0, 0.1, 0.5, 0.1],
        "bought": [False, True, False, True, True, False],
    }
)
BEFORE = pd.DataFrame(
    {
        "round": [0, 0, 0, 1],
        "user_id": ["ann", "bob", "cat", "ann"],
        "product_id": ["pan", "kite", "tent", "kite"],
        "timestamp": DAY,
    }
)


def test_inverse_propensities_by_hand():
    names = ["kite", "wok", "tent"]
    board = off_policy_board({"new": InOrder(names), "old": InOrder(["pan"])}, LOG, BEFORE, clip=5)
    # Ann's new list has kite (weight 2, bought); Bob's wok (10, bought) and no kite, which he owns; Cat's both (2, 10).
    assert board.loc["new", "IPS"] == pytest.approx((2 + 10 + 2) / 3)
    assert board.loc["new", "clipped"] == pytest.approx((2 + 5 + 2) / 3)
    assert board.loc["new", "SNIPS"] == pytest.approx(10 * (2 + 10 + 2) / (2 + 10 + 2 + 10))
    assert board.loc["new", "sample"] == pytest.approx(24**2 / (4 + 100 + 4 + 100))
    assert board.loc["old", ["IPS", "clipped", "SNIPS"]].tolist() == [0, 0, 0]
    rest = np.array([2, 10, 2]) - 14 / 3
    half = 1.96 * np.sqrt(3 / 2 * (rest**2).sum()) / 3
    assert board.loc["new", "IPS high"] - board.loc["new", "IPS"] == pytest.approx(half)


def test_gains_from_a_log_are_paired():
    recommenders = {"new": InOrder(["kite", "wok"]), "same": InOrder(["wok", "kite"]), "kites": InOrder(["kite"])}
    board = off_policy_board(recommenders, LOG, BEFORE, against="new")
    assert board.loc["same", ["IPS gain", "IPS gain low", "IPS gain high"]].tolist() == [0, 0, 0]
    # Without woks Bob's ten are lost, and nobody else's purchases.
    assert board.loc["kites", "IPS gain"] == pytest.approx(-10 / 3)
    rest = (np.array([0, -10, 0]) + 10 / 3) / 3
    assert board.loc["kites", "IPS gain high"] == pytest.approx(-10 / 3 + 1.96 * np.sqrt(3 / 2 * (rest**2).sum()))


def test_lists_that_were_never_shown_have_no_estimate():
    board = off_policy_board({"tents": InOrder(["tent"])}, LOG, BEFORE)
    assert board.loc["tents", "IPS"] == 0
    assert np.isnan(board.loc["tents", "SNIPS"])


def test_a_log_that_cant_be_used_is_told():
    with pytest.raises(ValueError, match="a propensity that isn't above 0 and at most 1"):
        off_policy_board({"new": InOrder(["pan"])}, LOG.assign(propensity=0.0), BEFORE)
    with pytest.raises(ValueError, match="the log has no exposures"):
        off_policy_board({"new": InOrder(["pan"])}, LOG[:0], BEFORE)
    with pytest.raises(ValueError, match="against='old' is no row of this board: expected one of new"):
        off_policy_board({"new": InOrder(["pan"])}, LOG, BEFORE, against="old")
    with pytest.raises(ValueError, match="clip is 0: expected a weight above 0"):
        off_policy_board({"new": InOrder(["pan"])}, LOG, BEFORE, clip=0)


def test_ips_is_right_on_average():
    shop = generate_shop(users=150, products=30, reviews_per_user=3, seed=5)
    new, before = ItemKNN(shop.reviews), shop.reviews.assign(round=0)
    truth = simulate(shop, lambda _: new, rounds=1, seed=0).rounds["hit@10"].item()
    estimates = []
    for seed in range(30):
        logged = simulate(shop, Popularity, rounds=1, explore=5, seed=seed, start=before)
        estimates.append(off_policy_board({"new": new}, logged.exposures, logged.reviews).loc["new", "IPS"])
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth) < 3 * error < 0.1
