"""What every benchmark shares: two things run in turns in one run, and a line that says how they compare.

Times on a busy or a shared machine drift; the ratio of two things that ran one after the other drifts less. So each
repeat runs both, its ratio is taken at once, and what is reported is the median of these ratios, their least and
their greatest.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPEATS = 5
IMPORT_TFRS = "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1'; import tensorflow_recommenders"
FOLDER = Path(__file__).parent.parent / "build" / "benchmarks"


@dataclass(frozen=True)
class Row:
    """One line of `results.md`: a ratio in several repeats, or a single figure, and the claim that it is held to."""

    what: str  # such as "training, 100,000 rows"
    ours: str  # such as "1.2 s"
    against: str  # such as "96 s: the textbook loop"
    values: list[float]  # the ratio of each repeat
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "×"
    notes: list[str] = field(default_factory=list)  # sentences that stand below the table

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        """Does the median keep the claim? A row without a claim always does."""
        enough = self.at_least is None or self.value >= self.at_least
        return enough and (self.at_most is None or self.value <= self.at_most)

    @property
    def claim(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        return f"≤ {self.at_most:g} {self.unit}" if self.at_most is not None else "–"

    @property
    def measured(self) -> str:
        """The median, and the least and the greatest where there are several."""
        spread = f" ({min(self.values):.3g}–{max(self.values):.3g})" if len(self.values) > 1 else ""
        return f"{self.value:.3g} {self.unit}{spread}"


def seconds(do: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def in_turns(*things: Callable[[], object], repeats: int = REPEATS, warm_up: int = 1) -> list[list[float]]:
    """Seconds of each thing in each repeat, `[things][repeats]`; every repeat runs all of them, one after the other."""
    rounds = [[seconds(do) for do in things] for _ in range(warm_up + repeats)]
    return [list(times) for times in zip(*rounds[warm_up:])]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratio of each repeat."""
    return [a / b for a, b in zip(above, below)]


def peak_megabytes(usage: resource.struct_rusage) -> float:
    """The most memory that a process held, MB; the system says it in bytes on a Mac, in KiB elsewhere."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 2**10) / 1e6


def run_process(command: Sequence[str]) -> tuple[float, float]:
    """Run a command to its end; its seconds and its peak memory in MB. Its output is thrown away, its failure isn't."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.decode()[-2000:]}")
    return took, peak_megabytes(usage)


@contextmanager
def running(command: Sequence[str], workers: int) -> Iterator[list[subprocess.Popen]]:
    """As many processes that run this command; where there are several, TF_CONFIG tells each who they all are.

    They are at their ends when the block is.
    """
    from recsys_teach.scale.cluster import free_ports

    processes = []
    with free_ports(workers) as ports:
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        for index in range(workers):
            task = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
            environment = os.environ | {"TQDM_DISABLE": "1"} | (task if workers > 1 else {})
            processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def printed(processes: Sequence[subprocess.Popen], seconds: float) -> list[str]:
    """What each prints until its end; read at once, for one whose pipe is full would keep the others waiting."""
    with ThreadPoolExecutor(len(processes)) as threads:
        return list(threads.map(lambda process: process.communicate(timeout=seconds)[0], processes))


def report(script: str, rows: list[Row]) -> None:
    """Print the rows, keep them in `build/benchmarks/` for `results.md`, and end with 1 if a claim doesn't hold."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = FOLDER / f"{Path(script).stem}.json"
    kept.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    for row in rows:
        verdict = "" if row.holds else "   NOT HELD"
        print(f"{row.what}: {row.measured}, asked {row.claim}{verdict}")
        print("   ", f"{row.ours} against {row.against}" if row.against else row.ours)
        for note in row.notes:
            print("   ", note)
    if not all(row.holds for row in rows):
        sys.exit(1)
