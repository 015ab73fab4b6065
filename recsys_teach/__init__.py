"""Layer 0: the course's shared code. Importing it loads no TensorFlow.

TensorFlow Recommenders is written for Keras 2. TensorFlow 2.16 and later hand out Keras 3 as ``tf.keras``
unless ``TF_USE_LEGACY_KERAS=1`` is set before ``tf.keras`` is first touched, so that is set here, once. The same
goes for TensorFlow's C++ log: its level is read when TensorFlow is loaded.
"""

import os
import sys

__version__ = "0.1.0"

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if "tensorflow" in sys.modules:
    _keras = getattr(sys.modules["tensorflow"].keras, "__version__", "2.16")  # that one alone has no number
    if not _keras.startswith("2."):
        raise ImportError(
            f"TensorFlow is already running on Keras {_keras}, but TensorFlow Recommenders needs Keras 2: "
            "restart the kernel (or the Python process) and import recsys_teach before tensorflow."
        )
