"""The weight lab: many models that differ only in the weights of their two tasks, and sliders that compare them.

A `Sweep` holds what the lab shows of any recommenders (`Sweep.from_recommenders`), `train_sweep` makes one of any
`MultitaskModel` (and is the only part that loads TensorFlow), `WeightLab` shows it. `with_box` and `WithFallback` are
for the small controls of other notebooks.
"""

from typing import TYPE_CHECKING

from recsys_teach import _lazy

if TYPE_CHECKING:
    from recsys_teach.lab.stacking import train_sweep as train_sweep
    from recsys_teach.lab.sweep import Sweep as Sweep
    from recsys_teach.lab.view import WeightLab as WeightLab
    from recsys_teach.lab.widgets import WithFallback as WithFallback
    from recsys_teach.lab.widgets import with_box as with_box

_PUBLIC = {
    "stacking": ("train_sweep",),
    "sweep": ("Sweep",),
    "view": ("WeightLab",),
    "widgets": ("WithFallback", "with_box"),
}

__getattr__, __dir__ = _lazy(__name__, _PUBLIC)
