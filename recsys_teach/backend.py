"""Floor 3: the one place that loads TensorFlow and TFRS, on Keras 2 (see `__init__`) and without noise.

`from recsys_teach.backend import tf, tfrs` is `import tensorflow as tf, tensorflow_recommenders as tfrs`, but for
a dozen log lines on stderr that TensorFlow writes while it loads and that no log level silences.
"""

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


with _stderr_closed():
    import tensorflow as tf
    import tensorflow_recommenders as tfrs
