"""Batches from a prepared folder, for training rows that don't fit into memory.

A prepared folder holds the training rows as ids, in random order, divided into shards, each shard cut into parts:
`train/SS-PPPP.parquet`. One part of every shard is in memory at a time. A batch takes the same number of rows from each
shard. Several processes that train together divide the shards among them, so that their shares of a batch together are
the batch of one process alone.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from recsys_teach._util import progress_bar
from recsys_teach.backend import tf
from recsys_teach.baselines import DampedBiases
from recsys_teach.features import Ids, Vocabulary
from recsys_teach.scale.prepared_folder import parquet_rows, read_manifest, shard_parts
from recsys_teach.schema import PRODUCT, RATING, USER

TABLES = {USER: "users", PRODUCT: "products"}
DTYPES = {USER: np.int64, PRODUCT: np.int64, RATING: np.float32}
AS_TAKEN = tf.data.Options()
AS_TAKEN.experimental_optimization.inject_prefetch = False  # or TensorFlow may read ahead of the consumer
BLOCK = 65_536  # rows that are handed to TensorFlow at once, more or less: a call costs as much as 1,000 rows

Rows = dict[str, np.ndarray]  # a column each, [rows]


def read_vocabulary(folder: str | os.PathLike) -> Vocabulary:
    """Return the vocabulary of the training rows of a prepared folder, as `learn_vocabulary` does, without words."""
    manifest = read_manifest(folder)
    users, products = (_ids(Path(folder) / f"{name}.parquet", manifest[name]) for name in ("users", "products"))
    biases = DampedBiases.from_biases(
        mean=manifest["mean_rating"],
        user_bias=users["bias"],
        product_bias=products["bias"],
        damping=manifest["damping"],
    )
    return Vocabulary(
        users=list(users.index),
        user_counts=users["count"].to_numpy(),
        products=list(products.index),
        product_counts=products["count"].to_numpy(),
        biases=biases,
        rating_spread=max(manifest["rating_spread"], 0.001),
        titles=[""] * len(products),
    )


def _ids(path: Path, rows: int) -> pd.DataFrame:
    """Return `count` and `bias` of each user or product by id, in the order of the row numbers."""
    parquet_rows(path, rows)
    table = pq.read_table(path)
    return table.select(["count", "bias"]).to_pandas().set_axis(pd.Index(table[0].to_pylist(), dtype=object))


def read_train(
    folder: str | os.PathLike, users: Iterable[str] | None = None, *, categorical: bool = False
) -> pd.DataFrame:
    """Return the training rows of a prepared folder as a reviews table, in random order; of these users, or of all.

    The table must fit into memory. With `categorical`, its ids are pandas' categories: the same texts, but a row
    takes 4 bytes of each, and a look-up of all rows is one of each category.
    """
    manifest = read_manifest(folder)
    names = {column: _names(Path(folder) / f"{name}.parquet", manifest[name]) for column, name in TABLES.items()}
    wanted = np.full(1 + len(names[USER]), users is None)  # by id
    if users is not None:
        known = names[USER].get_indexer(pd.Index(list(users)))
        wanted[1 + known[known >= 0]] = True
    files, rows = shard_parts(folder)
    numbers, done = {name: np.empty(sum(rows), np.int32) for name in TABLES}, 0  # what stays empty takes no memory
    ratings = np.empty(sum(rows))
    for file in progress_bar([*itertools.chain(*files)], desc="reading training rows", unit=" parts"):
        table = pq.read_table(file, columns=list(DTYPES))
        chosen = wanted[table[USER].to_numpy()]
        here = slice(done, done + np.count_nonzero(chosen))
        for column, places in numbers.items():
            places[here] = table[column].to_numpy()[chosen] - 1
        ratings[here] = table[RATING].to_numpy()[chosen]
        done = here.stop
    columns: dict[str, Any] = {}
    for column, strings in names.items():
        places = numbers[column][:done]
        columns[column] = pd.Categorical.from_codes(places, strings) if categorical else strings.take(places)
    columns[RATING] = ratings[:done]
    return pd.DataFrame(columns, copy=False)


def _names(path: Path, rows: int) -> pd.Index:
    """Return the ids of users or products as text, in the order of the row numbers."""
    parquet_rows(path, rows)
    return pd.Index(pq.read_table(path)[0].to_pandas())


def stream(
    folder: str | os.PathLike,
    *,
    batch_size: int,
    seed: int = 0,
    worker: int = 0,
    workers: int = 1,
    first_epoch: int = 0,
    unknown_user_dropout: float = 0.0,
) -> tf.data.Dataset:
    """Return this worker's share of every batch of an epoch: `user_id`, `product_id` (int64) and `rating` (float32).

    Each has shape `[batch_size / workers]`: `batch_size / shards` rows from each of the shards `worker`,
    `worker + workers`, … `first_epoch` is the number of the first epoch. After its last batch, iterating again is the
    next epoch; before that, it is the same epoch from its beginning, so that a look at some batches changes nothing.
    The order of a shard's parts and of a part's rows depends on the seed, the epoch and the shard, so that epoch 7 is
    the same after a restart, and for any number of workers. Rows at the end that don't fill a batch are left out,
    different ones in every epoch; `len` is the number of batches, the same for every worker. `unknown_user_dropout` is
    that of `RetrievalModel`; drawn here, it doesn't depend on the number of workers.

    Raises:
        FileNotFoundError, ValueError: a file is missing or cut short, or shards and batch can't be shared out evenly.
    """
    shards, rows = shard_parts(folder)
    if workers < 1 or len(shards) % workers or not 0 <= worker < workers:
        raise ValueError(
            f"worker {worker} of {workers} can't share the {len(shards)} shards of {folder}: expected a number of "
            f"workers that divides {len(shards)}, and a worker from 0 to below it."
        )
    share = batch_size // len(shards)
    if share < 1 or batch_size % len(shards):
        raise ValueError(f"batch_size is {batch_size}: expected a multiple of the {len(shards)} shards of {folder}.")
    batches = min(rows) // share
    if not batches:
        raise ValueError(
            f"the {sum(rows):,} training rows of {folder} don't fill a batch of {batch_size:,}: take a smaller one."
        )
    mine = range(worker, len(shards), workers)
    sizes = _block_sizes(batches, max(1, BLOCK * workers // batch_size))
    epoch = first_epoch

    def blocks() -> Iterator[Rows]:
        """Yield the batches of an epoch end to end, some of them at a time."""
        draws = [np.random.default_rng([seed, epoch, shard]) for shard in mine]
        rows = [_rows(shards[shard], rng, unknown_user_dropout) for shard, rng in zip(mine, draws)]
        takers = [_take(some, [size * share for size in sizes]) for some in rows]
        for size, *shard_rows in zip(sizes, *takers):
            yield {
                name: np.hstack([shard[name].reshape(size, share) for shard in shard_rows]).ravel().astype(dtype)
                for name, dtype in DTYPES.items()
            }

    def count(number: np.ndarray) -> None:
        """Count an epoch when its last block is taken."""
        nonlocal epoch
        epoch += int(number == len(sizes) - 1)

    def counted(number: tf.Tensor, block: Ids) -> Ids:
        tf.numpy_function(count, [number], [])
        return block

    signature = {name: tf.TensorSpec([None], dtype) for name, dtype in DTYPES.items()}
    flow = tf.data.Dataset.from_generator(blocks, output_signature=signature).prefetch(1)
    # From here on nothing may read ahead, or a block would be counted before it is used.
    flow = flow.enumerate().map(counted).rebatch(share * len(mine), drop_remainder=True)
    return flow.apply(tf.data.experimental.assert_cardinality(batches)).with_options(AS_TAKEN)


def _block_sizes(batches: int, most: int) -> list[int]:
    """Return the number of batches of each block. The last batch is a block of its own: it ends the epoch."""
    return [*(min(most, batches - 1 - start) for start in range(0, batches - 1, most)), 1]


def _rows(parts: Sequence[Path], rng: np.random.Generator, unknown_user_dropout: float) -> Iterator[Rows]:
    """Yield the rows of a shard, part by part, each in an order drawn by `rng`; some of the users made unknown."""
    for number in rng.permutation(len(parts)):
        table = pq.read_table(parts[number], columns=list(DTYPES))
        order = rng.permutation(len(table))
        rows = {name: table[name].to_numpy()[order] for name in DTYPES}
        if unknown_user_dropout:
            rows[USER][rng.random(len(order)) < unknown_user_dropout] = 0
        yield rows


def _take(parts: Iterator[Rows], sizes: Sequence[int]) -> Iterator[Rows]:
    """Yield the same rows in pieces of these sizes."""
    held, start = next(parts), 0
    for size in sizes:
        while len(held[RATING]) - start < size:
            held = {name: np.concatenate([held[name][start:], more]) for name, more in next(parts).items()}
            start = 0
        yield {name: values[start : start + size] for name, values in held.items()}
        start += size
