"""What differs between Keras' versions, and what TensorFlow takes from the system."""

import gc
import random
import sys
from pathlib import Path

import pytest

from recsys_teach import backend, tf


def test_a_bound_may_be_a_whole_number_written_as_a_float():
    ours, pythons = backend._Random(3), random.Random(3)
    assert [ours.randint(1, 1e9) for _ in range(9)] == [pythons.randint(1, 10**9) for _ in range(9)]


def test_python_looks_for_no_garbage_among_what_tensorflow_is_made_of():
    assert gc.isenabled()
    assert gc.get_freeze_count() > 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process holds")
def test_memory_that_a_variable_took_is_given_back():
    def held() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon"))

    tf.ones([1])  # TensorFlow's devices are there from here on
    before = held()
    table = tf.Variable(tf.ones([50_000_000]))
    assert held() - before > 150  # MB, of 200
    del table
    assert held() - before < 50
