"""The weight lab: many models that differ only in the weights of their two tasks, and sliders that compare them.

A `Sweep` holds what the lab shows of any recommenders (`Sweep.from_recommenders`), `train_sweep` makes one of any
`MultitaskModel`, `WeightLab` shows it. `train_repairs` trains all combinations of 03's repairs, `switches` shows them.
`with_box` and `WithFallback` are for the small controls of other notebooks. Only what trains loads TensorFlow.
"""

from typing import TYPE_CHECKING

from recsys_teach import _lazy

if TYPE_CHECKING:
    from recsys_teach.lab.page import switches as switches
    from recsys_teach.lab.repairs import repairs_board as repairs_board
    from recsys_teach.lab.repairs import train_repairs as train_repairs
    from recsys_teach.lab.stacking import train_sweep as train_sweep
    from recsys_teach.lab.sweep import Sweep as Sweep
    from recsys_teach.lab.view import WeightLab as WeightLab
    from recsys_teach.lab.widgets import WithFallback as WithFallback
    from recsys_teach.lab.widgets import with_box as with_box

_PUBLIC = {
    "page": ("switches",),
    "repairs": ("repairs_board", "train_repairs"),
    "stacking": ("train_sweep",),
    "sweep": ("Sweep",),
    "view": ("WeightLab",),
    "widgets": ("WithFallback", "with_box"),
}

__getattr__, __dir__ = _lazy(__name__, _PUBLIC)
