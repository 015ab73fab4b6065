"""Layer 2: a recommender that is better than the truth was told what it is asked: a leak.

In a generated shop the truth is known, so this can be tested: the rows of the scoreboard, the recommender's beside the
oracle's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from recsys_teach.schema import SUMMARY, USER
from recsys_teach.scoreboard import row_metrics


def beats_oracle(
    recommender: Any,
    oracle: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    exclude_seen: bool = True,
    visible: Sequence[str] = (SUMMARY,),
) -> dict[str, float]:
    """The metrics in which a recommender is better than the truth, and by how much.

    Who knows nothing but the training rows isn't clearly better than the `baselines.Oracle` of a generated shop,
    except by luck, which a paired t-test puts at one in ten thousand a metric. The rows of a user aren't independent:
    a taste that was guessed well by luck is guessed well in all of them. So the test counts users, by the mean gain
    and its cluster-robust standard error (Liang & Zeger 1986). What this returns is a leak: something that is known
    only after the purchase got in. The summaries of the test rows are visible, since a leak that is hidden can't be
    found. An empty answer proves nothing, for a leak may be small, and a model that is told of a user's *other* test
    rows has an honest advantage: the oracle doesn't leave out what was bought in the meantime.
    """
    settings: dict[str, Any] = {"exclude_seen": exclude_seen, "visible": visible}
    own, true = (row_metrics(recommender, train, test, **settings) for recommender in (recommender, oracle))
    gain = own - true
    gain["squared_error"] *= -1  # here, less is better
    known = gain.columns[gain.notna().any()]
    return {name: float(gain[name].mean()) for name in known if chance_of(gain[name], test[USER]) < 1e-4}


def chance_of(gain: pd.Series, users: pd.Series) -> float:
    """How likely a mean gain is at least this large by luck alone, if the users are independent and their rows aren't.

    With G users, n rows and the residuals e: t = mean / √(G / (G - 1) · Σ_users (Σ_rows e)²) · n, with G - 1 degrees
    of freedom; rows without a number don't count. One row a user makes it the paired t-test.
    """
    gain = gain.dropna()
    of_users = (gain - gain.mean()).groupby(users.loc[gain.index].to_numpy()).sum()
    groups = len(of_users)
    if groups < 2:
        return 1.0
    error = np.sqrt(groups / (groups - 1) * (of_users**2).sum()) / len(gain)
    if error == 0:
        return 0.0 if gain.mean() > 0 else 1.0
    return float(t.sf(gain.mean() / error, groups - 1))
