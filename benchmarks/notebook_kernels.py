"""Seconds and peak memory of the notebooks' kernels: `python benchmarks/notebook_kernels.py`, 12 minutes. Linux only.

All notebooks are executed one after the other, as nbval does, and after each a kernel that only imports TensorFlow
Recommenders; then `make run` executes them two at a time.

Binder gives 2 GB to everything that somebody runs. So the system is asked for the most memory that each of these
kernels held at any time (VmHWM in `/proc`), files that are mapped included. Of those, TensorFlow's library above all,
Linux holds as much as it pleases: between two machines, the same kernel differed by 150 MB. 08 and 09 start processes
of their own: four times a second the memory of kernel and children is added up, the files that all of them map counted
once. MB and GB are 10^6 and 10^9 bytes. With RECSYS_TEACH_DATA the sample of real reviews comes from that folder, and
where it can't be had its notebook is skipped.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from side_by_side import IMPORT_TFRS, Row, report, run_process

from recsys_teach.files.downloads import find_sample

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
MOST, TOGETHER, EVERY = 1_200, 2_000, 0.25  # MB of a kernel, MB with its children, seconds
TIMES, SECONDS = 2.0, 150  # at most: all notebooks in bare kernels, and `make run`
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")  # as in Makefile


def megabytes(pid: int) -> dict[str, float]:
    """What Linux says of the memory of a process, MB by name; nothing of one that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines if line.endswith(" kB")}


def together(pids: Iterable[int]) -> float:
    """The memory of several processes, MB: the sum of what is a process's own, and once the files that are mapped."""
    found = [megabytes(pid) for pid in pids]
    own = sum(memory.get("RssAnon", 0.0) + memory.get("RssShmem", 0.0) for memory in found)
    return own + max(memory.get("RssFile", 0.0) for memory in found)


class Peaks:
    """The peak memory of a kernel, and of the kernel with its children, MB."""

    def __init__(self, notebook: NotebookNode):
        self.kernel, self.mapped = 0.0, 0.0  # mapped: the files' part, as it stood after the last cell
        self.together, self.families = 0.0, 0  # families: times that it was seen with a child
        self._ended = threading.Event()
        settings = {"timeout": 300, "startup_timeout": 120, "kernel_name": "python3"}
        resources = {"metadata": {"path": str(NOTEBOOKS)}}
        watcher = threading.Thread(target=self._watch)
        self._client = NotebookClient(
            notebook,
            **settings,
            resources=resources,
            extra_arguments=["--log-level=40"],
            on_notebook_start=lambda **_: self._find(watcher),
            on_cell_executed=lambda **_: self._ask(),
        )
        try:
            self._client.execute(stderr=subprocess.DEVNULL)
        finally:
            self._ended.set()
            if watcher.is_alive():
                watcher.join()

    def _find(self, watcher: threading.Thread) -> None:
        """The kernel runs: which process is it?"""
        self._pid = self._client.km.provisioner.process.pid
        watcher.start()

    def _ask(self) -> None:
        """The kernel's own peak, as it stands after a cell."""
        memory = megabytes(self._pid)
        self.kernel, self.mapped = memory["VmHWM"], memory["RssFile"]

    def _watch(self) -> None:
        """Look at kernel and children now and then, until the notebook has ended."""
        while not self._ended.wait(EVERY):
            try:
                children = psutil.Process(self._pid).children(recursive=True)
            except psutil.Error:
                continue
            if children:
                self.families += 1
                self.together = max(self.together, together([self._pid, *(child.pid for child in children)]))


def can_run(path: Path) -> bool:
    """False for a notebook of real reviews where these can't be had."""
    try:
        find_sample(path)
    except (OSError, ValueError) as error:
        print(f"{path.name} is left out: {error}")
        return False
    return True


def timed(notebook: NotebookNode, took: list[float]) -> Peaks:
    """Execute a notebook, add the seconds to those in `took`, and return the peaks."""
    start = time.perf_counter()
    peaks = Peaks(notebook)
    took.append(time.perf_counter() - start)
    return peaks


def row(what: str, peak: float, against: str, most: float) -> Row:
    """A peak in MB as a line, which is held to `most` MB; the figure that is measured stands there in GB."""
    return Row(what, f"{peak:,.0f} MB", against, [peak / 1e3], at_most=most / 1e3, unit="GB")


def main() -> None:
    """Execute all, one after the other and two at a time, and report."""
    os.environ |= {"TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | ONE_THREAD
    if folder := os.environ.get("RECSYS_TEACH_DATA"):
        os.environ["RECSYS_TEACH_DATA"] = os.path.abspath(folder)
    rows, ours, bare = [], [], []
    for path in filter(can_run, [*sorted(NOTEBOOKS.glob("*.ipynb")), NOTEBOOKS / "app" / "weight_lab.ipynb"]):
        peaks = timed(nbformat.read(path, as_version=4), ours)
        floor = timed(new_notebook(cells=[new_code_cell(IMPORT_TFRS)]), bare)
        print(f"{path.stem} took {ours[-1]:.1f} s, a bare kernel {bare[-1]:.1f} s", flush=True)
        against = f"{floor.kernel:,.0f} MB: a kernel that only imports TensorFlow Recommenders"
        against += f" ({floor.mapped:,.0f} MB are files that it maps)"
        rows.append(row(f"peak memory of the kernel of `{path.stem}`", peaks.kernel, against, MOST))
        if peaks.families:
            rows.append(row(f"peak memory of `{path.stem}` and of what it starts", peaks.together, "", TOGETHER))
    against = f"{sum(bare):.0f} s: as many kernels that only import TensorFlow Recommenders"
    what = f"{len(ours)} notebooks, one after the other"
    rows.append(Row(what, f"{sum(ours):.0f} s", against, [sum(ours) / sum(bare)], at_most=TIMES))
    took, _ = run_process(["make", "-C", str(NOTEBOOKS.parent), "run"])
    rows.append(Row("`make run`, two at a time", f"{took:.0f} s", "", [took], at_most=SECONDS, unit="s"))
    rows[0].notes.append("one run of each notebook; MB and GB are 10^6 and 10^9 bytes")
    report(__file__, rows)


if __name__ == "__main__":
    main()
