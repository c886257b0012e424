"""New results on orthogonal memories under gradient descent: errata (3.1), (3.4) - (3.6)."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import GradientDescent
from ...assumptions import OrthogonalInputs
from ...case import Case, Evidence, Exact, Family, Parameter
from ...precision import evaluate_twice
from .orthogonal_assumptions import (
    TIED_DESCENT,
    Asymptotic,
    NonzeroInputs,
    PlainDescent,
    SlowTokens,
    StartWithin,
    Tied,
)
from .orthogonal_cases import (
    HOLDS,
    RATE,
    START,
    ExactToken,
    Run,
    after_start,
    descend,
    exact_descent,
    exact_flow_margin,
    exact_margin,
    exact_token,
    orthogonal_claim,
    rates,
    saved_axis,
    stacked,
    tied_case,
    tokens,
)  # fmt: skip
from .two_token_cases import UNIT, Array

CLASSES = Parameter("n_classes", 2, 50, "integer")
TIED_CORNERS = (
    {"n_classes": 2, "rate": 1.0, "initial": 0.0, "steps": 1000000},
    {"n_classes": 2, "rate": 5.0, "initial": 0.0, "steps": 10000},
    {"n_classes": 40, "rate": 300.0, "initial": -20.0, "steps": 2000},
    {"n_classes": 5, "rate": 12.0, "initial": -3.0, "steps": 10000},
    {"n_classes": 2, "rate": 1e-4, "initial": 0.0, "steps": 10000},
    {"n_classes": 200, "rate": 10.0, "initial": 0.0, "steps": 200},
)
TIED_FAMILY = Family(
    (CLASSES, RATE, START, Parameter("squared_norm", 0.1, 10.0, "log")), build=tied_case,
    show={"n_classes": 2, "rate": 1.0, "initial": 0.0, "squared_norm": 1.0, "steps": 300}, corners=TIED_CORNERS,
)  # fmt: skip


# ---- (3.1) descent dominates the flow -------------------------------------------------------------------------


class Fading:
    """The schedule rate (1 + t)^-decay; a class, so that it can be pickled and named."""

    def __init__(self, rate: float, decay: float) -> None:
        self.rate, self.decay = rate, decay

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        return float(self.rate * float(1 + step) ** (-self.decay))


def _fading_case(n_classes: int, rate: float, initial: float, decay: float = 0.0, steps: int = 200,
**rest: Any) -> Case:
    case = tied_case(n_classes, rate, initial, steps, **rest)
    rule = case.rule if decay == 0.0 else GradientDescent(Fading(case.rule.learning_rate, float(decay)))
    return Case(problem=case.problem, rule=rule, steps=case.steps, initial=case.initial)


def _total_rates(case: Case) -> Array:
    """Return the sum of the learning rates before each step 1, 2, ..."""
    given = case.rule.learning_rate
    steps = int(case.steps or 0)
    if callable(given):
        return np.cumsum([given(t) for t in range(steps)])
    return np.asarray(given * np.arange(1.0, steps + 1))


def _dominates(case: Case) -> Evidence:
    run, steps = after_start(case)
    constants = tokens(case)
    total = _total_rates(case)[steps.astype(int) - 1]
    bound = analytics.flow_margin(constants.speed * total[:, None], constants.start, constants.wrong)
    return stacked(run, run.margins, bound, run.error + 16 * UNIT * np.maximum(np.abs(bound), np.abs(constants.start)))


def _exact_dominates(case: Case, index: int) -> Exact:
    steps = saved_axis(case)
    token, place = divmod(index, len(steps))
    given = case.rule.learning_rate

    def both() -> tuple[Any, Any]:
        constants = exact_token(case, token)
        margin, total = constants.start, mpf(0)
        for t in range(int(steps[place])):
            eta = mpf(float(given(t) if callable(given) else given))
            margin += eta * constants.speed / (constants.wrong + mpmath.exp(margin))
            total += eta * constants.speed
        return margin, exact_flow_margin(total, constants.start, constants.wrong)

    return evaluate_twice(both, "descent (28) and the flow's implicit equation")


# ---- (3.4) the enclosure --------------------------------------------------------------------------------------


def _enclosure(case: Case, side: int) -> Evidence:
    run, steps = after_start(case)
    constants = tokens(case)
    bounds = analytics.descent_margin_bounds(steps[:, None], rates(case), constants.start, constants.wrong)
    return stacked(run, run.margins, bounds[side], run.error)


def _exact_enclosure(case: Case, index: int, side: int) -> Exact:
    def compare(token: ExactToken, k: Any, step: int, margin: Any) -> tuple[Any, Any]:
        first = exact_margin(case, 0, 1, token)
        slope = token.wrong - _bracket(k, token.wrong, first)[side]
        target = k * (step - 1)
        # both sides as the law itself, e^m + (a - b) m: e^{m_1} expm1(d) + (a - b) d against k (t - 1)
        moved = margin - first
        return mpmath.exp(first) * mpmath.expm1(moved) + slope * moved, target

    return exact_descent(case, index, compare)


def _remainder(z: Any) -> Any:
    """Return (e^z - 1 - z)/z^2 in the current precision."""
    return (mpmath.expm1(z) - z) / z**2 if z > mpf("1e-25") else mpf(1) / 2 + z / 6


def _remainder_slope(z: Any) -> Any:
    return (mpmath.exp(z) * (z - 2) + z + 2) / z**3 if z > mpf("1e-12") else mpf(1) / 6 + z / 12


def _bracket(k: Any, a: Any, first: Any) -> tuple[Any, Any]:
    """Return (b_-, b_+) of (3.4) from the margin `first` on."""
    pull = k / (a + mpmath.exp(first))
    # k - a z = z e^m loses no digits
    end = pull * mpmath.exp(first) * _remainder(pull)
    least, most = min(k / 2, end), max(k / 2, end)
    if k <= 3 * a:
        return least, k / 2
    low, high = mpf(0), pull
    if pull + _remainder(pull) / _remainder_slope(pull) > k / a:
        for _ in range(240):
            middle = (low + high) / 2
            below = middle + _remainder(middle) / _remainder_slope(middle) < k / a
            low, high = (middle, high) if below else (low, middle)
        most = (k - a * low) * _remainder(low)
    return least, most


def _small_rate(case: Case) -> Evidence:
    """e^{m_t} against e^{m_0} + k t + (k/2 - a)(m_t - m_0), in units of the right side."""
    run, steps = after_start(case)
    constants, k = tokens(case), rates(case)
    moved = run.margins - constants.start
    growth = np.exp(constants.start) * np.expm1(moved)
    right = k * steps[:, None] + (0.5 * k - constants.wrong) * moved
    scale = np.exp(run.margins) + k * steps[:, None] + constants.wrong * np.abs(moved)
    error = run.error * (np.exp(run.margins) + np.abs(0.5 * k - constants.wrong)) / scale + 32 * UNIT
    return stacked(run, growth / scale, right / scale, error)


def _exact_small_rate(case: Case, index: int) -> Exact:
    def compare(token: ExactToken, k: Any, t: int, m: Any) -> tuple[Any, Any]:
        moved = m - token.start
        scale = mpmath.exp(m) + k * t + token.wrong * abs(moved)
        right = k * t + (k / 2 - token.wrong) * moved
        return (mpmath.exp(m) - mpmath.exp(token.start)) / scale, right / scale

    return exact_descent(case, index, compare)


# ---- (3.5) asymptotics ----------------------------------------------------------------------------------------


def _asymptote(case: Case) -> Evidence:
    """e^{m_t} - k t - (k/2 - a) log(k t) against C_inf and its next term, for t >= 1000."""
    run, steps = after_start(case)
    constants, k = tokens(case), rates(case)
    late = steps >= 1000.0
    t = steps[late, None]
    limits = np.array([
        analytics.descent_constant(float(rate), float(start), constants.wrong).value
        for rate, start in zip(k, constants.start, strict=True)
    ])  # fmt: skip
    lead = 0.5 * k - constants.wrong
    rest = np.exp(run.margins[late]) - k * t - lead * np.log(k * t)
    bound = limits + _next_term(k, constants.wrong, limits, t)
    error = _asymptote_error(k, constants.wrong, limits,
    t) + 2 * UNIT * t * k * t * np.log(k * t) + 1e-12 * np.abs(limits)
    thin = Run(steps[late], run.margins[late], run.loss, run.error)
    return stacked(thin, rest, bound, error)


def _next_term(k: Any, a: Any, limit: Any, t: Any) -> Any:
    lead = 0.5 * k - a
    return (lead * (lead * np.log(k * t) + limit) / k - (k / 6 - 0.5 * a)) / t


def _asymptote_error(k: Any, a: Any, limit: Any, t: Any) -> Any:
    """Return twice the size of the terms of order 1/t^2: of log(1 + x) = x - x^2/2, of the tail, of the next term."""
    lead = np.abs(0.5 * k - a)
    size = lead * np.log(k * t) + np.abs(limit) + a + k
    tail = np.abs(k / 6 - 0.5 * a)
    return 2 * (lead * size**2 / k**2 + 2 * tail * size / k + lead**2 * size / k**2 + a + k) / t**2


def _exact_asymptote(case: Case, index: int) -> Exact:
    steps = saved_axis(case)
    late = steps[steps >= 1000.0]

    def compare(token: ExactToken, k: Any, t: int, m: Any) -> tuple[Any, Any]:
        # C_inf itself is known to 1e-12: the comparison is as good as that
        limit = mpf(analytics.descent_constant(float(k), float(token.start), float(token.wrong)).value)
        lead = k / 2 - token.wrong
        rest = mpmath.exp(m) - k * t - lead * mpmath.log(k * t)
        following = (lead * (lead * mpmath.log(k * t) + limit) / k - (k / 6 - token.wrong / 2)) / t
        return rest, limit + following

    exact = exact_descent(case, index, compare, late)
    size = np.asarray(_asymptote(case).error)[index]
    return Exact(exact.quantity, exact.bound, exact.error + mpf(float(size)), exact.method)


# ---- (3.6) steps to a margin ----------------------------------------------------------------------------------


def _steps(case: Case, side: int) -> Evidence:
    """The first step with margin at least m, for m between those of the run, against its bound."""
    run = descend(case)
    constants, k = tokens(case), rates(case)
    axis, counts, bounds = [], [], []
    for x in range(case.problem.n_tokens):
        margins = run.margins[:, x]
        last = len(margins) - 1
        if last < 1:
            continue
        places = np.unique(np.clip(np.round(np.geomspace(1, last, 40)).astype(int), 1, last))
        # half way to the saved margin: which step gets there first is then beyond rounding
        goals = 0.5 * (margins[places] + margins[places - 1])
        apart = margins[places] - margins[places - 1] > 64 * (run.error[places, 0] + UNIT * np.abs(margins[places]))
        apart &= (np.diff(run.axis)[places - 1] == 1) & (np.abs(goals) < 700)
        goals, places = goals[apart], places[apart]
        found = analytics.steps_to_margin_bounds(goals, k[x], constants.start[x], constants.wrong)[side]
        axis.append(goals)
        counts.append(run.axis[places])
        bounds.append(found)
    goal, count, bound = (np.concatenate([np.empty(0), *values]) for values in (axis, counts, bounds))
    return Evidence(goal, count, bound, 0.0, axis_name="level m")


TIED_START = r"two classes, or tied wrong classes ($a=M-1$), any start $m_0$, any rate $k$"
ENCLOSURE = r"With $\phi(z)=(k-az)(e^z-1-z)/z^2$, $z_1=k/(a+e^{m_1})$, $b_-=\min(k/2,\phi(z_1))$, "
r"$b_+=\sup_{(0,z_1]}\phi$: "
STEP_IDENTITY = (
    r"Exactly, $e^{m'}-e^m+(a-b)z=k+z(\phi(z)-b)$ for the step $z=k/(a+e^m)$; $z$ decreases, so $b_-\leq\phi(z)\leq "
    r"b_+$; sum. "
    r"$\phi$ has one maximum since $z+\psi/\psi'$ increases (Borell)."
)
SMALL_FAMILY = Family(
    (CLASSES, RATE, START, Parameter("squared_norm", 0.1, 1.0, "log")),
    build=lambda n_classes, rate, initial, squared_norm, steps=300: tied_case(
        n_classes, min(rate, 3.0 * (n_classes - 1)), initial, steps, squared_norm
    ),
    show={"n_classes": 2, "rate": 1.0, "initial": 0.0, "squared_norm": 1.0, "steps": 300},
    corners=({"n_classes": 2, "rate": 3.0, "initial": 0.0, "squared_norm": 1.0, "steps": 10000},),
)
CLAIMS = (
    orthogonal_claim(
        "new.descent_dominates_flow", "corrected", ("new: descent against flow", "3.1"), "Descent is ahead of the flow",
        rf"{TIED_START}, also with variable rates: $m_t$ is at least the flow's margin at the time "
        rf"$\sum_{{s<t}}\eta_s$.",
        ("$m_t$", ">=", r"flow margin at $\sum\eta_s$"), HOLDS, "new",
        proof=r"$F(m)=e^m+am$ is convex and $F'(m)z=k$, so $F(m+z)\geq F(m)+k$, while the flow has equality.",
        assumptions=(OrthogonalInputs(), Tied(), PlainDescent(), StartWithin()),
        family=Family(
            (CLASSES, RATE, START, Parameter("decay", 0.0, 1.0)), build=_fading_case,
            show={"n_classes": 2, "rate": 1.0, "initial": 0.0, "decay": 0.0},
            corners=({"n_classes": 2, "rate": 2.0, "initial": 0.0, "decay": 0.0, "steps": 10000},
                     {"n_classes": 9, "rate": 40.0, "initial": -8.0, "decay": 0.5, "steps": 1000}),
        ),
        evaluate=_dominates, exact=_exact_dominates,
    ),
    *(
        orthogonal_claim(
            f"new.descent_enclosure_{name}", "corrected", ("new: enclosure of the margin", "3.4"),
            f"Descent: {name} side of the enclosure", f"{TIED_START}. {ENCLOSURE}{law}",
            ("$m_t$", relation, bound), HOLDS, "new; restarted after the first exact step, rounded outwards by 4 ulp",
            proof=STEP_IDENTITY, assumptions=(*TIED_DESCENT, NonzeroInputs()), family=TIED_FAMILY,
            evaluate=lambda case, side=side: _enclosure(case, side),
            exact=lambda case, index, side=side: _exact_enclosure(case, index, side),
        )
        for name, side, relation, bound, law in (
            ("lower", 0, ">=", r"root of $e^m+(a-b_-)(m-m_1)=e^{m_1}+k(t-1)$",
             r"$e^{m_t}+(a-b_-)(m_t-m_1)\geq e^{m_1}+k(t-1)$."),
            ("upper", 1, "<=", r"root of $e^m+(a-b_+)(m-m_1)=e^{m_1}+k(t-1)$",
             r"$e^{m_t}+(a-b_+)(m_t-m_1)\leq e^{m_1}+k(t-1)$."),
        )
    ),
    orthogonal_claim(
        "new.descent_enclosure_small_rate", "corrected", ("new: enclosure of the margin", "3.4"),
        "Descent: the enclosure for small rates",
        r"For $k\leq 3a$: $e^{m_t}\leq e^{m_0}+kt+(k/2-a)(m_t-m_0)$, exact to the logarithmic term.",
        ("$e^{m_t}-e^{m_0}$", "<=", "$kt+(k/2-a)(m_t-m_0)$"), HOLDS, "new; shown in units of the sum of the terms' "
        "sizes",
        proof=STEP_IDENTITY + r" For $k\leq 3a$, $b_+=k/2$.",
        assumptions=(*TIED_DESCENT, SlowTokens(3.0)), family=SMALL_FAMILY, evaluate=_small_rate,
        exact=_exact_small_rate,
    ),
    orthogonal_claim(
        "new.descent_asymptote", "corrected", ("new: asymptotics of the margin", "3.5"),
        "Descent: the constant behind the logarithm",
        r"$e^{m_t}-kt-(\frac{k}{2}-a)\log(kt)\to C_\infty$; the next term is "
        r"$[(\frac{k}{2}-a)((\frac{k}{2}-a)\log(kt)+C_\infty)/k"
        r"-(\frac{k}{6}-\frac{a}{2})]/t$.",
        (r"$e^{m_t}-kt-(\frac{k}{2}-a)\log(kt)$", "==", r"$C_\infty+$ next term"), HOLDS,
        "new; tested with the next term, from t = 1000 on; the tolerance is the size of the second-order terms",
        proof=r"Sum $e^{m'}-e^m-(\frac{k}{2}-a)z=k+z(\phi(z)-\frac{k}{2})$ with $z_t\sim 1/t$.",
        assumptions=(*TIED_DESCENT, Asymptotic()), cases=(20, 200), directed=(8, 60),
        family=Family(
            (Parameter("n_classes", 2, 8, "integer"), Parameter("rate", 0.2, 10.0, "log"), Parameter("initial", -4.0,
            2.0)),
            build=lambda n_classes, rate, initial, steps=10000: tied_case(n_classes, rate, initial, steps),
            show={"n_classes": 2, "rate": 1.0, "initial": 0.0}, corners=({"n_classes": 2, "rate": 5.0,
            "initial": 0.0},),
        ),
        evaluate=_asymptote, exact=_exact_asymptote,
    ),
    *(
        orthogonal_claim(
            f"new.steps_to_margin_{name}", "corrected", ("new: steps to a margin", "3.6"),
            f"Descent: {name} bound on the steps to a margin",
            rf"{TIED_START}. For $m>m_1$ (the margin after the first step), the first step with $m_T\geq m$ satisfies "
            rf"{law}; $G_b(m)=e^m-e^{{m_1}}+(a-b)(m-m_1)$.",
            ("$T(m)$", relation, bound), HOLDS, "new", proof="The enclosure (3.4) at the steps T and T - 1.",
            assumptions=(*TIED_DESCENT, NonzeroInputs()), family=TIED_FAMILY,
            evaluate=lambda case, side=side: _steps(case, side),
            cases=(60, 800), directed=(20, 200),
        )
        for name, side, relation, bound, law in (
            ("lower", 0, ">=", r"$1+\lceil G_{b_+}(m)/k\rceil$", r"$T\geq 1+\lceil G_{b_+}(m)/k\rceil$"),
            ("upper", 1, "<=", r"$1+\max(1,\lceil G_{b_-}(m)/k\rceil)$",
             r"$T\leq 1+\max(1,\lceil G_{b_-}(m)/k\rceil)$"),
        )
    ),
)  # fmt: skip
