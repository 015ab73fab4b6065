"""What recommenders show: lists of the best, coverage, exposure, novelty and diversity, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach import Popularity, evaluation, metrics, scoreboard
from recsys_teach.evaluation import row_lists

TRAIN = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "bob", "bob", "cid", "cid", "cid", "dee"],
        "product_id": ["tent", "wok", "tent", "pan", "tent", "wok", "pan", "kite"],
        "category": ["camping", "cooking", "camping", "cooking", "camping", "cooking", "cooking", "toys"],
    }
)
TEST = pd.DataFrame({"user_id": ["ann", "bob", "new"], "product_id": ["pan", "kite", "tent"]})


class Fixed:
    """Scores by user."""

    products = ("kite", "pan", "tent", "wok")

    def scores(self, reviews):
        by_user = {"ann": [1, 4, 9, 8], "bob": [2, 9, 7, 3], "new": [4, 3, 2, 1]}
        return np.array([by_user[user] for user in reviews["user_id"]], float)


def test_lists_have_the_best_first_without_what_was_bought():
    np.testing.assert_array_equal(row_lists(Fixed(), TRAIN, TEST, k=3), [[1, 0, -1], [3, 0, -1], [0, 1, 2]])
    everything = row_lists(Fixed(), TRAIN, TEST, k=6, exclude_seen=False)
    np.testing.assert_array_equal(everything[0], [2, 3, 1, 0, -1, -1])


def test_lists_are_the_same_in_small_blocks(monkeypatch):
    whole = row_lists(Fixed(), TRAIN, TEST, k=2)
    monkeypatch.setattr(evaluation, "CELLS", 4)
    monkeypatch.setattr(evaluation, "LEAST_ROWS", 1)
    np.testing.assert_array_equal(row_lists(Fixed(), TRAIN, TEST, k=2), whole)


def test_a_list_and_a_rank_agree():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"user_id": rng.integers(30, size=400), "product_id": rng.integers(50, size=400)}).astype(str)
    train, test = table[:300], table[300:]

    class Noise:
        products = sorted(train["product_id"].unique())

        def scores(self, reviews):
            of_user = [np.random.default_rng(int(user)).random(len(self.products)) for user in reviews["user_id"]]
            return np.array(of_user)

    lists, rank = row_lists(Noise(), train, test, k=10), evaluation.row_ranks(Noise(), train, test)
    target = pd.Index(Noise.products).get_indexer(pd.Index(test["product_id"]))
    found = [np.flatnonzero(row == column) for row, column in zip(lists, target)]
    assert [place[0] + 1 if len(place) else 99 for place in found] == [r if r <= 10 else 99 for r in rank]


def test_the_board_has_them_on_request():
    recommenders = {"fixed": Fixed(), "popularity": Popularity(TRAIN)}
    board = scoreboard(recommenders, TRAIN, TEST, consequences=True)
    plain = scoreboard(recommenders, TRAIN, TEST)
    pd.testing.assert_frame_equal(board[list(plain)], plain)
    # Ann is shown pan and kite, Bob wok and kite, the new user all four.
    share = {"tent": 3 / 8, "wok": 2 / 8, "pan": 2 / 8, "kite": 1 / 8}
    bits = {name: -np.log2(part) for name, part in share.items()}
    lists = [["pan", "kite"], ["wok", "kite"], ["kite", "pan", "tent", "wok"]]
    assert board.loc["fixed", "novelty@10"] == pytest.approx(
        np.mean([np.mean([bits[p] for p in row]) for row in lists])
    )
    assert board.loc["fixed", "diversity@10"] == pytest.approx((1 + 1 + 5 / 6) / 3)  # pan and wok are both for cooking
    assert board.loc["fixed", "coverage@10"] == 1
    shown = [1, 2, 2, 3]  # tent, pan, wok, kite
    pairs = sum(abs(one - other) for one in shown for other in shown)
    assert board.loc["fixed", "gini@10"] == pytest.approx(pairs / (2 * 4 * sum(shown)))  # the mean difference


def test_pairs_with_an_unknown_category_do_not_count():
    train = TRAIN.assign(category=TRAIN["category"].replace("cooking", ""))  # pan and wok
    mixed = TRAIN.assign(category=train["category"].replace("toys", "camping"))
    boards = [scoreboard({"fixed": Fixed()}, rows, TEST, consequences=True) for rows in (train, mixed)]
    assert [board.loc["fixed", "diversity@10"] for board in boards] == [1, 0]  # of the new user's list: kite and tent


def test_they_have_intervals_where_they_are_means_of_rows():
    board = scoreboard({"fixed": Fixed(), "other": Popularity(TRAIN)}, TRAIN, TEST, consequences=True, against="other")
    assert {"novelty@10 gain low", "diversity@10 high"} <= set(board)
    assert "coverage@10 low" not in board
    assert board.loc["other", "novelty@10 gain"] == 0


def test_trainings_are_averaged():
    class Tent(Fixed):
        def scores(self, reviews):
            return np.array([[-np.inf, -np.inf, 1, -np.inf]] * len(reviews))

    both = scoreboard({"two": [Fixed(), Tent()]}, TRAIN, TEST, exclude_seen=False, consequences=True)
    each = [scoreboard({"one": one}, TRAIN, TEST, exclude_seen=False, consequences=True) for one in (Fixed(), Tent())]
    assert [board.loc["one", "coverage@10"] for board in each] == [1, 0.25]
    for column in ("coverage@10", "gini@10"):
        assert both.loc["two", column] == pytest.approx(np.mean([board.loc["one", column] for board in each]))


def test_without_scores_or_categories_they_are_nan():
    class Stars:
        def ratings(self, reviews):
            return np.full(len(reviews), 3.0)

    rated = TEST.assign(rating=3.0)
    board = scoreboard({"stars": Stars(), "fixed": Fixed()}, TRAIN.drop(columns="category"), rated, consequences=True)
    assert board.loc["stars", ["novelty@10", "diversity@10", "coverage@10", "gini@10"]].isna().all()
    assert np.isnan(board.loc["fixed", "diversity@10"])
    assert board.loc["fixed", "coverage@10"] == 1


def test_parts_of_the_test_rows_may_be_named():
    parts = {"keen": np.array([True, False, False]), "others": np.array([False, True, True])}
    board = scoreboard({"fixed": Fixed()}, TRAIN, TEST, slices=parts, consequences=True, k=(1,))
    assert board.loc[("fixed", "keen"), "hit@1"] == 1
    assert board.loc[("fixed", "others"), "share"] == pytest.approx(2 / 3)
    assert board.loc[("fixed", "keen"), "coverage@10"] == 0.5
    with pytest.raises(ValueError, match=r"slice 'keen' is int64 .*: expected a boolean for each of 3 rows"):
        scoreboard({"fixed": Fixed()}, TRAIN, TEST, slices={"keen": np.array([1, 0, 0])})


def test_measures_of_lists_by_hand():
    assert metrics.exposure_gini(np.array([[-1, -1]]), 3) is np.nan
    assert metrics.exposure_gini(np.array([[0], [0], [0], [1]]), 2) == 0.25
    assert metrics.coverage(np.array([[2, -1], [2, 0]]), 5) == 0.4
