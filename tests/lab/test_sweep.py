"""What a sweep keeps of any recommenders, worked out by hand, and its way to a file and back."""

import json
import math
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import packed
import pandas as pd
import pytest
from full_disk import full_disk

import recsys_teach
from recsys_teach.baselines import Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.files.loading import load_reviews
from recsys_teach.lab.sweep import STORED, Factors, Shopper, Sweep, name_of_pair
from recsys_teach.splits import split_at_random

TRAIN = pd.DataFrame(
    {"user_id": list("aabbc"), "product_id": list("xyxzy"), "rating": [5.0, 3.0, 4.0, 2.0, 1.0]},
)
TEST = pd.DataFrame({"user_id": ["a", "b", "d"], "product_id": list("zyx"), "rating": [4.0, 3.0, 5.0]})
USERS = np.array([[0.0, 0.0], [1.0, 0.5], [2.0, -0.5], [-1.0, 0.0]])  # unknown, a, b, c: u and b_u
PRODUCTS = np.array([[9.0, 0.0, 0.0], [1.0, 0.1, 0.0], [2.0, 0.2, 0.5], [3.0, 0.3, -4.0]])  # unknown, x, y, z
FACTORS = Factors(list("abc"), list("xyz"), USERS, PRODUCTS, np.array([0.5]), 3.0)


class Planted:
    """A recommender that likes its products in this order, gives one number of stars, and notes what it is asked."""

    def __init__(self, products="xyz", stars=3.0, scores=None):
        self.products, self.stars, self.asked = list(products), stars, []
        self.numbers = np.arange(len(products), 0, -1) / 10 if scores is None else np.array(scores)

    def scores(self, reviews):
        self.asked.append(reviews)
        return np.tile(self.numbers, (len(reviews), 1))

    def ratings(self, reviews):
        self.asked.append(reviews)
        return np.full(len(reviews), self.stars)


class Only:
    """A recommender with one of the two methods."""

    def __init__(self, whole, method):
        self.products = whole.products
        setattr(self, method, getattr(whole, method))


def sweep(first=FACTORS, second=None, train=TRAIN, test=TEST, **more):
    return Sweep.from_recommenders({(1, 0): first, (0.5, 1): second or Planted("zyx", 3.5)}, train, test, **more)


def test_scores_and_stars_by_hand():
    assert FACTORS.scores(TEST).tolist() == [[1.0, 2.5, -1.0], [2.0, 4.5, 2.0], [0.0, 0.5, -4.0]]
    # a, z: 3 + .5 + .3 + .5 · 3; b, y: 3 - .5 + .2 + .5 · 4; the stranger d, x: 3 + 0 + .1, no taste
    assert FACTORS.ratings(TEST) == pytest.approx([5.3, 4.7, 3.1])
    assert FACTORS.ratings(pd.DataFrame({"user_id": ["a"], "product_id": ["new"]})) == pytest.approx([3.5])


def test_taste_has_a_weight_for_each_dimension_and_is_left_out_where_one_side_is_unknown():
    users = np.array([[1.0, 1.0, 0.25], [2.0, -1.0, 0.5]])  # unknown, a: u_0, u_1 and b_u
    products = np.array([[3.0, 3.0, 0.0, 9.0], [1.0, 4.0, 0.1, 0.0]])  # unknown, x: p_0, p_1, b_p and c_p
    factors = Factors(["a"], ["x"], users, products, np.array([0.5, 0.25]), 3.0)
    asked = pd.DataFrame({"user_id": ["a", "?", "a", "?"], "product_id": ["x", "x", "?", "?"]})
    assert factors.scores(asked)[:, 0].tolist() == [2 - 4, 1 + 4, 2 - 4, 1 + 4]
    assert factors.ratings(asked) == pytest.approx(
        [3 + 0.5 + 0.1 + 0.5 * 2 - 0.25 * 4, 3 + 0.25 + 0.1, 3 + 0.5, 3 + 0.25]
    )


def test_the_board_is_that_of_each_recommender_alone():
    own = sweep()
    assert list(own.board.index) == ["rating only", "0.5 : 1"]
    for pair in range(2):
        alone = scoreboard({"one": own.recommender(pair)}, TRAIN, TEST).loc["one"]
        assert own.board.iloc[pair].to_dict() == alone.to_dict()
    assert own.ceiling is None
    assert own.floor["rmse"] == own.baselines.loc["damped biases", "rmse"]
    assert own.floor["hit@1"] == own.baselines.loc["popularity", "hit@1"]


