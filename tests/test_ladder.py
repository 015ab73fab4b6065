import pandas as pd
import pytest

from recsys_teach import ladder
from recsys_teach.baselines import Oracle
from recsys_teach.scoreboard import scoreboard
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random

SHOP = generate_shop(users=400, products=120, seed=5)
SPLIT = split_at_random(SHOP.reviews, seed=5)


@pytest.fixture(scope="module")
def board() -> pd.DataFrame:
    recommenders, seconds = ladder.fit_ladder(SPLIT.train, seed=0)
    assert list(seconds) == list(recommenders)
    return scoreboard(recommenders | {"oracle": Oracle(SHOP)}, *SPLIT)


def test_the_ladder_has_its_rungs_in_order(board):
    models = ["popularity", "damped biases", "textbook retrieval", "retrieval", "ranking", "multitask", "oracle"]
    assert list(board.index) == models


def test_the_textbook_is_below_the_floor_and_the_corrected_models_above_it(board):
    hits = board["hit@10"]
    assert hits["textbook retrieval"] < hits["popularity"] < hits["retrieval"]
    assert hits["popularity"] < hits["multitask"]


def test_nothing_beats_the_truth(board):
    models = board.drop("oracle")
    assert (models["hit@10"].dropna() < board.loc["oracle", "hit@10"]).all()
    assert (models["rmse"].dropna() > board.loc["oracle", "rmse"]).all()


def test_ratings_are_better_than_damped_biases(board):
    assert board.loc["ranking", "rmse"] < board.loc["damped biases", "rmse"]
    assert board.loc["multitask", "rmse"] < board.loc["ranking", "rmse"]
