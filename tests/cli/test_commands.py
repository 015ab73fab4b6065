"""`recsys-teach compare`: its JSON, choices and refusals; but for one test without a training."""

import functools
import json
import math
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import recsys_teach
from recsys_teach.baselines import EASE, DampedBiases, Oracle, Popularity
from recsys_teach.cli import commands
from recsys_teach.cli import comparison as comparison
from recsys_teach.evaluation import scoreboard
from recsys_teach.files.loading import load_reviews
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random, split_by_time

CLASSICS = ["popularity", "rate since launch", "damped biases", "ItemKNN", "EASE", "iALS"]
NAMES = [*CLASSICS, "textbook retrieval", "retrieval", "ranking", "multitask"]
ROW = ["model", "hit@1", "hit@10", "hit@50", "ndcg@10", "mrr", "rmse", "fit_seconds"]


def invoke(*arguments):
    return CliRunner().invoke(commands.app, [str(argument) for argument in arguments])


def compare(*arguments):
    result = invoke("compare", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def fitted(monkeypatch):
    """A ladder of the two baselines in place of the one that loads TensorFlow; lists the calls it gets."""
    calls = []

    def fit_ladder(train, *, seed=0, split, exclude_seen):
        calls.append((train, seed, split, exclude_seen))
        recommenders = {"popularity": Popularity(train), "damped biases": DampedBiases(train)}
        return recommenders, {"popularity": 0.5, "damped biases": 1.5}

    ladder = ModuleType("recsys_teach.ladder")
    ladder.fit_ladder = fit_ladder
    monkeypatch.setitem(sys.modules, "recsys_teach.ladder", ladder)
    return calls


@pytest.fixture
def small_shop(monkeypatch):
    shop = functools.partial(generate_shop, users=60, products=40, reviews_per_user=5)
    monkeypatch.setattr(comparison, "generate_shop", shop)
    return shop


@pytest.fixture
def planted(tmp_path):
    """Ten reviews in the order of time. Training: wok 4, tent 3, kite 1; the test: kite for ann and for dan."""
    rows = [
        *(("ann", "wok", 5), ("bob", "wok", 4), ("cy", "wok", 3), ("ann", "tent", 5), ("bob", "tent", 1)),
        *(("cy", "kite", 2), ("dan", "wok", 4), ("dan", "tent", 4), ("ann", "kite", 4), ("dan", "kite", 5)),
    ]
    table = pd.DataFrame(rows, columns=["user_id", "product_id", "rating"]).assign(timestamp=range(10))
    table.to_csv(tmp_path / "timed.csv", index=False)
    table.drop(columns="timestamp").to_csv(tmp_path / "untimed.csv", index=False)
    return tmp_path


def test_version():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"recsys-teach {recsys_teach.__version__}\n")


@pytest.mark.usefixtures("fitted")
def test_json_has_the_promised_keys_and_counts(planted):
    result = compare(planted / "timed.csv")
    assert {"data", "split", "seed", "rows", "rivals", "intervals"} <= set(result)
    promised = {
        **{"reviews": 10, "users": 4, "products": 3, "train": 8, "test": 2, "candidates": 3},
        **{"new_user_share": 0.0, "new_product_share": 0.0, "stars": True},
    }
    assert promised.items() <= result["data"].items()
    assert [list(row) for row in result["rows"]] == [ROW, ROW]
    assert [row["model"] for row in result["rows"]] == ["popularity", "damped biases"]
    assert [row["fit_seconds"] for row in result["rows"]] == [0.5, 1.5]


@pytest.mark.usefixtures("fitted")
def test_the_table_says_which_hits_cannot_be_missed(planted):
    result = compare(planted / "timed.csv")
    certain = "hit@10 and hit@50 can't be missed by a known product: the models know 3."
    assert certain in comparison.ladder_table(result).caption
    result["data"]["candidates"] = 50
    assert " hit@50 can't be missed by a known product: the models know 50." in comparison.ladder_table(result).caption
    result["data"]["candidates"] = 51
    assert "can't be missed" not in comparison.ladder_table(result).caption


@pytest.mark.usefixtures("fitted")
def test_columns_of_other_names_are_named(planted):
    table = pd.read_csv(planted / "timed.csv").rename(columns={"user_id": "who=", "rating": "stars"})
    table.to_csv(planted / "theirs.csv", index=False)
    named = compare(planted / "theirs.csv", "--column", "who==user_id", "--column", "stars=rating")
    assert named["rows"] == compare(planted / "timed.csv")["rows"]


