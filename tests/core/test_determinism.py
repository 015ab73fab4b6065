"""The same seeds give the same scoreboard: in any order and process to the last digit, elsewhere nearly.

`make test-colab`, `make test-original` and `make test-macos-pins` run this with their versions. How far apart larger
trainings are: `benchmarks/determinism.py`.
"""

import json
from pathlib import Path

import fixed_training as fixed
import pytest

pytestmark = pytest.mark.slow

KNOWN = json.loads(Path(__file__).parents[1].joinpath("fixed_training.json").read_text())


@pytest.fixture(scope="module")
def answers():
    """What three processes say, which run at the same time."""
    processes = {
        "first": fixed.start("ladder", "sweep"),
        "another": fixed.start("sweep", "ladder", "sweep", PYTHONHASHSEED="1"),
        "one thread": fixed.start("sweep", "ladder", **fixed.ONE_THREAD),
    }
    return {name: fixed.trained(process) for name, process in processes.items()}


def test_to_the_last_digit_in_another_process_order_and_for_the_second_time(answers):
    ladder, sweep = answers["first"]
    assert answers["another"] == [sweep, ladder, sweep]


def test_with_one_thread_nearly(answers):
    for one, expected in zip(answers["one thread"], reversed(answers["first"])):
        assert fixed.apart(one, expected) <= fixed.TOLERANCE


def test_with_any_versions_and_on_any_processor_nearly(answers):
    """After a change of the models: `python tests/fixed_training.py ladder sweep > tests/fixed_training.json`."""
    for one, known in zip(answers["first"], KNOWN):
        assert fixed.apart(one, known) <= fixed.TOLERANCE


def test_how_far_apart_is_the_largest_difference_of_one_number():
    board = {"a": {"hit@1": 0.5, "rmse": 1.0}, "b": {"rmse": 0.75}}
    moved = {"a": {"hit@1": 0.5, "rmse": 1.0}, "b": {"rmse": 0.5}}
    assert fixed.apart({"scoreboard": board}, {"scoreboard": moved}) == 0.25
    with pytest.raises(ValueError, match="other models or metrics"):
        fixed.apart({"scoreboard": board}, {"scoreboard": {"a": board["a"]}})
