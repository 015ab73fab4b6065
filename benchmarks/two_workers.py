"""Does it matter who trains, and that somebody was killed? `python benchmarks/two_workers.py`.

A generated shop becomes a prepared folder, and the ladder's multitask model is trained on it three times: by one
process, by two workers, and by two workers of which one is killed (kill -9) after two of the epochs; the other must
end by itself, and both are started again. Each time the scoreboard says what the model is worth on the test rows. What
is asked is that hit@10 and RMSE are the same. What the two workers took is printed, too, but on one machine, whose
cores they share, they can't be faster than one process. What the lost workers say on stderr is to be expected.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

from side_by_side import Row, printed, report, running

HERE = Path(__file__).parent
SEEDS, EPOCHS, BATCH_SIZE = (0, 1, 2), 5, 256
DIFFERENCE = 0.001  # of hit@10, and of the RMSE in stars
PATIENCE = 300  # seconds until a process is given up


def work(folder: Path, checkpoints: str) -> None:
    """Train, alone or as the worker that TF_CONFIG names; the chief prints hit@10, RMSE, and seconds of training."""
    import pandas as pd

    from recsys_teach.evaluation import scoreboard
    from recsys_teach.scale.training import train_prepared

    start = time.perf_counter()
    model, _ = train_prepared(folder, epochs=EPOCHS, batch_size=BATCH_SIZE, checkpoints=checkpoints)
    took = time.perf_counter() - start
    if json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"] == 0:
        train, test = (pd.read_parquet(folder.parent / f"{part}.parquet") for part in ("train", "test"))
        board = scoreboard({"model": model}, train, test).loc["model"]
        print(json.dumps([board["hit@10"], board["rmse"], took]))


def training(folder: Path, checkpoints: Path, workers: int) -> AbstractContextManager[list[subprocess.Popen]]:
    """As many processes that train together."""
    return running([sys.executable, __file__, str(folder), str(checkpoints)], workers)


def outcome(folder: Path, checkpoints: Path, workers: int) -> list[float]:
    """What the chief printed, when all have ended well."""
    with training(folder, checkpoints, workers) as processes:
        said = printed(processes, PATIENCE)
        if any(process.returncode for process in processes):
            raise RuntimeError(f"the workers ended with {[process.returncode for process in processes]}, expected 0.")
    return json.loads(said[0].splitlines()[-1])


def kill_one(folder: Path, checkpoints: Path, victim: int) -> float:
    """Kill one of two workers when the second epoch is being kept; the seconds until the other has ended."""
    with training(folder, checkpoints, 2) as processes:
        while not list((checkpoints / "chief").glob("ckpt-2.index")):
            if any(process.poll() is not None for process in processes):
                raise RuntimeError("a worker ended before the second epoch did.")
            time.sleep(0.02)
        processes[victim].kill()
        killed = time.perf_counter()
        processes[1 - victim].communicate(timeout=PATIENCE)
        if processes[1 - victim].returncode != 1:
            raise RuntimeError(f"the other worker ended with {processes[1 - victim].returncode}, expected 1.")
        return time.perf_counter() - killed


def main() -> None:
    """Three seeds; the worker that is killed is the chief, the other one, the chief."""
    sys.path.append(str(HERE.parent / "tests"))
    from prepared import write_prepared

    from recsys_teach.shop import generate_shop

    results: dict[str, list[list[float]]] = {"one process": [], "two workers": [], "one killed, both resumed": []}
    noticed = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "prepared"
            parts = write_prepared(folder, generate_shop(seed=seed).reviews, part_rows=1_000)
            for part, rows in zip(("train", "test"), parts):
                rows.to_parquet(folder.parent / f"{part}.parquet")
            results["one process"].append(outcome(folder, Path(name) / "1", 1))
            results["two workers"].append(outcome(folder, Path(name) / "2", 2))
            noticed.append(kill_one(folder, Path(name) / "3", seed % 2))
            results["one killed, both resumed"].append(outcome(folder, Path(name) / "3", 2))
    rows = []
    for place, (metric, unit) in enumerate((("hit@10", "hit@10"), ("RMSE", "stars"))):
        values = {who: [outcome[place] for outcome in outcomes] for who, outcomes in results.items()}
        shown = {who: ", ".join(f"{value:.4f}" for value in some) for who, some in values.items()}
        pairs = [("two workers", "one process"), ("one killed, both resumed", "two workers")]
        for ours, against in pairs:
            worst = max(abs(a - b) for a, b in zip(values[ours], values[against]))
            what = f"{metric} of {ours}: greatest difference, {len(SEEDS)} seeds"
            rows.append(Row(what, shown[ours], f"{shown[against]}: {against}", [worst], at_most=DIFFERENCE, unit=unit))
    took = {who: f"{sorted(one[2] for one in outcomes)[len(outcomes) // 2]:.1f} s" for who, outcomes in results.items()}
    note = (
        f"Two workers: {EPOCHS} epochs took {took['one process']} in one process and {took['two workers']} in two on "
        "the same cores, TensorFlow's tracing included. A worker whose peer is lost ends by itself."
    )
    what = "seconds from a worker's death to the end of the other"
    by_victim = f"{', '.join(f'{some:.1f} s' for some in noticed)}: the chief, the other worker, the chief killed"
    rows.append(Row(what, by_victim, "", noticed, at_most=15, unit="s", notes=[note]))
    report(__file__, rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
