"""Layer 2: a recommender that is better than the truth was told what it is asked: a leak.

In a generated shop the truth is known, so this can be tested: the rows of the scoreboard, the recommender's beside the
oracle's.
"""

from typing import Any

import pandas as pd
from scipy.stats import ttest_rel

from recsys_teach.scoreboard import row_metrics


def beats_oracle(
    recommender: Any, oracle: Any, train: pd.DataFrame, test: pd.DataFrame, *, exclude_seen: bool = True
) -> dict[str, float]:
    """The metrics in which a recommender is better than the truth, and by how much.

    Who knows nothing but the training rows isn't clearly better than the `baselines.Oracle` of a generated shop,
    except by luck, which a paired t-test over the test rows puts at one in ten thousand a metric. So what this
    returns is a leak: something that is known only after the purchase got in. An empty answer proves nothing, for a
    leak may be small, and a model that is told of a user's *other* test rows has an honest advantage: the oracle
    doesn't leave out what was bought in the meantime.
    """
    own, true = (row_metrics(r, train, test, exclude_seen=exclude_seen) for r in (recommender, oracle))
    gain = own - true
    gain["squared_error"] *= -1  # here, less is better
    better = {
        name: ttest_rel(
            own[name],
            true[name],
            alternative="less" if name == "squared_error" else "greater",
            nan_policy="omit",  # of purchases that nobody rated
        ).pvalue
        for name in gain.columns[gain.notna().any()]
    }
    return {name: float(gain[name].mean()) for name, chance in better.items() if chance < 1e-4}
