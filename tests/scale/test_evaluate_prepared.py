"""Models trained on a prepared folder are judged as in memory, and the commands lead from files to an export."""

import json

import numpy as np
import pandas as pd
import pytest
from prepared import write_prepared
from typer.testing import CliRunner

from recsys_teach.backend import tf
from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.cli import commands
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import learn_vocabulary
from recsys_teach.files.amazon import write_amazon
from recsys_teach.ladder import Defaults, build_multitask
from recsys_teach.multitask import MultitaskModel
from recsys_teach.scale.batches import read_train
from recsys_teach.scale.distributed import Progress, evaluate_prepared, train_prepared
from recsys_teach.scale.preparation import prepare
from recsys_teach.serving import saved_model
from recsys_teach.serving.saved_model import fingerprint
from recsys_teach.shop import generate_shop
from recsys_teach.towers import ProductTower, UserTower


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("judge") / "shop"


@pytest.fixture(scope="module")
def parts(folder):
    reviews = generate_shop(users=120, products=40, seed=3).reviews
    return write_prepared(folder, reviews[["user_id", "product_id", "rating"]], part_rows=100)


def in_order(rows):
    return rows.sort_values(list(rows), kind="stable").reset_index(drop=True)


def test_the_training_rows_are_read_back(folder, parts):
    train, _ = parts
    pd.testing.assert_frame_equal(in_order(read_train(folder)), in_order(train), check_dtype=False)


def test_of_some_users_all_rows_are_read(folder, parts):
    train, _ = parts
    some = train["user_id"].unique()[:7]
    expected = train[train["user_id"].isin(some)]
    pd.testing.assert_frame_equal(in_order(read_train(folder, some)), in_order(expected), check_dtype=False)


@pytest.mark.parametrize("few", [True, False])
def test_as_categories_the_rows_are_the_same(folder, parts, few):
    some = [*parts[0]["user_id"].unique()[:7], "a stranger"] if few else None
    plain, categorical = read_train(folder, some), read_train(folder, some, categorical=True)
    assert [categorical[name].dtype.name for name in ("user_id", "product_id")] == ["category"] * 2
    assert categorical.astype(plain.dtypes).equals(plain)
    assert fingerprint(categorical) == fingerprint(plain)


def test_the_scoreboard_is_that_of_the_tables_in_memory(folder, parts):
    train, test = parts
    model = build_multitask(learn_vocabulary(train), Defaults(batch_size=32, unknown_user_dropout=0.1))
    model.ratings(test)  # makes all parameters
    everybody = {"popularity": Popularity(train), "damped biases": DampedBiases(train), "multitask": model}
    pd.testing.assert_frame_equal(evaluate_prepared(folder, model), scoreboard(everybody, train, test), rtol=1e-6)


def test_a_product_tower_of_ones_own_is_scored_by_its_call(folder, parts):
    class Squared(ProductTower):
        def call(self, features):
            return super().call(features) ** 2

    train, test = parts
    vocabulary = learn_vocabulary(train)
    tf.keras.utils.set_random_seed(0)
    model = MultitaskModel(UserTower(vocabulary), Squared(vocabulary), rating_weight=1.0, retrieval_weight=1.0)
    hits = evaluate_prepared(folder, model).loc["multitask"]
    pd.testing.assert_series_equal(hits, scoreboard({"multitask": model}, train, test).loc["multitask"])


def test_of_many_test_rows_some_are_judged(folder, parts):
    train, test = parts
    model = build_multitask(learn_vocabulary(train), Defaults(batch_size=32, unknown_user_dropout=0.1))
    board = evaluate_prepared(folder, model, rows=10, seed=7)
    some = test.iloc[np.sort(np.random.default_rng(7).permutation(len(test))[:10])]
    expected = scoreboard({"popularity": Popularity(train)}, train, some).loc["popularity"]
    pd.testing.assert_series_equal(board.loc["popularity"], expected)


