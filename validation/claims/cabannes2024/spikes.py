"""NEW: onset and absence of loss spikes, and the time to perfect accuracy (errata section 6)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from .... import analytics
from ....dynamics import GradientDescent, simulate
from ...assumption import Assumption, Where
from ...case import Case, Evidence, Exact, Family, Parameter
from ...claim import Claim, Relation, Source
from ...precision import evaluate_twice
from ...verdict import Outcome
from .proposition5 import exact_loss
from .two_token_cases import (
    ATTRACTING,
    DESCENT_CORRECTED,
    DISTANCE,
    PAPER,
    UNIT,
    Array,
    Form,
    Interfering,
    Run,
    descend,
    descent_case,
    numbers,
    saved_steps,
)  # fmt: skip
from .two_token_precision import exact_numbers, exact_start, exact_velocity

LOG2 = math.log(2.0)
HOLDS, VIOLATED = Outcome.HOLDS, Outcome.VIOLATED
SECTION6 = "Section 4.2, new"
Flags = NDArray[np.bool_]
MOST_STEPS = 50000  # in 50 digits: some seconds


def _certified_case(
    correlation: float, rare: float, share: float, squared_distance: float = 2.0, steps: int = 300
) -> Case:
    rate = share * analytics.no_spike_rate(correlation, (1 - rare, rare), squared_distance)
    return descent_case(correlation, rare, rate, squared_distance, steps)


def _monotone(case: Case) -> Evidence:
    """L(W_{t+1}) <= L(W_t) between saved steps."""
    run = descend(case)
    # the descent lemma holds from every W: only the rounding of one step counts
    largest = np.maximum.accumulate(np.abs(run.margins).max(axis=1))[1:]
    error = 8 * UNIT * (1 + largest) * run.loss[:-1]
    return Evidence(run.axis[1:], run.loss[1:], run.loss[:-1], error, axis_scale="log")


def _exact_monotone(case: Case, index: int) -> Exact:
    steps = saved_steps(int(case.steps or 0))
    return evaluate_twice(
        lambda: (exact_loss(case, int(steps[index + 1])), exact_loss(case, int(steps[index]))), "gradient descent"
    )


def _highest_rise(case: Case) -> Evidence:
    """The largest L(W_{t+1}) - L(W_t) of the whole run."""
    run = descend(case)
    rises = np.diff(run.loss)
    error = 8 * UNIT * (1 + np.abs(run.margins[1:]).max(axis=1)) * run.loss[:-1] + run.error[1:] * run.loss[:-1]
    top = int(np.argmax(rises))
    return Evidence(np.zeros(1), rises[[top]], np.zeros(1), error[[top]], axis_name="run")


def _exact_highest_rise(case: Case, index: int) -> Exact:
    def both() -> tuple[Any, Any]:
        _, frequent, rare, _ = exact_numbers(case)
        losses = [
            frequent * mpmath.log1p(mpmath.exp(-first)) + rare * mpmath.log1p(mpmath.exp(-second))
            for _, (first, second) in _exact_margins(case, int(case.steps or 0))
        ]
        return max(later - earlier for earlier, later in itertools.pairwise(losses)), mpmath.mpf(0)

    return evaluate_twice(both, "gradient descent of the two margins")


@dataclass(frozen=True)
class Certified(Assumption):
    """The learning rate is at most 8 / (c lambda_max), which is 2 / sharpness at W = 0; or it exceeds that."""

    exceeded: bool = False

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        return r"$\eta>8/(c\lambda_{max})$" if self.exceeded else r"$\eta\leq 8/(c\lambda_{max})$"

    def holds(self, case: Case) -> bool:
        """Return whether the rate is certified."""
        correlation, pair, distance = numbers(case)
        certified = float(analytics.no_spike_rate(correlation, pair, distance))
        return bool(float(case.rule.learning_rate) <= certified * (1 + 4 * UNIT)) != self.exceeded

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a descent with a rate inside, at the end of, or outside of the range."""
        below = float(rng.uniform(0.01, 1.0))
        certified = {"inside": below, "boundary": 1.0, "outside": 2.0}
        exceeded = {"inside": 1.0 / below + 1e-9, "boundary": 1.0 + 1e-9, "outside": 0.5}
        share = (exceeded if self.exceeded else certified)[where]
        return _certified_case(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.01, 0.5)), share)


def _onset_case(correlation: float, rare: float, ratio: float, squared_distance: float = 2.0) -> Case:
    """Return one step at `ratio` times the first-step threshold (any rate where alpha p_1 <= p_2)."""
    pair = (1 - rare, rare)
    interfering = correlation * pair[0] > rare
    rate = ratio * (analytics.first_step_threshold(correlation, pair, squared_distance) if interfering else 1.0)
    return descent_case(correlation, rare, rate, squared_distance, 1)


