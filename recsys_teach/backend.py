"""TensorFlow and TensorFlow Recommenders, loaded on Keras 2 (see `__init__`) and without noise.

`from recsys_teach import tf, tfrs` is `import tensorflow as tf, tensorflow_recommenders as tfrs` without the dozen log
lines that TensorFlow writes to stderr while it loads and that no log level silences. Differences between versions of
Keras are handled here, so that no other file has to know about them.
"""

import builtins
import gc
import importlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

__all__ = ["tf", "tfrs"]


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Discard what C++ writes to file descriptor 2; exceptions come through."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Switch off garbage collection: loading modules leaves little garbage, and looking for it takes a tenth longer."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


gc.collect()  # what is garbage now would stay for ever
with _stderr_closed(), _no_collection():
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

# AutoGraph knows Python's own functions by their addresses, of which it makes a list when it is loaded. In a notebook,
# `input` is another object in each cell: if it went, a layer's `call` might get its address, and run unconverted.
_builtins = list(vars(builtins).values())

gc.freeze()  # or Python would look for garbage among TensorFlow's 300,000 objects again and again: a third of tracing

tf.get_logger().setLevel("WARNING")  # or it logs every folder that it writes


class _Random(random.Random):
    """Python's random numbers, up to a bound that may be a whole number written as a float."""

    def randint(self, a: float, b: float) -> int:
        return super().randint(int(a), int(b))


# Keras 2.16, the last one for macOS, draws seeds up to 1e9, a float, which Python 3.12 refuses.
if tf.__version__.startswith("2.16."):
    _utils = importlib.import_module("tf_keras.src.utils.tf_utils")
    _utils.random = SimpleNamespace(seed=random.seed, Random=_Random, randint=_Random().randint)  # type: ignore[attr-defined]
