"""A sweep's numbers, worked out by hand, and its way to a file and back."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach.scoreboard import scoreboard
from recsys_teach.sweep import Factors, Sweep, assemble_sweep

TRAIN = pd.DataFrame(
    {"user_id": list("aabbc"), "product_id": list("xyxzy"), "rating": [5.0, 3.0, 4.0, 2.0, 1.0]},
)
TEST = pd.DataFrame({"user_id": ["a", "b", "d"], "product_id": list("zyx"), "rating": [4.0, 3.0, 5.0]})
USERS = np.array([[0.0, 0.0], [1.0, 0.5], [2.0, -0.5], [-1.0, 0.0]])  # unknown, a, b, c: u and b_u
PRODUCTS = np.array([[9.0, 0.0, 0.0], [1.0, 0.1, 0.0], [2.0, 0.2, 0.5], [3.0, 0.3, -4.0]])  # unknown, x, y, z


def sweep(scale=1.0):
    names = {"users": list("abc"), "products": list("xyz"), "train": TRAIN, "test": TEST}
    weights = np.array([(1.0, 0.0), (0.5, 1.0)])
    return assemble_sweep(
        weights, np.stack([USERS, scale * USERS]), np.stack([PRODUCTS] * 2), mean=3.0, taste=0.5, **names
    )


def test_scores_and_stars_by_hand():
    factors = Factors(list("abc"), list("xyz"), USERS, PRODUCTS, 3.0, 0.5)
    assert factors.scores(TEST).tolist() == [[1.0, 2.5, -1.0], [2.0, 4.5, 2.0], [0.0, 0.5, -4.0]]
    # a, z: 3 + .5 + .3 + .5 · 3; b, y: 3 - .5 + .2 + .5 · 4; the stranger d, x: 3 + 0 + .1, no taste
    assert factors.ratings(TEST) == pytest.approx([5.3, 4.7, 3.1])
    assert factors.ratings(pd.DataFrame({"user_id": ["a"], "product_id": ["new"]})) == pytest.approx([3.5])


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
    both = sweep().joined(sweep(scale=2.0))
    assert both.weights.tolist() == [[1, 0], [0.5, 1], [1, 0], [0.5, 1]]
    assert (both.user_tables[3] == 2 * USERS).all()
    assert len(both.board) == 4


def test_what_was_saved_comes_back(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("older")
    own = sweep()
    own.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    again = Sweep.load(path)
    for name in ("weights", "user_tables", "product_tables", "bought", "bought_later"):
        assert (getattr(again, name) == getattr(own, name)).all()
    for name in ("board", "baselines", "catalogue"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(own, name), check_dtype=False)
    assert (again.users, again.mean, again.taste) == (own.users, 3.0, 0.5)


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
