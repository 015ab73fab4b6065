"""Layer 2: most of the best products without a look at all of them, for catalogues that an exact index is slow for.

The index is an HNSW graph (Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs"), by `hnswlib`. It looks for the nearest vectors; the highest dot products
are another thing, since long vectors win those from afar. One more coordinate makes all products equally long, and
then they are the same (Bachrach et al. 2014, "Speeding up the Xbox recommender system"), M the longest's length:

    p' = (p, √(M² - |p|²))        u' = (u, 0)        u' · p' = u · p,  |p'| = M
"""

import numpy as np

try:
    import hnswlib
except ModuleNotFoundError:  # the extra "ann"
    hnswlib = None


class ApproximateIndex:
    """Finds the products with the highest dot products, nearly always.

    Args:
        vectors: of the products, `[products, dim]`.
        links: how many neighbours a product has in the graph: more need more memory, and find more.
        build_effort: how many candidates are looked at for each product's neighbours while the graph is built.

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
        """The columns of the `k` products found for each query, best first, and their dot products, `[queries, k]`.

        `effort`, at least `k`, is how many candidates the search keeps: more take longer, and miss less.
        """
        self._graph.set_ef(max(effort, k))
        columns, distances = self._graph.knn_query(
            np.column_stack([queries, np.zeros(len(queries), np.float32)]), k, num_threads=1
        )
        return columns.astype(np.int64), 1 - distances


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the exact top k that was found, over all rows; both are columns, `[rows, k]`.

    >>> recall(np.array([[3, 1], [5, 6]]), np.array([[1, 2], [6, 5]]))
    0.75
    """
    return float((found[:, :, None] == exact[:, None, :]).any(axis=1).mean())
