"""Minimiser, separability, hard margin and accuracy optimum: golden tables, brute force, duality."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

from traindyn import analytics
from traindyn.analytics import accuracy as accuracy_module
from traindyn.errors import InputError

ANGLES = {
    39: ".18219 1.15016 -.62764",
    81: "-.63870 .01250 .80280",
    7: "2.69213 -.99622 2.10059 -2.19309 -.52406 -2.76386 .96033 1.36252 -2.93932 -.16967 1.32230 -.60887 -2.34206 "
    "-2.95370 2.82555 -2.34262 -2.86758 1.49507 -.60502 -2.51030 2.39468 -.57211 2.62942 -3.02702 .94028 2.14215 "
    "-2.22002 1.70910 2.20787 -.29871",
    9: "-2.54994 -.96544 .40455 -1.87486 .42607 -2.01675 .91738 1.85367 2.51431 .29985 -.78875 -2.66703 .79618 "
    "-1.93535 -1.82487 -2.40813 .44991 -1.25150 -.42511 .96448 2.03516 -2.76135 1.52051 -2.20269 .20780 -.86393 "
    "-.64277 1.88009 -.94651 -.36312",
    11: "2.03184 2.80646 -1.71090 .46714 -1.18692 .87811 -.52501 2.43658 .15462 2.52572",
}


def memory(inputs, outputs, targets, frequencies):
    return SimpleNamespace(
        inputs=np.asarray(inputs, dtype=float),
        outputs=np.asarray(outputs, dtype=float),
        targets=np.asarray(targets),
        frequencies=np.asarray(frequencies, dtype=float),
    )


def fig4(seed):
    angles = np.array([float(a) for a in ANGLES[seed].split()])
    n = len(angles)
    p = 1.0 / np.arange(1.0, n + 1) ** (2 if seed == 11 else 1)
    return memory(np.c_[np.cos(angles), np.sin(angles)], np.eye(2), np.arange(n) % 2, p / p.sum())


def margins(problem, weights):
    scores = problem.inputs @ weights.T @ problem.outputs.T
    own = scores[np.arange(len(scores)), problem.targets].copy()
    scores[np.arange(len(scores)), problem.targets] = -np.inf
    return own - scores.max(axis=1)


def error(problem, weights):
    return float(problem.frequencies[margins(problem, weights) <= 0].sum())


# seed: argmin gamma, L, L01 at the minimiser, min L01, first margins, sharpness; spec, Fig 4 (angles have 5 digits)
TABLE = {
    81: ((0.632166, -1.149320), 0.595269, 0.454545, 0.181818, (1.192718, -0.617752, -0.387551), 0.304094),
    7: ((-0.764849, 1.766945), 0.500225, 0.225554, 0.183835, (1.4566, 1.8989, 1.9112, 0.9899, -1.5464), 0.202474),
    9: ((-0.431029, 0.884744), 0.653011, 0.543194, 0.313740, (-0.135694, 0.972804, -0.048001), 0.319637),
    11: ((0.240544, 1.402390), 0.574845, 0.346776, 0.155758, (1.1489, -0.2341, -1.4222, -0.8463), 0.317023),
}


@pytest.mark.parametrize("seed", TABLE)
def test_fig4_table(seed):
    problem = fig4(seed)
    gamma, loss, at_minimum, least, first, sharpness = TABLE[seed]
    answer = analytics.minimise(problem)
    assert not answer.separable
    assert not answer.weakly_separable
    assert answer.direction is None
    assert answer.gradient_norm < 1e-15
    assert answer.iterations <= 10  # quadratic convergence: the Hessian is the exact one
    np.testing.assert_allclose(np.array([1, -1]) @ answer.weights, gamma, atol=2e-5)
    assert answer.loss == pytest.approx(loss, abs=2e-6)
    assert error(problem, answer.weights) == pytest.approx(at_minimum, abs=2e-6)
    np.testing.assert_allclose(margins(problem, answer.weights)[: len(first)], first, atol=6e-5)
    best = analytics.accuracy_optimum(problem)
    assert best.exact
    assert best.lower == best.upper
    assert 1 - best.lower == pytest.approx(least, abs=2e-6)
    assert error(problem, best.direction) == pytest.approx(1 - best.lower, abs=1e-12)
    q = 1 / (1 + np.exp(margins(problem, answer.weights)))
    curvature = 2 * np.linalg.eigvalsh((problem.inputs.T * (problem.frequencies * q * (1 - q))) @ problem.inputs)[-1]
    assert curvature == pytest.approx(sharpness, abs=3e-6)


def test_fig4_seed_39_is_separable():
    problem = fig4(39)
    answer = analytics.minimise(problem)
    assert answer.separable
    assert answer.weights is None
    assert answer.loss == 0.0
    assert np.linalg.norm(answer.direction) == pytest.approx(1.0, rel=1e-14)
    assert margins(problem, answer.direction).min() == pytest.approx(analytics.hard_margin(problem).margin, rel=1e-12)
    assert analytics.accuracy_optimum(problem)[:2] == (1.0, 1.0)


def wedge(cosine, sine, frequencies):
    inputs = [[-1.0, 0.0], [-cosine, -sine], [cosine, -sine]]
    return memory(inputs, np.eye(2), [0, 1, 0], frequencies)


# the four configurations of the spec in which the most frequent token is forgotten
CONFIGURATIONS = {
    "B": (3**0.5 / 2, 0.5, (0.4, 0.35, 0.25), (0.255353, 0.606641), (-0.255353, 0.524463, -0.082178), 0.40),
    "C": (3**0.5 / 2, 0.5, (0.4, 0.3, 0.3), (0.283076, 0.0), (-0.283076, 0.245151, 0.245151), 0.10),
    "A": (5 / 6, 0.5527707983925666, (0.4, 0.3, 0.3), (0.245939, 0.0), (-0.245939, 0.204949, 0.204949), 0.10),
    "D": (
        np.cos(np.pi / 9), np.sin(np.pi / 9), (0.45, 0.3, 0.25),
        (0.134999, 0.501390), (-0.134999, 0.298343, -0.044628), 0.45,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_three_tokens_forget_the_most_frequent(name):
    cosine, sine, p, gamma, expected, excess = CONFIGURATIONS[name]
    problem = wedge(cosine, sine, p)
    answer = analytics.minimise(problem)
    np.testing.assert_allclose(np.array([1, -1]) @ answer.weights, gamma, atol=2e-6)
    np.testing.assert_allclose(margins(problem, answer.weights), expected, atol=2e-6)
    best = analytics.accuracy_optimum(problem)
    assert error(problem, answer.weights) - (1 - best.lower) == pytest.approx(excess, abs=1e-12)
    signed = problem.inputs * np.where(problem.targets == 0, 1, -1)[:, None]
    closed = analytics.three_token_minimiser(signed, p)
    np.testing.assert_allclose(closed.margins, margins(problem, answer.weights), atol=1e-13)
    assert closed.excess == pytest.approx(excess, abs=1e-12)


def test_minimiser_against_an_independent_optimiser_with_deficient_ranks():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 5))  # rank 3 in dimension 5
    outputs = rng.normal(size=(4, 2)) @ rng.normal(size=(2, 5)) + 1.0
    problem = memory(inputs, outputs, rng.integers(4, size=30), np.full(30, 1 / 30))
    answer = analytics.minimise(problem)

    def loss(flat):
        scores = inputs @ flat.reshape(5, 5).T @ outputs.T
        return np.mean(np.logaddexp.reduce(scores, axis=1) - scores[np.arange(30), problem.targets])

    other = minimize(loss, np.zeros(25), method="BFGS", options={"gtol": 1e-7})
    assert answer.loss == pytest.approx(other.fun, abs=1e-9)
    assert answer.loss == pytest.approx(loss(answer.weights), rel=1e-13)
    assert np.linalg.matrix_rank(answer.weights) <= 2


def test_weakly_separable_problem_is_told_apart():
    problem = memory([[1, 0], [1, 0], [0, 1]], np.eye(2), [0, 1, 0], [0.2, 0.3, 0.5])
    verdict = analytics.separability(problem)
    assert (verdict.strict, verdict.weak) == (False, True)
    assert verdict.separated.tolist() == [[False, False], [False, False], [False, True]]
    assert verdict.margin > 0.5
    assert np.all(margins(problem, verdict.direction) > -1e-15)
    answer = analytics.minimise(problem)
    assert (answer.separable, answer.weakly_separable) == (False, True)
    assert answer.iterations <= 10  # on the face; on the whole space Newton runs away
    # the third token's loss tends to zero; the first two are a coin of weights .2 and .3
    entropy = -(0.2 * np.log(0.4) + 0.3 * np.log(0.6))
    assert answer.loss == pytest.approx(entropy, rel=1e-14)
    assert analytics.accuracy_optimum(problem).lower == pytest.approx(0.8)


def test_farkas_certificate_balances():
    rng = np.random.default_rng(1)
    problem = memory(rng.normal(size=(40, 3)), rng.normal(size=(5, 3)), rng.integers(5, size=40), np.full(40, 1 / 40))
    verdict = analytics.separability(problem)
    assert (verdict.strict, verdict.weak, verdict.direction) == (False, False, None)
    total = sum(
        verdict.multipliers[x, y] * np.outer(problem.outputs[f] - problem.outputs[y], problem.inputs[x])
        for x, f in enumerate(problem.targets)
        for y in range(5)
    )
    assert np.abs(total).max() < 1e-13
    assert verdict.multipliers.sum() == pytest.approx(1.0)
    assert verdict.multipliers.min() >= 0.0


def test_hard_margin_closed_forms_and_gap():
    for correlation in (-0.9, 0.0, 0.5, 0.999999):
        e = [[1.0, 0.0], [correlation, np.sqrt(1 - correlation**2)]]
        answer = analytics.hard_margin(memory(e, np.eye(2), [0, 1], [0.9, 0.1]))
        assert answer.margin**-2 == pytest.approx(analytics.two_token_loss_constant(correlation), rel=1e-9)
        assert answer.gap < 1e-9
    norms = np.array([0.5, 1.0, 3.0])
    answer = analytics.hard_margin(memory(np.diag(norms), [[1, 0, 0], [0, 2, 0]], [0, 1, 0], np.full(3, 1 / 3)))
    assert answer.margin**-2 == pytest.approx(analytics.binary_loss_constant(norms**2, 5.0), rel=1e-12)


def test_hard_margin_is_optimal_and_cutting_planes_agree(monkeypatch):
    from traindyn.analytics import least_distance

    rng = np.random.default_rng(5)
    planted = rng.normal(size=(6, 6))
    inputs, outputs = rng.normal(size=(300, 6)), rng.normal(size=(8, 6))
    problem = memory(inputs, outputs, (inputs @ planted.T @ outputs.T).argmax(axis=1), np.full(300, 1 / 300))
    whole = analytics.hard_margin(problem)
    assert margins(problem, whole.weights).min() == pytest.approx(1.0, rel=1e-12)
    assert whole.gap < 1e-10
    # duality: W is the non-negative combination of the pairs
    total = sum(
        whole.multipliers[x, y] * np.outer(outputs[problem.targets[x]] - outputs[y], inputs[x])
        for x, y in zip(*np.nonzero(whole.multipliers), strict=True)
    )
    np.testing.assert_allclose(total, whole.weights, atol=1e-9 * np.linalg.norm(whole.weights))
    monkeypatch.setattr(least_distance, "_WHOLE", 0.0)
    cut = analytics.hard_margin(problem)
    assert cut.iterations > 1
    assert cut.margin == pytest.approx(whole.margin, rel=1e-9)


def test_hard_margin_refuses_an_inseparable_problem():
    with pytest.raises(InputError, match="separable"):
        analytics.hard_margin(memory([[1, 0], [1, 0]], np.eye(2), [0, 1], [0.5, 0.5]))


def brute_force(problem):
    """Best accuracy over the midpoints of all arcs between boundary angles, with exact signs from integers."""
    signed = problem.inputs * np.where(problem.targets == 0, 1, -1)[:, None]
    angles = np.arctan2(signed[:, 1], signed[:, 0])
    ends = np.unique(np.concatenate([angles + np.pi / 2, angles - np.pi / 2]) % (2 * np.pi))
    middles = (ends + np.concatenate([ends[1:], [ends[0] + 2 * np.pi]])) / 2
    directions = np.c_[np.cos(middles), np.sin(middles)]
    correct = directions @ signed.T > 1e-9
    return float((correct @ problem.frequencies).max())


def test_angular_sweep_against_brute_force():
    rng = np.random.default_rng(0)
    for trial in range(200):
        n = int(rng.integers(1, 12))
        # small integers: many parallel, opposite, zero and repeated tokens
        inputs = rng.integers(-2, 3, size=(n, 2)).astype(float) if trial % 2 else rng.normal(size=(n, 2))
        p = rng.dirichlet(np.ones(n))
        problem = memory(inputs, [[1.0, 0.5], [-0.3, 0.2]], rng.integers(2, size=n), p)
        answer = analytics.accuracy_optimum(problem)
        assert answer.lower == pytest.approx(brute_force(problem), abs=1e-12)
        if np.any(inputs):
            assert error(problem, answer.direction) == pytest.approx(1 - answer.lower, abs=1e-12)


def test_sweep_is_exact_for_lines_that_floats_cannot_tell_apart():
    # opposite tokens on one line whose angles round differently: never both right
    a = np.array([1.0, 1e-17])
    problem = memory([a, 3.0 * a, [1.0, 2e-17]], np.eye(2), [0, 1, 1], [0.3, 0.4, 0.3])
    answer = analytics.accuracy_optimum(problem)
    assert answer.lower == pytest.approx(0.7)  # tokens 2 and 3 together; token 1 contradicts token 2 exactly
    apart = memory([a, [1.0, 2e-17]], np.eye(2), [0, 1], [0.6, 0.4])
    assert analytics.accuracy_optimum(apart).lower == pytest.approx(1.0)


def test_bounds_bracket_the_exact_optimum():
    for seed in (81, 7, 9, 11):
        problem = fig4(seed)
        exact = analytics.accuracy_optimum(problem).lower
        low, high, direction, _ = accuracy_module._bounds(problem, 4)
        assert low <= exact + 1e-12 <= high + 2e-12
        assert error(problem, direction) == pytest.approx(1 - low, abs=1e-12)
        assert low == pytest.approx(exact, abs=0.02)
        if seed in (81, 11):  # the charges are disjoint and tight there
            assert high == pytest.approx(exact, abs=1e-12)


def test_accuracy_bounds_with_many_classes():
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(25))
    problem = memory(rng.normal(size=(25, 3)), rng.normal(size=(4, 3)), rng.integers(4, size=25), p)
    low, high, direction, exact = analytics.accuracy_optimum(problem)
    assert error(problem, direction) == pytest.approx(1 - low, abs=1e-12)
    assert 0.25 < low <= high <= 1.0
    assert not exact or low == high
    # random directions never beat the upper bound, and a coarse search does not beat the lower one
    best = max(1 - error(problem, w) for w in rng.normal(size=(3000, 3, 3)))
    assert best <= high
    assert best <= low + 1e-12


def test_duplicate_outputs_make_tokens_hopeless():
    problem = memory(np.eye(3), [[1, 0, 0], [1, 0, 0], [0, 1, 0]], [0, 2, 2], [0.5, 0.3, 0.2])
    answer = analytics.accuracy_optimum(problem)
    assert (answer.lower, answer.upper) == (pytest.approx(0.5), pytest.approx(0.5))
    assert not analytics.minimise(problem).separable
