"""A sweep's numbers, worked out by hand, and its way to a file and back."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from full_disk import full_disk

import recsys_teach
from recsys_teach.evaluation import scoreboard
from recsys_teach.lab.sweep import ARRAYS, FORMAT, Factors, Sweep, assemble_sweep, name_of_pair

TRAIN = pd.DataFrame(
    {"user_id": list("aabbc"), "product_id": list("xyxzy"), "rating": [5.0, 3.0, 4.0, 2.0, 1.0]},
)
TEST = pd.DataFrame({"user_id": ["a", "b", "d"], "product_id": list("zyx"), "rating": [4.0, 3.0, 5.0]})
USERS = np.array([[0.0, 0.0], [1.0, 0.5], [2.0, -0.5], [-1.0, 0.0]])  # unknown, a, b, c: u and b_u
PRODUCTS = np.array([[9.0, 0.0, 0.0], [1.0, 0.1, 0.0], [2.0, 0.2, 0.5], [3.0, 0.3, -4.0]])  # unknown, x, y, z


def sweep(scale=1.0, train=TRAIN, **more):
    names = {"users": list("abc"), "products": list("xyz"), "train": train, "test": TEST} | more
    weights = np.array([(1.0, 0.0), (0.5, 1.0)])
    return assemble_sweep(
        weights, np.stack([USERS, scale * USERS]), np.stack([PRODUCTS] * 2), np.full((2, 1), 0.5), mean=3.0, **names
    )


def test_scores_and_stars_by_hand():
    factors = Factors(list("abc"), list("xyz"), USERS, PRODUCTS, np.array([0.5]), 3.0)
    assert factors.scores(TEST).tolist() == [[1.0, 2.5, -1.0], [2.0, 4.5, 2.0], [0.0, 0.5, -4.0]]
    # a, z: 3 + .5 + .3 + .5 · 3; b, y: 3 - .5 + .2 + .5 · 4; the stranger d, x: 3 + 0 + .1, no taste
    assert factors.ratings(TEST) == pytest.approx([5.3, 4.7, 3.1])
    assert factors.ratings(pd.DataFrame({"user_id": ["a"], "product_id": ["new"]})) == pytest.approx([3.5])


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
    own = sweep(scale=-1.0)
    assert list(own.board.index) == ["rating only", "0.5 : 1"]
    for pair in range(2):
        alone = scoreboard({"one": own.recommender(pair)}, TRAIN, TEST).loc["one"]
        assert own.board.iloc[pair].to_dict() == alone.to_dict()
    assert own.ceiling is None
    assert own.floor["rmse"] == own.baselines.loc["damped biases", "rmse"]
    assert own.floor["hit@1"] == own.baselines.loc["popularity", "hit@1"]


def test_titles_are_product_ids_where_there_are_none():
    assert list(sweep().catalogue["title"]) == ["x", "y", "z"]
    assert sweep().bought.tolist() == [[1, 1], [1, 2], [2, 1], [2, 3], [3, 2]]
    assert sweep().bought_later.tolist() == [[1, 3], [2, 2], [0, 1]]


def test_joined_puts_the_other_pairs_last():
    other = sweep(scale=2.0)
    both = sweep().joined(replace(other, weights=2 * other.weights))
    assert both.weights.tolist() == [[1, 0], [0.5, 1], [2, 0], [1, 2]]
    assert (both.user_tables[3] == 2 * USERS).all()
    assert len(both.board) == 4


def test_what_was_saved_comes_back(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("older")
    own = sweep()
    own.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    again = Sweep.load(path)
    for name in ("weights", "user_tables", "product_tables", "tastes", "bought", "bought_later"):
        assert (getattr(again, name) == getattr(own, name)).all()
    for name in ("board", "baselines", "catalogue"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(own, name), check_dtype=False)
    assert (again.users, again.mean) == (own.users, 3.0)


@pytest.mark.parametrize("content", [b"not a sweep", b"", b"PK truncated"])
def test_another_file_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is no sweep that this version can read"):
        Sweep.load(tmp_path / "a.npz")


def test_other_arrays_and_missing_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="is no sweep that this version can read"):
        Sweep.load(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Sweep.load(tmp_path / "missing.npz")


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


def test_a_product_is_called_what_the_first_row_with_a_title_calls_it():
    texts = {"title": ["", "Y", "X", None, "other"], "category": ["", "c", "d", None, "e"]}
    catalogue = sweep(train=TRAIN.assign(**texts)).catalogue
    assert catalogue.to_numpy().tolist() == [["x", "X", "d"], ["y", "Y", "c"], ["z", "z", ""]]


def test_purchases_are_in_order_of_time():
    days = pd.to_datetime(["2023-01-05", "2023-01-01", "2023-01-02", "2023-01-01", "2023-01-03"])
    bought = sweep(train=TRAIN.assign(timestamp=days)).bought
    assert bought.tolist() == [[1, 2], [2, 3], [2, 1], [3, 2], [1, 1]]


@pytest.mark.parametrize(
    "other",
    [
        {"users": list("abz")},
        {"catalogue": sweep().catalogue.assign(title="?")},
        {"bought": sweep().bought[::-1]},
        {"bought_later": sweep().bought_later[:1]},
        {"mean": 2.0},
    ],
    ids=lambda other: next(iter(other)),
)
def test_sweeps_on_other_rows_are_not_joined(other):
    with pytest.raises(ValueError, match="only sweeps on the same rows can be joined"):
        sweep().joined(replace(sweep(), **other))


@pytest.mark.parametrize("facts", ["[1]", "{}", json.dumps({"format": FORMAT}), json.dumps({"format": "another"})])
def test_facts_that_are_not_a_sweeps_are_refused(tmp_path, facts):
    np.savez(tmp_path / "a.npz", json=np.array(facts), **dict.fromkeys(ARRAYS, np.zeros(1)))
    with pytest.raises(ValueError, match="is no sweep that this version can read"):
        Sweep.load(tmp_path / "a.npz")


def test_a_file_that_is_cut_short_or_damaged_or_one_array_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    sweep().save(path)
    whole = path.read_bytes()
    start = whole.index(b"user_tables.npy") + 60  # within the compressed array
    damaged = whole[:start] + bytes(byte ^ 0x55 for byte in whole[start : start + 20]) + whole[start + 20 :]
    np.save(tmp_path / "array.npy", np.zeros(3))
    for content in (whole[:-1], whole[: len(whole) // 2], whole[:10], damaged, (tmp_path / "array.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no sweep that this version can read"):
            Sweep.load(path)


def test_the_file_is_without_pickle_and_a_failed_save_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.npz"
    sweep().save(path)
    with np.load(path, allow_pickle=False) as file:
        assert {name: file[name].dtype.kind for name in file} == {**dict.fromkeys(ARRAYS, "f"), "json": "U"} | {
            "bought": "i",
            "bought_later": "i",
        }
    before = path.read_bytes()
    with pytest.raises(TypeError):
        replace(sweep(), users=[object()]).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_old_file_and_with_more_room_it_is_replaced(tmp_path):
    path = tmp_path / "a.npz"
    sweep().save(path)
    before = path.read_bytes()
    with full_disk(after=1000), pytest.raises(OSError, match=r"a\.npz can't be written \(File too large\): make room"):
        sweep(scale=2.0).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    assert path.read_bytes() == before
    sweep(scale=2.0).save(path)
    assert (Sweep.load(path).user_tables[1] == 2 * USERS).all()


KILLED = """
import os, signal, sys
import numpy as np
from test_sweep import sweep

