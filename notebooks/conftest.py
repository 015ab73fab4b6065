"""Guards for notebooks under nbval, which by itself is less strict and less clear than a regression test should be."""

import ast
import os
import re
from contextlib import suppress
from difflib import unified_diff
from functools import cache
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

collect_ignore = ["conftest.py"]  # it holds no doctests, and there are two of this name

os.environ["TQDM_DISABLE"] = "1"  # for the kernels: progress bars are for people

if folder := os.environ.get("RECSYS_TEACH_DATA"):
    os.environ["RECSYS_TEACH_DATA"] = os.path.abspath(folder)  # kernels work in notebooks/

OUTPUT_TIMEOUT = 60  # seconds to wait for a cell's outputs; nbval's own 5 are too few for a busy machine
COLOURS = re.compile(r"\x1b\[[\d;]*m")


class Failure:
    """A report as pytest needs it: the whole text, and one line for the summary at the end."""

    def __init__(self, reason, report):
        self.reprcrash, self.report = SimpleNamespace(message=reason), report

    def __str__(self):
        return self.report

    def toterminal(self, writer):
        writer.line(self.report)


class Cell(IPyNbCell):
    """A cell whose failure begins with one line: the notebook, the cell, and why; nbval's own report comes below."""

    difference = "its output is not of the kind that is stored"

    def runtest(self):
        self.output_timeout = OUTPUT_TIMEOUT
        if self.options["check"] and (self.cell.execution_count is None or not self.cell.outputs):
            self.raise_cell_error("its output is to be checked, but none is stored: run `make notebooks`")
        super().runtest()
        if noise := [output.text for output in self.test_outputs if output.get("name") == "stderr"]:
            self.raise_cell_error(f"it writes to stderr: {noise[0].strip().splitlines()[0]}")

    def compare_outputs(self, test, ref, skip_compare=None):
        text = (*self.parent.skip_compare, "text/html")  # a table's text first, for it is easier to read
        return super().compare_outputs(test, ref, text) and super().compare_outputs(test, ref, skip_compare)

    def format_output_compare(self, key, left, right):
        stored, found = str(left).splitlines(), str(right).splitlines()
        old, new = next(((a, b) for a, b in zip_longest(stored, found) if a != b), (left, right))
        self.difference = f"its output ({key}) differs: expected {_line(old)}, found {_line(new)}"
        self.comparison_traceback += unified_diff(stored, found, "stored in the notebook", "found now", lineterm="")

    def repr_failure(self, excinfo):
        report = COLOURS.sub("", super().repr_failure(excinfo))
        reason = str(excinfo.value)
        if reason == "Cell outputs differ":
            reason = self.difference
        elif reason == "Cell execution caused an exception":
            error = self.test_outputs[-1]
            lines = error.evalue.splitlines() or self._what_is_not_so(report)
            reason = ": ".join([error.ename, *lines[:1]])
        return Failure(reason, f"{self.path.name}, cell {self.cell_num}: {reason}\n\n{report}")

    def _what_is_not_so(self, report):
        """The line that failed without a word, and if it asserts a comparison, what its sides are in the kernel."""
        if not (found := re.search(r"^-+> *(\d+) +(.*)", report, flags=re.MULTILINE)):
            return []
        number, line = int(found[1]), found[2]
        with suppress(SyntaxError, TimeoutError):  # `%time` isn't Python
            for node in ast.walk(ast.parse(self.cell.source)):
                if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and node.lineno == number:
                    sides = [side for side in (node.test.left, *node.test.comparators) if not _plain(side)]
                    line += "".join(self._value(ast.unparse(side)) for side in sides)
        return [line]

    def _value(self, expression):
        """Such as `; hits is 0.1`; nothing if it has many lines, or can't be told."""
        ask = {"silent": True, "user_expressions": {"value": expression}, "reply": True, "timeout": OUTPUT_TIMEOUT}
        value = self.parent.kernel.kc.execute("", **ask)["content"]["user_expressions"]["value"]
        text = value["data"]["text/plain"] if value["status"] == "ok" else "\n"
        return "" if "\n" in text else f"; {expression} is {text}"


def _plain(side):
    """Whether this says already what it is: a number, -1, or a text."""
    return not any(isinstance(node, ast.Name) for node in ast.walk(side))


def _line(text):
    return "no such line" if text is None else repr(text)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Count a notebook's cells from 1 and leave out empty ones, as the numbers beside them do."""
    report = yield
    if isinstance(collector, IPyNbFile) and report.passed:
        found = [item for item in report.result if item.cell.source.strip()]
        report.result = [
            Cell.from_parent(collector, name=f"Cell {number}", cell_num=number, cell=item.cell, options=item.options)
            for number, item in enumerate(found, 1)
        ]
    return report


def pytest_collection_modifyitems(config, items):
    config.option.cov_source = None  # or nbval would count code that notebooks run as tested
    for item in items:
        if isinstance(item, IPyNbCell):
            item.add_marker("notebook")


def pytest_runtest_setup(item):
    if not isinstance(item, IPyNbCell):
        return
    if failed := getattr(item.parent, "failed_cell", None):
        pytest.skip(f"{item.path.name}, cell {failed} failed")
    if reason := _missing_sample(item.path):
        pytest.skip(reason)


def pytest_runtest_makereport(item, call):
    if isinstance(item, IPyNbCell) and call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
        item.parent.failed_cell = getattr(item.parent, "failed_cell", None) or item.cell_num


@cache  # asked for every cell, but downloaded once at the most
def _missing_sample(notebook: Path) -> str | None:
    """Why a notebook on real reviews can't run here, if it can't."""
    from recsys_teach.files.downloads import find_sample

    try:
        find_sample(notebook)
    except (OSError, ValueError) as error:
        return str(error)
    return None
