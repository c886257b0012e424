"""The integrated gradient flow against solutions in closed form, in 40 digits.

The closed forms give the time at which a margin is reached, so no equation is solved here: for a margin m the flow is
asked for its state at that time, rounded to float64 (which moves the margin by 1e-16 at most).
"""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from traindyn.dynamics.associative_memory import AssociativeMemory
from traindyn.dynamics.flow import FlowSystem
from traindyn.kernels.cpu import flow as kernel
from traindyn.kernels.cpu.flow_tableau import COUPLING, NODES, RESULTS

RTOL = 1e-10
# measured at most 6e-12 of the largest |margin| so far, for rtol = 1e-10
ACHIEVED = 0.2 * RTOL


def orthogonal_pair(norms=(1.0, 1.0), gap=(1.0, -1.0), p=(0.75, 0.25), targets=(0, 1)):
    inputs = np.diag(norms)
    outputs = np.array([[gap[0], 0.0], [0.0, -gap[1]]])
    return AssociativeMemory(inputs, outputs, list(targets), list(p))


@pytest.mark.parametrize("form", ["margins", "weights"])
@pytest.mark.parametrize("start", [0.0, 0.4, -8.0, 30.0, -700.0, 700.0])
def test_binary_orthogonal_margin_is_the_exact_one(form, start):
    """e^m0 expm1(d) + d = c_x t with c_x = p |e|^2 |u1 - u2|^2 (errata, section 2)."""
    mpmath.mp.dps = 40
    norms, p = (0.5, 2.0), (0.75, 0.25)
    memory = orthogonal_pair(norms=norms, gap=(1.0, -2.0), p=p)
    c = 5.0  # |u1 - u2|^2
    # margins m1 = (u1-u2)^T W e1, m2 = -(u1-u2)^T W e2, set along the gap
    weights = np.outer([1.0, -2.0], [start / norms[0], start / norms[1] * -1.0]) / c
    tried = {}
    for x in range(2):
        rate = mpmath.mpf(p[x]) * mpmath.mpf(norms[x]) ** 2 * c
        for moved in np.geomspace(1e-9, 800.0, 40):
            time = (mpmath.exp(start) * mpmath.expm1(moved) + mpmath.mpf(moved)) / rate
            if 1e-10 <= time <= 1e10:
                tried[float(time)] = (x, moved)
    if start == 700.0:
        tried = {1e-10: (0, 0.0), 1e10: (1, 0.0)}  # c t / e^700: nothing moves
    assert len(tried) >= 2
    flow = FlowSystem(memory, form=form, initial=weights, rtol=RTOL)
    for time, (x, moved) in sorted(tried.items()):
        flow.advance_to(time)
        got = flow.margins()[x]
        scale = max(abs(start), moved, abs(start + moved))
        assert abs(got - (start + moved)) <= ACHIEVED * scale, (time, x, got, start + moved)
        # scores and W tell the same: W^T of the text convention would not
        direct = memory.inputs @ flow.weights().T @ memory.outputs.T
        assert np.abs(direct - flow.scores()).max() <= 1e-13 * max(1.0, np.abs(direct).max())
        assert abs(flow.scores()[x, x] - flow.scores()[x, 1 - x] - got) <= 1e-13 * max(1.0, abs(got))