def _loss_after_one(case: Case, rate: float) -> float:
    return float(np.asarray(simulate(case.problem, GradientDescent(rate), steps=1, observe=("loss",))["loss"])[-1])


def _onset(case: Case) -> Evidence:
    """(L(W_1) - log 2) sign(eta - eta_1) >= 0."""
    correlation, pair, distance = numbers(case)
    rate = float(case.rule.learning_rate)
    sign = math.copysign(1.0, rate - analytics.first_step_threshold(correlation, pair, distance))
    loss = _loss_after_one(case, rate)
    return Evidence(np.ones(1), np.array([sign * (loss - LOG2)]), np.zeros(1), 16 * UNIT * (1 + loss))


def _exact_onset(case: Case, index: int) -> Exact:
    correlation, pair, distance = numbers(case)
    sign = 1 if float(case.rule.learning_rate) > analytics.first_step_threshold(correlation, pair, distance) else -1
    return evaluate_twice(lambda: (sign * (exact_loss(case, 1) - mpmath.log(2)), mpmath.mpf(0)), "one step of descent")


def _bracket(case: Case) -> Evidence:
    """The first step raises no loss at the lower end of the bracket of eta_1, and raises it at the upper end."""
    correlation, pair, distance = numbers(case)
    low, high = analytics.first_step_threshold_bounds(correlation, pair, distance)
    losses = np.array([LOG2 - _loss_after_one(case, low), _loss_after_one(case, high) - LOG2])
    return Evidence(np.array([1.0, 2.0]), losses, np.zeros(2), 16 * UNIT, axis_name="end of the bracket")


def _exact_bracket(case: Case, index: int) -> Exact:
    """From W = 0 one step gives the margins K(p_1 - alpha p_2), K(p_2 - alpha p_1); K = eta c/2 at an end."""

    def both() -> tuple[Any, Any]:
        correlation, frequent, rare, _ = exact_numbers(case)
        log2 = mpmath.log(2)
        spread = mpmath.sqrt(1 - 4 * frequent * rare * (1 - correlation**2))
        scale = log2 / ((correlation * frequent - rare) * rare) if index else 8 / (1 + spread)
        first, second = scale * (frequent - correlation * rare), scale * (rare - correlation * frequent)
        loss = frequent * mpmath.log1p(mpmath.exp(-first)) + rare * mpmath.log1p(mpmath.exp(-second))
        return (loss - log2 if index else log2 - loss), mpmath.mpf(0)

    return evaluate_twice(both, "one step of descent")


# times


def _doubtful(run: Run) -> Flags:
    """Return, per saved step, whether rounding alone may decide if a margin is positive."""
    return np.asarray((np.abs(run.margins) <= run.error[:, None]).any(axis=1), dtype=np.bool_)


def _bad_steps(case: Case) -> Evidence:
    """The number of imperfect steps so far; a step on which rounding decides may count or not."""
    correlation, pair, distance = numbers(case)
    attracting = max(0.0, correlation)  # rounded orthogonal inputs may stand at -1e-16
    bound = analytics.imperfect_steps_bound(attracting, pair, float(case.rule.learning_rate), distance)
    run = descend(case)
    bad = np.cumsum((run.margins <= 0).any(axis=1)).astype(float)
    # at W_0 = 0 both margins are 0 exactly
    doubt = np.cumsum(np.concatenate([[False], _doubtful(run)[1:]])).astype(float)
    return Evidence(run.axis, bad, np.full_like(bad, bound), doubt, axis_scale="log")


def _exact_bad_steps(case: Case, index: int) -> Exact | None:
    """Count the imperfect saved steps in 50 digits, up to that of the evidence."""
    correlation, pair, distance = numbers(case)
    attracting = max(0.0, correlation)  # rounded orthogonal inputs may stand at -1e-16
    bound = analytics.imperfect_steps_bound(attracting, pair, float(case.rule.learning_rate), distance)
    steps = saved_steps(int(case.steps or 0))[: index + 1]

    def both() -> tuple[Any, Any]:
        wanted = set(steps.tolist())
        count = sum(min(margins) <= 0 for t, margins in _exact_margins(case, int(steps[-1])) if t in wanted)
        return mpmath.mpf(count), mpmath.mpf(float(bound))

    return evaluate_twice(both, "gradient descent of the two margins") if steps[-1] <= MOST_STEPS else None


def _exact_margins(case: Case, last: int) -> Iterator[tuple[int, list[Any]]]:
    """Yield (step, margins) from 0 to the last step, in the current precision."""
    velocity, margins = exact_velocity(case), exact_start(case)
    rate = mpmath.mpf(float(case.rule.learning_rate))
    for step in range(last + 1):
        yield step, margins
        margins = [m + rate * v for m, v in zip(margins, velocity(margins), strict=True)]


