"""Memory and time of the scoreboard for 1,000,000 rows and 100,000 products: `python benchmarks/evaluation_memory.py`.

All the rows lie in memory, but 10,000, 20,000 and 40,000 of them are scored, each number in a process of its own,
since a process's peak of memory never falls again. (Ranks need every score of a row: a million rows are 10^11 scores.
To score them all: `python benchmarks/evaluation_memory.py 1000000`, which prints seconds and MB.) What is measured is
the peak of the process above what it held before, which is tables, model and TensorFlow. That can only be too much,
for the peak may stem from making the tables. Whether time grows like the rows is measured, too.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from side_by_side import Row, peak_megabytes, report

USERS, PRODUCTS, TRAIN, TEST = 100_000, 100_000, 1_000_000, 1_000_000
COUNTS = (10_000, 20_000, 40_000)


def peak() -> float:
    """The most memory that this process ever held, MB."""
    return peak_megabytes(resource.getrusage(resource.RUSAGE_SELF))


def held() -> float:
    """What this process holds now, MB; where nobody says, the most that it ever held."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() / 2**20 if pages.exists() else peak()


def score(count: int) -> None:
    """Score this many rows, and print the seconds and the MB above those before."""
    from recsys_teach.evaluation import scoreboard
    from recsys_teach.features import learn_vocabulary
    from recsys_teach.multitask import MultitaskModel
    from recsys_teach.schema import PRODUCT, RATING, USER
    from recsys_teach.towers import ProductTower, UserTower

    rng = np.random.default_rng(0)
    users = np.array([f"user {number}" for number in range(USERS)], dtype=object)
    products = np.array([f"product {number}" for number in range(PRODUCTS)], dtype=object)

    def reviews(what: np.ndarray) -> pd.DataFrame:
        who = users[rng.integers(USERS, size=len(what))]
        stars = rng.integers(1, 6, len(what)).astype(float)
        return pd.DataFrame({USER: who, PRODUCT: products[what], RATING: stars})

    train = reviews(np.concatenate([np.arange(PRODUCTS), rng.integers(PRODUCTS, size=TRAIN - PRODUCTS)]))
    test = reviews(rng.integers(PRODUCTS, size=TEST))
    vocabulary = learn_vocabulary(train)
    model = MultitaskModel(UserTower(vocabulary), ProductTower(vocabulary), rating_weight=1.0, retrieval_weight=1.0)
    scoreboard({"it": model}, train[:1_000], test[:100])  # the tables are made at the first call
    before, start = held(), time.perf_counter()
    scoreboard({"it": model}, train, test[:count])
    print(json.dumps([time.perf_counter() - start, peak() - before]))


def main() -> None:
    """One process for each number of rows."""
    outcomes = []
    for count in COUNTS:
        done = subprocess.run([sys.executable, __file__, str(count)], stdout=subprocess.PIPE, text=True, check=True)
        outcomes.append(json.loads(done.stdout.splitlines()[-1]))
    per_row = [seconds / count for (seconds, _), count in zip(outcomes, COUNTS)]
    took = ", ".join(f"{count:,} rows {seconds:.1f} s" for (seconds, _), count in zip(outcomes, COUNTS))
    whole = (
        f"At the pace of the last row, a million take {per_row[-1] * TEST / 60:.1f} minutes; they were not run here."
    )
    report(
        __file__,
        [
            Row(
                "evaluation, 100,000 products: memory above the data",
                f"at most {max(mb for _, mb in outcomes):,.0f} MB for {COUNTS[-1]:,} of {TEST:,} rows in memory",
                "",
                [max(mb for _, mb in outcomes)],
                at_most=1_000,
                unit="MB",
            ),
            Row(
                f"seconds a row, {COUNTS[-1]:,} rows to {COUNTS[0]:,}",
                took,
                "",
                [per_row[-1] / per_row[0]],
                at_most=1.3,
                notes=[whole],
            ),
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        score(int(sys.argv[1]))
    else:
        main()