def exact_times(start, norms, clocks, rate):
    """Times and score differences (to class 0, the target) on the exact flow of errata section 4, at auxiliary times s.

    e^{-w_j} = e^{-w_j(0)} + n_j s, w_0 = w_0(0) + n_0 sum_j (w_j(0) - w_j) / n_j, rate t = int_0^s A ds'.
    """
    u = [mpmath.exp(-mpmath.mpf(float(w))) for w in start]
    n = [mpmath.mpf(float(v)) for v in norms]

    def target_part(s):
        grown = mpmath.mpf(1)
        for j in range(1, len(u)):
            grown *= (1 + n[j] * s / u[j]) ** (n[0] / n[j])
        return grown / u[0]

    for s in clocks:
        s = mpmath.mpf(s)
        cuts = [mpmath.mpf(0)] + [s * mpmath.mpf(10) ** k for k in range(-12, 1, 2)]
        area = mpmath.quad(target_part, cuts)
        area += mpmath.fsum(mpmath.log1p(n[j] * s / u[j]) / n[j] for j in range(1, len(u)))
        others = [-mpmath.log(u[j] + n[j] * s) for j in range(1, len(u))]
        own = mpmath.mpf(float(start[0])) + n[0] * mpmath.fsum(
            (mpmath.mpf(float(start[j])) - others[j - 1]) / n[j] for j in range(1, len(u))
        )
        yield float(area / rate), [own - w for w in others]


@pytest.mark.parametrize("form", ["particles", "weights"])
@pytest.mark.parametrize(
    ("classes", "spread", "norms"),
    [(3, 1.0, None), (5, 4.0, None), (4, 1.0, (1.0, 0.5, 2.0, 1.5)), (3, 300.0, None)],
)
def test_many_classes_follow_the_exact_flow(form, classes, spread, norms):
    """Orthogonal inputs and outputs, any start (errata, section 4)."""
    mpmath.mp.dps = 30
    rng = np.random.default_rng(classes)
    norms = (1.0,) * classes if norms is None else norms
    p, lengths = np.array([0.9, 0.1]), np.array([1.0, 1.5])
    inputs, outputs = np.diag([*lengths, *[0.0] * (classes - 2)])[:2], np.diag(np.sqrt(norms))
    start = spread * rng.standard_normal((2, classes))
    weights = np.zeros((classes, classes))
    weights[:, :2] = (start / lengths[:, None] / np.sqrt(norms)).T
    memory = AssociativeMemory(inputs, outputs, [0, classes - 1], p)
    flow = FlowSystem(memory, form=form, initial=weights, rtol=RTOL)
    tried = []
    for x, target in enumerate(memory.targets):
        order = [target, *[y for y in range(classes) if y != target]]
        begin = [start[x, y] for y in order]
        least = math.exp(-max(begin))  # where the likeliest class begins to move
        clocks = least * np.geomspace(1e-8, 1e8, 9)
        for time, differences in exact_times(begin, [norms[y] for y in order], clocks, p[x] * lengths[x] ** 2):
            if 1e-10 <= time <= 1e10:
                tried.append((time, x, order[1:], differences))
    assert len(tried) >= 6
    for time, x, order, differences in sorted(tried, key=lambda row: row[0]):
        flow.advance_to(time)
        got = flow.margins_to()[x]
        for y, exact in zip(order, differences, strict=True):
            begin = start[x, memory.targets[x]] - start[x, y]
            scale = max(abs(begin), abs(float(exact)), abs(float(exact) - begin))
            assert abs(float(got[y] - exact)) <= ACHIEVED * scale, (time, x, y)
        assert flow.margins()[x] == min(got[y] for y in order)


def test_invariants_of_orthogonal_outputs():
    """e^{-w_i} - e^{-w_j} and sum w_i / n_i over the wrong classes and all classes (errata T3.3) stay put."""
    rng = np.random.default_rng(3)
    norms = np.array([1.0, 2.0, 0.5, 1.0])
    start = rng.standard_normal((1, 4))
    weights = np.outer(start[0] / np.sqrt(norms), [1.0, 0, 0, 0])
    memory = AssociativeMemory(np.eye(1, 4), np.diag(np.sqrt(norms)), [0], [1.0])
    flow = FlowSystem(memory, initial=weights)
    first = flow.scores()[0]
    assert np.abs(first - start[0]).max() < 1e-15
    for time in np.geomspace(1e-6, 1e10, 9):
        flow.advance_to(time)
        scores = flow.scores()[0]
        assert abs((scores / norms).sum() - (start[0] / norms).sum()) <= 1e-12 * np.abs(scores / norms).sum()
        grown = (np.exp(-scores) / norms)[1:]
        kept = (np.exp(-first) / norms)[1:]
        gaps = np.subtract.outer(grown, grown) - np.subtract.outer(kept, kept)
        assert np.abs(gaps).max() <= 1e-10 * grown.max()