def invoke(*arguments):
    return CliRunner().invoke(commands.app, [str(argument) for argument in arguments])


def test_purchases_without_stars_are_trained_and_judged(tmp_path):
    rows = "".join(f"u{n % 14},p{n % 10}\n" for n in range(600))
    (tmp_path / "a.csv").write_text("user_id,product_id\n" + rows)
    prepare(tmp_path / "a.csv", tmp_path / "folder", shards=1)
    model, losses = train_prepared(tmp_path / "folder", epochs=2, batch_size=64)
    assert losses["rating_loss"].tolist() == [0, 0]
    board = evaluate_prepared(tmp_path / "folder", model)
    assert list(board.index) == ["popularity", "multitask"]
    assert board["rmse"].isna().all()
    assert board["mrr"].notna().all()


def test_from_a_file_to_an_export(tmp_path):
    reviews = generate_shop(users=120, products=40, seed=3).reviews
    write_amazon(reviews, tmp_path / "reviews.jsonl.gz")
    prepared = invoke("prepare", tmp_path / "reviews.jsonl.gz", tmp_path / "shop", "--split", "random", "--shards", "2")
    assert prepared.exit_code == 0, prepared.output
    rows = json.loads((tmp_path / "shop" / "manifest.json").read_text())["rows"]
    assert sum(rows.values()) == len(reviews)
    assert f"{rows['train']:,} for train" in prepared.output

    trained = invoke("train", tmp_path / "shop", "--epochs", "2", "--batch-size", "64", "--export", tmp_path / "models")
    assert trained.exit_code == 0, trained.output
    for name in ("retrieval_loss", "popularity", "damped biases", "multitask"):
        assert name in trained.output
    recommend = tf.saved_model.load(str(tmp_path / "models" / "1")).signatures["serving_default"]
    train = read_train(tmp_path / "shop")
    user = train["user_id"].iloc[0]
    answer = recommend(user_id=tf.constant([user]), k=tf.constant(40))["product_id"].numpy().astype(str)[0]
    unseen = set(train["product_id"]) - set(train.loc[train["user_id"] == user, "product_id"])
    assert set(answer[answer != ""]) == unseen


def test_what_stops_the_export_costs_no_training(folder, parts, tmp_path, monkeypatch):
    epochs, told = [], Progress.on_epoch_end
    monkeypatch.setattr(Progress, "on_epoch_end", lambda *its: (epochs.append(its[1]), told(*its)))

    def train(name):
        places = "--checkpoints", tmp_path / "checkpoints", "--export", tmp_path / name
        return invoke("train", folder, "--epochs", "2", "--batch-size", "32", *places)

    whole = train("whole")
    assert whole.exit_code == 0, whole.output
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "_numbered", interrupt)
        assert train("stopped").exit_code != 0
    assert list((tmp_path / "stopped").iterdir()) == []
    assert epochs == [0, 1, 0, 1]

    again = train("stopped")
    assert again.exit_code == 0, again.output
    assert epochs == [0, 1, 0, 1]
    assert "retrieval_loss" not in again.output
    assert next(line for line in again.output.splitlines() if "multitask" in line) in whole.output
    asked = {"user_id": tf.constant(parts[0]["user_id"].unique()), "k": tf.constant(40)}
    models = [tf.saved_model.load(str(tmp_path / name / "1")) for name in ("stopped", "whole")]
    ours, theirs = (model.signatures["serving_default"](**asked)["score"] for model in models)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("prepare", "nothing.jsonl", "out"), "error: nothing.jsonl doesn't exist"),
        (("train", "nothing"), "manifest.json doesn't exist, so nothing isn't a prepared folder"),
    ],
)
def test_a_refusal_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    refused = invoke(*arguments)
    assert refused.exit_code == 2
    assert sentence in refused.output
    assert "Traceback" not in refused.output
    assert list(tmp_path.iterdir()) == []