def half(file, **arrays):
    file.write(b"PK, and then")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

np.savez_compressed = half
sweep(scale=2.0).save(sys.argv[1])
"""


def test_a_process_that_is_killed_while_it_saves_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npz"
    sweep().save(path)
    here = Path(__file__).parent
    places = os.pathsep.join(map(str, (here, here.parent, Path(recsys_teach.__file__).parents[1])))
    died = subprocess.run([sys.executable, "-c", KILLED, str(path)], env={**os.environ, "PYTHONPATH": places})
    assert died.returncode == -signal.SIGKILL
    assert (Sweep.load(path).user_tables[1] == USERS).all()
    sweep(scale=2.0).save(path)
    assert (Sweep.load(path).user_tables[1] == 2 * USERS).all()


def test_names_of_pairs():
    pairs = [(3, 0), (0, 0.1), (1 / 8, 1), (0.25, 1), (0.123456, 2), (1000, 1 / 256)]
    names = ["rating only", "retrieval only", "1/8 : 1", "0.25 : 1", "0.1235 : 2", "1000 : 1/256"]
    assert [name_of_pair(*pair) for pair in pairs] == names


def changed(path, facts, arrays):
    """Save a sweep with other facts and arrays in it."""
    sweep().save(path)
    with np.load(path) as file:
        content, saved = json.loads(str(file["json"])), {name: file[name] for name in ARRAYS}
    np.savez(path, json=np.array(json.dumps(content | facts)), **(saved | arrays))


@pytest.mark.parametrize(
    ("facts", "arrays"),
    [
        ({"format": "recsys-teach sweep 1"}, {}),
        ({"extra": 1}, {}),
        ({"users": list("ab")}, {}),
        ({"catalogue": []}, {}),
        ({}, {"weights": np.ones((2, 3))}),
        ({}, {"weights": np.zeros((0, 2))}),
        ({}, {"weights": np.array([["<b>", "1"]] * 2)}),
        ({}, {"user_tables": USERS}),
        ({}, {"product_tables": np.stack([PRODUCTS[:, :2]] * 2)}),
        ({}, {"product_tables": np.stack([PRODUCTS[1:]] * 2)}),
        ({}, {"bought": np.ones((5, 3), int)}),
    ],
)
def test_a_file_of_another_version_or_with_other_shapes_is_refused(tmp_path, facts, arrays):
    changed(tmp_path / "a.npz", facts, arrays)
    with pytest.raises(ValueError, match="is no sweep that this version can read"):
        Sweep.load(tmp_path / "a.npz")


def test_a_folder_is_no_file_of_a_sweep(tmp_path):
    with pytest.raises(OSError, match=r"can't be read \(Is a directory\): name a file"):
        Sweep.load(tmp_path)


def test_a_file_that_was_rewritten_as_it_was_is_read(tmp_path):
    changed(tmp_path / "a.npz", {"mean": 3}, {"bought_later": np.array([[0, 0], [3, 3]])})
    assert Sweep.load(tmp_path / "a.npz").mean == 3.0