def test_pairs_of_one_short_name_are_two_rows():
    pairs = {(0.123451, 1): Planted(stars=3.0), (0.123452, 1): Planted(stars=4.0)}
    board = Sweep.from_recommenders(pairs, TRAIN, TEST).board
    assert list(board.index) == ["0.1235 : 1", "0.1235 : 1"]
    assert board["rmse"].tolist() == pytest.approx([math.sqrt(5 / 3), math.sqrt(2 / 3)])


def test_lists_by_hand():
    own = sweep()
    assert [one.user for one in own.shoppers] == ["a", "b", "c"]
    # a owns x and y, b x and z, c y. a, z: 5.3 as above; b, y: 4.7; c, z: 3 + .3 - .5 · 3, c, x: 3 + .1 - .5
    assert own.lists[0] == [[("z", 5.3)], [("y", 4.7)], [("x", 2.6), ("z", 1.8)]]
    assert own.lists[1] == [[("z", 3.5)], [("y", 3.5)], [("z", 3.5), ("x", 3.5)]]
    assert own.shoppers == [Shopper("a", ["y", "x"], ["z"]), Shopper("b", ["z", "x"], ["y"]), Shopper("c", ["y"], [])]


def test_a_list_has_ten_places_ties_are_in_the_products_order_and_what_is_impossible_is_left_out():
    many = [f"p{number:02}" for number in range(20)]
    train = pd.DataFrame({"user_id": ["a"] * 2 + ["b"] * 20, "product_id": ["p00", "p03", *many], "rating": 4.0})
    test = pd.DataFrame({"user_id": ["a"] * 4, "product_id": ["p19", "p05", "p03", "p05"], "rating": 4.0})
    long = Planted(many, 1 / 3, scores=[1.0] * 19 + [2.0])
    short = Planted(many, scores=[-math.inf] * 17 + [0.0, -1.0, 1.0])
    own = sweep(long, short, train, test)
    assert [one.user for one in own.shoppers] == ["b", "a"]  # a has fewer than five purchases
    assert own.lists[0][1] == [(f"p{number:02}", 0.333) for number in (19, 1, 2, 4, 5, 6, 7, 8, 9, 10)]
    assert [product for product, _ in own.lists[1][1]] == ["p19", "p17", "p18"]
    assert own.lists[0][0] == []  # b owns everything
    assert own.shoppers[1].later == ["p19", "p05"]  # each once, and not what a had already
    assert set(own.catalogue["product_id"]) == set(many[:11]) | set(many[15:])


def test_the_shoppers_are_those_with_the_most_held_back_of_those_with_five_purchases():
    users = [f"u{number:02}" for number in range(15)]
    before = [5] * 13 + [4, 6]
    later = [0] + [1] * 11 + [3, 9, 2]  # u13 has too few purchases before
    rows = [pd.DataFrame({"user_id": np.repeat(users, counts)}) for counts in (before, later)]
    train, test = (part.assign(product_id="x", rating=4.0).sample(frac=1, random_state=0) for part in rows)
    shoppers = sweep(Planted("x"), Planted("x"), train, test).shoppers
    assert [one.user for one in shoppers] == ["u12", "u14", *users[1:11]]


def test_the_last_five_purchases_are_in_order_of_time_newest_first():
    days = pd.to_datetime([f"2023-01-{day:02}" for day in (5, 1, 2, 4, 3, 6, 2)])
    train = pd.DataFrame({"user_id": list("aaaaaab"), "product_id": list("tuvwxyz"), "rating": 4.0, "timestamp": days})
    both = {"first": Planted("tuvwxyz"), "second": Planted("tuvwxyz"), "test": TEST.assign(timestamp=days[0])}
    assert sweep(**both, train=train).shoppers[0].bought == list("ytwxv")
    assert sweep(**both, train=train.drop(columns="timestamp")).shoppers[0].bought == list("yxwvu")


