"""Re-ranking: recommenders that wrap another one and change its lists, less of what is popular or more categories.

Both subtract a penalty from the scores. So that one weight means the same for any recommender, the scores of a row are
standardised first: s̃ = (s - mean) / standard deviation over the row's products, and a weight is in these deviations.
"""

from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.baselines import Purchases
from recsys_teach.evaluation import scores_of
from recsys_teach.schema import CATEGORY, PRODUCT, USER, first_texts


class _Reranked:
    """What both have in common: another recommender, its products, its standardised scores."""

    def __init__(self, recommender: Any, weight: float):
        if not hasattr(recommender, "scores"):
            raise ValueError(f"a {type(recommender).__name__} has no scores: expected a recommender of products.")
        if not 0 <= weight < np.inf:
            raise ValueError(f"weight is {weight}: expected a number of standard deviations, 0 or more.")
        self.recommender, self.weight, self.products = recommender, weight, list(recommender.products)

    def _standardised(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return s̃, `[rows, products]`; a product that the recommender excludes (-inf) stays excluded."""
        scores = scores_of(self.recommender, reviews, len(self.products), "the recommender").astype(float)
        known = np.isfinite(scores)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        centred = np.where(known, scores, 0)
        centred -= centred.sum(axis=1, keepdims=True) / count
        spread = np.sqrt((np.where(known, centred, 0) ** 2).sum(axis=1, keepdims=True) / count)
        return np.where(known, centred / np.where(spread > 0, spread, 1), scores)


class PopularityPenalty(_Reranked):
    """Recommends as another recommender does, but popular products less.

    With n_i purchases of product i in the training rows and z_i = log(1 + n_i), standardised over the products:

        score(u, i) = s̃(u, i) - weight · z_i

    To subtract a multiple of the log of the frequency is the "logit adjustment" of Menon et al. 2021 ("Long-tail
    learning via logit adjustment"); hits are paid for with it (Steck 2011, "Item popularity and recommendation
    accuracy").

    Args:
        weight: 0 leaves the lists as they are. A negative one isn't accepted: it would recommend hits even more.
    """

    def __init__(self, recommender: Any, train: pd.DataFrame, *, weight: float):
        super().__init__(recommender, weight)
        counts = train[PRODUCT].value_counts().reindex(self.products).fillna(0)
        logs = np.log1p(counts.to_numpy(float))
        spread = logs.std()
        self._popularity = (logs - logs.mean()) / (spread if spread > 0 else 1)

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the standardised scores less the penalty, `[rows, products]`."""
        return self._standardised(reviews) - self.weight * self._popularity


class CategoryPenalty(_Reranked):
    """Recommends as another recommender does, but the second of a category less, the third still less, and so on.

    Maximal marginal relevance picks the list's places one after another, each time the product with the highest score
    less its similarity to what was picked before (Carbonell & Goldstein 1998, "The use of MMR"). Here the similarity
    is the number of products of its category that were picked before, so nothing has to be picked one by one:

        score(u, i) = s̃(u, i) - weight · (products of i's category with a higher score that u didn't buy in train)

    Products without a category are treated as one of their own: otherwise they alone would never be penalised.
    """

    def __init__(self, recommender: Any, train: pd.DataFrame, *, weight: float):
        super().__init__(recommender, weight)
        if CATEGORY not in train:
            raise ValueError(f"a category penalty needs a {CATEGORY!r} column: add one, or take PopularityPenalty.")
        self._categories = pd.factorize(np.array(first_texts(train, CATEGORY, self.products)))[0]
        self._purchases = Purchases(train)
        self._columns = pd.Index(self.products).get_indexer(pd.Index(self._purchases.products))

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the standardised scores less the penalty, `[rows, products]`; -inf for what the user has."""
        scores = self._standardised(reviews)
        user = self._purchases.users.get_indexer(pd.Index(reviews[USER]))
        row, column = self._purchases.matrix[np.maximum(user, 0)].nonzero()
        there = (user[row] >= 0) & (self._columns[column] >= 0)
        scores[row[there], self._columns[column[there]]] = -np.inf
        for number in range(self._categories.max() + 1):
            of_category = np.flatnonzero(self._categories == number)
            order = np.argsort(-scores[:, of_category], axis=1, kind="stable")
            place = np.empty_like(order)
            np.put_along_axis(place, order, np.arange(len(of_category))[None], axis=1)
            scores[:, of_category] -= self.weight * place
        return scores
