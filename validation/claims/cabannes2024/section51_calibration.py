"""Section 5.1: what the minimiser of the cross entropy forgets."""

from __future__ import annotations

import functools
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import AssociativeMemory
from ...assumption import Condition
from ...case import Array, Case, Evidence, Exact, Family, Parameter
from ...claim import Claim
from ...precision import evaluate_twice
from ...verdict import Outcome
from .section51_problems import (
    _CASES,
    _DIRECTED,
    _NOT_SEPARABLE,
    _SURROUNDED,
    _balance,
    _least,
    exact_three_tokens,
    three_tokens,
)
from .situations_multiclass import EPS, SEED, measured, source_of


def forgetting_memory(frequency: float, cosine: float) -> AssociativeMemory:
    """Return e = (1,0), (c,-s), (c,s), f* = (1,2,2), p = (p1, rest, rest): token 1 is forgotten if c > p1/(1-p1)."""
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


def _of_the_family(case: Case) -> float:
    """Return the least slack of what makes a problem one of the family, negative if it is none."""
    m = case.problem
    if _balance(case) < 0 or m.targets[0] == m.targets[1] or m.targets[1] != m.targets[2]:
        return -1.0
    gram, p = m.inputs @ m.inputs.T, m.frequencies
    c = float(gram[0, 1])
    off = max(abs(float(gram[0, 2]) - c), float(np.abs(np.diag(gram) - 1).max()), abs(float(p[1] - p[2])))
    return float(min(1e-12 - off, c - p[0] / (1 - p[0]) - 1e-9, p[0] - p[1] - 1e-9))


