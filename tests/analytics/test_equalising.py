"""Closed constants of correlated tokens against quadratic programs, and the first step against simulated descent."""

import numpy as np
import pytest

import traindyn as td
from traindyn import analytics
from traindyn.dynamics import embeddings
from traindyn.errors import InputError


def equal(count, correlation):
    return (1.0 - correlation) * np.eye(count) + correlation


def memory(input_gram, output_gram, frequencies=None, n_classes=None):
    n = len(input_gram)
    m = len(output_gram)
    dim = max(n, m)
    p = np.full(n, 1.0 / n) if frequencies is None else np.asarray(frequencies)
    return td.AssociativeMemory(
        embeddings.from_gram(input_gram, dim), embeddings.from_gram(output_gram, dim), np.arange(n) % m, p
    )


@pytest.mark.parametrize(
    ("n", "m", "alpha", "beta"),
    [
        (2, 2, 0.5, 0.0),
        (5, 5, -0.25, 0.0),  # the simplex: the Gram matrix is singular, the problem is not
        (8, 8, 0.9, -0.1),
        (12, 3, 0.3, 0.2),
        (20, 10, -1 / 19, 0.0),  # non-negative least squares alone ends at 23.46 here
        (20, 10, -1 / 19, 0.3),
    ],
)
def test_equal_correlations_have_the_closed_constant(n, m, alpha, beta):
    solved = analytics.hard_margin(memory(equal(n, alpha), equal(m, beta)))
    assert solved.gap < 1e-9
    closed = analytics.equicorrelated_loss_constant(n, m, alpha, beta)
    assert solved.margin**-2 == pytest.approx(closed, rel=1e-9)


def test_special_cases_are_the_known_constants():
    assert analytics.equicorrelated_loss_constant(6, 3) == pytest.approx(analytics.orthonormal_loss_constant(6, 3))
    for alpha in (-0.9, 0.3):
        assert analytics.equicorrelated_loss_constant(2, 2, alpha) == pytest.approx(
            analytics.two_token_loss_constant(alpha)
        )


def test_bad_equal_correlations_are_refused():
    for arguments in ((5, 2), (4, 1), (4, 4, 1.0), (4, 4, -0.34), (4, 4, 0.0, -0.34)):
        with pytest.raises(InputError):
            analytics.equicorrelated_loss_constant(*arguments)


def test_least_weights_with_equal_margins():
    rng = np.random.default_rng(0)
    pairs = np.kron(np.eye(3), equal(2, 0.8))
    places = np.abs(np.arange(6)[:, None] - np.arange(6))
    for gram, expected in ((pairs, True), (0.6**places, True), ((-0.6) ** places, False)):
        problem = memory(gram, np.eye(6))
        answer, solved = analytics.equal_margins(problem), analytics.hard_margin(problem)
        assert answer.optimal is expected
        inverse = np.linalg.inv(gram)
        assert answer.squared_norm == pytest.approx(np.trace(inverse) - inverse.sum() / 6, rel=1e-12)
        if expected:
            assert answer.squared_norm == pytest.approx(solved.margin**-2, rel=1e-9)
            np.testing.assert_allclose(answer.multipliers, solved.multipliers, atol=1e-9)
        else:
            assert answer.squared_norm > 1.01 * solved.margin**-2
    # correlated outputs, fewer classes than tokens: W of the multipliers has all margins 1
    problem = td.AssociativeMemory(
        rng.normal(size=(6, 7)), rng.normal(size=(3, 7)), [0, 1, 2, 0, 0, 1], np.full(6, 1 / 6)
    )
    answer = analytics.equal_margins(problem)
    gaps = problem.outputs[problem.targets][:, None] - problem.outputs[None]
    weights = np.einsum("xm,xmi,xj->ij", answer.multipliers, gaps, problem.inputs)
    margins = np.einsum("xmi,ij,xj->xm", gaps, weights, problem.inputs)
    wrong = np.arange(3)[None] != problem.targets[:, None]
    np.testing.assert_allclose(margins[wrong], 1.0, rtol=1e-9)
    assert answer.squared_norm == pytest.approx(np.sum(weights**2))
    with pytest.raises(InputError, match="independent"):
        analytics.equal_margins(memory(equal(3, -0.5), np.eye(3)))


def test_first_step_margins_are_those_of_descent():
    rng = np.random.default_rng(1)
    problem = td.AssociativeMemory(
        rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), [0, 1, 2, 1, 0], [0.4, 0.3, 0.1, 0.1, 0.1]
    )
    run = td.simulate(problem, td.GradientDescent(0.7), steps=1, observe=("scores", "loss"))
    scores = run["scores"][1]
    margins = scores[np.arange(5), problem.targets][:, None] - scores
    np.testing.assert_allclose(0.7 * analytics.first_step_margins(problem), margins, atol=1e-14)


def test_first_step_of_equal_correlations_is_proposition_five():
    p = np.array([0.6, 0.2, 0.1, 0.1])
    problem = memory(equal(4, 0.5), equal(4, 0.25), p)
    # K = eta |u_1 - u_2|^2 / 2 = 0.75 eta, m_y(x) = K (p(x) - alpha p(y))
    expected = 0.75 * (p[:, None] - 0.5 * p[None, :]) * (1 - np.eye(4))
    np.testing.assert_allclose(analytics.first_step_margins(problem), expected, atol=1e-15)
    interference = 0.75 * (0.2 * 0.1 + 2 * 0.1 * 0.2)  # (alpha p_1 - p_x) p_x of the three rare tokens
    assert analytics.first_step_interference(problem) == pytest.approx(interference, rel=1e-12)
    for rate in (0.1, 1.0, 100.0, 1e4):
        first = td.simulate(problem, td.GradientDescent(rate), steps=1)["loss"][1]
        assert 0.0 < first - rate * interference + 1e-9 <= np.log(4) + 1e-9
    two = td.AssociativeMemory.two_tokens(0.95, (0.75, 0.25))
    assert analytics.first_step_interference(two) == pytest.approx((0.95 * 0.75 - 0.25) * 0.25)
    assert analytics.first_step_interference(memory(equal(4, -0.3), np.eye(4), p)) == 0.0
