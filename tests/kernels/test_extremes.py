"""Scores far from zero, losses near the smallest float64, against 50-digit arithmetic."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from traindyn import kernels

EPS = 2.0**-52

# learned, unlearned, tied, huge gaps, a loss of 1e-300, a subnormal one, an underflowing one
ROWS = [
    [0.0, 0.0],
    [1e3, -1e3, 0.0],
    [-1e3, 1e3, 0.0],
    [700.0, 0.25, -3.0, 12.5],
    [690.0, -0.5, 0.0],
    [740.0, 0.0, -1.0],
    [800.0, 0.0],
    [1e-9, 0.0],
    [0.0, 1e-9, -1e-9],
    [36.7, 0.1],
    [1000.5, 1000.0, 999.0],
    [-745.0, 0.0, 0.0],
]


def exact(row, target=0):
    with mpmath.workdps(50):
        weights = [mpmath.exp(mpmath.mpf(s) - mpmath.mpf(row[target])) for s in row]
        wrong = sum(w for label, w in enumerate(weights) if label != target)
        loss = mpmath.log1p(wrong)
        residual = [w / (1 + wrong) for w in weights]
        residual[target] = -wrong / (1 + wrong)
        return loss, residual


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("place", [0, 1])
def test_loss_and_residual_keep_relative_precision(row, place):
    scores = np.roll(np.array(row), place)
    loss, residual = exact(list(scores), target=place)
    # a score difference D is rounded by D ulp / 2 before exp, which no method on float64 differences avoids
    budget = (8 + max(scores) - min(scores)) * EPS
    found = kernels.loss(scores[None], [place], [1.0])
    assert abs(found - loss) <= budget * loss + 2**-1074

    identity = np.eye(len(row))  # with unit embeddings the gradient's first column is the residual
    weights = np.outer(scores, identity[0])
    _, gradient = kernels.softmax_gradient(weights, identity[:1], identity, [place], [1.0])
    for label, want in enumerate(residual):
        assert abs(gradient[label, 0] - want) <= budget * abs(want) + 2**-1072


def test_loss_of_two_classes_is_softplus_of_the_margin():
    for margin in np.concatenate([np.linspace(-50, 50, 41), [-1e3, 300.0, 690.0]]):
        want = math.log1p(math.exp(-margin)) if margin > -30 else -margin + math.exp(margin)
        assert kernels.loss([[margin, 0.0]], [0], [1.0]) == pytest.approx(want, rel=1e-15 * max(4, abs(margin)), abs=0)


def test_accuracy_is_one_exactly_when_all_margins_are_positive():
    frequencies = np.full(7, 1 / 7)
    scores = np.zeros((7, 2))
    scores[:, 0] = 5e-324
    assert kernels.accuracy(scores, [0] * 7, frequencies) == 1.0
    scores[3, 0] = 0.0  # a tie is wrong
    assert kernels.accuracy(scores, [0] * 7, frequencies) == pytest.approx(6 / 7, abs=1e-15)
    assert kernels.accuracy(-scores, [0] * 7, frequencies) >= 0.0
    for twin in (kernels.accuracy, kernels.reference.accuracy):
        one_wrong = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]), np.array([1 - 1e-20, 1e-20])
        assert 0.999 < twin(*one_wrong) < 1.0  # the wrong token weighs less than a rounding
        all_wrong = np.zeros((7, 2)), np.zeros(7, int), np.full(7, 1 / 7)
        assert twin(*all_wrong) == 0.0


def test_margin_is_infinite_with_one_class():
    assert kernels.margins([[3.0]], [0])[0] == math.inf
    assert kernels.loss([[3.0]], [0], [1.0]) == 0.0


@pytest.mark.parametrize("margin", [40.0, 300.0, 690.0, -40.0, -300.0, -690.0])
def test_curvature_of_a_saturated_token_keeps_relative_precision(margin):
    """Two classes: C = q (1 - q) (u_1 - u_2)(u_1 - u_2)^T; 1 - P would lose all of it beyond a margin of 37."""
    weights = np.array([[margin, 0.0], [0.0, 0.0]])
    memory = ([[1.0, 0.0]], np.eye(2), [0], [1.0])
    want = 2.0 * math.exp(-abs(margin)) / (1.0 + math.exp(-abs(margin))) ** 2
    tolerance = 4e-16 * abs(margin)
    assert kernels.sharpness(weights, *memory) == pytest.approx(want, rel=tolerance, abs=0)
    assert kernels.hessian(weights, *memory)[0, 0] == pytest.approx(want / 2, rel=tolerance, abs=0)
    product = kernels.hessian_vector_product(weights, [[1.0, 0.0], [0.0, 0.0]], *memory)
    np.testing.assert_allclose(product, [[want / 2, 0], [-want / 2, 0]], rtol=tolerance)


@pytest.mark.parametrize("margin", [40.0, 600.0])
def test_lanczos_finds_tiny_curvature(margin):
    """In 9 dimensions, where squares of the entries would underflow."""
    weights = np.zeros((9, 9))
    weights[0, 0] = margin
    outputs = np.eye(9)[:2]
    pair = kernels.largest_eigenvalue(weights, [np.eye(9)[0]], outputs, [0], [1.0])
    want = 2.0 * math.exp(-margin)
    assert pair.products > 0
    assert pair.value == pytest.approx(want, rel=4e-16 * margin, abs=0)
    assert pair.residual <= 1e-8 * want


def test_row_functions_pass_nan_on():
    from traindyn.kernels.cpu import rows

    for row in ([math.nan, 1.0], [1.0, math.nan], [0.0, 1.0, math.nan]):
        out = np.empty(len(row))
        assert all(math.isnan(value) for value in rows.residual_row(np.array(row), 0, 1.0, out))
        assert np.isnan(out).all()
        assert all(math.isnan(value) for value in rows.loss_row(np.array(row), 0))
        assert math.isnan(rows.margin_row(np.array(row), 0))


def test_residual_may_overwrite_its_scores():
    from traindyn.kernels.cpu import rows

    row = np.array([0.5, -1.0, 2.0])
    out = np.empty(3)
    expected = rows.residual_row(row, 1, 0.3, out)
    assert rows.residual_row(row, 1, 0.3, row) == expected
    np.testing.assert_array_equal(row, out)
    assert abs(out.sum()) < 1e-16
