"""What a step takes in one process and in two that train together: `python benchmarks/worker_steps.py`.

The multitask model on a prepared folder of 82,000 training rows, in batches of three sizes; two workers run on this
machine, whose cores they share. It claims nothing: notebook 09 reckons with what a step of two workers takes beyond
half of what one process takes, that is, with what they wait.
"""

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import Row, printed, ratios, report, running

BATCHES, EPOCHS, WORKERS, PATIENCE = (256, 1_024, 4_096), 4, 2, 300
SHOP = {"users": 5_000, "products": 500}


def work(folder: Path, batch_size: int, checkpoints: str) -> None:
    """Train, alone or as the worker that TF_CONFIG names, and print milliseconds a step of each epoch but the first."""
    from recsys_teach.scale import distributed
    from recsys_teach.scale.prepared_folder import read_manifest

    ends = []

    class Progress(distributed.Progress):
        def on_epoch_end(self, epoch, logs=None):
            ends.append(time.perf_counter())
            super().on_epoch_end(epoch, logs)

    distributed.Progress = Progress
    distributed.train_prepared(folder, epochs=EPOCHS, batch_size=batch_size, checkpoints=checkpoints)
    steps = read_manifest(folder)["rows"]["train"] // batch_size
    print(json.dumps([1e3 * (late - early) / steps for early, late in itertools.pairwise(ends)]))


def milliseconds(folder: Path, batch_size: int, workers: int) -> list[float]:
    """Of a step, in each epoch but the first."""
    command = [sys.executable, __file__, str(folder), str(batch_size), f"{folder}-{batch_size}-{workers}"]
    with running(command, workers) as processes:
        return json.loads(printed(processes, PATIENCE)[0].splitlines()[-1])


def main() -> None:
    """Prepare the shop's reviews, and train with each batch size."""
    from recsys_teach.files.amazon import write_amazon
    from recsys_teach.scale.preparation import prepare
    from recsys_teach.shop import generate_shop

    rows = []
    with tempfile.TemporaryDirectory() as name:
        write_amazon(generate_shop(**SHOP).reviews, Path(name) / "reviews.jsonl.gz")
        prepare(Path(name) / "reviews.jsonl.gz", Path(name) / "shop", split="random")
        for batch_size in BATCHES:
            alone, together = (milliseconds(Path(name) / "shop", batch_size, workers) for workers in (1, WORKERS))
            words = [f"{sorted(times)[len(times) // 2]:.1f} ms" for times in (together, alone)]
            what = f"a step of {batch_size:,} rows, {WORKERS} workers"
            rows.append(Row(what, words[0], f"{words[1]}: one process", ratios(together, alone)))
    report(__file__, rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    else:
        main()
