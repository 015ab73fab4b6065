"""Floor 6: how good is a model that was trained on a prepared folder? The scoreboard, on some of its test rows."""

import os
from pathlib import Path

import pandas as pd

from recsys_teach.baselines import Popularity
from recsys_teach.multitask import MultitaskModel
from recsys_teach.schema import USER
from recsys_teach.scoreboard import scoreboard
from recsys_teach.stream import read_train, read_vocabulary


def judge(folder: str | os.PathLike, model: MultitaskModel, *, rows: int = 20_000, seed: int = 0) -> pd.DataFrame:
    """The scoreboard of the two baselines and the model on the test rows, on `rows` random ones if there are more.

    Of the training rows, only those of the users who are asked about are held in memory: what they bought already.
    """
    vocabulary = read_vocabulary(folder)
    test = pd.read_parquet(Path(folder) / "test.parquet")
    if len(test) > rows:
        test = test.sample(rows, random_state=seed).reset_index(drop=True)
    recommenders = {
        "popularity": Popularity.known(vocabulary.products, vocabulary.product_counts),
        "damped biases": vocabulary.biases,
        "multitask": model,
    }
    return scoreboard(recommenders, read_train(folder, test[USER].unique()), test)
