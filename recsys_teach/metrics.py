"""Metrics of each test row, hit rate, nDCG, MRR and RMSE before the mean; and of the lists that users are shown.

Every test row has one right answer, the product that was bought. All metrics follow from its rank among all candidates:

    hit@k   1 if rank ≤ k                       (the mean is the hit rate, here equal to recall@k)
    nDCG@k  1 / log2(1 + rank) if rank ≤ k      (Järvelin & Kekäläinen 2002, with Burges et al.'s discount of 2005)
    MRR     1 / rank                            (Voorhees 1999)

A product that can't be recommended, because it is new or masked, has rank ∞ and scores 0 everywhere.

What a recommender shows has consequences that no right answer measures. A list is a row of columns of the catalogue,
-1 where there was nothing left to show:

    coverage    share of the n products that are in any list                                (Ge et al. 2010)
    Gini        Σ_i (2i - n - 1) x_i / (n Σ_i x_i), x_i how often product i is shown, in ascending order   (Gini 1912)
    novelty     mean of -log2(share of the training rows) in a list, in bits    (Zhou et al. 2010, as self-information)
    diversity   share of the pairs in a list that are of different categories        (after Ziegler et al. 2005)

A ranker also says how probable a purchase is. With y = 1 for what was bought, y = 0 for the rest, and p the prediction:

    AUC         share of the pairs of a 1 and a 0 in which the 1 has the higher p; a tie is half a pair
                                                                                     (Hanley & McNeil 1982)
    log loss    mean of -y ln p - (1 - y) ln(1 - p), in nats                         (Good 1952)
    ECE         Σ_bins (rows of the bin / rows) · |mean of y - mean of p|            (Naeini et al. 2015)

The AUC only depends on the order of all p; the ECE, the expected calibration error, only on their level.
"""

import numpy as np
import pandas as pd

CACHED = 2**18  # scores looked at together: 1 MB of float32, few enough to stay in the processor's cache


def ranks(
    scores: np.ndarray,
    target: np.ndarray,
    *,
    row: np.ndarray | None = None,
    left_out: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Return the rank of each target column, `[targets]`, 1 the best; ties count against the recommender.

    `scores` is `[rows, products]`, `-inf` for a masked candidate; `target` is `[targets]`, -1 for a product that isn't
    among the candidates. There is a target for each row of scores; or `row` `[targets]` says which row each one is of,
    so that a user who bought ten products is scored once. `left_out` are more cells of `scores` to mask, as their rows
    and their columns, each cell once. A constant scorer ranks everything last, so it can't look good.

    >>> ranks(np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5, 0.1]]), np.array([0, 2, 1]))
    array([1., 3., 2.])
    >>> ranks(np.array([[0.9, 0.5, -np.inf]]), np.array([2]))
    array([inf])
    >>> ranks(np.array([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]]), np.array([0, 0, 1]), row=np.array([0, 1, 1]))
    array([1., 3., 2.])
    >>> ranks(np.array([[0.9, 0.5, 0.1]]), np.array([1]), left_out=(np.array([0]), np.array([0])))
    array([1.])
    """
    if scores.ndim != 2 or target.shape != ((len(scores),) if row is None else row.shape):
        wanted = "target [rows]" if row is None else f"target {row.shape}, as row"
        raise ValueError(f"expected scores [rows, products] and {wanted}, got {scores.shape} and {target.shape}.")
    if left_out is not None and row is not None:
        scores = scores.copy()  # with fewer rows than there are targets
        scores[left_out] = -np.inf
        left_out = None
    own = scores[np.arange(len(scores)) if row is None else row, target]
    rank = np.empty(len(target))
    step = max(1, CACHED // scores.shape[1])
    for start in range(0, len(target), step):
        some = slice(start, start + step)
        ahead = scores[some if row is None else row[some]] >= own[some, None]
        rank[some] = ahead.view(np.int8).sum(axis=1, dtype=np.int32)  # faster than to add booleans
    reachable = (target >= 0) & (own > -np.inf)
    if left_out is not None:
        of_target, column = left_out
        rank -= np.bincount(of_target, scores[of_target, column] >= own[of_target], minlength=len(rank))
        reachable[of_target[column == target[of_target]]] = False
    return np.where(reachable, rank, np.inf)


def hit(rank: np.ndarray, k: int) -> np.ndarray:
    """Return 1 where the right product is among the first `k`, else 0, `[rows]`.

    >>> hit(np.array([1, 3, np.inf]), k=2)
    array([1., 0., 0.])
    """
    return (rank <= k).astype(float)


def ndcg(rank: np.ndarray, k: int) -> np.ndarray:
    """Return the normalised discounted cumulative gain at `k`, `[rows]`.

    >>> ndcg(np.array([1, 3, 11, np.inf]), k=10)
    array([1. , 0.5, 0. , 0. ])
    """
    return np.where(rank <= k, 1 / np.log2(1 + rank), 0.0)


def reciprocal_rank(rank: np.ndarray) -> np.ndarray:
    """Return 1 / rank, `[rows]`; its mean is the MRR.

    >>> reciprocal_rank(np.array([1, 4, np.inf]))
    array([1.  , 0.25, 0.  ])
    """
    return 1 / rank


def squared_error(predicted: np.ndarray, rating: np.ndarray) -> np.ndarray:
    """Return (predicted - rating)², in stars², `[rows]`; the root of its mean is the RMSE.

    >>> squared_error(np.array([4.0, 3.0]), np.array([5.0, 3.0]))
    array([1., 0.])
    """
    if predicted.shape != rating.shape:
        raise ValueError(f"expected one prediction a rating, got {predicted.shape} for {rating.shape}.")
    return (predicted - rating) ** 2


def coverage(lists: np.ndarray, products: int) -> float:
    """Return the share of the products that are in any of the lists `[rows, k]`.

    >>> coverage(np.array([[0, 1], [1, -1]]), products=4)
    0.5
    """
    return len(np.unique(lists[lists >= 0])) / products


def exposure_gini(lists: np.ndarray, products: int) -> float:
    """Return how unequally the lists `[rows, k]` show the products: 0, all equally often; near 1, one alone.

    >>> exposure_gini(np.array([[0, 1], [2, 3]]), products=4), exposure_gini(np.array([[0], [0]]), products=4)
    (0.0, 0.75)
    """
    shown = np.sort(np.bincount(lists[lists >= 0], minlength=products))
    weights = 2 * np.arange(1, products + 1) - products - 1
    return float(weights @ shown / (products * shown.sum())) if shown.any() else np.nan


def novelty(lists: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return how surprising the products of each list are on average, in bits, `[rows]`.

    `shares` `[products]` are their shares of the training rows.

    >>> novelty(np.array([[0, 1], [1, -1], [-1, -1]]), np.array([0.5, 0.125]))
    array([ 2.,  3., nan])
    """
    shown = lists >= 0
    with np.errstate(invalid="ignore"):
        return np.where(shown, -np.log2(shares)[lists], 0).sum(axis=1) / np.where(
            shown.any(axis=1), shown.sum(axis=1), np.nan
        )


