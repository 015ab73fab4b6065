"""Layer 3: batches from a prepared folder, for training rows that are too many to hold in memory.

A prepared folder holds the training rows as ids, in a random order, dealt into lanes, each lane cut into parts:
`train/LL-PPPP.parquet`. Of every lane one part is in memory at a time. A batch takes the same number of rows from
each lane, and several processes that train together share the lanes out, so their shares put together are the batch
that one process alone would have seen.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from recsys_teach.backend import tf
from recsys_teach.baselines import DampedBiases
from recsys_teach.features import Ids, Vocabulary
from recsys_teach.manifest import lane_parts, parquet_rows, read_manifest
from recsys_teach.schema import PRODUCT, RATING, USER

DTYPES = {USER: np.int64, PRODUCT: np.int64, RATING: np.float32}
AS_TAKEN = tf.data.Options()
AS_TAKEN.experimental_optimization.inject_prefetch = False  # or TensorFlow may read ahead of who takes the batches
BLOCK = 65_536  # rows that are handed to TensorFlow at once, more or less: a call costs as much as 1,000 rows

Rows = dict[str, np.ndarray]  # a column each, [rows]


def read_vocabulary(folder: str | os.PathLike) -> Vocabulary:
    """The vocabulary of the training rows of a prepared folder: that of `learn_vocabulary`, without any words."""
    manifest = read_manifest(folder)
    users, products = (_ids(Path(folder) / f"{name}.parquet", manifest[name]) for name in ("users", "products"))
    biases = DampedBiases.known(
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
    """`count` and `bias` of each user or product, the index their ids as strings, in the order of the row numbers."""
    parquet_rows(path, rows)
    table = pq.read_table(path)
    return table.select(["count", "bias"]).to_pandas().set_axis(pd.Index(table[0].to_pylist(), dtype=object))


def read_train(folder: str | os.PathLike, users: Iterable[str] | None = None) -> pd.DataFrame:
    """The training rows of a prepared folder as a reviews table; of these users only, or all, if they fit into memory.

    The rows' order is not that of the reviews.
    """
    known = read_vocabulary(folder)
    names = {USER: np.array(["", *known.users], object), PRODUCT: np.array(["", *known.products], object)}
    wanted = None if users is None else np.isin(names[USER], list(users))
    parts = []
    for part in itertools.chain(*lane_parts(folder)[0]):
        rows = pq.read_table(part).to_pandas()
        parts.append(rows if wanted is None else rows[wanted[rows[USER]]])
    rows = pd.concat(parts, ignore_index=True)
    ids = {column: strings[rows[column]] for column, strings in names.items()}
    return pd.DataFrame(ids | {RATING: rows[RATING].astype(float)})


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
    """This worker's share of every batch of an epoch: `user_id` and `product_id` (int64) and `rating` (float32).

    Each has shape `[batch_size / workers]`: `batch_size / lanes` rows from each of the lanes `worker`,
    `worker + workers`, … `first_epoch` is the number of the first epoch. When its last batch has been taken, iterating
    again is the next one; before that, it is the same from its beginning, so a look at some batches changes nothing.
    Each epoch draws anew, from the seed, its number and the lane, in which order a lane's parts are read and in which
    order the rows of a part come, so that epoch 7 is the same after a restart, and for any number of workers. Rows at
    the end that don't fill a batch are left out, which are others in every epoch; `len` is the number of batches, the
    same for every worker. `unknown_user_dropout`: see `RetrievalModel`; drawn here, it doesn't depend on the workers.

    Raises:
        FileNotFoundError, ValueError: a file is missing or cut short, or lanes and batch can't be shared out evenly.
    """
    lanes, rows = lane_parts(folder)
    if workers < 1 or len(lanes) % workers or not 0 <= worker < workers:
        raise ValueError(
            f"worker {worker} of {workers} can't share the {len(lanes)} lanes of {folder}: expected a number of "
            f"workers that divides {len(lanes)}, and a worker from 0 to below it."
        )
    share = batch_size // len(lanes)
    if share < 1 or batch_size % len(lanes):
        raise ValueError(f"batch_size is {batch_size}: expected a multiple of the {len(lanes)} lanes of {folder}.")
    batches = min(rows) // share
    if not batches:
        raise ValueError(
            f"the {sum(rows):,} training rows of {folder} don't fill a batch of {batch_size:,}: take a smaller one."
        )
    mine = range(worker, len(lanes), workers)
    sizes = _block_sizes(batches, max(1, BLOCK * workers // batch_size))
    epoch = first_epoch

    def blocks() -> Iterator[Rows]:
        """The batches of an epoch end to end, some of them at a time."""
        draws = [np.random.default_rng([seed, epoch, lane]) for lane in mine]
        rows = [_rows(lanes[lane], rng, unknown_user_dropout) for lane, rng in zip(mine, draws)]
        takers = [_take(some, [size * share for size in sizes]) for some in rows]
        for size, *lane_rows in zip(sizes, *takers):
            yield {
                name: np.hstack([lane[name].reshape(size, share) for lane in lane_rows]).ravel().astype(dtype)
                for name, dtype in DTYPES.items()
            }

    def count(number: np.ndarray) -> None:
        """The epoch is over when its last block is taken."""
        nonlocal epoch
        epoch += int(number == len(sizes) - 1)

    def counted(number: tf.Tensor, block: Ids) -> Ids:
        tf.numpy_function(count, [number], [])
        return block

    signature = {name: tf.TensorSpec([None], dtype) for name, dtype in DTYPES.items()}
    flow = tf.data.Dataset.from_generator(blocks, output_signature=signature).prefetch(1)
    # From here on nothing may read ahead, or a block would be counted before anybody takes it.
    flow = flow.enumerate().map(counted).rebatch(share * len(mine), drop_remainder=True)
    return flow.apply(tf.data.experimental.assert_cardinality(batches)).with_options(AS_TAKEN)


def _block_sizes(batches: int, most: int) -> list[int]:
    """How many batches each block holds. The last batch is a block of its own: who takes it has taken them all."""
    return [*(min(most, batches - 1 - start) for start in range(0, batches - 1, most)), 1]


def _rows(parts: Sequence[Path], rng: np.random.Generator, unknown_user_dropout: float) -> Iterator[Rows]:
    """The rows of a lane, part by part, each in an order drawn by `rng`; some of the users made unknown."""
    for number in rng.permutation(len(parts)):
        table = pq.read_table(parts[number], columns=list(DTYPES))
        order = rng.permutation(len(table))
        rows = {name: table[name].to_numpy()[order] for name in DTYPES}
        if unknown_user_dropout:
            rows[USER][rng.random(len(order)) < unknown_user_dropout] = 0
        yield rows


def _take(parts: Iterator[Rows], sizes: Sequence[int]) -> Iterator[Rows]:
    """The same rows in pieces of these sizes."""
    held, start = next(parts), 0
    for size in sizes:
        while len(held[RATING]) - start < size:
            held = {name: np.concatenate([held[name][start:], more]) for name, more in next(parts).items()}
            start = 0
        yield {name: values[start : start + size] for name, values in held.items()}
        start += size
