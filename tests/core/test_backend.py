"""What differs between Keras' versions."""

import gc
import random

from recsys_teach import backend


def test_a_bound_may_be_a_whole_number_written_as_a_float():
    ours, pythons = backend._Random(3), random.Random(3)
    assert [ours.randint(1, 1e9) for _ in range(9)] == [pythons.randint(1, 10**9) for _ in range(9)]


def test_python_looks_for_no_garbage_among_what_tensorflow_is_made_of():
    assert gc.isenabled()
    assert gc.get_freeze_count() > 100_000