def test_what_is_not_predicted_is_left_out():
    own = sweep(Only(FACTORS, "ratings"), Only(FACTORS, "scores"))
    assert own.board["hit@10"].isna().tolist() == own.board["mrr"].isna().tolist() == [True, False]
    assert own.board["rmse"].isna().tolist() == [False, True]
    assert own.lists[0] == [[], [], []]
    assert str(own.lists[1]) == str([[("z", math.nan)], [("y", math.nan)], [("x", math.nan), ("z", math.nan)]])


def test_a_list_of_trainings_has_the_mean_scores_and_the_lists_of_the_first():
    three = [Planted("zyx", 3.0), Planted("xyz", 4.0), Planted("xyz", 5.0)]
    own = sweep(three, Planted("xyz", 1.0))
    # z for a and y for b are all that is left for them; d, x is hit at once by two of three
    assert own.board.loc["rating only", "hit@1"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    errors = [[1, 0, 4], [0, 1, 1], [1, 4, 0]]  # squared, by training and row
    assert own.board.loc["rating only", "rmse"] == pytest.approx(math.sqrt(np.mean(errors)))
    assert own.lists[0][2] == [("z", 3.0), ("x", 3.0)]
    assert own.recommender(0) is three


TEXTS = {"title": list("XYXZY"), "category": list("cdced"), "categories": ["c|f", "d", "c|f", "e", "d"]}
TIMED = TRAIN.assign(timestamp=pd.date_range("2023-01-01", periods=5), summary="good", **TEXTS)
LATER = TEST.assign(timestamp=pd.date_range("2023-02-01", periods=3), summary="bad", title="?", category="?")


@pytest.mark.parametrize(("visible", "seen"), [([], set()), (["summary"], {"summary"})])
def test_recommenders_are_asked_as_the_scoreboard_asks_them(visible, seen):
    one = Planted()
    sweep(one, train=TIMED, test=LATER, visible=visible)
    for_board, stars_for_board, scored, rated = one.asked
    assert set(scored) == set(for_board) == {"user_id", "timestamp"} | seen
    assert scored["timestamp"].tolist() == [*LATER["timestamp"][:2], TIMED["timestamp"][4]]  # c has no test rows
    assert set(rated) == set(stars_for_board) | {"categories"}
    asked = rated[["user_id", "product_id", "title", "category", "categories"]]
    assert ["".join(row) for row in asked.itertuples(index=False)] == ["azZee", "byYdd", "cxXcc|f", "czZee"]
    assert list(rated.get("summary", [])) == ["bad", "bad", "good", "good"][: 4 * len(visible)]


def test_sparse_scores_are_scores():
    from scipy.sparse import csr_array

    dense = Planted("zyx")
    sparse = Only(Planted("zyx"), "ratings")
    sparse.scores = lambda reviews: csr_array(dense.scores(reviews))
    assert sweep(sparse, dense).lists[0] == sweep(dense, sparse).lists[0]


def test_titles_are_the_first_that_are_told_or_else_product_ids():
    assert sweep().catalogue.to_numpy().tolist() == [["x", "x", ""], ["y", "y", ""], ["z", "z", ""]]
    texts = {"title": ["", "Y", "X", None, "other"], "category": ["", "c", "d", None, "e"]}
    catalogue = sweep(train=TRAIN.assign(**texts), test=TEST.assign(title=["Z", "no", "no"])).catalogue
    assert catalogue.to_numpy().tolist() == [["x", "X", "d"], ["y", "Y", "c"], ["z", "Z", ""]]


class Truth:
    """An oracle that knows what was bought."""

    products = ("x", "y", "z")

    def scores(self, reviews):
        return np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])

    def ratings(self, reviews):
        return TEST["rating"].to_numpy() - 1


def test_floor_and_ceiling_by_hand():
    own = sweep(oracle=Truth())
    assert own.ceiling["rmse"] == 1  # every star is off by one
    assert own.ceiling["hit@1"] == 1
    assert list(own.baselines.index) == ["popularity", "damped biases", "oracle"]
    made_up = pd.DataFrame({"hit@1": [0.2, np.nan, 0.9], "rmse": [1.8, 1.5, 0.5]}, index=own.baselines.index)
    own = replace(own, baselines=made_up)
    assert own.floor.to_dict() == {"hit@1": 0.2, "rmse": 1.5}
    assert own.ceiling.to_dict() == {"hit@1": 0.9, "rmse": 0.5}


