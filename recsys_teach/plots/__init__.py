"""Plots: one style, charts of frames, and diagrams of the course's real objects.

Each function returns its axes and one line of words that say the same; `show` shows both.
"""

from recsys_teach.plots.charts import (
    calibration,
    feedback_loops,
    intervals,
    ladder,
    learning_curves,
    lines,
    long_tail,
    on_front,
    pareto,
    rating_shares,
    reliability,
    show,
    timeline,
    trade_off,
)
from recsys_teach.plots.diagrams import embeddings, in_batch_matrix, two_towers
from recsys_teach.plots.style import Picture

__all__ = [
    "Picture",
    "calibration",
    "embeddings",
    "feedback_loops",
    "in_batch_matrix",
    "intervals",
    "ladder",
    "learning_curves",
    "lines",
    "long_tail",
    "on_front",
    "pareto",
    "rating_shares",
    "reliability",
    "show",
    "timeline",
    "trade_off",
    "two_towers",
]
