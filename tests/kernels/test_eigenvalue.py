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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [(20, 30, 12), (90, 30, 10), (30, 90, 10)])
def test_the_residual_law(size, dtype, memory):
    """|value - top| is at most the residual, and at most residual^2 / gap."""
    weights, *rest = memory(*size, dtype=dtype)
    wide = [np.asarray(a, np.float64) if np.asarray(a).dtype == np.float32 else a for a in (weights, *rest)]
    values = np.linalg.eigvalsh(kernels.reference.hessian(*wide))
    rounding = 60 * np.finfo(dtype).eps * values[-1]
    for tolerance in (0.1, 1e-2, 1e-4, 1e-6):
        pair = kernels.largest_eigenvalue(weights, *rest, tolerance=tolerance)
        assert pair.residual <= max(tolerance, 20 * np.finfo(dtype).eps) * pair.value
        error = abs(values[-1] - pair.value)
        assert error <= pair.residual + rounding
        if pair.residual < 0.3 * (values[-1] - values[-2]):
            assert error <= pair.residual**2 / (values[-1] - values[-2]) * 1.2 + rounding


def test_a_degenerate_largest_eigenvalue():
    """Two tokens alike that do not interact: any vector of the plane will do."""
    memory = (np.zeros((9, 9)), np.eye(9)[:2], np.eye(9)[:2], [0, 1], [0.5, 0.5])
    pair = kernels.largest_eigenvalue(*memory)
    assert pair.value == pytest.approx(0.25, rel=1e-13)
    defect = kernels.hessian_vector_product(memory[0], pair.vector, *memory[1:]) - pair.value * pair.vector
    assert np.linalg.norm(defect) <= 1e-8 * pair.value


def test_the_heavy_tokens_do_not_hide_a_light_one():
    """Eight tokens share a class direction and are frequent; the largest eigenvalue belongs to a rare, long one."""
    inputs = np.eye(20)
    inputs[19] *= 4.0
    frequencies = np.full(20, 0.05)
    frequencies[19], frequencies[:19] = 0.02, 0.98 / 19
    weights = np.zeros((20, 20))
    weights[0, 19] = 0.9  # lowers its curvature, so that other tokens look heavier
    memory = (weights, inputs, np.eye(20)[:2], [0] * 20, frequencies)
    top = np.linalg.eigvalsh(kernels.reference.hessian(*memory))[-1]
    assert kernels.largest_eigenvalue(*memory).value == pytest.approx(top, rel=1e-13)


def test_an_exact_start_from_the_heavy_tokens_hides_nothing():
    """Ten frequent tokens between two short classes, ten rarer ones between two long: two spaces that do not mix.

    The heavy tokens are alike, so that their eigenvector comes out exact, and is one of the whole problem.
    """
    outputs = np.diag([1.0, 1.0, 3.0, 3.0] + [0.0] * 16)[:4]
    weights = np.zeros((20, 20))
    weights[:2, :10], weights[2:4, 10:] = 800.0, 800.0 / 3.0
    frequencies = np.repeat([0.06, 0.04], 10)
    memory = (weights, np.eye(20), outputs, [0] * 20, frequencies)
    assert kernels.largest_eigenvalue(*memory).value == pytest.approx(0.04 * 0.25 * 18.0, rel=1e-13)


@pytest.mark.parametrize("size", [(600, 40, 20), (40, 600, 20), (20, 10, 160)])
def test_the_number_of_threads_changes_no_bit(size, memory, monkeypatch):
    weights, *rest = memory(*size)
    seen = []
    for threads in (1, 2, 3, 4):
        monkeypatch.setattr(eigenvalue, "team_size", lambda _, threads=threads: threads)
        seen.append(kernels.largest_eigenvalue(weights, *rest, tolerance=1e-4, max_products=40))
    for pair in seen[1:]:
        assert (pair.value, pair.residual, pair.products) == (seen[0].value, seen[0].residual, seen[0].products)
        np.testing.assert_array_equal(pair.vector, seen[0].vector)


@pytest.mark.parametrize("margin", [0.0, 600.0])
def test_spectrum(margin, memory):
    weights, *rest = memory(6, 5, 4)
    weights[0] += margin * rest[1][0, 0]
    bare, whole = kernels.hessian_spectrum(weights, *rest), kernels.hessian_spectrum(weights, *rest, vectors=True)
    dense = kernels.hessian(weights, *rest)
    assert bare.vectors is None
    np.testing.assert_allclose(bare.values, whole.values, rtol=0, atol=16 * 2.0**-52 * whole.values[-1])
    assert (np.diff(bare.values) >= 0).all()
    assert bare.values.sum() == pytest.approx(np.trace(dense), rel=1e-12)
    found = np.linalg.norm(dense @ whole.vectors - whole.vectors * whole.values, axis=0)
    np.testing.assert_allclose(whole.residuals, found, rtol=1e-6, atol=1e-16 * whole.values[-1])
    assert (whole.residuals <= 1e-13 * whole.values[-1]).all()


def test_ritz_pairs_against_a_dense_solver():
    """Matrices with entries over many orders, and couplings that nearly vanish."""
    from traindyn.kernels.cpu import eigenvalue_tridiagonal as tridiagonal

    rng = np.random.default_rng(3)
    for trial in range(300):
        count = int(rng.integers(1, 65))
        diagonal = rng.random(count) * 10.0 ** rng.integers(-5, 3) if trial % 3 else np.ones(count)
        couplings = rng.random(count) * 10.0 ** -rng.uniform(-2, 14, count)
        dense = np.diag(diagonal) + np.diag(couplings[:-1], 1) + np.diag(couplings[:-1], -1)
        bound = diagonal[0]
        for row in range(1, count):
            bound = tridiagonal.largest_below(bound, couplings[row - 1], diagonal[row])
        top = np.linalg.eigvalsh(dense)[-1]
        assert bound >= top
        root = tridiagonal.largest_root(diagonal, couplings, count, bound)
        vector = np.empty(count)
        value = tridiagonal.eigenvector(diagonal, couplings, count, root, np.empty(count), vector)
        assert value == pytest.approx(top, rel=1e-14)
        assert np.linalg.norm(dense @ vector - value * vector) <= 4e-15 * top
