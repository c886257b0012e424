"""The integrated gradient flow against what is proved of it: two tokens, universal law, minimisers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from traindyn.dynamics.associative_memory import AssociativeMemory
from traindyn.dynamics.flow import FlowSystem


def states(memory, times, **options):
    flow = FlowSystem(memory, **options)
    for time in times:
        flow.advance_to(time)
        yield flow


def gammas(flow):
    """gamma_1, gamma_2 of equation (18): half difference and half sum of the margins."""
    first, second = flow.margins()
    return 0.5 * (first - second), 0.5 * (first + second)


def loss(flow):
    return float(flow.coordinates.problem.frequencies @ np.log1p(np.exp(-flow.margins())))


@pytest.mark.parametrize("correlation", [-0.8, -0.2, 0.0, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("form", ["margins", "weights"])
def test_two_tokens_solve_the_corrected_equations(correlation, form):
    """gamma' of (19) with the factor c/2 (errata T4.1), integrated by SciPy in other variables.

    A slip in c (2 for 1), in 1 - alpha for 1 + alpha, or in p_1 for p_2, changes the margins by more than 0.1.
    """
    from scipy.integrate import solve_ivp

    gap, p = np.array([0.6, -1.7]), (0.9, 0.1)
    c = float(gap @ gap)
    inputs = [[1.0, 0.0], [correlation, math.sqrt(1.0 - correlation**2)]]
    memory = AssociativeMemory(inputs, [gap, [0.0, 0.0]], [0, 1], p)

    def slope(s, gamma):
        wrong = [p[0] / (1 + math.exp(gamma[1] + gamma[0])), p[1] / (1 + math.exp(gamma[1] - gamma[0]))]
        factor = 0.5 * c * math.exp(s)
        return [
            factor * (1 + correlation) * (wrong[0] - wrong[1]),
            factor * (1 - correlation) * (wrong[0] + wrong[1]),
        ]

    times = np.geomspace(1e-2, 1e10, 7)
    logs = np.log1p(times)  # t = e^s - 1
    for time, s, flow in zip(times, logs, states(memory, times, form=form), strict=True):
        end = solve_ivp(slope, (0.0, s), [0.0, 0.0], "Radau", rtol=1e-11, atol=1e-12).y[:, -1]
        assert np.abs(np.array(gammas(flow)) - end).max() <= 1e-8, time


@pytest.mark.parametrize("correlation", [-0.5, -0.2, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("p", [0.75, 0.95, 0.5])
def test_growth_constant_of_two_tokens(correlation, p):
    """e^gamma_2 / t -> c (1 - alpha) sqrt(p1 p2): .43301, .21794, .5 of c_0 (errata T4.2; golden numbers of E6)."""
    memory = AssociativeMemory.two_tokens(correlation=correlation, frequencies=(p, 1.0 - p))
    flow = next(states(memory, [1e14]))
    ratio = math.exp(gammas(flow)[1]) / 1e14 / (2.0 * (1.0 - correlation))
    # the rest is O(log t / t), times t^(-2 kappa) from gamma_1 for alpha < 0: kappa = 1/3 at -0.5
    assert abs(ratio - math.sqrt(p * (1.0 - p))) < (2e-8 if correlation < 0 else 1e-10)
    assert round(ratio, 5) == {0.75: 0.43301, 0.95: 0.21794, 0.5: 0.5}[p]


@pytest.mark.parametrize(
    ("correlation", "exponent", "tolerance"),
    [(-0.8, -1 / 9, 1e-3), (-0.5, -1 / 3, 1e-3), (-0.2, -2 / 3, 5e-3), (0.5, -1.0, 1e-3)],
)
def test_exponent_of_the_imbalance(correlation, exponent, tolerance):
    """|gamma_1 - gbar| ~ t^-min(1, (1 + alpha)/(1 - alpha)) (E7): at alpha < 0 not 1/t as printed."""
    memory = AssociativeMemory.two_tokens(correlation=correlation, frequencies=(0.75, 0.25))
    balance = 0.5 * math.log(3.0)
    early, late = (1e4, 1e6) if correlation > 0 else (1e8, 1e10)
    first, second = (abs(gammas(flow)[0] - balance) for flow in states(memory, [early, late]))
    assert abs(math.log(second / first) / math.log(late / early) - exponent) < tolerance


def test_limit_of_the_imbalance():
    """t (gamma_1 - gbar) -> (1 + alpha)(p1 - p2) / (4 alpha (1 - alpha) c p1 p2) = 6.6667 at (.5, .9) (errata 5.2)."""
    memory = AssociativeMemory.two_tokens(correlation=0.5, frequencies=(0.9, 0.1))
    flow = next(states(memory, [1e6]))
    assert abs(1e6 * (gammas(flow)[0] - 0.5 * math.log(9.0)) - 20.0 / 3.0) < 1e-3


@pytest.mark.parametrize("initial", [None, [[3.0, -2.0], [0.5, 1.0]]])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_universal_law_two_tokens(correlation, initial):
    """t L -> 1 / margin^2 = 2 / (c (1 - alpha)), whatever p and W0. Slip caught: c/2, 1 + alpha."""
    memory = AssociativeMemory.two_tokens(correlation=correlation, frequencies=(0.9, 0.1))
    flow = next(states(memory, [1e10], initial=initial))
    # next order: sqrt(p1 / p2) log t / ((1 - alpha) c s t), 2e-7 at most here
    assert abs(1e10 * loss(flow) * (1.0 - correlation) - 1.0) < 1e-6


def test_universal_law_many_tokens():
    """Binary orthogonal: t L -> sum_x 1 / (|u1 - u2|^2 |e_x|^2)."""
    norms = np.array([1.0, 0.5, 2.0, 3.0])
    memory = AssociativeMemory(np.diag(norms), np.eye(2, 4), [0, 1, 1, 0], [0.4, 0.3, 0.2, 0.1])
    flow = next(states(memory, [1e12]))
    assert abs(1e12 * loss(flow) - (0.5 / norms**2).sum()) < 1e-8


def test_degenerate_correlations():
    """alpha = 1: gamma_2 stays 0, gamma_1 stops at log(p1/p2); alpha = -1: gamma_1 stays 0 (errata T4.10)."""
    same = next(states(AssociativeMemory.two_tokens(correlation=1.0, frequencies=(0.75, 0.25)), [1e10]))
    assert np.abs(same.margins() - [math.log(3.0), -math.log(3.0)]).max() < 1e-12
    assert same.stationary
    opposite = next(states(AssociativeMemory.two_tokens(correlation=-1.0, frequencies=(0.75, 0.25)), [1e10]))
    assert abs(gammas(opposite)[0]) < 1e-14
    assert not opposite.stationary
    # one margin moved by both tokens: e^m + m = 1 + c t
    margin = opposite.margins()[0]
    assert abs(math.exp(margin) + margin - 1.0 - 2e10) < 2e10 * 1e-9


SPEC_81 = (np.array([-0.63870, 0.01250, 0.80280]), np.array([1.0, 1 / 2, 1 / 3]), (0.632166, -1.149320), 0.595269)
ANGLES_9 = (
    "-2.54994 -.96544 .40455 -1.87486 .42607 -2.01675 .91738 1.85367 2.51431 .29985 -.78875 -2.66703 .79618 -1.93535 "
    "-1.82487 -2.40813 .44991 -1.25150 -.42511 .96448 2.03516 -2.76135 1.52051 -2.20269 .20780 -.86393 -.64277 1.88009 "
    "-.94651 -.36312"
)
SPEC_9 = (np.array([float(v) for v in ANGLES_9.split()]), 1.0 / np.arange(1, 31), (-0.431029, 0.884744), 0.653011)


@pytest.mark.parametrize(("angles", "weights", "minimiser", "least"), [SPEC_81, SPEC_9])
@pytest.mark.parametrize("form", ["weights", "margins"])
def test_a_problem_that_is_not_separable_ends_at_its_minimiser(angles, weights, minimiser, least, form):
    """Figure 4, seeds 81 and 9. The angles have five digits, which moves the minimiser by about 1e-5."""
    inputs = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    memory = AssociativeMemory(inputs, np.eye(2), np.arange(len(angles)) % 2, weights / weights.sum())
    flow = FlowSystem(memory, form=form)
    flow.advance_to(10.0)
    assert not flow.stationary
    flow.advance_to(1e10)
    assert flow.stationary
    assert "minimiser" in flow.message
    found = flow.weights()[0] - flow.weights()[1]
    assert np.abs(found - minimiser).max() < 3e-5
    assert abs(loss(flow) - least) < 5e-6
    # Newton from there, in this test's own logistic regression, does not move it
    signs = np.where(memory.targets == 0, 1.0, -1.0)
    wrong = 1.0 / (1.0 + np.exp(signs * (inputs @ found)))
    gradient = inputs.T @ (memory.frequencies * signs * wrong)
    curvature = inputs.T @ ((memory.frequencies * wrong * (1.0 - wrong))[:, None] * inputs)
    assert np.abs(np.linalg.solve(curvature, gradient)).max() < 1e-12
    assert np.abs(flow.margins() - signs * (inputs @ found)).max() < 1e-12


def test_forgetting_configuration_of_the_specification():
    """Configuration B of Figure 4's section: exact angles, golden numbers to their last digit."""
    half = math.sqrt(0.75)
    memory = AssociativeMemory([[-1, 0], [-half, -0.5], [half, -0.5]], np.eye(2), [0, 1, 0], [0.40, 0.35, 0.25])
    flow = next(states(memory, [1e10]))
    assert flow.stationary
    assert np.abs(flow.weights()[0] - flow.weights()[1] - [0.255353, 0.606641]).max() < 1e-6
    assert np.abs(flow.margins() - [-0.255353, 0.524463, -0.082178]).max() < 1e-6
    assert abs(loss(flow) - 0.6780700) < 1e-7


