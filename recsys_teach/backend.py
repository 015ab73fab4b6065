"""Layer 3: the one place that loads TensorFlow and TFRS, on Keras 2 (see `__init__`) and without noise.

`from recsys_teach.backend import tf, tfrs` is `import tensorflow as tf, tensorflow_recommenders as tfrs`, but for
a dozen log lines on stderr that TensorFlow writes while it loads and that no log level silences.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["tf", "tfrs"]


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Send what C++ writes to file descriptor 2 nowhere; exceptions come through."""
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
    """Look for no garbage meanwhile: modules that are being loaded leave little, and looking takes a tenth longer."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


with _stderr_closed(), _no_collection():
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

tf.get_logger().setLevel("WARNING")  # or it tells of every folder that it writes