def _first_perfect_case(correlation: float, rare: float, learning_rate: float, squared_distance: float = 2.0) -> Case:
    steps = math.ceil(analytics.perfect_time_lower_bound(correlation, (1 - rare, rare))) + 200
    return descent_case(correlation, rare, learning_rate, squared_distance, min(steps, 2000))


def _first_perfect(case: Case) -> Evidence:
    """First step with accuracy 1 (the length of the run + 1 where it is not reached) against the lower bound.

    The budget is the wait until rounding no longer decides whether the accuracy is 1.
    """
    correlation, pair, _ = numbers(case)
    run = descend(case)
    bound = analytics.perfect_time_lower_bound(correlation, pair)
    good = np.asarray((run.margins > 0).all(axis=1), dtype=np.bool_)
    end = float(run.axis[-1]) + 1
    first = _first(run.axis, good, max(end, bound))
    sure = _first(run.axis, np.logical_and(good, ~_doubtful(run)), max(end, bound))
    return Evidence(np.zeros(1), np.array([first]), np.array([bound]), sure - first + 8 * UNIT * bound, axis_name="run")


def _first(axis: Array, found: Flags, otherwise: float) -> float:
    """Return the first place of the axis where `found` is true."""
    return float(axis[int(np.argmax(found))]) if found.any() else otherwise


def _exact_first_perfect(case: Case, index: int) -> Exact | None:
    last = int(case.steps or 0)

    def both() -> tuple[Any, Any]:
        correlation, frequent, rare, _ = exact_numbers(case)
        bound = 1 + (correlation * frequent / rare - 1) / 2
        found = next((t for t, margins in _exact_margins(case, last) if min(margins) > 0), None)
        return max(last + 1, bound) if found is None else mpmath.mpf(found), bound

    return evaluate_twice(both, "gradient descent of the two margins") if last <= MOST_STEPS else None


def new_claim(
    name: str, form: Form, title: str, statement: str, quantity: str, relation: Relation, bound: str, expected: Outcome,
    reason: str, proof: str, evaluate: Callable[[Case], Evidence], exact: Callable[[Case, int], Exact | None] | None,
    family: Family, assumptions: tuple[Assumption, ...], **more: Any,
) -> Claim:  # fmt: skip
    return Claim(
        id=f"{PAPER}.new.{name}", form=form, title=title, statement=statement,
        source=Source(PAPER, more.pop("where", SECTION6), more.pop("erratum", "section 6")), quantity=quantity,
        relation=relation, bound=bound, expected=expected, reason=reason, proof=proof, evaluate=evaluate, exact=exact,
        family=family, assumptions=assumptions, **more,
    )  # fmt: skip


