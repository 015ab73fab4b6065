"""Settings of the unit tests: no progress bars, no windows, the order of the files, and the marker of the browser."""

import os
import signal
from collections import Counter
from pathlib import Path

collect_ignore = ["conftest.py"]  # it holds no doctests, and there are two of this name

os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

# What a shell starts with `&` ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if folder := os.environ.get("RECSYS_TEACH_DATA"):
    os.environ["RECSYS_TEACH_DATA"] = os.path.abspath(folder)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent / "in_browser"
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")
    # The longest file first, or of two processes one would wait for the other at the end.
    items.sort(key=lambda item: item.path.name != "test_run_all_in_browser.py")


def pytest_terminal_summary(terminalreporter):
    """List how long each file took, with its fixtures, the slowest first."""
    seconds = Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if hasattr(report, "duration"):
            seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section("seconds of each file")
    for name, took in seconds.most_common():
        terminalreporter.write_line(f"{took:7.1f} {name}")
