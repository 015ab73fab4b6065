"""How fast training rows come from a prepared folder, and in how much memory: `python benchmarks/stream_speed.py`.

Folders of 1,000,000 and of 10,000,000 random rows in the prepared format are written, then `stream` is read to the
end of an epoch, batch by batch, as TensorFlow gets them, in a process of its own, since a process's peak of memory
never falls again. The seconds are those of the epoch, without TensorFlow's start; the peak is that of the whole
process, TensorFlow included. The files were just written, so they may still be in the system's cache.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from side_by_side import REPEATS, Row, ratios, report

from recsys_teach.scale.prepared_folder import FORMAT

SHARDS, PART_ROWS = 8, 250_000
USERS, PRODUCTS = 500_000, 100_000
FEW, MANY = 1_000_000, 10_000_000
BATCHES = (4_096, 16_384)
AT_LEAST, AT_MOST = 3.0, 1.2  # million rows a second; peak of many rows to that of few


def write(folder: Path, rows: int) -> None:
    """A folder of random training rows; without the tables of users and products, which `stream` doesn't read."""
    (folder / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for shard in range(SHARDS):
        left = rows // SHARDS
        for part, start in enumerate(range(0, left, PART_ROWS)):
            size = min(PART_ROWS, left - start)
            columns = {
                "user_id": rng.integers(1, USERS + 1, size, dtype=np.int32),
                "product_id": (1 + PRODUCTS * rng.random(size) ** 3).astype(np.int32),
                "rating": rng.integers(1, 6, size).astype(np.float32),
            }
            pq.write_table(pa.table(columns), folder / "train" / f"{shard:02}-{part:04}.parquet")
    numbers = {"users": USERS, "products": PRODUCTS, "mean_rating": 3.0, "rating_spread": 1.4, "damping": 5.0}
    parts = {"train": rows // SHARDS * SHARDS, "validation": 0, "test": 0}
    manifest = {"format": FORMAT, "shards": SHARDS, "rows": parts, **numbers}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def read(folder: str, batch_size: int) -> None:
    """Read an epoch; print its rows, its seconds and the peak of memory in MB."""
    import resource

    from side_by_side import peak_megabytes

    from recsys_teach.scale.batches import stream

    flow = stream(folder, batch_size=batch_size)
    start, rows = time.perf_counter(), 0
    for batch in flow:
        rows += len(batch["rating"])
    took = time.perf_counter() - start
    print(json.dumps([rows, took, peak_megabytes(resource.getrusage(resource.RUSAGE_SELF))]))


def in_a_process(folder: Path, batch_size: int) -> tuple[float, float]:
    """Rows a second and peak MB."""
    command = [sys.executable, __file__, str(folder), str(batch_size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows, took, peak = json.loads(done.stdout.splitlines()[-1])
    return rows / took, peak


def main() -> None:
    """Few and many rows in turns."""
    with tempfile.TemporaryDirectory() as name:
        folders = {count: Path(name) / str(count) for count in (FEW, MANY)}
        for count, folder in folders.items():
            write(folder, count)
        results = []
        for batch_size in BATCHES:
            outcomes = [
                {count: in_a_process(folder, batch_size) for count, folder in folders.items()} for _ in range(REPEATS)
            ]
            speed = [outcome[MANY][0] / 1e6 for outcome in outcomes]
            peaks = {count: [outcome[count][1] for outcome in outcomes] for count in folders}
            results += [
                Row(
                    f"rows from a prepared folder, batches of {batch_size:,}",
                    f"{MANY:,} rows in {MANY / 1e6 / np.median(speed):.1f} s",
                    "",
                    speed,
                    at_least=AT_LEAST,
                    unit="million rows/s",
                ),
                Row(
                    f"peak memory, {MANY:,} rows to {FEW:,}, batches of {batch_size:,}",
                    f"{np.median(peaks[MANY]):,.0f} MB",
                    f"{np.median(peaks[FEW]):,.0f} MB",
                    ratios(peaks[MANY], peaks[FEW]),
                    at_most=AT_MOST,
                ),
            ]
    report(__file__, results)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        read(sys.argv[1], int(sys.argv[2]))
    else:
        main()
