"""An approximate index: finds most of the best products without scoring all of them, for very large catalogues.

The index is an HNSW graph (Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs"), by `hnswlib`. It finds the nearest vectors, but the highest dot products
may be those of long vectors far away. One more coordinate makes all products equally long, and then both are the same
(Bachrach et al. 2014, "Speeding up the Xbox recommender system"); M is the length of the longest:

    p' = (p, √(M² - |p|²))        u' = (u, 0)        u' · p' = u · p,  |p'| = M
"""

import numpy as np

try:
    import hnswlib
except ModuleNotFoundError:  # the extra "ann"
    hnswlib = None


class ApproximateIndex:
    """Finds most of the products with the highest dot products.

    Args:
        vectors: of the products, `[products, dim]`.
        links: neighbours of a product in the graph: more need more memory, and find more.
        build_effort: candidates for a product's neighbours while the graph is built.

    Raises:
        ModuleNotFoundError: hnswlib isn't installed.
    """

    def __init__(self, vectors: np.ndarray, *, links: int = 16, build_effort: int = 200, seed: int = 0):
        if hnswlib is None:
            raise ModuleNotFoundError(
                "an approximate index needs hnswlib, which isn't installed: pip install 'recsys-teach[ann]' "
                "(it is compiled on the spot, so a C++ compiler has to be there)."
            )
        lengths = np.einsum("pd,pd->p", vectors, vectors)
        level = np.column_stack([vectors, np.sqrt(lengths.max() - lengths)])
        self._graph = hnswlib.Index(space="ip", dim=level.shape[1])
        self._graph.init_index(len(level), M=links, ef_construction=build_effort, random_seed=seed)
        self._graph.add_items(level, np.arange(len(level)), num_threads=1)  # with more, each build is another graph

    def search(self, queries: np.ndarray, k: int, *, effort: int = 100) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of the `k` products found for each query, best first, and their scores, `[queries, k]`.

        `effort`, at least `k`, is the number of candidates that the search keeps: more take longer, and miss less.
        """
        self._graph.set_ef(max(effort, k))
        columns, distances = self._graph.knn_query(
            np.column_stack([queries, np.zeros(len(queries), np.float32)]), k, num_threads=1
        )
        return columns.astype(np.int64), 1 - distances


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of the exact top k that was found, over all rows; both are columns, `[rows, k]`.

    >>> recall(np.array([[3, 1], [5, 6]]), np.array([[1, 2], [6, 5]]))
    0.75
    """
    return float((found[:, :, None] == exact[:, None, :]).any(axis=1).mean())