_FORGOTTEN = Condition(
    "the problem is of this family: $N=3$, $M=d=2$, mirror images, $c>p_1/(1-p_1)$, $p_1>1/3$",
    _of_the_family,
    Family((Parameter("frequency", 0.34, 0.49), Parameter("position", -0.5, 0.98)), _build_forgetting),
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
    return measured([1.0, 2.0], [-margins[frequent], excess], [0.0, 0.0], 1e-13,
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
    return measured([1.0], [excess], [(3 * p - 1) / 2], 8 * EPS, axis_name="problem")


def _certificate(case: Case) -> Evidence:
    m = case.problem
    sign = np.where(m.targets == 0, 1.0, -1.0)
    closed = analytics.three_token_minimiser(m.inputs * sign[:, None], m.frequencies)
    weights, _ = _least(case)
    # both roots are found to a few ulps; an error probability near 0 or 1 magnifies them in the margin
    size = 2 + 2 * np.cosh(closed.margins)  # 1/(q(1-q))
    return measured([1.0, 2.0, 3.0], _margins(case, weights), closed.margins, 32 * EPS * size.max(), axis_name="token")


def _fig4_like(seed: int, n_tokens: int) -> AssociativeMemory:
    rng = np.random.default_rng([seed, n_tokens, 4])
    angles = rng.uniform(0, 2 * np.pi, n_tokens)
    p = 1 / np.arange(1.0, n_tokens + 1)
    return AssociativeMemory(np.c_[np.cos(angles), np.sin(angles)], np.eye(2), np.arange(n_tokens) % 2, p / p.sum())


_SAMPLES = 200


@functools.cache
def _share(n_tokens: int) -> float:
    """Return the share of random problems (d = M = 2, Zipf) whose minimiser has excess risk."""
    found = 0
    for k in range(_SAMPLES):
        problem = _fig4_like(k, n_tokens)
        answer = analytics.minimise(problem)
        if answer.weights is not None and not answer.weakly_separable:
            margins = _margins(Case(problem=problem), answer.weights)
            wrong = problem.frequencies[margins <= 0].sum()
            found += bool(wrong > 1 - analytics.accuracy_optimum(problem).upper + 1e-12)
    return found / _SAMPLES


def _norm(case: Case) -> Evidence:
    """Share of problems with excess risk against one half; the budget is Wilson's interval at three deviations."""
    n_tokens = int(case.parameters["n_tokens"])
    share = _share(n_tokens)
    error = 3 * np.sqrt(share * (1 - share) / _SAMPLES + 9 / (4 * _SAMPLES**2))
    return measured([float(n_tokens)], [share], [0.5], error, axis_name="number of tokens")


def _rare_only(case: Case) -> Evidence:
    """Frequency of a token that alone is misclassified at the minimiser; 0 where no or several tokens are."""
    weights, _ = _least(case)
    wrong = _margins(case, weights) < -1e-9
    p = float(case.problem.frequencies[wrong].sum()) if wrong.sum() == 1 else 0.0
    return measured([1.0], [p], [0.5], 1e-15, axis_name="problem")


def _build_heavy(seed: int, n_tokens: int, frequency: float) -> Case:
    rng = np.random.default_rng([seed, n_tokens, 5])
    angles = rng.uniform(0, 2 * np.pi, n_tokens)
    p = np.maximum(np.r_[frequency, (1 - frequency) * rng.dirichlet(np.ones(n_tokens - 1))], 1e-4)
    inputs = np.c_[np.cos(angles), np.sin(angles)]
    return Case(problem=AssociativeMemory(inputs, np.eye(2), rng.integers(2, size=n_tokens), p / p.sum()))


CLAIMS = (
    Claim(
        id="cabannes2024.section51.calibration",
        form="printed",
        title="The cross entropy can forget the most frequent token",
        statement=r"the cross entropy is not calibrated: already for $N=3$ its minimiser can forget the most frequent "
        "association",
        source=source_of("Section 5.1", "S5.3"),
        quantity="minus the margin of the most frequent token; excess risk",
        relation=">",
        bound=r"$0$",
        assumptions=(_FORGOTTEN,),
        expected=Outcome.HOLDS,
        reason="True, on a whole family: e = (1,0), (c,-s), (c,s), f* = (1,2,2), p = (p1, rest equal), c > p1/(1-p1). "
        "(The panel N = 3 of Fig 4 itself keeps its most frequent token.)",
        proof="By symmetry W = v(1,0) with p1 sg(-v) = (1-p1) c sg(c v), and v < 0 if and only if c > p1/(1-p1).",
        family=_FORGETTING,
        evaluate=_forgets,
        exact=_exact_forgets,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.section51.calibration",
        form="corrected",
        title="How much accuracy the cross entropy gives away",
        statement=r"in that family the excess risk of the minimiser is $(3p_1-1)/2$, up to $1/4$ as $p_1\to 1/2$",
        source=source_of("Section 5.1", "S5.3"),
        quantity=r"$L_{01}(\mathrm{argmin}\,L)-\min L_{01}$",
        relation="==",
        bound=r"$(3p_1-1)/2$",
        assumptions=(_FORGOTTEN,),
        expected=Outcome.HOLDS,
        reason="Exact; 0.1 for p = (.4,.3,.3).",
        proof="The minimiser misses token 1 (weight p1); the best W misses one of the others, (1-p1)/2.",
        family=_FORGETTING,
        evaluate=_excess_value,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.section51.forgetting_is_the_norm",
        form="printed",
        title="With many tokens, excess risk is the norm",
        statement=r"when $N$ becomes large in front of $d$, these cases become the norm",
        source=source_of("Section 5.1", "S5.3"),
        quantity="share of 200 random problems whose minimiser has excess risk",
        relation=">",
        bound=r"$1/2$",
        expected=Outcome.HOLDS,
        reason="Measured for d = M = 2 with Zipf frequencies: about 0.95 at N = 30 "
        "(budget: three standard errors, 0.06). "
        "Excess risk is the norm; forgetting the very first token stays rare (a few per cent).",
        family=Family(
            (Parameter("n_tokens", 30, 40, "integer"),),
            lambda n_tokens: Case({"n_tokens": n_tokens}),
            show={"n_tokens": 30},
        ),
        evaluate=_norm,
        cases=(1, 10),
        directed=(0, 0),
    ),
    Claim(
        id="cabannes2024.new.three_tokens",
        form="corrected",
        title="Minimiser of three tokens in closed form",
        statement=r"with $\sum\lambda_ia_i=0$, $\lambda>0$, $a_i=\pm e_i$: errors $q_i=\kappa\lambda_i/p_i$, "
        r"$\kappa$ the root of $\sum\lambda_i\log\frac{p_i-\kappa\lambda_i}{\kappa\lambda_i}=0$",
        source=source_of("new", "section 7"),
        quantity=r"margins of $\mathrm{argmin}\,L$",
        relation="==",
        bound=r"$\log((1-q_i)/q_i)$",
        assumptions=(_SURROUNDED,),
        expected=Outcome.HOLDS,
        reason="New. Newton's minimiser and the scalar root agree to rounding.",
        proof="The gradient vanishes iff p_i q_i is a multiple of the unique balance; margins are linear in W.",
        family=Family((SEED,), lambda seed: Case(problem=three_tokens(seed)), show={"seed": 1}),
        evaluate=_certificate,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.new.lone_forgotten_token",
        form="corrected",
        title="A token that alone is forgotten has less than half of the weight",
        statement=r"unit inputs, two classes: if only token $i$ is misclassified at the minimiser, then $p_i<1/2$",
        source=source_of("new", "section 7"),
        quantity=r"$p_i$ of a token that alone is misclassified",
        relation="<",
        bound=r"$1/2$",
        assumptions=(_NOT_SEPARABLE,),
        expected=Outcome.HOLDS,
        reason="New.",
        proof="Stationarity: p_i/2 < p_i q_i <= sum_{j != i} p_j q_j < (1-p_i)/2.",
        family=Family(
            (SEED, Parameter("n_tokens", 3, 8, "integer"), Parameter("frequency", 0.3, 0.7)),
            _build_heavy,
            show={"seed": 29, "n_tokens": 4, "frequency": 0.45},
        ),
        evaluate=_rare_only,
        cases=(60, 3000),
        directed=(10, 200),
    ),
)