@pytest.mark.parametrize("pair", ["stars", "=rating", "stars="])
def test_a_column_that_is_named_half_is_refused(planted, pair):
    result = invoke("compare", planted / "timed.csv", "--column", pair)
    assert result.exit_code == 2
    assert f"error: --column is {pair!r}: expected the file's name, =, and ours" in result.stderr


@pytest.mark.usefixtures("fitted")
def test_the_numbers_by_hand_without_and_with_what_was_seen(planted):
    # ann and dan have bought wok and tent already: kite is the only candidate left, or else the last of three.
    masked = compare(planted / "timed.csv", "--exclude-seen")["rows"][0]
    assert [masked[name] for name in ROW[1:6]] == [1, 1, 1, 1, 1]
    every = compare(planted / "timed.csv", "--include-seen")["rows"][0]
    assert [every[name] for name in ROW[1:6]] == pytest.approx([0, 1, 1, 1 / 2, 1 / 3])
    assert compare(planted / "timed.csv")["rows"][0] == masked


@pytest.mark.usefixtures("fitted")
def test_what_a_model_does_not_offer_is_null(planted):
    popularity, biases = compare(planted / "timed.csv")["rows"]
    assert popularity["rmse"] is None
    assert [biases[name] for name in ROW[1:6]] == [None] * 5
    assert biases["rmse"] > 0


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize(
    ("file", "options", "split"),
    [
        ("timed.csv", [], "time"),
        ("untimed.csv", [], "random"),
        ("timed.csv", ["--split", "random"], "random"),
        ("untimed.csv", ["--split", "random"], "random"),
        ("timed.csv", ["--split", "time"], "time"),
    ],
)
def test_the_split_is_by_time_where_there_are_times(planted, file, options, split):
    assert compare(planted / file, *options)["split"] == split


def test_only_the_training_part_is_fitted(planted, fitted):
    compare(planted / "timed.csv", "--seed", 5, "--include-seen")
    [(train, seed, _, exclude_seen)] = fitted
    assert (seed, exclude_seen) == (5, False)
    assert list(zip(train["user_id"], train["product_id"]))[-2:] == [("dan", "wok"), ("dan", "tent")]
    assert len(train) == 8


def test_the_seed_shuffles_a_random_split(planted, fitted):
    for seed in (1, 1, 2):
        assert compare(planted / "untimed.csv", "--seed", seed)["seed"] == seed
    first, again, other = (train for train, *_ in fitted)
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], split_by_time), (["--split", "random", "--seed", 5], functools.partial(split_at_random, seed=5))],
)
def test_validation_rows_are_to_be_held_back_as_the_test_rows_were(planted, fitted, options, expected):
    compare(planted / "timed.csv", *options)
    [(train, _, split, _)] = fitted
    for ours, theirs in (
        (train, expected(load_reviews(planted / "timed.csv")).train),
        *zip(split(train, test_share=0.25), expected(train, test_share=0.25)),
    ):
        pd.testing.assert_frame_equal(ours, theirs)


def test_the_last_review_of_each_user_is_held_back_and_then_the_last_but_one(planted, fitted):
    result = compare(planted / "timed.csv", "--split", "last")
    assert result["split"] == "last"
    counts = {"train": 6, "test": 4, "candidates": 2, "new_user_share": 0, "new_product_share": 3 / 4}
    assert counts.items() <= result["data"].items()
    [(train, _, split, _)] = fitted
    bought = [("ann", "wok"), ("bob", "wok"), ("cy", "wok"), ("ann", "tent"), ("dan", "wok"), ("dan", "tent")]
    assert list(zip(train["user_id"], train["product_id"])) == bought
    first, validation = split(train)
    assert list(zip(validation["user_id"], validation["product_id"])) == [("ann", "tent"), ("dan", "tent")]
    assert list(first["product_id"]) == ["wok"] * 4  # bob's and cy's only ones stay


