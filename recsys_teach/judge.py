"""Layer 6: how good is a model that was trained on a prepared folder? The scoreboard, on some of its test rows."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_teach.baselines import Popularity
from recsys_teach.features import strings
from recsys_teach.multitask import MultitaskModel
from recsys_teach.schema import RATING, USER
from recsys_teach.scoreboard import scoreboard
from recsys_teach.stream import read_train, read_vocabulary


def judge(folder: str | os.PathLike, model: MultitaskModel, *, rows: int = 20_000, seed: int = 0) -> pd.DataFrame:
    """The scoreboard of the two baselines and the model on the test rows, on `rows` random ones if there are more.

    Of purchases that nobody rated there is no row of damped biases, and no error in stars.

    Of the training rows, only those of the users who are asked about are held in memory: what they bought already.
    """
    vocabulary = read_vocabulary(folder)
    test = _sample(Path(folder) / "test.parquet", rows, seed)
    recommenders: dict[str, Any] = {
        "popularity": Popularity.known(vocabulary.products, vocabulary.product_counts),
        "damped biases": vocabulary.biases,
        "multitask": _Fixed(model),
    }
    if not test[RATING].notna().any():
        del recommenders["damped biases"]
        test = test.drop(columns=RATING)
    board = scoreboard(recommenders, read_train(folder, test[USER].unique()), test)
    board.attrs = {}  # shares of what is new, as those few training rows would have it
    return board


def _sample(path: Path, rows: int, seed: int) -> pd.DataFrame:
    """Some rows of a file, in its order, a piece of it in memory at a time."""
    file = pq.ParquetFile(path)
    count = file.metadata.num_rows
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:rows])
    parts, start = [], 0
    for batch in file.iter_batches():
        here = chosen[(chosen >= start) & (chosen < start + len(batch))] - start
        parts.append(batch.take(pa.array(here)).to_pandas())
        start += len(batch)
    return pd.concat(parts, ignore_index=True)


class _Fixed:
    """The model with the vectors of its products worked out once, not for every block of rows that is judged."""

    def __init__(self, model: MultitaskModel):
        self.products, self.ratings, self._model = model.products, model.ratings, model
        catalogue = model.product_tower.catalogue
        self._candidates = model.retrieval.candidates(model.product_tower.embed(catalogue), catalogue).numpy().T

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        tower = self._model.user_tower
        return self._model.retrieval.queries(tower(strings(reviews, tower.columns))).numpy() @ self._candidates
