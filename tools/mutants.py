"""Checks that the tests notice what would be wrong to teach: `python tools/mutants.py [WORD ...]`.

A mutant is a copy of the package with one fault of `mutant_table` in it. It is killed if the test that is named there
fails by what it asserts. If that passes, the mutant survives: nobody would notice such a fault. If it ends in another
error, or can't be imported, the mutant proves nothing, and is called broken. All these tests have to pass without a
fault first. With words, only the mutants with one of them in their module or name are tried.
"""

import ast
import gc
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mutant_table import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
COPIED = ("recsys_teach", "tests", "tools", "conftest.py", "pyproject.toml")
# Loaded once, by the process that all others are forked from: TensorFlow takes longer to load than most tests do.
PRELOADED = ["recsys_teach.backend", "nbval.plugin", "pandas", "pytest", "scipy.stats"]
PROCESSES, LIMIT = 2, 120  # at a time; seconds that each may take


class Result(NamedTuple):
    """How a mutant ended: "killed", "survived" or "broken"; by which test, or by none; and what pytest said."""

    what: str
    outcome: str
    test: str
    seconds: float
    report: str


class Watcher:
    """A pytest plugin that notes the first test that fails, and whether it does by what it asserts."""

    failed, asserted = "", False

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> None:
        if call.excinfo and not self.failed and not call.excinfo.errisinstance(pytest.skip.Exception):
            self.failed = item.name
            self.asserted = call.excinfo.errisinstance((AssertionError, pytest.fail.Exception))


def mutated(source: str, mutant: Mutant) -> str:
    """The source with the fault in it; a ValueError if the table doesn't fit the source any more."""
    if (count := source.count(mutant.old)) != 1 or mutant.old == mutant.new:
        raise ValueError(
            f'"{mutant.name}" doesn\'t fit {mutant.module}.py any more: {mutant.old!r} is there {count} times, and '
            "expected was once, with another text to take its place: mend tools/mutant_table.py."
        )
    ast.parse(changed := source.replace(mutant.old, mutant.new))
    return changed


def results(root: Path, jobs: Iterable[tuple[Mutant | None, list[str]]]) -> Iterator[Result]:
    """What becomes of each mutant (or of none) under these tests, in any order: each has a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with context.Pool(PROCESSES, maxtasksperchild=1) as pool:
        coming = pool.imap_unordered(_run, work := [(root, *job) for job in jobs])
        for _ in work:
            yield coming.next(timeout=2 * LIMIT)
        pool.close()
        pool.join()


def _run(job: tuple[Path, Mutant | None, list[str]]) -> Result:
    """Test a copy with this fault in it. The process isn't good for anything else afterwards."""
    root, mutant, tests = job
    start, watcher, changed = time.perf_counter(), Watcher(), f"recsys_teach.{mutant.module}" if mutant else ""
    signal.alarm(LIMIT)  # which ends this process, so that nothing comes of it
    gc.freeze()  # what was there before the fork is no garbage, and to look through it takes a second
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for path in (root / each for each in COPIED):
            if path.is_dir():
                shutil.copytree(path, folder / path.name)
            elif path.exists():
                shutil.copy2(path, folder)
        if mutant:
            path = folder / "recsys_teach" / f"{mutant.module}.py"
            path.write_text(mutated(path.read_text(encoding="utf-8"), mutant), encoding="utf-8")
        for module in _own_modules():
            del sys.modules[module]
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        os.environ["PYTHONPATH"] = str(folder)  # for the tests' own processes
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # no test here needs one, and they take two seconds
        with open("report", "w+", encoding="utf-8", errors="replace") as report:
            for stream in (1, 2):
                os.dup2(report.fileno(), stream)
            options = ["-q", "-x", "--tb=native", "-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={folder}"]
            code = pytest.main([*options, *tests], plugins=[watcher])
            sys.stdout.flush()
            report.seek(0)
            said = report.read()
        os.chdir("/")
    loaded = _own_modules()
    outcome = "survived" if code == pytest.ExitCode.OK else "killed" if watcher.asserted else "broken"
    if strange := [file for file in loaded.values() if not file.startswith(str(folder))] or {changed} - {"", *loaded}:
        outcome, said = "broken", f"{said}\n{changed or 'the package'} wasn't loaded from the copy: {strange}"
    what = f"{mutant.module}: {mutant.name}" if mutant else "no fault"
    return Result(what, outcome, watcher.failed or "no test", time.perf_counter() - start, said)


def _own_modules() -> dict[str, str]:
    """The package's modules that are loaded, and their files."""
    return {name: str(module.__file__) for name, module in sys.modules.items() if name.split(".")[0] == "recsys_teach"}


def main(words: list[str]) -> None:
    """Try the mutants, print what becomes of each, and fail unless all are killed."""
    start, lost = time.perf_counter(), 0
    chosen = [m for m in MUTANTS if not words or any(word in f"{m.module} {m.name}" for word in words)]
    if not chosen:
        sys.exit(f"no mutant has {' or '.join(map(repr, words))} in its module or name: see tools/mutant_table.py.")
    tests: dict[str, list[str]] = {}
    for test in dict.fromkeys(mutant.test for mutant in chosen):
        tests.setdefault(test.partition("::")[0], []).append(test)
    try:
        for mutant in chosen:
            mutated((ROOT / "recsys_teach" / f"{mutant.module}.py").read_text(encoding="utf-8"), mutant)
        for result in results(ROOT, [(None, named) for named in tests.values()]):
            if result.outcome != "survived":
                sys.exit(f"{result.report}\nthese tests don't pass without any fault: mend that first.")
        for result in results(ROOT, [(mutant, [mutant.test]) for mutant in chosen]):
            lost += result.outcome != "killed"
            print(f"{result.outcome:8} {result.seconds:5.1f} s  {result.what} ({result.test})", flush=True)
            if result.outcome == "broken":
                print(result.report, flush=True)
    except multiprocessing.TimeoutError:
        sys.exit(f"nothing came of the tests for {2 * LIMIT} seconds: one of them crashed, or goes on for ever.")
    except ValueError as error:
        sys.exit(str(error))
    print(f"{len(chosen) - lost} of {len(chosen)} mutants are killed ({time.perf_counter() - start:.0f} s)")
    sys.exit(lost > 0)


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    main(sys.argv[1:])
