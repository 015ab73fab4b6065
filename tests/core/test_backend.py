"""What differs between Keras' versions."""

import gc
import random
import subprocess
import sys

import pytest

from recsys_teach import backend


def test_a_bound_may_be_a_whole_number_written_as_a_float():
    ours, pythons = backend._Random(3), random.Random(3)
    assert [ours.randint(1, 1e9) for _ in range(9)] == [pythons.randint(1, 10**9) for _ in range(9)]


def test_python_looks_for_no_garbage_among_what_tensorflow_is_made_of():
    assert gc.isenabled()
    assert gc.get_freeze_count() > 100_000


NOTEBOOK = """
import builtins, weakref

class Kernel:
    def ask(self): ...

builtins.input = Kernel().ask  # a new object in each cell, as ipykernel's
asked = weakref.ref(builtins.input)
import recsys_teach.backend
builtins.input = None
print(asked())
"""


@pytest.mark.slow
def test_what_autograph_takes_for_pythons_own_functions_stays_alive():
    """It knows them by their addresses: a layer's method at the address of one that is gone would not be converted."""
    said = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=True).stdout
    assert said.startswith("<bound method Kernel.ask")