@pytest.mark.parametrize(
    "pairs", [[], [(1, 1), (-1, 1)], [(0, 0)], [(math.nan, 1)], [(1, math.inf)], [(1, 2, 3)], ["ab"], [1]]
)
def test_what_is_no_pair_of_weights_is_refused(pairs):
    with pytest.raises(ValueError, match=r"^the weights are \[.*\]: expected one pair .*not both 0\.$"):
        Sweep.from_recommenders(dict.fromkeys(pairs, FACTORS), TRAIN, TEST)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    "change", [lambda rows: rows.drop(columns="rating"), lambda rows: rows.assign(rating=math.nan)]
)
def test_without_ratings_there_is_nothing_to_weigh(part, change):
    rows = {"train": TRAIN, "test": TEST}
    with pytest.raises(ValueError, match=r"^the training rows or the test rows have no ratings: .*with ratings\.$"):
        sweep(**rows | {part: change(rows[part])})


def test_recommenders_of_other_products_are_refused_by_their_pair():
    with pytest.raises(ValueError, match=r"none of the 2 products of the pair \(0\.5, 1\) is in the training rows"):
        sweep(second=Planted("pq"))


def test_joined_puts_the_other_pairs_last_and_their_products_into_the_catalogue():
    train = pd.concat([TRAIN, pd.DataFrame({"user_id": ["d"], "product_id": ["w"], "rating": [2.0], "title": "W"})])
    test = TEST.assign(product_id=list("zyw"))
    one, two = (Planted(order, scores=[2.0, 1.0, -math.inf, -math.inf]) for order in ("zyxw", "wyxz"))
    both = sweep(one, two, train, test).joined(Sweep.from_recommenders({(2, 1): two, (0, 3): one}, train, test))
    assert both.weights.tolist() == [[1, 0], [0.5, 1], [2, 1], [0, 3]]
    assert list(both.board.index) == ["rating only", "0.5 : 1", "2 : 1", "retrieval only"]
    assert both.lists[2:] == both.lists[1::-1]
    assert [both.recommender(pair) for pair in range(4)] == [one, two, two, one]

    alone = [Sweep.from_recommenders({(1, number): model}, train, test) for number, model in enumerate((one, two))]
    assert [one.later for one in alone[0].shoppers] == [["z"], ["y"], [], []]
    assert [one.later for one in alone[1].shoppers] == [[], ["y"], [], []]
    both = alone[1].joined(alone[0])
    assert [one.later for one in both.shoppers] == [["z"], ["y"], [], []]
    assert sorted(both.catalogue["product_id"] + both.catalogue["title"]) == ["wW", "xx", "yy", "zz"]


def another(place, **changes):
    """The sweep, with another shopper."""
    shoppers = sweep().shoppers
    return {"shoppers": [*shoppers[:place], replace(shoppers[place], **changes), *shoppers[place + 1 :]]}


BASELINES = sweep().baselines
OTHERS = {
    "a user": another(0, user="e"),
    "a purchase": another(0, bought=["y"]),
    "their order": another(1, bought=["x", "z"]),
    "a later purchase": another(1, later=[]),
    "fewer shoppers": {"shoppers": sweep().shoppers[:2], "lists": [lists[:2] for lists in sweep().lists]},
    "a baseline's score": {"baselines": BASELINES * [1, 1, 1, 1, 1, 1.001]},
    "a baseline": {"baselines": BASELINES.rename({"popularity": "bestsellers"})},
    "a metric": {"baselines": BASELINES.rename(columns={"mrr": "recall"})},
    "an oracle": {"baselines": sweep(oracle=Truth()).baselines},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_sweeps_on_other_rows_are_not_joined(other):
    for one, two in ((sweep(), replace(sweep(), **other)), (replace(sweep(), **other), sweep())):
        with pytest.raises(ValueError, match="only sweeps on the same rows can be joined"):
            one.joined(two)


def equal(one, two):
    """Whether two sweeps show the same."""
    for name in ("board", "baselines", "catalogue"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name), check_dtype=False)
    return (one.weights == two.weights).all() and one.shoppers == two.shoppers and str(one.lists) == str(two.lists)


