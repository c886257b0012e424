"""Section 5.1: sharpness at the minimum, cycles, and what the cross entropy forgets."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics, kernels
from ....dynamics import AssociativeMemory, at, every, simulate
from ...assumption import Condition
from ...assumptions import ConstantRateDescent
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Source
from ...precision import descent, evaluate_twice
from ...verdict import Outcome
from .situations_multiclass import PAPER, SEED, descent_case, random_memory, random_start

_EPS = float(np.finfo(float).eps)
_CASES = {"cases": (24, 600), "directed": (10, 200)}


def three_tokens(seed: int) -> AssociativeMemory:
    """Return three unit tokens in the plane that cannot all be stored (their signed angles surround the origin)."""
    rng = np.random.default_rng([seed, 3])
    angles = np.array([0.0, 2 * np.pi / 3, 4 * np.pi / 3]) + rng.uniform(-0.4, 0.4, 3)
    targets = rng.permutation([0, 1, 0])
    sign = np.where(targets == 0, 1.0, -1.0)
    p = rng.uniform(0.6, 1.4, 3)
    return AssociativeMemory(np.c_[np.cos(angles), np.sin(angles)] * sign[:, None], np.eye(2), targets, p / p.sum())


def _least(case: Case) -> tuple[Array, float]:
    """Return the minimiser and the sharpness there."""
    m = case.problem
    weights = analytics.minimise(m).weights
    assert weights is not None
    return weights, float(kernels.sharpness(weights, m.inputs, m.outputs, m.targets, m.frequencies))


_NOT_SEPARABLE = Condition(
    "the loss has a minimiser (no $W$ has all margins $\\geq 0$ and one $>0$)",
    lambda case: -1.0 if analytics.separability(case.problem).weak else 1.0,
    Family((SEED,), lambda seed: Case(problem=random_memory(seed, 4, 2, 2))),
    strict=True,
)


# S5.1: which side of 2/eta the sharpness of the minimum must be


def _build_fraction(seed: int, fraction: float) -> Case:
    problem = three_tokens(seed)
    _, sharpness = _least(Case(problem=problem))
    return descent_case(problem, fraction * 2 / sharpness, 2000, random_start(seed, 2, 0.3))


def _converged(case: Case) -> tuple[bool, float, float]:
    """Return whether the run ends at the minimiser (1e-7, and still approaching), the sharpness there, and 2/eta."""
    weights, sharpness = _least(case)
    steps = case.steps or 2000
    run = simulate(case.problem, case.rule, steps=steps, save=at([steps // 2, steps]), observe=("scores",),
                   initial=case.initial)  # fmt: skip
    m = case.problem
    goal = m.inputs @ weights.T @ m.outputs.T
    goal = goal - goal.mean(axis=1, keepdims=True)
    ends = np.asarray(run["scores"])[-2:]
    ends = ends - ends.mean(axis=2, keepdims=True)
    middle, last = (float(np.abs(s - goal).max()) for s in ends)
    return last < 1e-7 and last <= middle + 1e-12, sharpness, 2 / case.rule.learning_rate


def _above(case: Case) -> Evidence:
    """Printed: where the run converges, H* > 2/eta. A run that does not converge says nothing."""
    converged, sharpness, threshold = _converged(case)
    return Evidence([1.0], [sharpness if converged else np.inf], [threshold], 1e-9, axis_name="run", value_scale=1.0)


def _below(case: Case) -> Evidence:
    """Corrected: where the run converges, H* <= 2/eta."""
    converged, sharpness, threshold = _converged(case)
    return Evidence([1.0], [sharpness if converged else 0.0], [threshold], 1e-9, axis_name="run", value_scale=1.0)


def _exact_above(case: Case, index: int) -> Exact:
    """Return H* of the closed-form minimiser against 2/eta, after seeing 600 steps converge to it in mpf."""

    def values() -> tuple[Any, Any]:
        margins, probabilities = exact_three_tokens(case.problem)
        run = descent(case, 600)
        gap = max(abs(run.margin(x) - margins[x]) for x in range(3))
        m = case.problem
        total = mpmath.zeros(2)
        for e, p, q in zip(m.inputs, m.frequencies, probabilities, strict=True):
            for i in range(2):
                for j in range(2):
                    total[i, j] += 2 * mpf(float(p)) * q * (1 - q) * mpf(float(e[i])) * mpf(float(e[j]))
        sharpness = max(mpmath.eigsy(total, eigvals_only=True))
        return sharpness if gap < mpf(10) ** -3 else mpmath.inf, 2 / mpf(float(case.rule.learning_rate))

    return evaluate_twice(values, "closed-form minimiser, gradient descent seen to converge")


def exact_three_tokens(problem: AssociativeMemory) -> tuple[list[Any], list[Any]]:
    """Return margins and error probabilities at the minimiser of three tokens in the plane, in mpf."""
    sign = [1 if f == 0 else -1 for f in problem.targets]
    a = [[s * mpf(float(v)) for v in e] for s, e in zip(sign, problem.inputs, strict=True)]
    p = [mpf(float(v)) for v in problem.frequencies]
    balance = [a[(i + 1) % 3][0] * a[(i + 2) % 3][1] - a[(i + 1) % 3][1] * a[(i + 2) % 3][0] for i in range(3)]
    if sum(balance) < 0:
        balance = [-b for b in balance]
    top = min(v / b for v, b in zip(p, balance, strict=True))

    def level(k: Any) -> Any:
        return mpmath.fsum(b * mpmath.log((v - k * b) / (k * b)) for v, b in zip(p, balance, strict=True))

    low, high = top * mpf(10) ** -30, top * (1 - mpf(10) ** -30)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if level(middle) > 0 else (low, middle)
    k = (low + high) / 2
    for _ in range(5):
        slope = -mpmath.fsum(b * (b / (v - k * b) + 1 / k) for v, b in zip(p, balance, strict=True))
        k -= level(k) / slope
    errors = [k * b / v for v, b in zip(p, balance, strict=True)]
    return [mpmath.log((1 - q) / q) for q in errors], errors


# S5.2: a stable cycle below 2/H*


def cycle_memory() -> AssociativeMemory:
    """Return three tokens on one line for which descent at eta = 1.5/H* settles in a cycle of two."""
    inputs = np.array([[0.9, 0.0], [1.15, 0.0], [100.0, 0.0]])
    return AssociativeMemory(inputs, np.eye(2), np.array([0, 1, 0]), np.array([0.58, 0.417, 0.003]))


def _build_cycle(fraction: float) -> Case:
    problem = cycle_memory()
    _, sharpness = _least(Case(problem=problem))
    return descent_case(problem, fraction * 2 / sharpness, 4000)


def _cycle(case: Case) -> Evidence:
    """Distance of the late iterates from the minimiser, which the printed dichotomy sends to zero below 2/H*."""
    weights, _ = _least(case)
    steps = case.steps or 4000
    run = simulate(case.problem, case.rule, steps=steps, save=at([steps - 1, steps]), observe=("margins",))
    m = case.problem
    own = m.inputs @ weights.T @ m.outputs.T
    goal = own[np.arange(len(own)), m.targets][:, None] - own
    distance = np.abs(np.asarray(run["margins"])[-2:] - goal).max(axis=(1, 2))
    return Evidence(np.asarray(run.step)[-2:].astype(float), distance, np.full(2, 1e-3), 1e-6)


def line_cycle(case: Case, steps: int) -> tuple[Any, Any, Any, Any]:
    """Return (v at the last step, closure |v_{t+2}-v_t|, multiplier of the cycle, minimiser) in the current precision.

    Tokens on one line reduce descent to the scalar v = (u_1-u_2)^T W e: v' = v + eta c sum p z/(1+e^{z v}), z the signed
    length.
    """
    m = case.problem
    z = [(1 if f == 0 else -1) * mpf(float(e[0])) for e, f in zip(m.inputs, m.targets, strict=True)]
    p = [mpf(float(v)) for v in m.frequencies]
    rate = 2 * mpf(float(case.rule.learning_rate))

    def push(v: Any) -> Any:
        return mpmath.fsum(w * s / (1 + mpmath.exp(s * v)) for w, s in zip(p, z, strict=True))

    def slope(v: Any) -> Any:
        return -mpmath.fsum(
            w * s * s / ((1 + mpmath.exp(s * v)) * (1 + mpmath.exp(-s * v))) for w, s in zip(p, z, strict=True)
        )

    v = mpf(0)
    for _ in range(steps):
        v += rate * push(v)
    first = v + rate * push(v)
    second = first + rate * push(first)
    multiplier = (1 + rate * slope(v)) * (1 + rate * slope(first))
    best = mpf(0)
    for _ in range(200):
        best -= mpmath.sign(push(best) / slope(best)) * min(abs(push(best) / slope(best)), mpf(1) / 20)
    return v, abs(second - v), multiplier, best


def _exact_cycle(case: Case, index: int) -> Exact:
    """Return the largest distance at the last steps, once the cycle is seen to close (1e-30) and to be stable."""
    longest = float(np.abs(case.problem.inputs).max())

    def values() -> tuple[Any, Any]:
        v, closure, multiplier, best = line_cycle(case, (case.steps or 4000) - 1 + index)
        if closure > mpf(10) ** -30 or abs(multiplier) >= 1:
            return mpf(0), mpf(10) ** -3  # no proof of a cycle: no violation
        return abs(v - best) * mpf(longest), mpf(10) ** -3

    return evaluate_twice(values, "descent to a closed, stable 2-cycle")


# descent lemma


def _build_lemma(seed: int, n_tokens: int, n_classes: int, dim: int, fraction: float, scale: float, steps: int) -> Case:
    problem = random_memory(seed, n_tokens, n_classes, dim)
    return descent_case(problem, fraction * analytics.descent_rate(problem), steps, random_start(seed, dim, scale))


_SAFE_RATE = Condition(
    r"$\eta\leq 8/(D^2\lambda_{\max})$",
    lambda case: float(analytics.descent_rate(case.problem) * (1 + 4 * _EPS) - case.rule.learning_rate),
    Family((SEED, Parameter("fraction", 0.1, 2.0, "log")),
           lambda seed, fraction: _build_lemma(seed, 4, 3, 3, fraction, 1.0, 10)),
)  # fmt: skip


def _descends(case: Case) -> Evidence:
    run = simulate(case.problem, case.rule, steps=case.steps or 200, save=every(1), observe=("loss",),
                   initial=case.initial)  # fmt: skip
    loss = np.asarray(run["loss"])
    return Evidence(np.asarray(run.step)[1:].astype(float), loss[1:], loss[:-1], 64 * _EPS * loss[:-1] * len(loss))


def _exact_descends(case: Case, index: int) -> Exact:
    def values() -> tuple[Any, Any]:
        run = descent(case, index)
        before = run.loss()
        return run.run(index + 1).loss(), before

    return evaluate_twice(values, "gradient descent")


_LEMMA = Family(
    (SEED, Parameter("n_tokens", 1, 6, "integer"), Parameter("n_classes", 2, 5, "integer"),
     Parameter("dim", 2, 4, "integer"), Parameter("fraction", 0.01, 1.0, "log"), Parameter("scale", 0.01, 10.0, "log"),
     Parameter("steps", 10, 100, "log-integer")),
    _build_lemma,
    show={"seed": 3, "n_tokens": 5, "n_classes": 3, "dim": 3, "fraction": 1.0, "scale": 3.0, "steps": 100},
    corners=({"n_tokens": 1, "n_classes": 2, "fraction": 1.0, "scale": 10.0}, {"fraction": 1.0, "scale": 0.01}),
)  # fmt: skip


# S5.3: calibration


def forgetting_memory(frequency: float, cosine: float) -> AssociativeMemory:
    """Return e = (1,0), (c,-s), (c,s), f* = (1,2,2), p = (p1, (1-p1)/2, (1-p1)/2): token 1 is forgotten if c > p1/(1-p1)."""
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    rest = (1 - frequency) / 2
    inputs = np.array([[1.0, 0.0], [cosine, -sine], [cosine, sine]])
    return AssociativeMemory(inputs, np.eye(2), np.array([0, 1, 1]), np.array([frequency, rest, rest]))


def _build_forgetting(frequency: float, position: float) -> Case:
    least = frequency / (1 - frequency)
    return Case(problem=forgetting_memory(frequency, least + position * (1 - least)))


_FORGETTING = Family(
    (Parameter("frequency", 0.34, 0.49), Parameter("position", 0.02, 0.98)),
    _build_forgetting,
    show={"frequency": 0.4, "position": 0.4},
    corners=({"frequency": 0.4, "position": 0.4}, {"frequency": 0.49, "position": 0.98}),
)


def _margins(case: Case, weights: Array) -> Array:
    m = case.problem
    scores = m.inputs @ weights.T @ m.outputs.T
    own = scores[np.arange(len(scores)), m.targets].copy()
    scores[np.arange(len(scores)), m.targets] = -np.inf
    return np.asarray(own - scores.max(axis=1))


def _excess(case: Case) -> tuple[float, Array]:
    """Return the excess risk of the minimiser, and its margins."""
    weights, _ = _least(case)
    margins = _margins(case, weights)
    best = analytics.accuracy_optimum(case.problem)
    return float(case.problem.frequencies[margins <= 0].sum() - (1 - best.upper)), margins


def _forgets(case: Case) -> Evidence:
    excess, margins = _excess(case)
    frequent = int(np.argmax(case.problem.frequencies))
    return Evidence([1.0, 2.0], [-margins[frequent], excess], [0.0, 0.0], 1e-12,
                    axis_name="1: minus the margin of the most frequent token, 2: excess risk")  # fmt: skip


def _exact_forgets(case: Case, index: int) -> Exact:
    def values() -> tuple[Any, Any]:
        margins, _ = exact_three_tokens(case.problem)
        p = [mpf(float(v)) for v in case.problem.frequencies]
        if index == 0:
            return -margins[p.index(max(p))], mpf(0)
        return mpmath.fsum(v for v, m in zip(p, margins, strict=True) if m <= 0) - min(p), mpf(0)

    return evaluate_twice(values, "closed-form minimiser")


def _excess_value(case: Case) -> Evidence:
    excess, _ = _excess(case)
    p = float(case.problem.frequencies[0])
    return Evidence([1.0], [excess], [(3 * p - 1) / 2], 1e-12, axis_name="problem")


def _certificate(case: Case) -> Evidence:
    m = case.problem
    sign = np.where(m.targets == 0, 1.0, -1.0)
    closed = analytics.three_token_minimiser(m.inputs * sign[:, None], m.frequencies)
    weights, _ = _least(case)
    return Evidence([1.0, 2.0, 3.0], _margins(case, weights), closed.margins, 1e-12, axis_name="token")


def _fig4_like(seed: int, n_tokens: int) -> AssociativeMemory:
    rng = np.random.default_rng([seed, n_tokens, 4])
    angles = rng.uniform(0, 2 * np.pi, n_tokens)
    p = 1 / np.arange(1.0, n_tokens + 1)
    return AssociativeMemory(
        np.c_[np.cos(angles), np.sin(angles)], np.eye(2), np.arange(n_tokens) % 2, p / p.sum()
    )


_SAMPLES = 40


def _norm(case: Case) -> Evidence:
    """Share of random problems (d = M = 2, Zipf) whose minimiser has excess risk, against one half."""
    seed, n_tokens = int(case.parameters.get("seed", 0)), int(case.parameters.get("n_tokens", 30))
    found = 0
    for k in range(_SAMPLES):
        problem = _fig4_like(1000 * seed + k, n_tokens)
        answer = analytics.minimise(problem)
        if answer.weights is not None and not answer.weakly_separable:
            margins = _margins(Case(problem=problem), answer.weights)
            wrong = problem.frequencies[margins <= 0].sum()
            found += bool(wrong > 1 - analytics.accuracy_optimum(problem).upper + 1e-12)
    share = found / _SAMPLES
    return Evidence([float(n_tokens)], [share], [0.5], 3 * np.sqrt(0.25 / _SAMPLES), axis_name="number of tokens")


def _rare_only(case: Case) -> Evidence:
    """Frequency of a token that alone is misclassified at the minimiser; 0 where no or several tokens are."""
    weights, _ = _least(case)
    wrong = _margins(case, weights) < -1e-9
    p = float(case.problem.frequencies[wrong].sum()) if wrong.sum() == 1 else 0.0
    return Evidence([1.0], [p], [0.5], 1e-15, axis_name="problem")


def _build_heavy(seed: int, n_tokens: int, frequency: float) -> Case:
    rng = np.random.default_rng([seed, n_tokens, 5])
    angles = rng.uniform(0, 2 * np.pi, n_tokens)
    p = np.r_[frequency, (1 - frequency) * rng.dirichlet(np.ones(n_tokens - 1))]
    return Case(problem=AssociativeMemory(
        np.c_[np.cos(angles), np.sin(angles)], np.eye(2), rng.integers(2, size=n_tokens), np.maximum(p, 1e-4) / np.maximum(p, 1e-4).sum()
    ))  # fmt: skip


def _source(place: str, row: str = "") -> Source:
    return Source(PAPER, place, row)


CLAIMS = (
    Claim(
        id="cabannes2024.section51.sharpness_of_the_minimum",
        form="printed",
        title="Sharpness of a minimum to which descent converges",
        statement=r"if $\eta$ is small enough we converge to the minimum presenting a sharpness $H_*$ greater than $2/\eta$",
        source=_source("Section 5.1", "S5.1"),
        quantity=r"$H_*$",
        relation=">=",
        bound=r"$2/\eta$",
        assumptions=(_NOT_SEPARABLE, ConstantRateDescent()),
        expected=Outcome.VIOLATED,
        reason="Inverted: every run at eta < 2/H* of this family converges, and there H* < 2/eta.",
        family=Family((SEED, Parameter("fraction", 0.3, 0.98)), _build_fraction, show={"seed": 1, "fraction": 0.9},
                      corners=({"seed": 1, "fraction": 0.5},)),
        evaluate=_above,
        exact=_exact_above,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.section51.sharpness_of_the_minimum",
        form="corrected",
        title="Sharpness of a minimum to which descent converges",
        statement=r"if descent converges to the minimum (from a generic start), its sharpness $H_*$ is at most $2/\eta$",
        source=_source("Section 5.1", "S5.1"),
        quantity=r"$H_*$",
        relation="<=",
        bound=r"$2/\eta$",
        assumptions=(_NOT_SEPARABLE, ConstantRateDescent()),
        expected=Outcome.HOLDS,
        reason="Runs at up to 1.5 times 2/H* never end at the minimum beyond it.",
        proof="The linear map at the minimum, 1 - eta H, has an eigenvalue below -1 when eta H* > 2.",
        family=Family((SEED, Parameter("fraction", 0.3, 1.5)), _build_fraction, show={"seed": 1, "fraction": 1.1},
                      corners=({"seed": 1, "fraction": 0.98}, {"seed": 1, "fraction": 1.02})),
        evaluate=_below,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.section51.dichotomy",
        form="printed",
        title="Below 2/H* descent converges",
        statement=r"either the learning rate is small enough ($\eta<2/H_*$) and we converge to the minimum, "
        "or it is greater and we oscillate",
        source=_source("Section 5.1", "S5.2"),
        quantity=r"distance of the margins from the minimum at step $4000$",
        relation="<=",
        bound=r"$10^{-3}$",
        assumptions=(_NOT_SEPARABLE, ConstantRateDescent()),
        expected=Outcome.VIOLATED,
        reason="Three tokens on a line at eta = 1.5/H*: from W_0 = 0 descent settles in a stable cycle of period two "
        "(margin per unit length -0.113568, 1.891658; multiplier -0.165), though the minimum is linearly stable.",
        family=Family((Parameter("fraction", 0.74, 0.76),), _build_cycle, show={"fraction": 0.75},
                      corners=({"fraction": 0.75},)),
        evaluate=_cycle,
        exact=_exact_cycle,
        cases=(4, 40),
        directed=(0, 20),
    ),
    Claim(
        id="cabannes2024.section51.dichotomy",
        form="corrected",
        title="A rate below which the loss never increases",
        statement=r"if $\eta\leq 8/(D^2\lambda_{\max}(\sum_x p\,e_xe_x^\top))$, $D=\max\|u_i-u_j\|$, "
        r"then $L(W_{t+1})\leq L(W_t)$ from every start",
        source=_source("Section 5.1", "S5.2"),
        quantity=r"$L(W_{t+1})$",
        relation="<=",
        bound=r"$L(W_t)$",
        assumptions=(ConstantRateDescent(), _SAFE_RATE),
        expected=Outcome.HOLDS,
        reason="New. The descent lemma with the bound on the Hessian that holds at every W; descent then cannot cycle.",
        proof="||H|| <= D^2 lambda_max/4 everywhere, so L' <= L - eta(1 - eta D^2 lambda_max/8)||grad L||^2.",
        family=_LEMMA,
        evaluate=_descends,
        exact=_exact_descends,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.section51.calibration",
        form="printed",
        title="The cross entropy can forget the most frequent token",
        statement=r"the cross entropy is not calibrated: already for $N=3$ its minimiser can forget the most frequent "
        "association",
        source=_source("Section 5.1", "S5.3"),
        quantity="minus the margin of the most frequent token; excess risk",
        relation=">",
        bound=r"$0$",
        expected=Outcome.HOLDS,
        reason="True, on a whole family: e = (1,0), (c,-s), (c,s), f* = (1,2,2), p = (p1, rest equal), c > p1/(1-p1). "
        "(The panel N = 3 of Fig 4 itself keeps its most frequent token.)",
        proof="By symmetry W = v(1,0) with p1 sg(-v) = (1-p1) c sg(c v), and v < 0 if and only if c > p1/(1-p1).",
        family=_FORGETTING,
        evaluate=_forgets,
        exact=_exact_forgets,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.section51.calibration",
        form="corrected",
        title="How much accuracy the cross entropy gives away",
        statement=r"in that family the excess risk of the minimiser is $(3p_1-1)/2$, up to $1/4$ as $p_1\to 1/2$",
        source=_source("Section 5.1", "S5.3"),
        quantity=r"$L_{01}(\mathrm{argmin}\,L)-\min L_{01}$",
        relation="==",
        bound=r"$(3p_1-1)/2$",
        expected=Outcome.HOLDS,
        reason="Exact; 0.1 for p = (.4,.3,.3).",
        proof="The minimiser misses token 1 (weight p1); the best W misses one of the others, (1-p1)/2.",
        family=_FORGETTING,
        evaluate=_excess_value,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.section51.forgetting_is_the_norm",
        form="printed",
        title="With many tokens, excess risk is the norm",
        statement=r"when $N$ becomes large in front of $d$, these cases become the norm",
        source=_source("Section 5.1", "S5.3"),
        quantity="share of 40 random problems whose minimiser has excess risk",
        relation=">",
        bound=r"$1/2$",
        expected=Outcome.HOLDS,
        reason="Measured for d = M = 2 with Zipf frequencies: about 0.95 at N = 30 (budget: three standard errors). "
        "Excess risk is the norm; forgetting the very first token stays rare (a few per cent).",
        family=Family((SEED, Parameter("n_tokens", 30, 60, "integer")),
                      lambda seed, n_tokens: Case({"seed": seed, "n_tokens": n_tokens}, _fig4_like(seed, n_tokens)),
                      show={"seed": 0, "n_tokens": 30}),
        evaluate=_norm,
        cases=(2, 10),
        directed=(0, 0),
    ),
    Claim(
        id="cabannes2024.new.three_tokens",
        form="corrected",
        title="Minimiser of three tokens in closed form",
        statement=r"with $\sum\lambda_ia_i=0$, $\lambda>0$, $a_i=\pm e_i$: errors $q_i=\kappa\lambda_i/p_i$, "
        r"$\kappa$ the root of $\sum\lambda_i\log\frac{p_i-\kappa\lambda_i}{\kappa\lambda_i}=0$",
        source=_source("new", "section 7"),
        quantity=r"margins of $\mathrm{argmin}\,L$",
        relation="==",
        bound=r"$\log((1-q_i)/q_i)$",
        expected=Outcome.HOLDS,
        reason="New. Newton's minimiser and the scalar root agree to rounding.",
        proof="The gradient vanishes iff p_i q_i is a multiple of the unique balance; margins are linear in W.",
        family=Family((SEED,), lambda seed: Case(problem=three_tokens(seed)), show={"seed": 1}),
        evaluate=_certificate,
        **_CASES,
    ),
    Claim(
        id="cabannes2024.new.lone_forgotten_token",
        form="corrected",
        title="A token that alone is forgotten has less than half of the weight",
        statement=r"for unit inputs and two classes: if only token $i$ is misclassified at the minimiser, then $p_i<1/2$",
        source=_source("new", "section 7"),
        quantity=r"$p_i$ of a token that alone is misclassified",
        relation="<",
        bound=r"$1/2$",
        assumptions=(_NOT_SEPARABLE,),
        expected=Outcome.HOLDS,
        reason="New.",
        proof="Stationarity: p_i/2 < p_i q_i <= sum_{j != i} p_j q_j < (1-p_i)/2.",
        family=Family((SEED, Parameter("n_tokens", 3, 8, "integer"), Parameter("frequency", 0.3, 0.7)), _build_heavy,
                      show={"seed": 0, "n_tokens": 4, "frequency": 0.45}),
        evaluate=_rare_only,
        cases=(120, 3000),
        directed=(20, 200),
    ),
)
