"""Guards for notebooks under nbval, which by itself forgives more than a regression test should."""

import os
from functools import cache

import pytest
from nbval.plugin import IPyNbCell

os.environ["TQDM_DISABLE"] = "1"  # for the kernels: progress bars are for people
os.environ.setdefault("MPLBACKEND", "Agg")  # for the unit tests; kernels choose their own

if folder := os.environ.get("RECSYS_TEACH_DATA"):
    os.environ["RECSYS_TEACH_DATA"] = os.path.abspath(folder)  # kernels work in notebooks/, not here

OUTPUT_TIMEOUT = 60  # seconds to wait for a cell's outputs; nbval's own 5 are too few for a busy machine


def pytest_itemcollected(item):
    if isinstance(item, IPyNbCell):
        item.output_timeout = OUTPUT_TIMEOUT
        if item.options["check"] and (item.cell.execution_count is None or not item.cell.outputs):
            item.add_marker(pytest.mark.unchecked_output)


def pytest_configure(config):
    config.addinivalue_line("markers", "unchecked_output: a checked cell that was stored without its output")


def pytest_runtest_setup(item):
    if not isinstance(item, IPyNbCell):
        return
    if item.get_closest_marker("unchecked_output"):
        pytest.fail("this cell's output is to be checked, but none is stored: run `make notebooks`", pytrace=False)
    if failed := getattr(item.parent, "failed_cell", None):
        pytest.skip(f"{failed} of this notebook failed")
    if reason := _missing_sample(item.path.name):
        pytest.skip(reason)


def pytest_runtest_makereport(item, call):
    if isinstance(item, IPyNbCell) and call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
        item.parent.failed_cell = getattr(item.parent, "failed_cell", None) or item.name


@cache  # asked for every cell, but downloaded once at the most
def _missing_sample(notebook: str) -> str | None:
    """Why the notebook on real reviews can't run here, if it can't."""
    if "amazon" not in notebook:
        return None
    from recsys_teach.data import amazon_sample

    try:
        amazon_sample()
    except (OSError, ValueError) as error:
        return str(error)
    return None
