"""Layer 2: where a product starts that nobody has bought yet: all that is known of it is its category."""

import numpy as np
import pandas as pd

from recsys_teach.schema import CATEGORY, PRODUCT, first_texts


def new_names(new_products: pd.DataFrame, known: list[str]) -> list[str]:
    """The ids of new products; a ValueError if one is known already, or is there twice."""
    names = list(new_products[PRODUCT])
    twice = pd.Index(known + names).duplicated()
    if twice.any():
        name = (known + names)[int(np.argmax(twice))]
        raise ValueError(f"new product {name!r} is in the catalogue already: leave it out of new_products.")
    return names


def categories_of(products: pd.DataFrame, names: list[str]) -> np.ndarray:
    """The category of each name, "" where there is none."""
    return np.array(first_texts(products, CATEGORY, names), dtype=object)


def start_vectors(
    vectors: np.ndarray, categories: np.ndarray, new_categories: np.ndarray, quantile: float | None = None
) -> np.ndarray:
    """For each new category the mean of the vectors of that category, of all where there are none, `[new, dim]`.

    With a `quantile`, the last number, which is the bias, is that quantile of theirs instead.
    """

    def start(some: np.ndarray) -> np.ndarray:
        mean = some.mean(axis=0)
        return mean if quantile is None else np.append(mean[:-1], np.quantile(some[:, -1], quantile)).astype(some.dtype)

    starts = {name: start(vectors[categories == name]) for name in np.unique(categories)}
    return np.stack([starts[name] if name in starts else start(vectors) for name in new_categories])
