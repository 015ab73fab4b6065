"""The ladder and a sweep, always with the same seeds: `python tests/fixed_training.py [--users N] ladder|sweep ...`.

Prints what was trained, in this order, as JSON: its scoreboard with every digit, and a digest of all parameters. Here
is also what starts it in a process of its own and what compares the answers, for the tests and for
`benchmarks/determinism.py`; that takes no TensorFlow.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, split_at_random

ROOT = Path(__file__).parents[1]
SEED, USERS = 7, 250
PAIRS = [(0.0, 1.0), (0.4, 1.0), (1.0, 0.0)]
TOLERANCE = 0.005  # of shares and stars, where the arithmetic isn't the same; here, 0.001 is one row of the test part
THREADS = ["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
ONE_THREAD = dict.fromkeys(THREADS, "1")

Trained = dict[str, Any]  # what was trained, its scoreboard by model and metric, and the digest of its parameters


def ladder(parts: Split) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The whole ladder's scoreboard, and the parameters of its models."""
    from recsys_teach.evaluation import scoreboard
    from recsys_teach.ladder import MODELS, fit_ladder

    recommenders, _ = fit_ladder(parts.train, seed=SEED)
    recommenders.pop("iALS", None)  # its library isn't everywhere
    return scoreboard(recommenders, *parts), [one.numpy() for name in MODELS for one in recommenders[name].variables]


def sweep(parts: Split) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The scoreboard of three pairs of weights that were trained at once, and their parameters."""
    from recsys_teach.backend import tf
    from recsys_teach.features import learn_vocabulary
    from recsys_teach.lab.stacking import train_sweep
    from recsys_teach.ladder import build_multitask, choose_defaults

    tf.keras.utils.set_random_seed(SEED)
    model = build_multitask(learn_vocabulary(parts.train), choose_defaults(*parts))
    trained = train_sweep(model, PAIRS, *parts, epochs=4, batch_size=128, seed=SEED)
    parts_of = [vars(trained.recommender(pair)).values() for pair in range(len(PAIRS))]
    return trained.board, [part for parts in parts_of for part in parts if isinstance(part, np.ndarray)]


def start(*what: str, users: int = USERS, python: str = sys.executable, **environment: str) -> subprocess.Popen:
    """A fresh process that trains this, with as many threads as there are cores unless it is told otherwise."""
    command = [python, __file__, f"--users={users}", *what]
    inherited = {name: value for name, value in os.environ.items() if name not in THREADS}
    variables = inherited | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"} | environment
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)


def trained(process: subprocess.Popen) -> list[Trained]:
    """What the process says when it has ended, in the order in which it trained."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, process.args))} ended with {process.returncode}.")
    return json.loads(said)


def apart(some: Trained, other: Trained) -> float:
    """The largest difference between two scoreboards, in shares or stars."""
    ours, theirs = (pd.DataFrame(one["scoreboard"]).stack() for one in (some, other))
    if not ours.index.equals(theirs.index):
        raise ValueError("these scoreboards have other models or metrics.")
    return float((ours - theirs).abs().max())


def main() -> None:
    """Train what is asked for, in this order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("what", nargs="+", choices=["ladder", "sweep"])
    asked = parser.parse_args()
    shop = generate_shop(users=asked.users, products=max(60, asked.users // 4), seed=SEED)
    parts = split_at_random(shop.reviews, seed=SEED)
    train: Mapping = {"ladder": ladder, "sweep": sweep}
    answers = []
    for name in asked.what:
        board, parameters = train[name](parts)
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in parameters)).hexdigest()
        rows = {model: row.dropna().to_dict() for model, row in board.iterrows()}
        answers.append({"trained": name, "scoreboard": rows, "parameters": digest})
    json.dump(answers, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