def diversity(lists: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the share of the pairs in each list whose products are of different groups, `[rows]`.

    `groups` `[products]` are numbers, such as those of the categories; -1 is an unknown one, whose pairs don't count.

    >>> diversity(np.array([[0, 1, 2], [0, 1, -1], [2, -1, -1]]), np.array([7, 7, 8]))
    array([0.66666667, 0.        ,        nan])
    >>> diversity(np.array([[0, 1, 2], [1, 2, -1]]), np.array([7, 8, -1]))
    array([ 1., nan])
    """
    group = np.where(lists >= 0, groups[lists], -1)
    first, second = np.triu_indices(lists.shape[1], k=1)
    pairs = (group[:, first] >= 0) & (group[:, second] >= 0)
    unlike = pairs & (group[:, first] != group[:, second])
    return unlike.sum(axis=1) / np.where(pairs.any(axis=1), pairs.sum(axis=1), np.nan)


def auc(predicted: np.ndarray, bought: np.ndarray) -> float:
    """Return the area under the ROC curve: 0.5 for chance, 1 if all that was bought is above all that wasn't.

    `predicted` are probabilities or scores, `bought` is 1 or 0, both of any one shape. NaN if one of the two is absent.

    >>> auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1, 1, 0, 0]))
    0.875
    """
    _check_pairs(predicted, bought)
    of_bought, rest = predicted[bought == 1], np.sort(predicted[bought == 0])
    if not len(of_bought) or not len(rest):
        return np.nan
    below, not_above = (np.searchsorted(rest, of_bought, side=side).mean() for side in ("left", "right"))
    return float((below + not_above) / 2 / len(rest))


def log_loss(predicted: np.ndarray, bought: np.ndarray) -> float:
    """Return the log loss of probabilities, in nats: 0 for certainty that is right; lower is better.

    Probabilities are taken to be at least 1e-7 away from 0 and 1, since one error at certainty would cost infinitely.

    >>> round(log_loss(np.array([0.5, 0.25]), np.array([1, 0])), 4)  # (ln 2 + ln 4/3) / 2
    0.4904
    """
    _check_pairs(predicted, bought)
    sure = np.clip(np.asarray(predicted, float), 1e-7, 1 - 1e-7)
    return float(-np.log(np.where(bought == 1, sure, 1 - sure)).mean())


def reliability(predicted: np.ndarray, bought: np.ndarray, *, bins: int = 10) -> pd.DataFrame:
    """Return a table of `predicted`, the mean probability, `bought`, the share that was bought, and `rows`, by bin.

    The bins hold about as many rows each, in the order of their probabilities: purchases are rare, so bins of equal
    width would put nearly all rows into the first one. Equal probabilities stay together.

    >>> reliability(np.array([0.1, 0.3, 0.6, 0.8]), np.array([0, 0, 1, 0]), bins=2).to_dict("list")
    {'predicted': [0.2, 0.7], 'bought': [0.0, 0.5], 'rows': [2, 2]}
    """
    _check_pairs(predicted, bought)
    frame = pd.DataFrame({"predicted": np.ravel(predicted), "bought": np.ravel(bought)}).astype(float)
    places = frame["predicted"].rank(method="min").astype(int) - 1
    bin_of = pd.factorize(places * bins // len(frame), sort=True)[0] + 1
    groups = frame.groupby(bin_of)
    return groups.mean().assign(rows=groups.size()).rename_axis("bin")


def calibration_error(predicted: np.ndarray, bought: np.ndarray, *, bins: int = 10) -> float:
    """Return the expected calibration error: how far probabilities are from shares on average (see `reliability`).

    >>> round(calibration_error(np.array([0.1, 0.3, 0.6, 0.8]), np.array([0, 0, 1, 0]), bins=2), 4)
    0.2
    """
    table = reliability(predicted, bought, bins=bins)
    gaps = (table["bought"] - table["predicted"]).abs()
    return float(np.average(gaps, weights=table["rows"]))


def _check_pairs(predicted: np.ndarray, bought: np.ndarray) -> None:
    if predicted.shape != bought.shape or not predicted.size:
        raise ValueError(f"expected a prediction for each row, got {predicted.shape} for {bought.shape}.")
