"""Off-policy estimates: what a recommender's lists would have sold, from the log of another one's lists.

A log says what was bought from the lists that were shown. Products that the logging recommender never shows look as if
nobody wanted them, so hits on logged purchases favour the recommender that made the log. Inverse propensity scoring
(Horvitz & Thompson 1952; for lists, Li et al. 2018, "Offline evaluation of ranking policies with click models") counts
a purchase the more, the less likely its product was to be shown. With visits v, each with a logged list L_v, new lists
L'_v, purchases b_vi from the logged list, and propensities q_vi:

    weights         w_vi = 1 / q_vi  for i in both L_v and L'_v, else 0
    IPS             Σ_vi w_vi b_vi / number of visits
    clipped         the same with min(w_vi, clip)                                    (Ionides 2008)
    SNIPS           Σ_vi w_vi b_vi / Σ_vi w_vi · places per list                     (Swaminathan & Joachims 2015)

IPS is right on average, if every product of the new lists *could* have been shown (q_vi > 0), and if a product sells as
well beside others. It is uncertain where propensities are small. Clipping makes it steadier and too low. SNIPS is
steadier, and nearly right with many visits.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach._util import listed, shown
from recsys_teach.consequences.feedback import BOUGHT, PLACES, PROPENSITY, ROUND, error_of, interval, ratio_parts
from recsys_teach.evaluation import row_lists
from recsys_teach.schema import PRODUCT, TIMESTAMP, USER


def overlap(recommender: Any, exposures: pd.DataFrame, reviews: pd.DataFrame) -> np.ndarray:
    """Return for each exposure whether this recommender's list for the same visit has the product, too, `[rows]`.

    As at the visit, what the user had bought in an earlier round is excluded; `reviews` are all purchases with their
    `round`. Fit the recommender on rounds before those of the log, or it has learned from the answers.
    """
    both = np.zeros(len(exposures), bool)
    catalogue = pd.Index(recommender.products)
    for number in exposures[ROUND].unique():
        of_round = exposures[ROUND].to_numpy() == number
        log, now = exposures[of_round], reviews.loc[reviews[ROUND] == number, TIMESTAMP]
        users = pd.Index(log[USER].unique())
        asked = pd.DataFrame({USER: users, TIMESTAMP: now.min() if len(now) else reviews[TIMESTAMP].max()})
        lists = row_lists(recommender, reviews[reviews[ROUND] < number], asked, k=PLACES)
        column = catalogue.get_indexer(pd.Index(log[PRODUCT]))
        both[of_round] = (lists[users.get_indexer(pd.Index(log[USER]))] == column[:, None]).any(axis=1) & (column >= 0)
    return both


def off_policy_board(
    recommenders: Mapping[str, Any],
    exposures: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    clip: float = 20.0,
    against: str | None = None,
) -> pd.DataFrame:
    """Estimate the purchases per visit from each recommender's lists of ten; return a row for each.

    Columns `IPS`, `clipped`, `SNIPS`, each with a 95 % interval `low` and `high` from the spread between users, and
    `sample`, the effective sample size (Σw)² / Σw² (Kish 1965): so many exposures count.

    Args:
        exposures: a log with `round`, `user_id`, `product_id`, `propensity`, `bought`: see `feedback.simulate`.
        reviews: all purchases with their `round`; see `overlap`.
        clip: the largest weight of the clipped estimate.
        against: a row; then `IPS gain`, `clipped gain` and `SNIPS gain` over it follow, with intervals that are paired:
            what both lists have in common has no part in them.

    Raises:
        ValueError: the log is empty, a propensity isn't above 0 and at most 1, or `against` is no row.
    """
    if exposures.empty:
        raise ValueError("the log has no exposures: there is nothing to estimate from.")
    propensity = exposures[PROPENSITY].to_numpy(float)
    if not ((propensity > 0) & (propensity <= 1)).all():
        raise ValueError(
            "the log has a propensity that isn't above 0 and at most 1: expected P(product was shown), such as from "
            'simulate(…, explore_by="random").'
        )
    if not clip > 0:
        raise ValueError(f"clip is {clip}: expected a weight above 0.")
    if against is not None and against not in recommenders:
        raise ValueError(f"against={shown(against)} is no row of this board: expected one of {listed(recommenders)}.")
    user = pd.factorize(exposures[USER])[0]
    visits = exposures.groupby(user)[ROUND].nunique().to_numpy(float)
    bought = exposures[BOUGHT].to_numpy(float)
    found, samples = {}, {}
    for name, recommender in recommenders.items():
        weight = overlap(recommender, exposures, reviews) / propensity
        sums = [np.bincount(user, values) for values in (weight * bought, np.minimum(weight, clip) * bought, weight)]
        estimates = {"IPS": (sums[0], visits), "clipped": (sums[1], visits), "SNIPS": (PLACES * sums[0], sums[2])}
        found[name] = {kind: ratio_parts(*parts) for kind, parts in estimates.items()}
        samples[name] = weight.sum() ** 2 / max((weight**2).sum(), 1e-12)
    board: dict[str, dict[str, float]] = {name: {} for name in recommenders}
    for name, estimated in found.items():
        for kind, (value, parts) in estimated.items():
            board[name] |= interval(kind, value, error_of(parts))
            if against is not None:
                rival, of_rival = found[against][kind]
                board[name] |= interval(f"{kind} gain", value - rival, error_of(parts - of_rival))
        board[name]["sample"] = samples[name]
    return pd.DataFrame(board).T.rename_axis("model")
