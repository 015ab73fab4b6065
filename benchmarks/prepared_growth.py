"""From a file to an export as the data grows: `python benchmarks/prepared_growth.py`, 20 minutes, 8 GB of disk.

Purchases with stars and times, 2, 20 and 60 million of them, are written to a Parquet file each; there are 40 users and
10 products for 1,000 rows, most of whom have few rows and a few have very many. Writing isn't counted. Then one process
prepares the file, and another one does what the command `train` does: an epoch, the scoreboard, and the export, without
the last two for 60 million. The seconds of an epoch are those of all of `train_prepared`, with the tables of users and
products, the tracing and the checkpoint. A stage's peak of memory is that of its process, Python and TensorFlow
included, while the stage lasts, so it holds what the stages before have left.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from side_by_side import Row, peak_megabytes, report, run_process

SIZES = {2_000_000: True, 20_000_000: True, 60_000_000: False}  # are they judged and exported?
USERS, PRODUCTS = 0.04, 0.01  # for each row
CLAIMED, SECONDS, MEGABYTES = 20_000_000, 60, 3_000
STAGES = {
    "prepare": "preparing",
    "epoch": "an epoch",
    "judge": "the scoreboard of 20,000 test rows",
    "export": "the export, with all purchases",
}
# hash / 2^64 is a number by chance from 0 to 1; its powers make the tails
ROWS = """
COPY (
    SELECT format('A{{:012d}}', CAST(floor({users} * pow(hash(4 * range + 1) / 2^64, 2)) AS BIGINT)) AS user_id,
        format('B{{:09d}}', CAST(floor({products} * pow(hash(4 * range + 2) / 2^64, 3)) AS BIGINT)) AS product_id,
        CAST(5 - floor(5 * pow(hash(4 * range + 3) / 2^64, 3)) AS DOUBLE) AS rating,
        to_timestamp(946684800 + hash(4 * range + 4) % 500000000) AS timestamp
    FROM range({rows})
) TO '{path}' (FORMAT parquet)
"""


def generate(rows: int, path: Path) -> None:
    """Write that many reviews."""
    import duckdb

    duckdb.sql(ROWS.format(rows=rows, users=int(USERS * rows), products=int(PRODUCTS * rows), path=path))


def timed(done: dict[str, list[float]], stage: str, do: Callable[[], Any]) -> Any:
    """Do a stage, and put its seconds and the process's peak memory in it among those that are done."""
    Path("/proc/self/clear_refs").write_text("5")  # from here on, the peak is a new one
    start = time.perf_counter()
    result = do()
    took = time.perf_counter() - start
    done[stage] = [took, peak_megabytes(resource.getrusage(resource.RUSAGE_SELF))]
    return result


def prepare(source: str, folder: str) -> dict[str, list[float]]:
    """Run the stage of the first process."""
    from recsys_teach.scale.preparation import prepare as make

    done: dict[str, list[float]] = {}
    timed(done, "prepare", lambda: make(source, folder))
    return done


def train(folder: str, shelf: str = "") -> dict[str, list[float]]:
    """Run the stages of the second process, those after the epoch if there is a shelf."""
    from recsys_teach.scale.batches import read_train
    from recsys_teach.scale.distributed import evaluate_prepared, forget_optimizer, give_memory_back, train_prepared
    from recsys_teach.serving.saved_model import export
    from recsys_teach.serving.server import Server

    done: dict[str, list[float]] = {}
    give_memory_back(batch_size=256)
    model, _ = timed(done, "epoch", lambda: train_prepared(folder, epochs=1))
    forget_optimizer(model)
    if shelf:
        scores = timed(done, "judge", lambda: evaluate_prepared(folder, model)).T["multitask"]
        timed(done, "export", lambda: export(Server(model, read_train(folder, categorical=True)), shelf, scores=scores))
    return done


def in_a_process(*what: str) -> dict[str, list[float]]:
    """Run one of the two functions above in a process of its own; return the seconds and the peak of each stage."""
    command = [sys.executable, __file__, *what]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"TQDM_DISABLE": "1"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(size: int) -> dict[str, list[float]]:
    """Return the seconds and the peak of each stage with a file of this size."""
    with tempfile.TemporaryDirectory() as name:
        source, folder, shelf = (str(Path(name) / part) for part in ("reviews.parquet", "folder", "shelf"))
        run_process([sys.executable, __file__, "generate", str(size), source])
        return in_a_process("prepare", source, folder) | in_a_process(
            "train", folder, *([shelf] if SIZES[size] else [])
        )


def main() -> None:
    """Measure the sizes, one after the other, and report."""
    rows = []
    for size in SIZES:
        done = measure(size)
        for stage, (took, peak) in done.items():
            what = f"{STAGES[stage]}, {size:,} rows in the file"
            rows.append(Row(what, f"{took:,.1f} s, {peak:,.0f} MB", "", [size / took / 1_000], unit="thousand rows/s"))
        if size == CLAIMED:
            after, peak = done["judge"][0] + done["export"][0], max(peak for _, peak in done.values())
            what = f"all after the epoch, {size:,} rows in the file"
            rows.append(Row(what, f"{after:,.0f} s", "", [after], at_most=SECONDS, unit="s"))
            what = f"the highest peak of memory, {size:,} rows in the file"
            rows.append(Row(what, f"{peak:,.0f} MB", "", [peak], at_most=MEGABYTES, unit="MB"))
    report(__file__, rows)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["generate", size, path]:
            generate(int(size), Path(path))
        case ["prepare", source, folder]:
            print(json.dumps(prepare(source, folder)))
        case ["train", folder, *shelf]:
            print(json.dumps(train(folder, *shelf)))
        case _:
            main()
