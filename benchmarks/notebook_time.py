"""The notebooks' tests against as many bare kernels that import TFRS: `python benchmarks/notebook_time.py`, minutes.

pytest runs over `notebooks/` as in `make test`; that against kernels which are started one after the other, import
TensorFlow Recommenders and are shut down. A row for each notebook says how long its cells took, its kernel's start
included. With RECSYS_TEACH_DATA the sample of real reviews comes from that folder, and where it can't be had its
notebook is skipped and has no row. Because it takes minutes there is one repeat.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from jupyter_client.manager import start_new_kernel
from side_by_side import IMPORT_TFRS, Row, in_turns, ratios, report, run_process

ROOT = Path(__file__).resolve().parent.parent
REPEATS, TIMES, EACH = 1, 2.0, 30  # seconds of one notebook


def bare_kernel() -> None:
    """Start a kernel, import TensorFlow Recommenders in it, and shut it down."""
    manager, client = start_new_kernel(startup_timeout=120, kernel_name="python3", stderr=subprocess.DEVNULL)
    reply = client.execute_interactive(IMPORT_TFRS, timeout=120, output_hook=lambda message: None)
    client.stop_channels()
    manager.shutdown_kernel(now=True)  # as nbval does
    if reply["content"]["status"] != "ok":
        raise RuntimeError(f"a bare kernel failed: {reply['content']}")


def test_notebooks(report_file: Path) -> None:
    """Run pytest over the notebooks; its report says how long each cell took."""
    run_process([sys.executable, "-m", "pytest", "notebooks", "-q", f"--junitxml={report_file}"])


def seconds_each(report_file: Path) -> dict[str, float]:
    """Seconds of each notebook by its name: set-up, run and end of all cells; one that is skipped whole has 0."""
    took: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report_file).iter("testcase"):
        ran = case.find("skipped") is None
        took[case.get("classname", "").removesuffix(".ipynb").rsplit(".", 1)[-1]] += ran * float(case.get("time", 0))
    return dict(took)


def main() -> None:
    """Run both in turns and report, the whole and each notebook."""
    os.environ |= {"TQDM_DISABLE": "1", "JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    if folder := os.environ.get("RECSYS_TEACH_DATA"):
        os.environ["RECSYS_TEACH_DATA"] = os.path.abspath(folder)
    os.chdir(ROOT)
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        cells = Path(name) / "cells.xml"

        def tests() -> None:
            test_notebooks(cells)
            runs.append(seconds_each(cells))

        def floor() -> None:
            for _ in runs[-1]:
                bare_kernel()

        start = time.perf_counter()
        bare_kernel()  # so that nothing is read from the disk for the first time in what is timed
        print(f"a first bare kernel took {time.perf_counter() - start:.1f} s", flush=True)
        whole, bare = in_turns(tests, floor, repeats=REPEATS, warm_up=0)
    skipped = [notebook for notebook, took in runs[0].items() if not took]
    rows = [
        Row(
            "pytest over the notebooks",
            f"{sum(whole) / REPEATS:.0f} s",
            f"{sum(bare) / REPEATS:.0f} s: {len(runs[0])} bare kernels that import TensorFlow Recommenders",
            ratios(whole, bare),
            at_most=TIMES,
            notes=["one run only"] + [f"skipped, its data can't be had: {notebook}" for notebook in skipped],
        )
    ]
    for notebook in runs[0]:
        if notebook not in skipped:
            rows.append(
                Row(
                    f"`{notebook}`",
                    "its cells, kernel start included",
                    "",
                    [run[notebook] for run in runs],
                    at_most=EACH,
                    unit="s",
                )
            )
    report(__file__, rows)


if __name__ == "__main__":
    main()
