"""Tricky but valid reviews all the way: file, split, vocabularies, every model, and what `compare` says of them."""

import json
import math
import random
import unicodedata
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_teach import ladder
from recsys_teach.cli.comparison import compare, ladder_table
from recsys_teach.features import learn_vocabulary, string_tensors
from recsys_teach.files.loading import load_reviews
from recsys_teach.ladder import Defaults
from recsys_teach.splits import split_at_random
from recsys_teach.towers import ProductTower, UserTower

pytestmark = pytest.mark.slow

# Each of them is somebody of their own, to whom another one is similar.
TRICKY = [
    *("ann", "Ann", "ANN", " ann", "ann ", "ann\t", "ann\u200b", "\ufeffann"),
    *("Zo\u00eb", "Zoe\u0308", "7", "007", "7.0", "7e0", "NA", "nan", "null", "None", "[UNK]", "[MASK]", "-1", "0"),
    *("👩‍👩‍👧", "👩👩👧", "قط", "חתול", "a,b", 'a"b', "a\nb", "a\r\nb", "a;b", "=1+1", "x" * 5_000, "x" * 4_999),
]
PRODUCTS = TRICKY[:10]

# Of those without times; iALS needs a library that may be missing.
OF_PURCHASES = ["popularity", "ItemKNN", "EASE", *(["iALS"] if find_spec("implicit") else [])]
OF_PURCHASES += ["textbook retrieval", "retrieval"]
QUICK = Defaults(batch_size=64, unknown_user_dropout=0.1, max_epochs=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Every user has bought each of ten products, and found all of them good, and half of them very good."""
    path = tmp_path_factory.mktemp("inputs") / "tricky.jsonl"
    rated = list(enumerate(PRODUCTS))
    pairs = [{"user_id": user, "product_id": product, "rating": 4 + n % 2} for user in TRICKY for n, product in rated]
    random.Random(0).shuffle(pairs)
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def result(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ladder, "choose_defaults", lambda *_: Defaults(batch_size=64, unknown_user_dropout=0.1, max_epochs=1)
        )
        return compare(str(path), split=None, seed=0, exclude_seen=False)


def test_similar_ids_stay_different_ones(path):
    assert len({unicodedata.normalize("NFKC", user).strip().casefold() for user in TRICKY}) < len(set(TRICKY))
    reviews = load_reviews(path)
    assert set(reviews["user_id"]) == set(TRICKY)
    vocabulary = learn_vocabulary(reviews)
    assert vocabulary.users == sorted(TRICKY)
    assert vocabulary.user_counts.tolist() == [10] * len(TRICKY)
    tower = UserTower(vocabulary)
    ids = tower.preprocess(string_tensors(reviews, ["user_id"]))["user_id"].numpy()
    assert [vocabulary.users[number - 1] for number in ids] == reviews["user_id"].tolist()
    assert len({tuple(vector) for vector in tower(string_tensors(reviews, ["user_id"])).numpy()}) == len(TRICKY)


def test_every_model_takes_them_and_gives_finite_numbers(result):
    assert result["data"] | {"source": ""} == {
        **{"source": "", "reviews": 340, "users": 34, "products": 10, "train": 272, "test": 68, "candidates": 10},
        **{"new_user_share": 0, "new_product_share": 0, "seen_share": 0, "stars": True},
    }
    names = [OF_PURCHASES[0], "damped biases", *OF_PURCHASES[1:], "ranking", "multitask"]
    assert [row["model"] for row in result["rows"]] == names
    for row in result["rows"]:
        assert all(value is None or math.isfinite(value) for name, value in row.items() if name != "model")


@pytest.mark.parametrize("ratings", [{"rating": 4}, {}], ids=["all the same", "none"])
def test_purchases_are_judged_without_stars(tmp_path, ratings):
    rows = [{"user_id": f"u{n % 9}", "product_id": f"p{n % 5}"} | ratings for n in range(90)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ladder, "choose_defaults", lambda *_: Defaults(batch_size=64, unknown_user_dropout=0.1, max_epochs=1)
        )
        result = compare(str(tmp_path / "a.jsonl"), split=None, seed=0, exclude_seen=False)
    assert [row["model"] for row in result["rows"]] == OF_PURCHASES
    assert all(row["rmse"] is None and row["hit@10"] == 1 for row in result["rows"])
    assert result["data"]["stars"] is False
    assert "These are purchases" in ladder_table(result).caption


def test_ten_products_are_all_hit_among_ten_and_the_table_says_so(result):
    scored = [row for row in result["rows"] if row["mrr"] is not None]
    assert len(scored) == len(OF_PURCHASES) + 1
    for row in scored:
        assert row["hit@10"] == row["hit@50"] == 1
        assert row["hit@1"] < 1
    assert "hit@10 and hit@50 can't be missed by a known product" in ladder_table(result).caption


IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)


@settings(derandomize=True, deadline=None, database=None, max_examples=20)
@given(users=st.lists(IDS, min_size=3, max_size=12, unique=True), seed=st.integers(0, 9))
def test_strings_become_ids_and_come_back_and_strangers_become_0(users, seed):
    reviews = pd.DataFrame({"user_id": users * 2, "product_id": [*users[::-1], *users], "rating": 3.0})
    train, test = split_at_random(reviews, test_share=0.6, seed=seed)
    vocabulary = learn_vocabulary(train)
    for column, tower, known in (
        ("user_id", UserTower(vocabulary, dim=1), vocabulary.users),
        ("product_id", ProductTower(vocabulary, dim=1), vocabulary.products),
    ):
        assert known == sorted(set(train[column]))
        for part in (train, test):
            ids = tower.preprocess(string_tensors(part, [column]))[column].numpy()
            back = np.array(["", *known], dtype=object)[ids]
            assert back.tolist() == [text if text in set(train[column]) else "" for text in part[column]]
