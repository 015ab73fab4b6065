"""`recsys-teach compare`: its JSON, choices and refusals; but for one test with the baselines only."""

import functools
import json
import subprocess
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import recsys_teach
from recsys_teach.baselines import DampedBiases, Oracle, Popularity
from recsys_teach.cli import commands
from recsys_teach.cli import comparison as comparison
from recsys_teach.evaluation import scoreboard
from recsys_teach.files.loading import load_reviews
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random, split_by_time

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

    def fit_ladder(train, *, seed=0, split):
        calls.append((train, seed, split))
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
    assert {"data", "split", "seed", "rows"} <= set(result)
    promised = {
        **{"reviews": 10, "users": 4, "products": 3, "train": 8, "test": 2, "candidates": 3},
        **{"new_user_share": 0.0, "new_product_share": 0.0},
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
    compare(planted / "timed.csv", "--seed", 5)
    [(train, seed, _)] = fitted
    assert seed == 5
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
    [(train, _, split)] = fitted
    for ours, theirs in (
        (train, expected(load_reviews(planted / "timed.csv")).train),
        *zip(split(train, test_share=0.25), expected(train, test_share=0.25)),
    ):
        pd.testing.assert_frame_equal(ours, theirs)


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
    names = ["popularity", "damped biases", "textbook retrieval", "retrieval", "ranking", "multitask"]
    rows = {row["model"]: row for row in result["rows"]}
    assert list(rows) == names
    assert result["data"]["train"] == 720
    assert result["data"]["new_product_share"] == 0
    for name, row in rows.items():
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