@pytest.fixture
def whole(monkeypatch):
    """The whole ladder without iALS, and with popularity and damped biases in place of each trained model."""
    from recsys_teach import ladder

    def fit_model(build, train, *_, **__):
        if build is ladder.build_ranking:
            return DampedBiases(train)
        model = Popularity(train)
        if build is ladder.build_multitask:
            model.ratings = DampedBiases(train).ratings
        return model

    monkeypatch.setattr(ladder, "fit_model", fit_model)
    monkeypatch.setattr(ladder, "find_spec", lambda name: None)


WITHOUT_IALS = [name for name in NAMES if name != "iALS"]


def table(folder, *, without=(), **columns):
    """A file of 200 reviews."""
    numbers = np.random.default_rng(0).integers([[25], [15], [5]], size=(3, 200))
    rows = pd.DataFrame(dict(zip(["user_id", "product_id", "rating"], numbers + 1))).assign(timestamp=range(200))
    rows.drop(columns=list(without)).assign(**columns).to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def printed(*arguments):
    """What is printed, in one line."""
    result = invoke("compare", *arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


@pytest.mark.usefixtures("whole")
def test_the_whole_ladder_is_in_order_and_its_rows_have_the_promised_keys(tmp_path):
    result = compare(table(tmp_path))
    assert [row["model"] for row in result["rows"]] == WITHOUT_IALS
    assert [list(row) for row in result["rows"]] == [ROW] * len(WITHOUT_IALS)
    about_stars = [row["model"] for row in result["rows"] if row["rmse"] is not None]
    assert about_stars == ["damped biases", "ranking", "multitask"]
    about_ranks = [row["model"] for row in result["rows"] if row["hit@10"] is not None]
    assert about_ranks == [name for name in WITHOUT_IALS if name not in ("damped biases", "ranking")]


@pytest.mark.usefixtures("whole")
def test_without_times_there_is_no_rate_since_launch(tmp_path):
    names = [row["model"] for row in compare(table(tmp_path, without=["timestamp"]))["rows"]]
    assert names == [name for name in WITHOUT_IALS if name != "rate since launch"]


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("how", [{"without": ["rating"]}, {"rating": 5}])
def test_purchases_have_no_rows_about_stars_and_a_note_that_says_so(tmp_path, how):
    result = compare(table(tmp_path, **how))
    names = [name for name in WITHOUT_IALS if name not in ("damped biases", "ranking", "multitask")]
    assert [row["model"] for row in result["rows"]] == names
    assert [row["rmse"] for row in result["rows"]] == [None] * len(names)
    assert result["data"]["stars"] is False
    assert result["rivals"] == dict.fromkeys(ROW[1:6], "EASE") | {"rmse": None}
    assert {found["metric"] for found in result["intervals"]} == set(ROW[1:6])
    assert "These are purchases" in printed(tmp_path / "table.csv")
    assert "These are purchases" not in printed(table(tmp_path))


@pytest.mark.usefixtures("whole")
def test_ease_is_left_out_of_too_many_products_and_item_knn_is_the_rival(tmp_path, monkeypatch):
    assert "EASE is left out" not in printed(table(tmp_path))
    monkeypatch.setattr(EASE, "CELLS", 5)
    result = compare(table(tmp_path))
    assert [row["model"] for row in result["rows"]] == [name for name in WITHOUT_IALS if name != "EASE"]
    assert result["rivals"] == dict.fromkeys(ROW[1:6], "ItemKNN") | {"rmse": "damped biases"}
    assert "EASE is left out: it would keep too many numbers" in printed(table(tmp_path))


@pytest.mark.usefixtures("whole")
def test_ials_is_left_out_without_its_library_and_its_extra_is_named(tmp_path):
    assert "iALS is left out: it needs pip install 'recsys-teach[classics]'." in printed(table(tmp_path))


def test_ials_is_a_row_where_its_library_is_there(tmp_path, monkeypatch, whole):
    pytest.importorskip("implicit")
    from recsys_teach import ladder

    monkeypatch.setattr(ladder, "find_spec", find_spec)
    monkeypatch.setitem(ladder.CLASSICS, "iALS", [functools.partial(ladder.IALS, dim=4, epochs=2)])
    assert [row["model"] for row in compare(table(tmp_path))["rows"]] == NAMES
    assert "iALS is left out" not in printed(table(tmp_path))


class Hits:
    """Puts the first product first where it is a hit, else last of the twelve."""

    def __init__(self, hits):
        self.products = [f"p{number:02}" for number in range(12)]
        self.hits = np.array(hits, float)

    def scores(self, reviews):
        assert len(reviews) == len(self.hits)
        return np.column_stack([2 * self.hits - 1, np.zeros((len(reviews), 11))])


class Errors:
    """Is wrong by so many stars: all ratings are 3 in the test part."""

    def __init__(self, errors):
        self.errors = np.array(errors, float)

    def ratings(self, reviews):
        return 3 + self.errors


class Both(Hits, Errors):
    def __init__(self, hits, errors):
        Hits.__init__(self, hits)
        Errors.__init__(self, errors)


@pytest.fixture
def by_hand(tmp_path, monkeypatch):
    """The result for four test rows, of ann, ann, bob and ann, who all bought the first of twelve products."""
    train = [(f"u{number}", f"p{number % 12:02}", 1 + number % 5) for number in range(16)]
    test = [(user, "p00", 3) for user in ("ann", "ann", "bob", "ann")]
    rows = pd.DataFrame(train + test, columns=["user_id", "product_id", "rating"]).assign(timestamp=range(20))
    rows.to_csv(tmp_path / "a.csv", index=False)
    recommenders = {
        "damped biases": Errors([1, 1, 2, 2]),
        "ItemKNN": Hits([0, 0, 0, 0]),
        "EASE": Hits([0, 0, 1, 0]),
        "retrieval": Hits([1, 1, 1, 1]),
        "ranking": Errors([2, 2, 3, 3]),
        "multitask": Both([1, 0, 1, 0], [1, 0, 0, 1]),
    }
    ladder = ModuleType("recsys_teach.ladder")
    ladder.fit_ladder = lambda train, **_: (recommenders, dict.fromkeys(recommenders, 0.0))
    monkeypatch.setitem(sys.modules, "recsys_teach.ladder", ladder)
    return compare(tmp_path / "a.csv")


def test_rivals_are_the_first_classic_with_the_metric(by_hand):
    assert by_hand["rivals"] == dict.fromkeys(ROW[1:6], "EASE") | {"rmse": "damped biases"}


# A sample of two users is ann twice, or both once, or bob twice, with chances of 1/4, 1/2 and 1/4: so the ends of an
# interval of 95 % are the means of ann's three rows alone and of bob's alone, the lower one first.
HIGHER = ("hit@1", "hit@10", "ndcg@10")
INTERVALS = {
    ("damped biases", "rmse"): [math.sqrt(6 / 3), 2, 0, 0, 0],
    **{("ItemKNN", metric): [0, 0, -1 / 4, -1, 0] for metric in HIGHER},
    **{("EASE", metric): [0, 1, 0, 0, 0] for metric in HIGHER},
    **{("retrieval", metric): [1, 1, 3 / 4, 0, 1] for metric in HIGHER},
    **{("multitask", metric): [1 / 3, 1, 1 / 4, 0, 1 / 3] for metric in HIGHER},
    **{(model, "hit@50"): [1, 1, 0, 0, 0] for model in ("ItemKNN", "EASE", "retrieval", "multitask")},
    ("ItemKNN", "mrr"): [1 / 12, 1 / 12, -11 / 48, -11 / 12, 0],
    ("EASE", "mrr"): [1 / 12, 1, 0, 0, 0],
    ("retrieval", "mrr"): [1, 1, 11 / 16, 0, 11 / 12],
    ("multitask", "mrr"): [(1 + 2 / 12) / 3, 1, 11 / 48, 0, 11 / 36],
    ("ranking", "rmse"): [
        *(math.sqrt(17 / 3), 3),
        *(math.sqrt(26 / 4) - math.sqrt(10 / 4), math.sqrt(17 / 3) - math.sqrt(6 / 3), 3 - 2),
    ],
    ("multitask", "rmse"): [
        *(0, math.sqrt(2 / 3)),
        *(math.sqrt(2 / 4) - math.sqrt(10 / 4), 0 - 2, math.sqrt(2 / 3) - math.sqrt(6 / 3)),
    ],
}


def test_intervals_and_gains_over_rivals_by_hand(by_hand):
    for found in by_hand["intervals"]:
        assert list(found) == ["model", "metric", "low", "high", "gain", "gain low", "gain high"]
    found = {(each["model"], each["metric"]): list(each.values())[2:] for each in by_hand["intervals"]}
    assert found.keys() == INTERVALS.keys()
    for place, numbers in INTERVALS.items():
        assert found[place] == pytest.approx(numbers), place
    models = [row["model"] for row in by_hand["rows"]]
    assert list(found) == sorted(found, key=lambda place: (models.index(place[0]), ROW.index(place[1])))


@pytest.mark.usefixtures("fitted")
def test_without_a_rival_there_is_no_gain_but_an_interval(planted):
    result = compare(planted / "timed.csv", "--include-seen")
    assert result["rivals"] == dict.fromkeys(ROW[1:6]) | {"rmse": "damped biases"}
    found = {(each["model"], each["metric"]): list(each.values())[2:] for each in result["intervals"]}
    assert found["popularity", "mrr"] == [pytest.approx(1 / 3)] * 2 + [None] * 3
    assert found["damped biases", "rmse"][2:] == [0, 0, 0]
    assert list(comparison.verdicts(result)) == []


def test_the_table_ends_with_a_verdict_for_each_model_and_its_metrics(by_hand):
    lines = comparison.ladder_table(by_hand).caption.splitlines()[1:]
    assert lines == list(comparison.verdicts(by_hand))
    said = [(line.split(":")[0], line.split(", ")[-1]) for line in lines]
    assert said == [
        ("hit@10 of retrieval - EASE", "level"),  # bob's gain is 0
        ("rmse of ranking - damped biases", "worse"),
        ("hit@10 of multitask - EASE", "level"),
        ("rmse of multitask - damped biases", "better"),
    ]
    assert "-0.874, 95% [-2.000, -0.598], " in lines[-1]  # √(2/4) - √(10/4), 0 - 2, √(2/3) - √2


@pytest.mark.parametrize(
    ("metric", "gain", "word"),
    [
        ("hit@10", (0.1, 0.05, 0.2), "better"),
        ("hit@10", (-0.1, -0.2, -0.05), "worse"),
        ("hit@10", (0.1, -0.05, 0.2), "level"),
        ("hit@10", (-0.1, -0.2, 0.05), "level"),
        ("hit@10", (0.1, 0.0, 0.2), "level"),
        ("hit@10", (0.0, 0.0, 0.0), "level"),
        ("rmse", (-0.1, -0.2, -0.05), "better"),  # stars of error: fewer are better
        ("rmse", (0.1, 0.05, 0.2), "worse"),
        ("rmse", (-0.1, -0.2, 0.05), "level"),
        ("rmse", (-0.1, -0.2, 0.0), "level"),
    ],
)
def test_a_verdict_is_about_the_whole_interval(metric, gain, word):
    found = {"model": "multitask", "metric": metric} | dict(zip(["gain", "gain low", "gain high"], gain))
    [line] = comparison.verdicts({"intervals": [found], "rivals": {metric: "EASE"}})
    assert line.endswith(f", {word}")


@pytest.mark.usefixtures("fitted")
def test_the_generated_shop_has_an_oracle_as_its_last_row(small_shop):
    result = compare()
    assert [row["model"] for row in result["rows"]] == ["popularity", "damped biases", "oracle"]
    assert result["rows"][-1]["fit_seconds"] == 0
    assert None not in result["rows"][-1].values()
    assert result["split"] == "time"
    assert result["data"]["reviews"] == len(small_shop().reviews)


@pytest.mark.usefixtures("fitted")
def test_the_habit_shop_is_a_source_with_its_own_oracle(small_shop):
    result = compare("generated-habit", "--seed", 3)
    shop = small_shop(kind="habit", seed=3)
    parts = split_by_time(shop.reviews)
    truth = scoreboard({"oracle": Oracle(shop)}, *parts).loc["oracle"]
    assert result["data"]["source"] == "generated-habit"
    assert result["rows"][-1]["model"] == "oracle"
    assert {name: result["rows"][-1][name] for name in truth.index} == pytest.approx(truth.to_dict())


@pytest.mark.usefixtures("fitted")
def test_the_seed_is_that_of_the_generated_shop(small_shop):
    assert compare("generated", "--seed", 3)["data"]["reviews"] == len(small_shop(seed=3).reviews)
    assert len(small_shop(seed=3).reviews) != len(small_shop(seed=0).reviews)


@pytest.mark.usefixtures("fitted")
def test_the_table_shows_the_same_numbers(planted, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    result = invoke("compare", planted / "timed.csv", "--include-seen")
    assert result.exit_code == 0
    assert "10 reviews, 4 users, 3 products; time split, 2 held back" in result.stdout
    cells = {line.split("  ")[0].strip(" │┃"): line.split() for line in result.stdout.splitlines()}
    numbers = [cell for cell in cells["popularity"] if cell[0] in "0123456789–"]
    assert numbers == ["0.000", "1.000", "1.000", "0.500", "0.333", "–", "0.5"]


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["untimed.csv", "--split", "time"], "error: a split by time needs a 'timestamp' column"),
        (["untimed.csv", "--split", "last"], "error: a split by the last reviews needs a 'timestamp' column"),
        (["missing.csv"], "missing.csv doesn't exist"),
        (["empty.csv"], "empty.csv is empty (0 bytes)"),
    ],
)
def test_a_refusal_is_one_sentence_and_exit_code_2(planted, monkeypatch, arguments, sentence):
    monkeypatch.chdir(planted)
    (planted / "empty.csv").touch()
    result = invoke("compare", *arguments, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--split", "alphabetical"], ["--seed", "one"], ["--no-such-option"]])
def test_an_unknown_choice_is_exit_code_2(arguments):
    result = invoke("compare", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr


def test_files_are_not_prepared_with_the_last_review_of_each_user_held_back(planted):
    result = invoke("prepare", planted / "timed.csv", planted / "out", "--split", "last")
    assert result.exit_code == 2
    assert "--split" in result.stderr
    assert sorted(path.name for path in planted.iterdir()) == ["timed.csv", "untimed.csv"]


def test_nothing_is_fitted_before_the_data_is_known_good(planted, fitted):
    invoke("compare", planted / "untimed.csv", "--split", "time")
    assert fitted == []


def test_the_whole_ladder_on_a_file_like_movielens(tmp_path):
    rng = np.random.default_rng(1)
    pairs = rng.permutation(60 * 20)[:900]  # nobody rates a film twice
    table = pd.DataFrame({"userId": pairs // 20, "movieId": pairs % 20, "timestamp": 1_000_000_000 + np.arange(900)})
    likes = table["userId"] % 2 == table["movieId"] % 2
    table["rating"] = np.where(likes, rng.integers(4, 6, 900), rng.integers(1, 3, 900))
    table.to_csv(tmp_path / "ratings.csv", index=False)

    result = compare(tmp_path / "ratings.csv")
    rows = {row["model"]: row for row in result["rows"]}
    assert list(rows) == [name for name in NAMES if name != "iALS" or find_spec("implicit")]
    assert result["rivals"] == dict.fromkeys(ROW[1:6], "EASE") | {"rmse": "damped biases"}
    assert result["data"]["train"] == 720
    assert result["data"]["new_product_share"] == 0
    for name, row in rows.items():
        assert list(row) == ROW
        assert row["fit_seconds"] >= 0
        if name in ("damped biases", "ranking"):
            assert [row[metric] for metric in ROW[1:6]] == [None] * 5
        else:
            assert 0 <= row["hit@1"] <= row["ndcg@10"] <= row["hit@10"] <= row["hit@50"] == 1  # 20 films, all known
            assert row["hit@1"] <= row["mrr"]
            assert 1 / 20 <= row["mrr"] <= 1
        if name in ("damped biases", "ranking", "multitask"):
            assert 0.3 < row["rmse"] < 4  # half a star of noise is in the ratings; they lie between 1 and 5
        else:
            assert row["rmse"] is None


# The same reviews as a file of this kind has them, and what has to be said of it.
OTHERWISE = {
    "semicolons, decimal commas": (";", "5,0", "31.12.2020", "utf-8", ["--decimal", ",", "--dayfirst"]),
    "tabs, months first": ("\t", "5", "12/31/2020", "utf-8", ["--monthfirst"]),
    "no header": ("|", "5", "2020-12-31", "utf-8", ["--header", "who,what,stars,day"]),
    "no header, no names": (",", "5", "2020-12-31", "cp1252", ["--encoding", "cp1252", "--header", "no"]),
    "named separator": ("~", "5", "2020-12-31", "latin-1", ["--sep", "~", "--encoding", "latin-1"]),
}


def written(path, how):
    """Forty reviews; the last of the five numbers is that of their day."""
    sep, stars, day, encoding, options = OTHERWISE[how]
    head = [] if "--header" in options else [["who", "what", "stars", "day"]]
    rows = [[f"ü{n % 7}", f"p{n % 5}", stars.replace("5", str(1 + n % 5), 1), day] for n in range(40)]
    path.write_text("".join(sep.join(row) + "\n" for row in head + rows), encoding=encoding)
    names = ["0", "1", "2", "3"] if "no" in options else ["who", "what", "stars", "day"]
    columns = zip(names, ["user_id", "product_id", "rating", "timestamp"])
    return [*options, *(word for theirs, ours in columns for word in ("--column", f"{theirs}={ours}"))]


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize("how", OTHERWISE)
def test_compare_and_prepare_take_the_same_options(tmp_path, how):
    pytest.importorskip("duckdb")
    options = written(tmp_path / "a.csv", how)
    result = compare(tmp_path / "a.csv", *options, "--split", "random")
    assert (result["data"]["reviews"], result["data"]["users"], result["data"]["products"]) == (40, 7, 5)
    done = invoke("prepare", tmp_path / "a.csv", tmp_path / "out", *options, "--split", "random", "--shards", 1)
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (sum(manifest["rows"].values()), manifest["users"], manifest["products"]) == (40, 7, 5)
    test = pd.read_parquet(tmp_path / "out" / "test.parquet")
    assert set(test["timestamp"].dt.strftime("%Y-%m-%d")) == {"2020-12-31"}
    assert test["rating"].between(1, 5).all()


@pytest.mark.usefixtures("fitted")
def test_what_may_mean_not_rated_is_a_note_and_can_be_named(tmp_path):
    rows = "".join(f"u{n % 7},p{n % 5},{n % 5 - 1}\n" for n in range(40))
    (tmp_path / "a.csv").write_text("user_id,product_id,rating\n" + rows)
    noted = invoke("compare", tmp_path / "a.csv", "--json")
    assert noted.stderr.startswith(f"note: {tmp_path / 'a.csv'}: 8 of 40 ratings are -1, the others are from 0 to 3")
    named = invoke("compare", tmp_path / "a.csv", "--json", "--unrated", "-1")
    assert (named.exit_code, named.stderr) == (0, "")
    assert json.loads(named.stdout)["rows"][1]["rmse"] != json.loads(noted.stdout)["rows"][1]["rmse"]


def test_the_package_is_a_command_too():
    done = subprocess.run(
        [sys.executable, "-m", "recsys_teach", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"recsys-teach {recsys_teach.__version__}\n", "")


def test_a_missing_extra_is_named_with_what_to_type(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("user_id,product_id\nann,tent\nbob,wok\n")
    for name in [
        name for name in sys.modules if name in ("recsys_teach.scale.preparation", "recsys_teach.scale.stages")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = invoke("prepare", tmp_path / "a.csv", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == "error: prepare needs duckdb, which isn't installed: pip install 'recsys-teach[scale]'\n"


@pytest.mark.usefixtures("fitted")
def test_hits_that_are_missed_by_what_is_bought_again_are_called_that(tmp_path):
    rows = [("ann", "tent"), ("bob", "wok"), ("ann", "wok"), ("bob", "tent"), ("cy", "tent")] * 4
    table = pd.DataFrame(rows, columns=["user_id", "product_id"]).assign(rating=range(20), timestamp=range(20))
    table.to_csv(tmp_path / "a.csv", index=False)
    result = compare(tmp_path / "a.csv")
    assert result["rows"][0]["hit@10"] < 1
    caption = comparison.ladder_table(result).caption
    assert "hit@10 and hit@50 can only be missed by what is new or bought again: the models know 2." in caption
    assert "can't be missed" in comparison.ladder_table(compare(tmp_path / "a.csv", "--include-seen")).caption


def test_no_number_is_cut_in_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    numbers = pd.DataFrame(
        {f"metric {n}": [n + 0.125, 1.5] for n in range(8)}, index=["popularity", "rate since launch"]
    )
    comparison.show(comparison.scores_table(numbers))
    said = capsys.readouterr().out
    assert all(f"{n + 0.125:.3f}" in said and f"metric {n}" in said for n in range(8))
    assert "…" not in said


def test_a_seed_below_zero_is_refused_by_name():
    result = invoke("compare", "--seed", -1)
    assert result.exit_code == 2
    assert "--seed" in result.stderr
