"""Runs the benchmarks, one after the other, and writes `benchmarks/results.md`: `make bench`.

With names, `python benchmarks/run_all.py sweep_time start_up`, it runs those, and the table has the others' lines of
the last time that they ran here. It goes on after a failure, and ends with 1 if a claim doesn't hold or one failed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from side_by_side import FOLDER, REPEATS, Row

SCRIPTS = [
    "training_speed",
    "time_to_quality",
    "evaluation",
    "sweep_time",
    "notebook_kernels",
    "start_up",
    "growth",
    "large_tables",
    "serving_latency",
    "prepared_growth",
    "stream_speed",
    "worker_steps",
]
HERE = Path(__file__).parent
PACKAGES = ["tensorflow", "tf-keras", "tensorflow-recommenders", "numpy", "pandas"]
PEERS = ["implicit", "lightfm-next", "scikit-surprise", "hnswlib"]
HEAD = ["what", "ours", "against", "asked", "measured (least–greatest)", "holds", "script"]


def machine(names: Iterable[str]) -> list[str]:
    """What the figures of these scripts were measured on, and when."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.platform(terse=True)
    written = (kept(name).stat().st_mtime for name in names if kept(name).exists())
    days = sorted({f"{datetime.fromtimestamp(time, timezone.utc):%Y-%m-%d}" for time in written})
    return [
        f"- Machine: {cpu}, {cores} cores, {memory:.0f} GiB of memory; {system}",
        f"- Python {platform.python_version()}; {versions(PACKAGES)}",
        f"- Compared with: {versions(PEERS)}",
        f"- Measured on {' and '.join(days)}",
    ]


def versions(packages: list[str]) -> str:
    """Names and versions of these packages."""
    return ", ".join(f"{name} {version(name)}" for name in packages)


def version(package: str) -> str:
    """The one that Python would import, or that there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def kept(name: str) -> Path:
    """Where a script's rows are."""
    return FOLDER / f"{name}.json"


def read(name: str) -> list[Row]:
    """The rows of a script, none if it has left none."""
    return [Row(**row) for row in json.loads(kept(name).read_text())] if kept(name).exists() else []


def run(name: str) -> tuple[list[Row], int]:
    """Run a script in a process of its own; its rows and its exit code. What an earlier run left doesn't count."""
    kept(name).unlink(missing_ok=True)
    print(f"\n{name}", flush=True)
    code = subprocess.run([sys.executable, str(HERE / f"{name}.py")]).returncode
    rows = read(name)
    return rows, code if rows else code or 1  # a script without rows has measured nothing


def cells(*texts: str) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(text.replace("|", r"\|") for text in texts) + " |"


def table(results: dict[str, tuple[list[Row], int]]) -> list[str]:
    """The rows of all scripts; one that failed without any has a line that says so."""
    lines = [cells(*HEAD), cells(*["---"] * len(HEAD))]
    for name, (rows, code) in results.items():
        link = f"[{name}]({name}.py)"
        for row in rows:
            holds = "–" if row.at_least is None and row.at_most is None else "yes" if row.holds else "**no**"
            lines.append(cells(row.what, row.ours, row.against or "–", row.claim, row.measured, holds, link))
        if code and all(row.holds for row in rows):
            lines.append(cells("(failed)", "–", "–", "–", "–", "**no**", link))
    return lines


def page(results: dict[str, tuple[list[Row], int]]) -> str:
    """The whole of `results.md`."""
    notes = [f"- {name}: {note}" for name, (rows, _) in results.items() for row in rows for note in row.notes]
    pictures = [f"![{name}]({name}.png)" for name in results if (HERE / f"{name}.png").exists()]
    intro = f"Medians of {REPEATS} repeats unless a note says otherwise; a single figure has no spread."
    claims = "A line without a figure under “asked” claims nothing."
    parts = [
        "# Benchmarks",
        "",
        f"Written by `make bench`. {intro} {claims}",
        "",
        *machine(results),
        "",
        *table(results),
        "",
        *pictures,
    ]
    return "\n".join([*parts, *(["", "## Notes", "", *notes] if notes else [])]) + "\n"


def main() -> None:
    """Run the scripts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", default=SCRIPTS, metavar="script", help=f"of {', '.join(SCRIPTS)}")
    names = parser.parse_args().scripts
    if unknown := set(names) - set(SCRIPTS):
        parser.error(f"there is no script {unknown.pop()!r}: expected some of {', '.join(SCRIPTS)}")
    results = {name: run(name) if name in names else (read(name), 0) for name in SCRIPTS}
    (HERE / "results.md").write_text(page(results), encoding="utf-8")
    if failed := [name for name, (_, code) in results.items() if code]:
        sys.exit(f"failed, or a claim did not hold: {', '.join(failed)}")


if __name__ == "__main__":
    main()