CLAIMS = (
    new_claim(
        "no_spike_certificate", "printed", "The certified rate as a threshold of spikes",
        r"$2/\lambda_{max}(0)$, the stability threshold at $W=0$, separates monotone from oscillating losses: for "
        r"$\eta>8/(c\lambda_{max})$ the loss rises at some step",
        "$\\max_t(L(W_{t+1})-L(W_t))$", ">=", "$0$", VIOLATED,
        "sufficient only: at alpha = 0.95, p_1 = 0.75, c = 2 it is 4.076, and the least rate with a rise 5.45",
        "", _highest_rise, _exact_highest_rise,
        Family(
            (Parameter("correlation", 0.1, 0.95), Parameter("rare", 0.05, 0.45), Parameter("share", 1.01, 2.0)),
            build=lambda correlation, rare, share, squared_distance=2.0, steps=60: _certified_case(
                correlation, rare, share, squared_distance, steps
            ),
            show={"correlation": 0.95, "rare": 0.25, "share": 1.1},
        ),
        (*DESCENT_CORRECTED, Certified(exceeded=True)), where="Section 5.1, as read by the review",
    ),
    new_claim(
        "no_spike_certificate", "corrected", "No spike below a certified rate",
        r"for $\eta\leq 8/(c\lambda_{max})$, $\lambda_{max}=\frac{1}{2}(1+\sqrt{1-4p_1p_2(1-\alpha^2)})$, the loss "
        r"never "
        "rises",
        "$L(W_{t+1})$", "<=", "$L(W_t)$", HOLDS, "22180 certified runs; sharp as alpha -> 1, p_1 -> 1/2",
        "the Hessian is at most (c/4) lambda_max everywhere: descent lemma", _monotone, _exact_monotone,
        Family(
            (Parameter("correlation", -0.99, 0.999), Parameter("rare", 1e-3, 0.5, "log"),
             Parameter("share", 1e-2, 1.0, "log"), DISTANCE),
            build=_certified_case, show={"correlation": 0.99, "rare": 0.3, "share": 1.0, "squared_distance": 2.0},
            corners=({"correlation": 0.999, "rare": 0.5, "share": 1.0, "squared_distance": 2.0, "steps": 2000},
                     {"correlation": 0.95, "rare": 0.25, "share": 1.0, "squared_distance": 0.02, "steps": 100000}),
        ),
        (*DESCENT_CORRECTED, Certified()),
    ),
    new_claim(
        "first_step_threshold", "corrected", "When the first step raises the loss",
        r"if $\alpha p_1>p_2$: $L(W_1)>\log 2$ iff $K>K_1$, the unique positive root of $L(W_1)=\log 2$",
        r"$(L(W_1)-\log 2)\,\mathrm{sign}(K-K_1)$", ">=", "$0$", HOLDS, "errata section 6",
        "L(W_1) is strictly convex in K, equals log 2 at 0 and falls there", _onset, _exact_onset,
        Family(
            (Parameter("correlation", 0.1, 0.999), Parameter("rare", 1e-3, 0.45, "log"),
             Parameter("ratio", 1e-2, 1e2, "log"), DISTANCE),
            build=_onset_case, show={"correlation": 0.5, "rare": 0.1, "ratio": 1.05, "squared_distance": 2.0},
            corners=({"correlation": 0.5, "rare": 0.1, "ratio": 0.999, "squared_distance": 2.0},
                     {"correlation": 0.5, "rare": 0.1, "ratio": 1.001, "squared_distance": 2.0}),
        ),
        (*DESCENT_CORRECTED, Interfering()),
    ),
    new_claim(
        "first_step_bracket", "corrected", "Bracket of the first-step threshold",
        r"$4/\lambda_{max}\leq K_1\leq\log 2/((\alpha p_1-p_2)p_2)$: at the ends $L(W_1)\leq\log 2$ and $\geq\log 2$",
        r"$\log 2-L(W_1)$, $L(W_1)-\log 2$", ">=", "$0$", HOLDS, "errata section 6: (.5, .9): 19.801 <= 19.804",
        "the descent lemma below, Proposition 5 above", _bracket, _exact_bracket,
        Family(
            (Parameter("correlation", 0.3, 0.99), Parameter("rare", 0.05, 0.45)),
            build=lambda correlation, rare: descent_case(correlation, rare, 1.0, 2.0, 1),
            show={"correlation": 0.5, "rare": 0.1},
        ),
        (*DESCENT_CORRECTED, Interfering()),
    ),
    new_claim(
        "imperfect_steps", "corrected", "Number of imperfect steps",
        r"$N_{bad}\leq 1+2\max(G_+,G_-)/(K(1-\alpha)p_2)$ for $0\leq\alpha<1$, $W_0=0$", r"$N_{bad}(t)$", "<=",
        r"$1+2\max(G_+,G_-)/(K(1-\alpha)p_2)$", HOLDS,
        "errata section 6; the largest ratio found is 0.4916, for small rates at alpha -> 1, "
        "p_1 -> 1/2",
        "an imperfect step raises gamma_2 by K(1-alpha)p_2/2 at least; imperfection means gamma_2 <= |gamma_1| <= G",
        _bad_steps, _exact_bad_steps,
        Family(
            (Parameter("correlation", 0.0, 0.999), Parameter("rare", 1e-3, 0.5, "log"),
             Parameter("learning_rate", 1e-3, 1e4, "log"), DISTANCE),
            build=descent_case, show={"correlation": 0.95, "rare": 0.25, "learning_rate": 10.0,
            "squared_distance": 2.0},
            corners=({"correlation": 0.9, "rare": 0.45, "learning_rate": 30.0, "squared_distance": 2.0},
                     {"correlation": 0.99879, "rare": 0.49635, "learning_rate": 0.0134, "squared_distance": 2.0,
                      "steps": 2000}),
        ),
        (*DESCENT_CORRECTED, ATTRACTING),
    ),
    new_claim(
        "perfect_time", "corrected", "Earliest time of perfect accuracy",
        r"$T_{perfect}\geq 1+\frac{1}{2}(\alpha p_1/p_2-1)$ for $\alpha p_1>p_2$, at every $\eta$", "$T_{perfect}$",
        ">=",
        r"$1+\frac{1}{2}(\alpha p_1/p_2-1)$", HOLDS, "almost attained: median ratio 1.02 for K > 100",
        "the first step takes the rare margin to -K(alpha p_1-p_2), each later one adds at most 2Kp_2", _first_perfect,
        _exact_first_perfect,
        Family(
            (Parameter("correlation", 0.1, 0.999), Parameter("rare", 1e-3, 0.45, "log"),
             Parameter("learning_rate", 1e-1, 1e6, "log"), DISTANCE),
            build=_first_perfect_case,
            show={"correlation": 0.95, "rare": 0.01, "learning_rate": 1e3, "squared_distance": 2.0},
        ),
        (*DESCENT_CORRECTED, Interfering()),
    ),
)  # fmt: skip
