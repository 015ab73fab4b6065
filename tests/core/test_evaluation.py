"""The scoreboard on a shop of three customers and four products, worked out by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recsys_teach import evaluation as module
from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.evaluation import best_columns, board_of_rows, row_metrics, row_ranks, scoreboard

LOG3, LOG5 = math.log2(3), math.log2(5)
PRODUCTS = ["tent", "wok", "kite", "rake"]


def reviews(*rows):
    return pd.DataFrame(rows, columns=["user_id", "product_id", "rating"])


TRAIN = reviews(("ann", "tent", 5), ("ann", "wok", 4), ("bob", "tent", 3), ("cy", "kite", 2), ("cy", "rake", 1))
TEST = reviews(
    ("ann", "kite", 5.0),  # tent and wok are seen: kite is first, else third
    ("bob", "wok", 3.0),  # tent is seen: wok is first, else second
    ("cy", "unicorn", 4.0),  # not in the catalogue
    ("ann", "rake", 2.0),  # second, else fourth
    ("dan", "tent", 4.0),  # a new user: first
)


class Scorer:
    """Ranks tent, wok, kite, rake for everybody."""

    products = PRODUCTS

    def __init__(self, row=(0.4, 0.3, 0.2, 0.1)):
        self.row = np.array(row)
        self.answers = []

    def scores(self, reviews):
        self.answers.append(np.tile(self.row, (len(reviews), 1)))
        return self.answers[-1]


class Rater:
    """Four stars for everything: off by 1, 1, 0, 2, 0 on the test rows."""

    def __init__(self, stars=4.0):
        self.stars = stars

    def ratings(self, reviews):
        return np.full(len(reviews), self.stars)


class Both(Scorer, Rater):
    def __init__(self):
        Scorer.__init__(self)
        Rater.__init__(self)


RMSE = math.sqrt((1 + 1 + 0 + 4 + 0) / 5)


def assert_board(board, expected):
    assert list(board.index) == list(expected)
    for name, numbers in expected.items():
        assert board.loc[name].to_dict() == pytest.approx(numbers, nan_ok=True)


def test_the_board_without_what_was_seen():
    numbers = {
        "hit@1": 3 / 5,
        "hit@10": 4 / 5,
        "hit@50": 4 / 5,
        "ndcg@10": (1 + 1 + 0 + 1 / LOG3 + 1) / 5,
        "mrr": (1 + 1 + 0 + 1 / 2 + 1) / 5,
        "rmse": RMSE,
    }
    assert_board(scoreboard({"both": Both()}, TRAIN, TEST), {"both": numbers})


def test_the_board_with_every_product_a_candidate():
    numbers = {
        "hit@1": 1 / 5,
        "hit@2": 2 / 5,
        "ndcg@10": (1 / 2 + 1 / LOG3 + 0 + 1 / LOG5 + 1) / 5,
        "mrr": (1 / 3 + 1 / 2 + 0 + 1 / 4 + 1) / 5,
        "rmse": RMSE,
    }
    assert_board(scoreboard({"both": Both()}, TRAIN, TEST, k=(1, 2), exclude_seen=False), {"both": numbers})


def test_what_a_recommender_does_not_offer_is_nan():
    board = scoreboard({"rater": Rater(), "scorer": Scorer()}, TRAIN, TEST, k=(1,))
    scores = {"hit@1": 3 / 5, "ndcg@10": (3 + 1 / LOG3) / 5, "mrr": 3.5 / 5}
    assert_board(
        board,
        {"rater": {**dict.fromkeys(scores, math.nan), "rmse": RMSE}, "scorer": {**scores, "rmse": math.nan}},
    )


def test_baselines_on_the_board():
    # Popularity: tent 2, the others 1 each, tied. ann is left with kite and rake, a tie: both rows have rank 2.
    # bob is left with three tied: rank 3; dan's tent is first; the unicorn is a miss.
    board = scoreboard({"popularity": Popularity(TRAIN), "biases": DampedBiases(TRAIN, damping=0)}, TRAIN, TEST)
    assert board.loc["popularity", "mrr"] == pytest.approx((1 / 2 + 1 / 3 + 0 + 1 / 2 + 1) / 5)
    # Mean 3; tent 1, wok 1, kite -1, rake -2; ann (1 + 0) / 2, bob -1, cy 0: 2.5, 3, 3, 1.5, 4 are predicted.
    assert board.loc["biases", "rmse"] == pytest.approx(math.sqrt((2.5**2 + 0 + 1 + 0.5**2 + 0) / 5))


def test_slices_and_their_shares():
    board = scoreboard({"both": Both()}, TRAIN, TEST, k=(1,), slices=True)
    assert board.index.names == ["model", "test rows"]
    warm_ndcg = (2 + 1 / LOG3) / 4
    warm = {"share": 0.8, "hit@1": 2 / 4, "ndcg@10": warm_ndcg, "mrr": 2.5 / 4, "rmse": math.sqrt(6 / 4)}
    assert_board(
        board,
        {
            ("both", "all"): {"share": 1, "hit@1": 3 / 5, "ndcg@10": (3 + 1 / LOG3) / 5, "mrr": 3.5 / 5, "rmse": RMSE},
            ("both", "warm users"): warm,
            ("both", "new users"): {"share": 0.2, "hit@1": 1, "ndcg@10": 1, "mrr": 1, "rmse": 0},
            ("both", "new products"): {"share": 0.2, "hit@1": 0, "ndcg@10": 0, "mrr": 0, "rmse": 0},  # the unicorn
        },
    )


def test_new_products_are_those_that_training_does_not_have():
    # Nobody bought kite and rake in training. Both has them, at ranks 1 and 2 for ann; its 4 stars are off by 1 and 2.
    board = scoreboard({"both": Both()}, TRAIN[:3], TEST, k=(1,), slices=True)
    numbers = {
        "share": 3 / 5,
        "hit@1": 1 / 3,
        "ndcg@10": (1 + 0 + 1 / LOG3) / 3,
        "mrr": 1.5 / 3,
        "rmse": math.sqrt(5 / 3),
    }
    assert board.loc["both", "new products"].to_dict() == pytest.approx(numbers)


def test_a_slice_without_rows_has_no_numbers():
    new = scoreboard({"both": Both()}, TRAIN, TEST.drop(2), k=(1,), slices=True).loc["both", "new products"]
    assert new["share"] == 0
    assert new.drop("share").isna().all()


UNRATED = TEST.assign(rating=[5.0, np.nan, 4.0, 2.0, np.nan])


def test_unrated_test_rows_count_for_the_ranks_and_not_for_the_error():
    assert row_metrics(Both(), TRAIN, UNRATED)["squared_error"].tolist() == pytest.approx(
        [1, math.nan, 0, 4, math.nan], nan_ok=True
    )
    board, rated = (scoreboard({"both": Both()}, TRAIN, test) for test in (UNRATED, TEST))
    assert board.loc["both", "rmse"] == pytest.approx(math.sqrt((1 + 0 + 4) / 3))
    pd.testing.assert_frame_equal(board.drop(columns="rmse"), rated.drop(columns="rmse"))


def test_a_slice_of_unrated_rows_has_no_error():
    board = scoreboard({"both": Both()}, TRAIN, UNRATED, k=(1,), slices=True)
    new = {"share": 0.2, "hit@1": 1, "ndcg@10": 1, "mrr": 1, "rmse": math.nan}
    assert board.loc["both", "new users"].to_dict() == pytest.approx(new, nan_ok=True)


@pytest.mark.parametrize("slices", [False, True])
def test_the_board_says_how_much_is_new(slices):
    board = scoreboard({"rater": Rater()}, TRAIN, TEST.iloc[[0, 2, 2, 4]], slices=slices)
    assert board.attrs == {"new_user_share": 1 / 4, "new_product_share": 2 / 4, "seen_share": 0}


def test_rows_before_the_mean():
    values = row_metrics(Both(), TRAIN, TEST, k=(1,))
    assert values["hit@1"].tolist() == [1, 1, 0, 0, 1]
    assert values["mrr"].tolist() == [1, 1, 0, 0.5, 1]
    assert values["squared_error"].tolist() == [1, 1, 0, 4, 0]


@pytest.mark.parametrize(("exclude_seen", "rank"), [(True, math.inf), (False, 1)])
def test_what_is_bought_again_is_a_miss_where_it_is_masked(exclude_seen, rank):
    again = reviews(("bob", "tent", 5.0))
    assert row_ranks(Scorer(), TRAIN, again, exclude_seen=exclude_seen).tolist() == [rank]


def test_a_product_that_training_alone_has_is_not_a_candidate():
    train = pd.concat([TRAIN, reviews(("bob", "unicorn", 5), ("ann", "unicorn", 5))])
    assert row_ranks(Scorer(), train, TEST).tolist() == [1, 1, math.inf, 2, 1]


def test_a_purchase_that_training_has_twice_is_masked_once():
    assert row_ranks(Scorer(), pd.concat([TRAIN, TRAIN]), TEST).tolist() == [1, 1, math.inf, 2, 1]


def test_training_on_other_users_masks_nothing():
    strangers = TRAIN.assign(user_id="stranger")
    assert row_ranks(Scorer(), strangers, TEST).tolist() == [3, 2, math.inf, 4, 1]


def test_the_index_of_the_test_rows_does_not_matter():
    twins = TEST.set_axis([7, 7, 0, 3, 3])
    pd.testing.assert_frame_equal(
        scoreboard({"both": Both()}, TRAIN, twins, slices=True), scoreboard({"both": Both()}, TRAIN, TEST, slices=True)
    )


def test_the_order_of_the_products_does_not_matter():
    backwards = Scorer(row=(0.1, 0.2, 0.3, 0.4))
    backwards.products = PRODUCTS[::-1]
    np.testing.assert_array_equal(row_ranks(backwards, TRAIN, TEST), row_ranks(Scorer(), TRAIN, TEST))


@pytest.mark.parametrize(("cells", "blocks"), [(1, [1] * 5), (8, [2, 2, 1]), (12, [3, 2]), (20, [5])])
def test_blocks_give_the_same_as_one_block(monkeypatch, cells, blocks):
    rng = np.random.default_rng(0)
    table = {user: rng.random(4) for user in TEST["user_id"]}

    class Personal:
        products = PRODUCTS
        sizes = []  # noqa: RUF012

        def scores(self, reviews):
            self.sizes.append(len(reviews))
            return np.array([table[user] for user in reviews["user_id"]])

    whole = row_ranks(Personal(), TRAIN, TEST)
    Personal.sizes.clear()
    monkeypatch.setattr(module, "CELLS", cells)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)
    np.testing.assert_array_equal(row_ranks(Personal(), TRAIN, TEST), whole)
    assert Personal.sizes == blocks


class ByWord:
    """Scores a row by its user and its summary; remembers what it was asked."""

    products = PRODUCTS
    reads = ("user_id", "summary")

    def __init__(self):
        self.asked = []

    def scores(self, reviews):
        self.asked += list(zip(reviews["user_id"], reviews["summary"]))
        return np.array(
            [[len(user), 3 * len(text), 4, 2.5] for user, text in zip(reviews["user_id"], reviews["summary"])]
        )


class Heir(ByWord):
    pass


TEXTS = ["", "ok", "", "", "ok"]
THRICE = pd.concat([TEST.assign(summary=TEXTS), TEST.assign(summary=TEXTS), TEST.assign(summary="fine")])
THRICE = THRICE.reset_index(drop=True).assign(timestamp=range(15))


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("cells", [1, 8, 10**6])
def test_rows_that_agree_in_what_is_read_are_scored_once(monkeypatch, cells, exclude_seen):
    monkeypatch.setattr(module, "CELLS", cells)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)
    test = THRICE[:12]
    once, always = ByWord(), Heir()
    how = {"visible": ["summary"], "exclude_seen": exclude_seen}
    boards = [row_metrics(it, TRAIN, test, **how) for it in (once, always)]
    assert once.asked == [("ann", ""), ("bob", "ok"), ("cy", ""), ("dan", "ok"), ("ann", "fine"), ("bob", "fine")]
    in_blocks = test if cells == 10**6 else test.iloc[np.argsort(pd.factorize(test["user_id"])[0], kind="stable")]
    assert always.asked == list(zip(in_blocks["user_id"], in_blocks["summary"]))  # a user's rows are asked together
    pd.testing.assert_frame_equal(*boards)
    lists = [module.row_lists(it, TRAIN, test, k=4, **how) for it in (once, always)]
    np.testing.assert_array_equal(*lists)
    if (
        exclude_seen
    ):  # ann has tent and wok, bob has the tent, so there are kite 4 and rake 2.5, and bob's wok, 3 a letter
        assert row_ranks(once, TRAIN, test, **how).tolist() == [1, 1, math.inf, 2, 3] * 2 + [1, 1]
        assert lists[0][[0, 1]].tolist() == [[2, 3, -1, -1], [1, 2, 3, -1]]


def test_where_few_rows_agree_each_is_scored():
    once = ByWord()
    row_ranks(once, TRAIN, THRICE[3:13], visible=["summary"])  # seven pairs of a user and a word
    assert len(once.asked) == 10


def test_rows_of_one_user_with_other_histories_are_scored_each():
    once = ByWord()
    test = TEST.assign(summary="", history=[(), (), (), ("kite",), ()])
    assert row_ranks(once, TRAIN, test, visible=["summary"]).tolist() == [1, 3, math.inf, 1, 2]
    assert len(once.asked) == 5


@pytest.mark.parametrize("rows", [1, 2, 5, 6])
def test_ratings_come_in_blocks_too(monkeypatch, rows):
    monkeypatch.setattr(module, "RATINGS", rows)
    assert row_metrics(Rater(), TRAIN, TEST)["squared_error"].tolist() == [1, 1, 0, 4, 0]


@pytest.mark.parametrize("kind", [np.float16, np.float32, int, bool])
def test_scores_of_any_kind_of_number(kind):
    scorer = Scorer(row=np.array([1, 1, 0, 0], kind))  # tent and wok tied, then kite and rake
    assert row_ranks(scorer, TRAIN, TEST).tolist() == [2, 1, math.inf, 2, 2]
    assert row_ranks(scorer, TRAIN, TEST, exclude_seen=False).tolist() == [4, 2, math.inf, 4, 2]


def test_one_float32_nan_is_found():
    row = np.array([0.4, math.nan, math.inf, -math.inf], np.float32)
    with pytest.raises(ValueError, match="scores of broken hold NaN for 5 of 20 values"):
        scoreboard({"broken": Scorer(row)}, TRAIN, TEST)


def test_infinite_scores_are_no_nan():
    scorer = Scorer(row=(math.inf, math.inf, 0.0, -math.inf))
    assert row_ranks(scorer, TRAIN, TEST, exclude_seen=False).tolist() == [3, 2, math.inf, math.inf, 2]


def test_pairs_are_seen_and_not_their_halves():
    seen = module._kinds_of_rows(TRAIN, reviews(("ann", "tent", 1), ("ann", "kite", 1), ("dan", "tent", 1)))["seen"]
    assert seen.tolist() == [True, False, False]


def test_pairs_are_told_apart_where_there_are_many_users_of_few_products():
    everybody = [f"u{number}" for number in range(9)]
    train = reviews(*((user, "wok", 1) for user in everybody), ("u3", "tent", 1))
    test = reviews(*((user, "tent", 1) for user in everybody))
    assert module._kinds_of_rows(train, test)["seen"].tolist() == [user == "u3" for user in everybody]


def test_ndcg_ends_at_the_tenth_place():
    catalogue = [f"p{place:02d}" for place in range(1, 13)]

    class InOrder:
        products = catalogue

        def scores(self, reviews):
            return np.tile(np.arange(12.0, 0, -1), (len(reviews), 1))

    test = reviews(*(("dan", product, 3.0) for product in catalogue))
    values = row_metrics(InOrder(), TRAIN, test)
    np.testing.assert_allclose(values["ndcg@10"], [*(1 / np.log2(1 + np.arange(1, 11))), 0, 0])
    assert {name: values[name].sum() for name in values if name.startswith("hit")} == {
        "hit@1": 1,
        "hit@10": 10,
        "hit@50": 12,
    }


def test_the_recommenders_own_scores_are_not_changed():
    scorer = Scorer()
    scoreboard({"scorer": scorer}, TRAIN, TEST)
    assert [answer.tolist() for answer in scorer.answers] == [[[0.4, 0.3, 0.2, 0.1]] * 5]


def test_one_nan_among_the_scores_is_refused():
    with pytest.raises(ValueError, match="scores of broken hold NaN for 5 of 20 values"):
        scoreboard({"broken": Scorer(row=(0.4, math.nan, 0.2, 0.1))}, TRAIN, TEST)


def test_nan_ratings_are_refused():
    with pytest.raises(ValueError, match="5 of them no finite number"):
        scoreboard({"broken": Rater(math.nan)}, TRAIN, TEST)


def test_scores_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"scores of broken are \(5, 3\): expected \(5, 4\)"):
        scoreboard({"broken": Scorer(row=(0.4, 0.3, 0.2))}, TRAIN, TEST)


def test_ratings_of_the_wrong_shape_are_refused():
    column = Rater()
    column.ratings = lambda reviews: np.zeros((len(reviews), 1))
    with pytest.raises(ValueError, match=r"ratings of broken are \(5, 1\), .* expected \(5,\)"):
        scoreboard({"broken": column}, TRAIN, TEST)


def test_no_test_rows_are_refused():
    with pytest.raises(ValueError, match="the test part has no rows"):
        scoreboard({"rater": Rater()}, TRAIN, TEST[:0])


def test_no_recommenders_is_an_error():
    with pytest.raises(ValueError, match="no recommenders"):
        scoreboard({}, TRAIN, TEST)


@pytest.mark.parametrize("column", ["user_id", "product_id"])
@pytest.mark.parametrize("part", ["training", "test"])
def test_a_part_without_users_or_products_is_named(part, column):
    parts = [rows.drop(columns=column if name == part else []) for name, rows in (("training", TRAIN), ("test", TEST))]
    with pytest.raises(ValueError, match=f"the {part} rows have no '{column}'"):
        scoreboard({"popularity": Popularity(TRAIN)}, *parts)


@pytest.mark.parametrize("column", ["user_id", "product_id"])
def test_numbers_beside_texts_are_refused(column):
    numbers = pd.Series(range(len(TRAIN)), name=column)
    with pytest.raises(ValueError, match=rf"the {column} of the training rows is int.*of the test rows is text"):
        scoreboard({"popularity": Popularity(TRAIN)}, TRAIN.assign(**{column: numbers}), TEST)
    with pytest.raises(ValueError, match=rf"the {column} of the training rows is text.*of the test rows is int"):
        scoreboard({"popularity": Popularity(TRAIN)}, TRAIN, TEST.assign(**{column: numbers}))


@pytest.mark.parametrize("products", [[], ["a", "a"]])
def test_a_catalogue_lists_each_product_once(products):
    class Broken:
        def scores(self, reviews):
            return np.zeros((len(reviews), len(products)))

    Broken.products = products
    with pytest.raises(ValueError, match="products of broken must be one or more, each listed once"):
        scoreboard({"broken": Broken()}, TRAIN, TEST)


def test_recommenders_do_not_see_the_answers():
    asked = []

    class Curious:
        products = ("tent", "wok")

        def scores(self, reviews):
            asked.append(set(reviews))
            return np.zeros((len(reviews), 2))

        def ratings(self, reviews):
            asked.append(set(reviews))
            return np.full(len(reviews), 3.0)

    answers = {"title": "a tent", "category": "camping", "categories": "camping|gifts", "summary": "so good"}
    scoreboard({"curious": Curious()}, TRAIN, TEST.assign(**answers))
    assert asked[0] == {"user_id"}
    assert "rating" not in asked[1]


def test_what_is_visible_is_shown_although_it_tells_the_answer():
    asked = []

    class Curious:
        products = ("tent", "wok")

        def scores(self, reviews):
            asked.append(list(reviews["summary"]))
            return np.zeros((len(reviews), 2))

    scoreboard({"curious": Curious()}, TRAIN, TEST.assign(summary="so good"), visible=["summary"])
    assert asked == [["so good"] * len(TEST)]


@pytest.mark.parametrize(
    ("cast", "kind"),
    [
        (lambda place, name: place, r"int64 \(the first is '0'\)"),
        (lambda place, name: float(place), r"float64 \(the first is '0.0'\)"),
        (lambda place, name: name.encode(), r"bytes \(the first is "),
        (lambda place, name: name.upper(), r"text \(the first is "),
    ],
)
def test_products_that_are_not_those_of_the_reviews_are_an_error_and_no_zero(cast, kind):
    known = Popularity(TRAIN)
    products = [cast(place, name) for place, name in enumerate(known.products)]
    mine = SimpleNamespace(products=products, scores=known.scores)
    with pytest.raises(ValueError, match=rf"products of mine is in the training rows: its products are {kind}"):
        scoreboard({"popularity": known, "mine": mine}, TRAIN, TEST)


def test_scores_may_be_a_sparse_matrix():
    known = Popularity(TRAIN)
    sparse = SimpleNamespace(products=known.products, scores=lambda reviews: csr_array(known.scores(reviews)))
    board = scoreboard({"dense": known, "sparse": sparse}, TRAIN, TEST)
    assert board.loc["sparse"].equals(board.loc["dense"])


def test_purchases_without_a_rating_column_have_no_rmse():
    train, test = TRAIN.drop(columns="rating"), TEST.drop(columns="rating")
    board = scoreboard({"popularity": Popularity(train), "biases": DampedBiases(TRAIN)}, train, test)
    assert board["rmse"].isna().all()
    assert board.loc["popularity", "hit@10"] == scoreboard({"p": Popularity(TRAIN)}, TRAIN, TEST).loc["p", "hit@10"]


def test_the_board_says_how_many_test_rows_are_bought_again():
    again = TEST.copy()
    again.loc[0, ["user_id", "product_id"]] = TRAIN.loc[0, ["user_id", "product_id"]]
    board = scoreboard({"popularity": Popularity(TRAIN)}, TRAIN, again)
    assert board.attrs["seen_share"] == 1 / len(again)


def test_ratings_may_be_objects():
    stars = SimpleNamespace(ratings=lambda rows: np.array([4] * len(rows), dtype=object))
    assert scoreboard({"a": stars}, TRAIN, TEST)["rmse"]["a"] == scoreboard({"a": Rater()}, TRAIN, TEST)["rmse"]["a"]


class Planted:
    """Hits the bought product first where `hits` says so, else misses; its stars are off by `errors`."""

    products = ("bought", "other")

    def __init__(self, hits, errors=None):
        self.hits = np.asarray(hits, dtype=float)
        self.errors = np.zeros(len(self.hits)) if errors is None else np.asarray(errors)

    def scores(self, reviews):
        return np.column_stack([self.hits, np.full(len(reviews), 0.5)])

    def ratings(self, reviews):
        return 3.0 + self.errors


def bought_by(users, rating=3.0):
    return pd.DataFrame({"user_id": users, "product_id": "bought", "rating": rating})


WARM = bought_by(["somebody"])  # the training rows: nothing is masked for the users of the test rows


def planted_board(recommenders, users, **options):
    return scoreboard(recommenders, WARM, bought_by(users), k=(1,), **options)


def planted(users=60, rows=400, seed=0):
    """Rows of users of very different numbers of rows; users differ in how well they are predicted."""
    rng = np.random.default_rng(seed)
    of_rows = np.concatenate([np.arange(users), rng.choice(users, rows - users, p=rng.dirichlet(np.ones(users)))])
    chance = rng.beta(1, 2, users)[of_rows]
    hits, better = rng.random(rows) < chance, rng.random(rows) < chance + 0.2
    recommenders = {
        "a": Planted(hits, rng.normal(0, 0.5 + chance)),
        "b": Planted(hits | better, rng.normal(0, 1, rows)),
    }
    return recommenders, np.array([f"u{user}" for user in of_rows])


ENDS = ("low", "high")


def test_the_interval_of_two_users_by_hand():
    # Samples of ann and bob: both ann (chance 1/4), one of each (1/2), both bob (1/4). So the ends are ann's and bob's.
    # ann has 3 rows, of which 1 is a hit, with errors 1, 1, 2; bob has one hit with an error of 0.
    users = ["ann", "ann", "bob", "ann"]
    one, other = Planted([1, 0, 1, 0], [1, 1, 0, 2]), Planted([0, 0, 1, 0], [1, 1, 2, 2])
    row = planted_board({"one": one, "other": other}, users, against="other").loc["one"]
    expected = {
        "hit@1": (2 / 4, 1 / 3, 1),
        "hit@1 gain": (1 / 4, 0, 1 / 3),
        "rmse": (math.sqrt(6 / 4), 0, math.sqrt(6 / 3)),
        "rmse gain": (math.sqrt(6 / 4) - math.sqrt(10 / 4), 0 - 2, 0),
    }
    for metric, numbers in expected.items():
        assert [row[metric], *(row[f"{metric} {end}"] for end in ENDS)] == pytest.approx(numbers), metric


def test_columns_of_intervals_follow_their_metric_and_leave_the_others_as_they_are():
    recommenders = {"both": Both(), "rater": Rater(), "scorer": Scorer()}
    plain, spread, paired = (
        scoreboard(recommenders, TRAIN, TEST, slices=True, **options)
        for options in ({}, {"interval": True}, {"against": "rater"})
    )
    metrics = ["hit@1", "hit@10", "hit@50", "ndcg@10", "mrr", "rmse"]
    kinds = ["", " low", " high", " gain", " gain low", " gain high"]
    assert list(plain) == ["share", *metrics]
    assert list(spread) == ["share", *(metric + kind for metric in metrics for kind in kinds[:3])]
    assert list(paired) == ["share", *(metric + kind for metric in metrics for kind in kinds)]
    pd.testing.assert_frame_equal(spread[list(plain)], plain, check_exact=True)
    pd.testing.assert_frame_equal(paired[list(spread)], spread, check_exact=True)
    assert spread.attrs == plain.attrs


def test_intervals_agree_with_a_loop_over_frames_of_the_drawn_users():
    recommenders, users = planted()
    test = bought_by(users)
    test.loc[::7, "rating"] = np.nan
    board = scoreboard(recommenders, WARM, test, k=(1,), against="a")
    rows = {
        name: [rows.to_numpy() for _, rows in row_metrics(one, WARM, test, k=(1,)).groupby(users, sort=False)]
        for name, one in recommenders.items()
    }
    rng, samples = np.random.default_rng(module.SEED), {name: [] for name in rows}
    for _ in range(module.RESAMPLES):
        drawn = rng.integers(len(rows["a"]), size=len(rows["a"]))
        for name, frames in rows.items():
            *means, error = np.nanmean(np.concatenate([frames[user] for user in drawn]), axis=0)
            samples[name].append([*means, math.sqrt(error)])
    a, b = (pd.DataFrame(samples[name], columns=["hit@1", "ndcg@10", "mrr", "rmse"]) for name in "ab")
    for name, kind, table in (("a", "", a), ("b", "", b), ("b", " gain", b - a)):
        for metric in table:
            ends = [board.loc[name, f"{metric}{kind} {end}"] for end in ENDS]
            assert ends == pytest.approx(np.percentile(table[metric], [2.5, 97.5])), (name, metric + kind)


@pytest.mark.parametrize("at_once", [1, 7, 999, 1000])
def test_samples_drawn_in_blocks_are_the_same(monkeypatch, at_once):
    recommenders, rows = planted()
    whole = planted_board(recommenders, rows, against="a")
    monkeypatch.setattr(module, "DRAWN", 60 * at_once)  # 60 users
    pd.testing.assert_frame_equal(planted_board(recommenders, rows, against="a"), whole)


def test_the_same_board_has_the_same_intervals_whatever_else_is_on_it():
    recommenders, users = planted()
    board, again = (planted_board(recommenders, users, interval=True) for _ in range(2))
    pd.testing.assert_frame_equal(board, again, check_exact=True)
    alone = planted_board({"b": recommenders["b"]}, users, interval=True)
    pd.testing.assert_frame_equal(board.loc[["b"]], alone)
    np.random.seed(1)  # noqa: NPY002
    pd.testing.assert_frame_equal(planted_board(recommenders, users, interval=True), board, check_exact=True)


def widths(board, metric):
    return board[f"{metric} high"] - board[f"{metric} low"]


def test_the_width_is_that_of_the_normal_approximation():
    # 400 users of one row each, half of them hits: the standard error is √(0.25 / 400); 1,000 samples know it to 5 %.
    board = planted_board({"half": Planted(np.arange(400) % 2)}, np.arange(400).astype(str), interval=True)
    assert widths(board, "hit@1")["half"] == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 400), rel=0.1)


def test_nine_equal_rows_of_a_user_tell_no_more_than_one():
    hits = np.arange(100) % 4 == 0
    users = np.array([f"u{user:02d}" for user in range(100)])
    one = planted_board({"a": Planted(hits)}, users, interval=True)
    nine = planted_board({"a": Planted(np.repeat(hits, 9))}, np.repeat(users, 9), interval=True)
    mixed = planted_board({"a": Planted(np.tile(hits, 9))}, np.tile(users, 9), interval=True)  # in any order
    pd.testing.assert_frame_equal(nine, one)
    pd.testing.assert_frame_equal(mixed, one)


def test_a_paired_gain_is_narrower_than_the_difference_of_two_intervals():
    recommenders, users = planted()
    board = planted_board(recommenders, users, against="a")
    apart = math.hypot(*widths(board, "hit@1"))  # if a and b were scored on samples of their own
    assert 0 < widths(board, "hit@1 gain")["b"] < 0.8 * apart
    assert board.loc["b", "hit@1 gain"] == board.loc["b", "hit@1"] - board.loc["a", "hit@1"]
    assert board.loc["b", "hit@1 gain low"] > 0  # b has all of a's hits, and more


def test_the_named_row_has_no_gain_and_what_is_not_offered_is_nan():
    recommenders = {"scorer": Scorer(), "rater": Rater(), "both": Both()}
    board = scoreboard(recommenders, TRAIN, TEST, k=(1,), against="scorer")
    hits, stars = ([f"{metric} gain{end}" for end in ("", " low", " high")] for metric in ("hit@1", "rmse"))
    assert (board.loc["scorer", hits] == 0).all()
    assert (board.loc["both", hits] == 0).all()  # the same scores
    assert board.loc["rater", ["hit@1 low", "hit@1 high", *hits]].isna().all()
    assert board[stars].isna().all(axis=None)
    assert board.loc[["rater", "both"], ["rmse low", "rmse high"]].notna().all(axis=None)


def test_intervals_of_slices_are_those_of_the_slices_alone():
    recommenders, users = planted()
    test = bought_by(users)
    known = np.unique(users)[::3]
    train = pd.concat([WARM, bought_by(known).assign(product_id="other")])
    board = scoreboard(recommenders, train, test, k=(1,), slices=True, against="a", exclude_seen=False)
    for part, mask in (("all", np.full(len(test), True)), ("warm users", np.isin(users, known))):
        some = {name: Planted(one.hits[mask], one.errors[mask]) for name, one in recommenders.items()}
        alone = scoreboard(some, train, test[mask], k=(1,), against="a", exclude_seen=False)
        pd.testing.assert_frame_equal(board.xs(part, level="test rows").drop(columns="share"), alone)
    nothing = board.xs("new products", level="test rows")
    assert (nothing.pop("share") == 0).all()
    assert nothing.isna().all(axis=None)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # 200 boards, 80 users of 1 to 5 rows; a user's chance of a hit is 0.1 or 0.7, so the true hit rate is 0.4.
    rng, covered = np.random.default_rng(0), []
    for _ in range(200):
        of_rows = np.repeat(np.arange(80), rng.integers(1, 6, 80))
        hits = rng.random(len(of_rows)) < rng.choice([0.1, 0.7], 80)[of_rows]
        values = pd.DataFrame({"hit": hits.astype(float), "squared_error": np.nan})
        low, high = board_of_rows({"a": [values]}, pd.Series(of_rows), interval=True)[["hit low", "hit high"]].loc["a"]
        covered.append(low <= 0.4 <= high)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_a_list_of_trainings_has_the_mean_of_their_rows():
    # Hits 1, 0 and 1, 1: the mean of the four; squared errors 1, 4 and 9, 0: the root of their mean.
    trainings = [Planted([1, 0], [1, 2]), Planted([1, 1], [3, 0])]
    board = planted_board({"twice": trainings, "once": trainings[:1], "plain": trainings[0]}, ["ann", "bob"])
    assert list(board) == ["hit@1", "ndcg@10", "mrr", "rmse"]
    assert board.loc["twice", "hit@1"] == 3 / 4
    assert board.loc["twice", "rmse"] == pytest.approx(math.sqrt(14 / 4))
    assert board.loc["once"].equals(board.loc["plain"])


def test_the_interval_of_trainings_by_hand():
    # All users are alike, so only trainings vary: a quarter of the samples has the worse twice, a quarter the better.
    worse, better = Planted([0] * 30, [2] * 30), Planted([1] * 30, [1] * 30)
    board = planted_board(
        {"seeds": [worse, better], "worse": worse}, [f"u{user}" for user in range(30)], against="worse"
    )
    seeds = board.loc["seeds"]
    assert seeds[["hit@1", "hit@1 low", "hit@1 high"]].tolist() == [0.5, 0, 1]
    assert seeds[["rmse", "rmse low", "rmse high"]].tolist() == pytest.approx([math.sqrt(2.5), 1, 2])
    assert seeds[["rmse gain", "rmse gain low", "rmse gain high"]].tolist() == pytest.approx(
        [math.sqrt(2.5) - 2, -1, 0]
    )
    assert (board.loc["worse", ["rmse low", "rmse high"]] == 2).all()


def test_one_training_or_the_same_twice_has_the_interval_of_the_recommender_alone():
    recommenders, users = planted()
    board = planted_board(
        {"plain": recommenders["a"], "once": [recommenders["a"]], "twice": [recommenders["a"]] * 2},
        users,
        interval=True,
    )
    for name in ("once", "twice"):
        assert board.loc[name].to_dict() == pytest.approx(board.loc["plain"].to_dict())


def test_users_and_trainings_add_their_variances():
    # 200 users, 30 trainings whose hit rates differ: standard errors by users and by trainings, in squares.
    rng = np.random.default_rng(0)
    of_users, of_trainings = rng.normal(0, 0.5, 200), rng.normal(0, 0.25, 30)
    trainings = [Planted(np.ones(200), np.sqrt(9 + of_users + luck)) for luck in of_trainings]
    board = planted_board({"seeds": trainings}, [f"u{user}" for user in range(200)], interval=True)
    error = math.sqrt(of_users.var() / 200 + of_trainings.var() / 30) / (2 * 3)  # of the root of about 9
    assert widths(board, "rmse")["seeds"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_rows_draw_their_trainings_independently():
    users = [f"u{user}" for user in range(30)]
    trainings = [Planted([seed % 2] * 30) for seed in range(8)]
    board = planted_board({"one": trainings, "other": list(trainings)}, users, against="one")
    assert board.loc["other", "hit@1 gain"] == 0
    assert widths(board, "hit@1 gain")["other"] > 1.2 * widths(board, "hit@1")["other"]


def test_a_list_without_recommenders_is_refused():
    with pytest.raises(ValueError, match="'none' is an empty list"):
        scoreboard({"rater": Rater(), "none": []}, TRAIN, TEST)


def test_a_training_that_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"ratings of seeds\[1\] are"):
        scoreboard({"seeds": [Rater(), Rater(math.nan)]}, TRAIN, TEST)


def test_a_row_to_compare_with_must_be_on_the_board():
    with pytest.raises(ValueError, match="'popular' is no row of this board: expected one of rater, scorer"):
        scoreboard({"rater": Rater(), "scorer": Scorer()}, TRAIN, TEST, against="popular")
    for nobody in ("popular", []):
        with pytest.raises(ValueError, match="is no row of this board: expected one of rater"):
            board_of_rows({"rater": [row_metrics(Rater(), TRAIN, TEST)]}, TEST["user_id"], against=nobody)


@pytest.mark.parametrize("k", [1, 7, 60, 80])
def test_the_best_columns_are_those_of_a_stable_sort(k):
    """Most scores are equal to some others, and in the first rows there are fewer than k candidates."""
    scores = np.random.default_rng(0).integers(0, 9, (50, 60)).astype(np.float32)
    scores[:5, 5:] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected[np.take_along_axis(scores, expected, axis=1) == -np.inf] = -1
    found = best_columns(scores, k)
    np.testing.assert_array_equal(found[:, :60], expected)
    assert (found[:, 60:] == -1).all()
