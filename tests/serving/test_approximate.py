"""The approximate index: the same as a search through everything where it looks hard, and never far from it."""

import numpy as np
import pytest

from recsys_teach.serving import approximate
from recsys_teach.serving.approximate import ApproximateIndex, recall


def planted(products=500, dim=8):
    """Vectors of very different lengths, so that the nearest is seldom the one with the highest dot product."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(products, dim)) * rng.lognormal(size=(products, 1))
    return vectors.astype(np.float32), rng.normal(size=(50, dim)).astype(np.float32)


def test_it_finds_the_highest_dot_products():
    pytest.importorskip("hnswlib", reason="the extra 'ann' isn't installed")
    vectors, queries = planted()
    columns, scores = ApproximateIndex(vectors).search(queries, 10, effort=500)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert recall(columns, exact) == 1.0
    np.testing.assert_array_equal(columns, exact)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ vectors.T, columns, axis=1), rtol=1e-4, atol=1e-5)


def test_without_hnswlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(approximate, "hnswlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'recsys-teach\[ann\]'"):
        ApproximateIndex(planted()[0])