NO_STARS, NO_LISTS = Only(FACTORS, "scores"), Only(FACTORS, "ratings")


@pytest.mark.parametrize("models", [(FACTORS, NO_STARS), (NO_STARS, NO_STARS), (NO_LISTS, NO_LISTS)])
def test_what_was_saved_comes_back(tmp_path, models):
    path = tmp_path / "a.json"
    path.write_text("older")
    own = sweep(*models, train=TIMED, test=LATER, oracle=Truth())
    own.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert equal(Sweep.load(path), own)
    strict = json.loads(path.read_text(), parse_constant=pytest.fail)  # no NaN, which JavaScript can't read
    assert strict["format"] == "recsys-teach sweep 3"


def test_models_are_not_in_the_file_and_a_pair_that_is_trained_again_has_its_own(tmp_path):
    own = sweep()
    own.save(tmp_path / "a.json")
    loaded = Sweep.load(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"^there is no model of 0\.5 : 1, .*: train this pair again .*\.$"):
        loaded.recommender(1)
    both = loaded.joined(own)
    assert both.recommender(2) is FACTORS
    with pytest.raises(ValueError, match="no model of rating only"):
        both.recommender(0)
    both.save(tmp_path / "b.json")
    assert equal(Sweep.load(tmp_path / "b.json"), both)


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a\.json is no sweep that this version can read: train it again, and save it\.$"
    ):
        Sweep.load(path)


@pytest.mark.parametrize("content", [b"not a sweep", b"", b"[1]", b"{}", b"7", b"\xff", b"[" * 100_000])
def test_another_file_is_refused_in_a_sentence(tmp_path, content):
    refused(tmp_path / "a.json", content)


