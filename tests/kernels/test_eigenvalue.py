"""Lanczos against the dense spectrum, its residual, its stop and its warm start."""

from __future__ import annotations

import numpy as np
import pytest

from traindyn import kernels
from traindyn.errors import InputError, TraindynError
from traindyn.kernels.cpu import eigenvalue

SIZES = [(20, 30, 12), (30, 20, 9), (3, 4, 10), (40, 40, 11)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("degenerate", [False, True])
def test_value_vector_and_residual(size, degenerate, memory):
    weights, *rest = memory(*size, degenerate=degenerate)
    pair = kernels.largest_eigenvalue(weights, *rest)
    top = np.linalg.eigvalsh(kernels.reference.hessian(weights, *rest))[-1]
    assert pair.products > 0  # Lanczos, not the dense way
    assert pair.value == pytest.approx(top, rel=1e-13)
    assert np.linalg.norm(pair.vector) == pytest.approx(1.0, rel=1e-14)
    defect = kernels.hessian_vector_product(weights, pair.vector, *rest) - pair.value * pair.vector
    assert np.linalg.norm(defect) == pytest.approx(pair.residual, abs=1e-13 * top)
    assert pair.residual <= 1e-8 * pair.value
    assert kernels.sharpness(weights, *rest) == pair.value


@pytest.mark.parametrize("size", [(4, 3, 3), (3, 5, 8), (2, 2, 1)])
def test_dense_way_below_the_stated_size(size, memory):
    weights, *rest = memory(*size)
    assert weights.size <= eigenvalue.DENSE_SIZE
    pair = kernels.largest_eigenvalue(weights, *rest)
    top = np.linalg.eigvalsh(kernels.reference.hessian(weights, *rest))[-1]
    assert pair.products == 0
    assert pair.value == pytest.approx(top, rel=1e-13)
    assert pair.residual <= 1e-13 * pair.value


def test_warm_start_saves_products(memory):
    weights, *rest = memory(40, 40, 11)
    cold = kernels.largest_eigenvalue(weights, *rest)
    nudged = weights + 1e-6
    warm = kernels.largest_eigenvalue(nudged, *rest, start=cold.vector)
    again = kernels.largest_eigenvalue(nudged, *rest)
    assert warm.value == pytest.approx(again.value, rel=1e-12)
    assert warm.products < again.products


def test_a_start_in_another_block_hides_nothing():
    """Tokens that do not interact: the start is an exact eigenvector, of the smaller of two eigenvalues."""
    memory = (np.zeros((9, 9)), np.eye(9)[:2], np.eye(9)[:2], [0, 1], [0.9, 0.1])
    start = np.zeros((9, 9))
    start[0, 1], start[1, 1] = 1.0, -1.0
    np.testing.assert_allclose(kernels.hessian_vector_product(memory[0], start, *memory[1:]), 0.05 * start)
    assert kernels.largest_eigenvalue(*memory, start=start).value == pytest.approx(0.45, rel=1e-13)


def test_few_products_give_a_lower_bound_and_say_so(memory):
    weights, *rest = memory(40, 40, 11)
    top = kernels.largest_eigenvalue(weights, *rest).value
    rough = kernels.largest_eigenvalue(weights, *rest, max_products=3)
    assert rough.products == 3
    assert rough.residual > 1e-8 * rough.value
    assert rough.value <= top
    assert top - rough.value <= rough.residual * 10  # the residual is an honest size of the error


def test_restarts_converge(memory, monkeypatch):
    """A tolerance that one basis cannot reach is reached by the next."""
    weights, *rest = memory(60, 60, 14, seed=3)
    pair = kernels.largest_eigenvalue(weights, *rest, tolerance=1e-13)
    top = np.linalg.eigvalsh(kernels.reference.hessian(weights, *rest))[-1]
    assert pair.residual <= 1e-13 * pair.value
    assert pair.value == pytest.approx(top, rel=1e-13)


def test_sharpness_that_does_not_converge_is_an_error(memory, monkeypatch):
    weights, *rest = memory(40, 40, 11)
    whole = eigenvalue.largest_eigenvalue
    monkeypatch.setattr(eigenvalue, "largest_eigenvalue", lambda *a, **k: whole(*a, **{**k, "max_products": 2}))
    with pytest.raises(TraindynError, match="did not converge"):
        kernels.sharpness(weights, *rest)


def test_no_curvature_at_all():
    for outputs in (np.zeros((2, 9)), np.ones((1, 9))):
        pair = kernels.largest_eigenvalue(np.eye(9), [np.ones(9)], outputs, [0], [1.0])
        assert (pair.value, pair.residual) == (0.0, 0.0)
        assert np.linalg.norm(pair.vector) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "law"),
    [
        ({"start": np.zeros((9, 9))}, "start must not be zero"),
        ({"start": np.zeros((3, 3))}, r"start must have shape \(d, d\)"),
        ({"start": np.full((9, 9), np.nan)}, "start must be finite"),
        ({"tolerance": 0.0}, "tolerance must be positive"),
        ({"max_products": 0}, "max_products must be an integer"),
        ({"max_products": 2.5}, "max_products must be an integer"),
    ],
)
def test_bad_options(options, law):
    with pytest.raises(InputError, match=law):
        kernels.largest_eigenvalue(np.eye(9), [np.ones(9)], np.eye(9)[:2], [0], [1.0], **options)
