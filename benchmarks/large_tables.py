"""A step's time as the tables of vectors grow past every cache: `python benchmarks/large_tables.py`.

The corrected retrieval model on random ids, its user table of 100,000, 1,000,000 and 10,000,000 vectors of 32 numbers
and its product table a tenth of that; with what Adagrad keeps, the largest take 2.8 GB. Rows a second are those of an
epoch of 256,000 rows after the first, for two sizes of batches. It claims nothing: notebook 09 reckons with it.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from side_by_side import Row, ratios, report, run_process, seconds

from recsys_teach.backend import tf
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.training import STEPS_AT_ONCE, many_steps, row_numbers

USERS, ROWS, DIM, BATCHES, REPEATS = (100_000, 1_000_000, 10_000_000), 256_000, 32, (256, 4_096), 3


class Table(tf.keras.Model):
    """A tower without strings: vectors by id."""

    def __init__(self, column: str, ids: int):
        super().__init__()
        self.column, self.table = column, tf.keras.layers.Embedding(ids + 1, DIM)
        self.vocabulary = SimpleNamespace(product_counts=np.ones(ids, np.float32))

    def call(self, ids):
        return self.table(ids[self.column])


def rows_a_second(users: int, batch_size: int) -> list[float]:
    """Of each epoch after the first."""
    tf.keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    sizes = {USER: users, PRODUCT: users // 10}
    rows = {column: tf.constant(rng.integers(1, ids + 1, ROWS)) for column, ids in sizes.items()}
    rows[RATING] = tf.ones(ROWS)
    corrections = {"log_q": True, "remove_accidental_hits": True, "l2": 0.1, "product_bias": True}
    model = RetrievalModel(*(Table(column, ids) for column, ids in sizes.items()), **corrections)
    model.compile(optimizer=tf.keras.optimizers.Adagrad(0.1), steps_per_execution=STEPS_AT_ONCE)
    model.compute_loss({name: values[:2] for name, values in rows.items()})
    model.optimizer.build(model.trainable_variables)
    steps = many_steps(model, model.train_step, rows, tf.keras.metrics.Mean("loss"))
    model.make_train_function = lambda: steps
    flow = {"x": row_numbers(ROWS, batch_size, rng), "steps_per_epoch": -(-ROWS // batch_size)}
    return [ROWS / seconds(lambda: model.fit(**flow, verbose=0)) for _ in range(1 + REPEATS)][1:]


def main() -> None:
    """A process for each size of tables and batches; rows a second against those of the smallest tables."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for batch_size in BATCHES:
            smallest: list[float] = []
            for users in USERS:
                kept = Path(folder) / f"{users}-{batch_size}.json"
                _, peak = run_process([sys.executable, __file__, str(users), str(batch_size), str(kept)])
                speed = json.loads(kept.read_text())
                smallest = smallest or speed
                words = [f"{statistics.median(those):,.0f} rows/s" for those in (speed, smallest)]
                what = f"tables of {users:,} users, batches of {batch_size:,}"
                notes = [f"{what}: peak memory of the process {peak:,.0f} MB"]
                rows.append(
                    Row(what, words[0], f"{words[1]}: {USERS[0]:,} users", ratios(speed, smallest), notes=notes)
                )
    report(__file__, rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[3]).write_text(json.dumps(rows_a_second(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