def test_a_file_that_is_cut_short_or_of_an_earlier_version_is_refused(tmp_path):
    path = tmp_path / "a.json"
    sweep().save(path)
    whole = path.read_bytes()
    for content in (whole[:-2], whole[: len(whole) // 2], whole.replace(b"sweep 3", b"sweep 2")):
        refused(path, content)
    with path.open("wb") as file:
        np.savez(file, json=np.array('{"format": "recsys-teach sweep 2"}'), weights=np.ones((1, 2)))
    refused(path, path.read_bytes())


def test_a_missing_file_and_a_folder_are_told_from_a_broken_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Sweep.load(tmp_path / "missing.json")
    with pytest.raises(OSError, match=r"can't be read \(Is a directory\): name a file"):
        Sweep.load(tmp_path)


def changed(facts, *keys, to):
    """The facts with one of them changed."""
    facts = json.loads(json.dumps(facts))
    inner = facts
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    return facts


CHANGES = {
    "a format": (("format",), "recsys-teach sweep 4"),
    "a part too many": (("extra",), 1),
    "no lists": (("lists",), []),
    "no weights": (("weights",), []),
    "a weight that is text": (("weights", 0), ["<b>", "1"]),
    "a weight below 0": (("weights", 1), [-0.5, 1]),
    "three weights": (("weights", 1), [0.5, 1, 1]),
    "weights of another name": (("weights", 1), [0.25, 1]),
    "a name of its own": (("board", "index", 1), "<b>"),
    "a score that is text": (("board", "data", 0, 0), "<b>"),
    "an endless score": (("board", "data", 0, 0), math.inf),
    "a metric of its own": (("board", "columns", 0), "recall"),
    "a row too few": (("board", "data"), [[0.5] * 6]),
    "no floor": (("baselines", "data"), [[None] * 6] * 2),
    "a baseline without a name": (("baselines", "index", 0), 7),
    "no shoppers": (("shoppers",), []),
    "a shopper twice": (("shoppers", 1, "user"), "a"),
    "a shopper without a name": (("shoppers", 0, "user"), 7),
    "a shopper's age": (("shoppers", 0, "age"), 7),
    "a purchase of nothing known": (("shoppers", 0, "bought"), ["?"]),
    "a later one": (("shoppers", 0, "later"), ["?"]),
    "a list of nothing known": (("lists", 0, 0), [["?", 3.0]]),
    "stars that are text": (("lists", 0, 0, 0, 1), "<b>"),
    "endless stars": (("lists", 0, 0, 0, 1), math.inf),
    "a shopper's list too few": (("lists", 0), []),
    "a pair's lists too few": (("lists",), [[[], [], []]]),
    "a title that is no text": (("catalogue", "data", 0, 1), 7),
    "a product twice": (("catalogue", "data", 1, 0), "x"),
    "no titles": (("catalogue", "columns", 1), "name"),
}


@pytest.mark.parametrize(("keys", "to"), CHANGES.values(), ids=CHANGES)
def test_a_file_whose_parts_do_not_fit_together_is_refused(tmp_path, keys, to):
    sweep().save(tmp_path / "a.json")
    facts = json.loads((tmp_path / "a.json").read_text())
    refused(tmp_path / "a.json", json.dumps(changed(facts, *keys, to=to)).encode())


def test_a_file_that_was_rewritten_with_other_numbers_is_read(tmp_path):
    sweep().save(tmp_path / "a.json")
    facts = json.loads((tmp_path / "a.json").read_text())
    facts = changed(changed(facts, "lists", 0, 0, 0, 1, to=4), "board", "data", 0, 0, to=1)
    (tmp_path / "a.json").write_text(json.dumps(facts, indent=1))
    loaded = Sweep.load(tmp_path / "a.json")
    assert (loaded.lists[0][0], loaded.board.iloc[0, 0]) == ([("z", 4.0)], 1.0)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    sweep().save(path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        replace(sweep(), **another(0, user=object())).save(path)
    with full_disk(after=100), pytest.raises(OSError, match=r"a\.json can't be written \(File too large\): make room"):
        sweep(Planted()).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert path.read_bytes() == before
    sweep(Planted()).save(path)
    assert equal(Sweep.load(path), sweep(Planted()))


KILLED = """
import os, signal, sys
from pathlib import Path
from test_sweep import Planted, sweep

def half(path, text, **_):
    with path.open("w") as file:
        file.write(text[:100])
    os.kill(os.getpid(), signal.SIGKILL)

Path.write_text = half
sweep(Planted()).save(sys.argv[1])
"""


def test_a_process_that_is_killed_while_it_saves_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    sweep().save(path)
    here = Path(__file__).parent
    tools = here.parents[1] / "tools"
    places = os.pathsep.join(map(str, (here, here.parent, tools, Path(recsys_teach.__file__).parents[1])))
    died = subprocess.run([sys.executable, "-c", KILLED, str(path)], env={**os.environ, "PYTHONPATH": places})
    assert died.returncode == -signal.SIGKILL
    assert equal(Sweep.load(path), sweep())


def test_names_of_pairs():
    pairs = [(3, 0), (0, 0.1), (1 / 8, 1), (0.25, 1), (0.123456, 2), (1000, 1 / 256)]
    names = ["rating only", "retrieval only", "1/8 : 1", "0.25 : 1", "0.1235 : 2", "1000 : 1/256"]
    assert [name_of_pair(*pair) for pair in pairs] == names


def test_the_sweep_of_movielens_is_in_the_wheel_and_small(tmp_path):
    with zipfile.ZipFile(packed.build_wheel(tmp_path)) as wheel:
        stored = wheel.read("recsys_teach/lab/movielens.json")
    assert stored == STORED["movielens"].read_bytes()
    assert len(stored) < 150_000
    (tmp_path / "own.json").write_bytes(stored)
    assert equal(Sweep.load("movielens"), Sweep.load(tmp_path / "own.json"))
    assert len(Sweep.load("movielens").weights) == 11


FOLDER = Path(os.environ.get("RECSYS_TEACH_DATA", ""), "ml-latest-small").absolute()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="RECSYS_TEACH_DATA names no folder with MovieLens, unpacked")
def test_the_sweep_of_movielens_is_of_these_reviews():
    train, test = split_at_random(load_reviews("movielens"), seed=0)
    stored, fresh = Sweep.load("movielens"), Sweep.from_recommenders({(1, 1): Popularity(train)}, train, test)
    pd.testing.assert_frame_equal(stored.baselines, fresh.baselines, rtol=1e-9)
    assert [(one.user, one.bought) for one in stored.shoppers] == [(one.user, one.bought) for one in fresh.shoppers]
    assert len(stored.joined(fresh).weights) == 12