def test_slow_modes_are_not_taken_for_rest():
    """Two contradictory pairs, the second 10^4 times rarer and shorter: its gradient is tiny long before it moves."""
    inputs = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.05], [0.0, 0.05]])
    p = np.array([0.7, 0.3 - 4e-6, 3e-6, 1e-6])
    memory = AssociativeMemory(inputs, np.eye(2), [0, 1, 0, 1], p)
    flow = FlowSystem(memory)
    flow.advance_to(1e4)  # the first pair is at rest, the second still near 0
    first, _, rare, _ = flow.margins()
    assert abs(first - math.log(p[0] / p[1])) < 1e-9
    assert 0.0 < rare < 1e-3
    assert not flow.stationary
    flow.advance_to(1e14)
    assert flow.stationary
    assert abs(flow.margins()[2] - math.log(3.0)) < 1e-9


def test_a_separable_part_is_never_at_rest():
    """One token alone, beside a contradictory pair that has settled: the margin goes on growing like log t."""
    inputs = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    memory = AssociativeMemory(inputs, np.eye(2), [0, 0, 1], [0.2, 0.5, 0.3])
    flow = FlowSystem(memory)
    for time in (1e3, 1e8, 1e12):
        flow.advance_to(time)
        margin = flow.margins()[0]
        assert abs(math.exp(margin) + margin - 1.0 - 0.4 * time) < 1e-9 * time
        assert abs(flow.margins()[1] - math.log(5 / 3)) < (1e-9 if time > 1e3 else 1e-6)
    assert not flow.stationary


