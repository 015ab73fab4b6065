"""Cold start: the first vector of a product that nobody has bought yet, from its category."""

import numpy as np
import pandas as pd

from recsys_teach.schema import CATEGORY, first_texts


def categories_of(products: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Return the category of each product, "" where there is none."""
    return np.array(first_texts(products, CATEGORY, names), dtype=object)


def start_vectors(
    vectors: np.ndarray, categories: np.ndarray, new_categories: np.ndarray, quantile: float | None = None
) -> np.ndarray:
    """Return the mean of the vectors of each new product's category, of all vectors for a new category, `[new, dim]`.

    With a `quantile`, the last number of a vector, the bias, is that quantile of the category's biases instead.
    """

    def start(some: np.ndarray) -> np.ndarray:
        mean = some.mean(axis=0)
        return mean if quantile is None else np.append(mean[:-1], np.quantile(some[:, -1], quantile)).astype(some.dtype)

    starts = {name: start(vectors[categories == name]) for name in np.unique(categories)}
    return np.stack([starts[name] if name in starts else start(vectors) for name in new_categories])