def test_small_times_keep_relative_precision():
    """Margins of 1e-10 (or 1e-290) from W = 0, to relative accuracy: m = c_x t (1/2 + O(c_x t))."""
    flow = FlowSystem(orthogonal_pair())
    for time in (1e-290, 1e-30, 1e-10):
        flow.advance_to(time)
        assert np.allclose(flow.margins(), [0.75 * time, 0.25 * time], rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("tokens_classes_dim", [(4, 3, 3), (5, 2, 3), (3, 4, 6)])
@pytest.mark.parametrize("form", ["particles", "weights"])
def test_velocity_is_the_particle_system(tokens_classes_dim, form):
    """Equation (12), flow form, for any embeddings: dS/dt = -G_E diag(p) (softmax S - Y) G_U."""
    tokens, classes, dim = tokens_classes_dim
    rng = np.random.default_rng(8)
    memory = AssociativeMemory(
        rng.standard_normal((tokens, dim)), rng.standard_normal((classes, dim)) + 3.0,
        rng.integers(0, classes, tokens), rng.dirichlet(np.ones(tokens)),
    )  # fmt: skip
    weights = rng.standard_normal((dim, dim))
    scores = memory.inputs @ weights.T @ memory.outputs.T
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    residual = memory.frequencies[:, None] * (softmax - np.eye(classes)[memory.targets])
    exact = -memory.input_gram @ residual @ memory.output_gram
    flow = FlowSystem(memory, form=form, initial=weights)
    assert np.abs(flow.scores() - scores).max() <= 1e-13 * np.abs(scores).max()
    time = 1e-5
    flow.advance_to(time)
    after = flow.scores()
    flow.advance_to(2.0 * time)
    # (4 S(h) - S(2h) - 3 S(0)) / (2h): second order
    slope = (4.0 * after - flow.scores() - 3.0 * scores) / (2.0 * time)
    assert np.abs(slope - exact).max() <= 2e-7 * np.abs(exact).max()
    assert np.abs(memory.inputs @ flow.weights().T @ memory.outputs.T - flow.scores()).max() < 1e-11


def test_the_table_has_order_eight():
    """Quadrature conditions, row sums, and the order of one step seen on a flow."""
    for power in range(8):
        assert abs(RESULTS[0] @ NODES**power - 1.0 / (power + 1)) < 1e-14
    assert np.abs(COUPLING.sum(axis=1) - NODES)[1:].max() < 1e-14
    # the embedded results differ from the main one by a method of order 5 (3)
    for row, order in ((1, 5), (2, 3)):
        for power in range(order):
            assert abs(RESULTS[row] @ NODES**power) < 1e-14
        assert abs(RESULTS[row] @ NODES**order) > 1e-6

    start = np.array([[0.3], [-0.2]])
    left = np.array([[1.0, -0.5], [-0.5, 1.0]])
    fixed = (start, np.array([0, 1]), np.array([0.7, 0.3]), left, np.array([[2.0]]), left, np.ones((1, 1)), True)
    work = tuple(np.empty((2, 1)) for _ in range(4))

    def integrate(steps):
        state, out, stages = np.zeros((2, 1)), np.empty((2, 1)), np.empty((12, 2, 1))
        for k in range(steps):
            position = 4.0 * k / steps
            kernel.velocity(state, position, *fixed, *work, stages[0])
            kernel.one_step(state, position, 4.0 / steps, 0.0, *fixed, *work, stages, np.empty((2, 1)), out)
            state = out.copy()
        return state

    finest = integrate(160)
    coarse, fine = (np.abs(integrate(steps) - finest).max() for steps in (8, 16))
    assert 7.3 < math.log2(coarse / fine) < 9.5