def test_a_token_that_waits_is_not_at_rest():
    """From margin 40, its curvature lost in rounding beside that of the settled pair, it moves at t = e^40."""
    inputs = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    memory = AssociativeMemory(inputs, np.eye(2), [0, 0, 1], [0.2, 0.5, 0.3])
    flow = FlowSystem(memory, initial=[[20.0, 0.0], [-20.0, 0.0]])
    flow.advance_to(1e6)
    assert not flow.stationary
    flow.advance_to(1e20)
    # e^40 expm1(d) + d = 0.4 t
    assert abs(flow.margins()[0] - math.log(math.exp(40.0) + 0.4e20)) < 1e-9
    assert abs(flow.margins()[1] - math.log(5 / 3)) < 1e-9


@pytest.mark.parametrize("time", [0.5, 30.0, 1e6])
def test_the_forms_agree(time):
    """Two classes: margins, weights. Three classes: particles, weights. Dependent inputs included."""
    rng = np.random.default_rng(5)
    for classes, tokens, dim in ((2, 4, 3), (2, 3, 5), (3, 4, 3), (4, 3, 5)):
        memory = AssociativeMemory(
            rng.standard_normal((tokens, dim)), rng.standard_normal((classes, dim)), np.arange(tokens) % classes,
            rng.dirichlet(5.0 * np.ones(tokens)),
        )  # fmt: skip
        start = rng.standard_normal((dim, dim))
        runs = {}
        for form in ("particles", "weights"):
            flow = FlowSystem(memory, form=form, initial=start)
            flow.advance_to(time)
            runs[form] = flow
        one, two = runs["particles"], runs["weights"]
        assert one.form == ("margins" if classes == 2 else "particles")
        assert np.abs(one.scores() - two.scores()).max() < 1e-9 * max(1.0, np.abs(two.scores()).max())
        # the part of W outside the gradient span stays where it was, whatever the form
        assert np.abs(one.weights() - two.weights()).max() < 1e-8 * np.abs(two.weights()).max()


def test_the_default_form_is_the_smallest():
    assert FlowSystem(AssociativeMemory.two_tokens(correlation=0.5)).form == "margins"
    # nearly parallel tokens: margins of dual coefficients would cancel
    assert FlowSystem(AssociativeMemory.two_tokens(correlation=0.9999)).form == "weights"
    many = FlowSystem(AssociativeMemory.random(30, 2, 3))
    assert (many.form, many.coordinates.unknowns) == ("weights", 3)
    wide = FlowSystem(AssociativeMemory.random(3, 4, 8, embedding="orthonormal"))
    assert (wide.form, wide.coordinates.unknowns) == ("particles", 9)


def test_nearly_parallel_tokens_keep_their_digits():
    """alpha -> 1 at fixed (1 - alpha) t: gamma_2 depends on (1 - alpha) c t alone once gamma_1 rests at its balance.

    With dual coefficients the margins would lose log10(1 / (1 - alpha)) digits.
    """
    results = []
    for rest in (1e-8, 1e-10):
        memory = AssociativeMemory.two_tokens(correlation=1.0 - rest, frequencies=(0.75, 0.25))
        kept = 1.0 - (1.0 - rest)  # what float64 makes of it
        flow = next(states(memory, [1e4 / kept]))
        results.append(gammas(flow))
    assert np.abs(np.subtract(*results)).max() < 2e-8
    # the slow manifold: p1 / (1 + e^m1) = p2 / (1 + e^m2)
    first, second = results[1][1] + results[1][0], results[1][1] - results[1][0]
    assert abs(0.75 / (1 + math.exp(first)) * (1 + math.exp(second)) / 0.25 - 1.0) < 1e-7
