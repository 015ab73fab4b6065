"""The code of docs/from-tfrs.md and of the README runs, and the models come out as they say."""

import re
from pathlib import Path

import pytest

from recsys_teach import load_reviews, scoreboard
from recsys_teach.backend import tfrs
from recsys_teach.files.downloads import movielens_sample

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "from-tfrs.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
CODE = [text for language, text in FENCED if language == "python"]
(TABLE,) = [text for language, text in FENCED if not language]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the page's code defines."""
    try:
        movielens_sample()
    except (OSError, ValueError) as error:
        pytest.skip(str(error))
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for block in CODE:
            exec(block, names)
        names["exported"] = [path.name for path in Path("shelf").iterdir()]
    return names


def test_its_table_is_what_comes_out(found):
    rows = [line.split() for line in TABLE.splitlines()[1:]]
    stored = {name: [float(number) for number in numbers] for name, *numbers in rows}
    board = found["board"].round(3)
    assert list(stored) == list(board.index)
    for name, numbers in stored.items():
        room = 0.0005 if name in ("popularity", "EASE") else 0.005  # training differs from machine to machine
        columns = ["hit@10", "ndcg@10", "hit@10 gain", "hit@10 gain low", "hit@10 gain high"]
        assert board.loc[name, columns].tolist() == pytest.approx(numbers, abs=room)


def test_the_tutorials_model_loses_to_popularity_and_the_repaired_one_wins(found):
    assert found["board"].loc["tutorial", "hit@10 gain high"] < 0 < found["board"].loc["repaired", "hit@10 gain low"]


def test_among_all_films_the_repaired_model_is_level_with_popularity(found):
    some = {name: found["recommenders"][name] for name in ("popularity", "repaired")}
    rows = found["train"], found["test"]
    board = scoreboard(some, *rows, k=(10,), exclude_seen=False, against="popularity")
    assert board.loc["repaired", "hit@10 gain low"] < 0 < board.loc["repaired", "hit@10 gain high"]


def test_the_model_of_stars_beats_damped_biases(found):
    assert found["errors"].loc["stars", "rmse gain high"] < 0
    assert not hasattr(found["stars"], "scores")


def test_titles_the_lab_and_the_export_work(found):
    assert found["by_title"].scores(found["test"].head(2)).shape == (2, len(found["movies"]))
    assert found["lab"].sweep.board[["hit@10", "rmse"]].notna().any(axis=1).all()
    assert found["exported"] == ["1"]
    assert found["answer"]["product_id"].shape == (1, 10)


def test_the_readme_puts_a_model_of_titles_on_the_scoreboard(found):
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    titles = sorted(load_reviews("movielens")["title"].unique())

    class Titles(tfrs.Model):
        def __init__(self):
            super().__init__()
            self.user_model, self.movie_model = found["embedding"](found["users"]), found["embedding"](titles)
            self.task = tfrs.tasks.Retrieval()

        def compute_loss(self, features, training=False):
            return self.task(self.user_model(features["user_id"]), self.movie_model(features["movie_title"]))

    names = {"model": Titles()}
    exec(code, names)
    hits = names["board"]["hit@10"]
    assert 0.01 < hits["mine"] < hits["popularity"] < hits["EASE"]
