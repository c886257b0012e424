"""Section 5.1: beyond 2/H* descent has a cycle of period two, and what its losses are."""

from __future__ import annotations

import numpy as np

from .... import analytics
from ....dynamics import AssociativeMemory, every, simulate
from ...assumption import Condition
from ...assumptions import ConstantRateDescent
from ...case import Case, Evidence, Family, Parameter
from ...claim import Claim
from ...verdict import Outcome
from .section51_problems import _CASES, _DIRECTED, _NOT_SEPARABLE
from .situations_multiclass import EPS, SEED, descent_case, measured, source_of


def noisy_labels(seed: int, n_tokens: int, n_classes: int) -> AssociativeMemory:
    """Return tokens in the plane that occur with every class: no W is right on all, and the loss has a minimiser."""
    rng = np.random.default_rng([seed, n_tokens, n_classes])
    p = rng.dirichlet(np.ones(n_tokens * n_classes)) + 0.02
    inputs, outputs = rng.normal(size=(n_tokens, 2)), rng.normal(size=(n_classes, 2))
    return AssociativeMemory(
        np.repeat(inputs, n_classes, axis=0), outputs, np.tile(np.arange(n_classes), n_tokens), p / p.sum()
    )


def _build(seed: int, n_tokens: int, n_classes: int, fraction: float) -> Case:
    problem = noisy_labels(seed, n_tokens, n_classes)
    return descent_case(problem, fraction * analytics.minimiser_stability(problem, 1.0).critical_rate, 2)


_BEYOND = Condition(
    r"$\eta>2/H_*$",
    lambda case: float(
        case.rule.learning_rate - analytics.minimiser_stability(case.problem, case.rule.learning_rate).critical_rate
    ),
    Family((SEED, Parameter("fraction", 0.5, 2.0)), lambda seed, fraction: _build(seed, 2, 2, fraction)),
    strict=True,
)


def _cycle(case: Case) -> Evidence:
    """Both sides of the mean loss, from two simulated steps out of the solved cycle; what they miss it by is error.

    No evidence within 1e-6 of the critical rate, where the two points are nearer than rounding tells apart.
    """
    m, rate = case.problem, case.rule.learning_rate
    if rate <= (1 + 1e-6) * analytics.minimiser_stability(m, rate).critical_rate:
        return measured([], [], [])
    cycle = analytics.two_cycle(m, rate)
    run = simulate(m, case.rule, steps=2, save=every(1), observe=("loss", "weights"), initial=cycle.weights[0])
    loss, weights = np.asarray(run["loss"]), np.asarray(run["weights"])
    closure = float(np.linalg.norm(weights[2] - weights[0]))
    width = float(np.linalg.norm(weights[1] - weights[0]))
    excess = 0.5 * (loss[0] + loss[1]) - analytics.minimise(m).loss
    # a loss is Lipschitz with the longest pair: the closure bounds what the points are off
    slope = float(np.sqrt(analytics.squared_diameter(m.outputs)) * np.linalg.norm(m.inputs, axis=1).max())
    error = 64 * EPS * (loss[0] + loss[1]) + 4 * closure * (slope + width / rate)
    return measured([0.0, 1.0], [excess, width**2 / (2 * rate)], [width**2 / (4 * rate), excess], error,
                    axis_name="side")  # fmt: skip


CLAIMS = (
    Claim(
        id="cabannes2024.new.two_cycle",
        form="corrected",
        title="Beyond 2/H* descent has a cycle of period two",
        statement=r"if the loss has a minimiser, of sharpness $H_*$, and $\eta>2/H_*$, then descent has a cycle "
        r"$A\to B\to A$ with $\|A-B\|^2/4\eta<\frac{1}{2}(L(A)+L(B))-L_*\leq\|A-B\|^2/2\eta$",
        source=source_of("new", "S5.2"),
        quantity=r"$\frac{1}{2}(L(A)+L(B))-L_*$, and $\|A-B\|^2/2\eta$",
        relation=">=",
        bound=r"$\|A-B\|^2/4\eta$, and $\frac{1}{2}(L(A)+L(B))-L_*$",
        assumptions=(_NOT_SEPARABLE, ConstantRateDescent(), _BEYOND),
        expected=Outcome.HOLDS,
        reason="New. The half of the dichotomy that is true: beyond 2/H* there is something to oscillate in.",
        proof="Cycles (m+h, m-h) are the critical points of F = L(m+h)+L(m-h)-2|h|^2/eta. Its least value over m "
        "is 2 L* at h = 0, grows from there along the sharpest direction and tends to -inf, so it is largest at "
        "some h != 0, above 2 L*: the left side. The right one is convexity at A and B, where the gradients are "
        "+-(A-B)/eta.",
        family=Family(
            (
                SEED, Parameter("n_tokens", 1, 4, "integer"), Parameter("n_classes", 2, 4, "integer"),
                Parameter("fraction", 1.01, 300.0, "log"),
            ),
            _build,
            show={"seed": 1, "n_tokens": 3, "n_classes": 3, "fraction": 1.5},
            corners=tuple({"fraction": f, "n_classes": c} for f in (1.01, 300.0) for c in (2, 4)),
        ),
        evaluate=_cycle,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)  # fmt: skip
