"""Embeddings from their inner products."""

import numpy as np
import pytest

from traindyn.dynamics.embeddings import from_gram
from traindyn.errors import InputError


def test_inner_products_are_those_asked_for():
    rng = np.random.default_rng(0)
    for count, rank in ((1, 1), (5, 5), (6, 2)):
        factor = rng.normal(size=(count, rank))
        gram = factor @ factor.T
        for dim in (rank, count + 3):
            rows = from_gram(gram, dim)
            assert rows.shape == (count, dim)
            np.testing.assert_allclose(rows @ rows.T, gram, atol=1e-13 * np.abs(gram).max())
    assert from_gram(np.eye(3)).shape == (3, 3)


@pytest.mark.parametrize(
    ("gram", "dim", "match"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], None, "negative eigenvalue"),
        ([[1.0, 0.5], [0.4, 1.0]], None, "symmetric"),
        ([[1.0, 0.5]], None, "symmetric"),
        (np.eye(4), 3, "span 4 dimensions"),
        ([[np.nan]], None, "gram"),
        (np.zeros((0, 0)), None, "at least one row"),
        (np.eye(2), 2.5, "dim must be an integer"),
    ],
)
def test_bad_gram_matrices_are_refused(gram, dim, match):
    with pytest.raises(InputError, match=match):
        from_gram(gram, dim)
