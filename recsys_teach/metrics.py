"""Metrics of each test row: hit rate, nDCG, MRR and RMSE before the mean.

Every test row has one right answer, the product that was bought. All metrics follow from its rank among all candidates:

    hit@k   1 if rank ≤ k                       (the mean is the hit rate, here equal to recall@k)
    nDCG@k  1 / log2(1 + rank) if rank ≤ k      (Järvelin & Kekäläinen 2002, with Burges et al.'s discount of 2005)
    MRR     1 / rank                            (Voorhees 1999)

A product that can't be recommended, because it is new or masked, has rank ∞ and scores 0 everywhere.
"""

import numpy as np

CACHED = 2**18  # scores looked at together: 1 MB of float32, few enough to stay in the processor's cache


def ranks(scores: np.ndarray, target: np.ndarray, left_out: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """Return the rank of each row's target column, `[rows]`, 1 the best; ties count against the recommender.

    `scores` is `[rows, products]`, `-inf` for a masked candidate; `target` is `[rows]`, -1 for a
    product that isn't among the candidates. A constant scorer ranks everything last, so it can't look good.
    `left_out` are more cells to mask, as their rows and their columns, each cell once.

    >>> ranks(np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5, 0.1]]), np.array([0, 2, 1]))
    array([1., 3., 2.])
    >>> ranks(np.array([[0.9, 0.5, -np.inf]]), np.array([2]))
    array([inf])
    >>> ranks(np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]]), np.array([1, 1]), (np.array([0, 1]), np.array([0, 1])))
    array([ 1., inf])
    """
    if scores.ndim != 2 or target.shape != (len(scores),):
        raise ValueError(f"expected scores [rows, products] and target [rows], got {scores.shape} and {target.shape}.")
    own = scores[np.arange(len(scores)), target]
    rank = np.empty(len(scores))
    step = max(1, CACHED // scores.shape[1])
    for start in range(0, len(scores), step):
        some = slice(start, start + step)
        ahead = scores[some] >= own[some, None]
        rank[some] = ahead.view(np.int8).sum(axis=1, dtype=np.int32)  # faster than to add booleans
    reachable = (target >= 0) & (own > -np.inf)
    if left_out is not None:
        row, column = left_out
        rank -= np.bincount(row, scores[row, column] >= own[row], minlength=len(rank))
        reachable[row[column == target[row]]] = False
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
