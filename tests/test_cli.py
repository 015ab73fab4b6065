"""`recsys-teach compare`: its JSON, choices and refusals; but for one test with the baselines only."""

import functools
import json
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import recsys_teach
from recsys_teach import cli
from recsys_teach import compare as comparison
from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.data import load_reviews
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random, split_by_time

ROW = ["model", "hit@1", "hit@10", "hit@50", "ndcg@10", "mrr", "rmse", "fit_seconds"]


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


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
