"""The late regime of two tokens: which part of the orbit (5.2) leads, and whether e^{gamma_2} grows in proportion to t.

Late on, S = sinh(gamma_1 - gbar) solves dS/dg = kappa (Delta e - S) up to factors 1 + O(e), e = e^-g / (2s), so that
S = F + A with the forced part F = kappa Delta e / (kappa - 1), which falls as e^-g, and a free part, which falls as
e^{-kappa g}; and e^g grows at the speed c_0 s cosh(gamma_1 - gbar). Both are read off a run at a hundredth of its
length; what the claims on rates compare comes from its last decade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .... import analytics
from ....dynamics import GradientDescent, GradientFlow
from ...assumption import Assumption, Where
from ...case import Case
from .two_token_cases import Run, descend, descent_case, flow, flow_case, memory, numbers

SHORTEST = 1000  # steps: fewer leave no hundredth in which a step is small


@dataclass(frozen=True)
class Regime:
    """A run at a hundredth of its length.

    time: t (descent: eta t); growth: e^{gamma_2} / (c_0 s t), which tends to 1; spread: e; offset: |gamma_1 - gbar|;
    remainder: |free| / |forced| part of S, or its inverse where the free part falls more slowly; gap: |1 - kappa|;
    mean: gamma_2; step: the larger movement of a mode in one step of descent, 0 for the flow.
    """

    time: float
    growth: float
    spread: float
    offset: float
    remainder: float
    gap: float
    mean: float
    step: float

    def later(self, time: float) -> float:
        """Return the remainder at a later time."""
        return self.remainder * math.pow(time / self.time, -self.gap)

    def relative_error(self, time: float) -> float:
        """Return how far |gamma_1 - gbar| may be, relatively, from its law at a later time.

        The remainder; the law of e^{gamma_2}, off by (growth - 1) t_0/t since it grows at a constant speed; terms of
        relative order e, with gamma_2 for resonance and for the term 2 r gamma_2 of (5.1), times 20; the curvature of
        asinh and of the speed c_0 s cosh; the steps.
        """
        ratio = time / self.time
        later = self.later(time)
        drift = 2 * abs(self.growth - 1) / ratio
        order = 20 * self.spread * (1 + self.mean + math.log(ratio)) / ratio
        return later / (1 - min(later, 0.5)) + drift + order + 0.7 * self.offset**2 + 2 * self.step


def rate_of(case: Case) -> float:
    """Return the unit of time of a run: 1 for the flow, the learning rate for descent."""
    return float(case.rule.rate(0)) if isinstance(case.rule, GradientDescent) else 1.0


def regime(case: Case, run: Run) -> Regime:
    """Return the regime of a run at a hundredth of its length."""
    correlation, pair, distance = numbers(case)
    where = int(np.argmin(np.abs(run.axis - run.axis[-1] / 100)))
    tilt, mean, time = float(run.tilt[where]), float(run.mean[where]), rate_of(case) * float(run.axis[where])
    scale, stiffness = math.sqrt(pair[0] * pair[1]), (1 + correlation) / (1 - correlation)
    offset = tilt - analytics.limiting_tilt(pair)
    spread = math.exp(-mean) / (2 * scale)
    forced = stiffness * (pair[0] - pair[1]) * spread / (stiffness - 1) if stiffness != 1 else math.inf
    free = math.sinh(max(-700.0, min(700.0, offset))) - forced
    small, large = (free, forced) if stiffness > 1 else (forced, free)
    speeds = analytics.mode_velocity(tilt, mean, correlation, pair, distance)
    step = max(abs(float(speed)) for speed in speeds) * rate_of(case) if isinstance(case.rule, GradientDescent) else 0.0
    return Regime(
        time=time, growth=math.exp(mean) / ((1 - correlation) * distance * scale * time), spread=spread,
        offset=abs(offset), remainder=abs(small / large) if large else math.inf, gap=abs(1 - stiffness), mean=mean,
        step=step,
    )  # fmt: skip


@dataclass(frozen=True)
class SeparatedRates(Assumption):
    """The two rates of the orbit differ, and the slower one is known to be present."""

    statement: str = (
        r"$\alpha\leq-1/3$ (the factor of $t^{-b}$ is proved not to vanish below $-1/3$) or $\alpha\geq 0.2$ "
        r"(between, it vanishes at one $\alpha^*(p_1)$ in $(-1/3,0)$, where $b=1$, at $\alpha=0$ the law is "
        r"$\log t/t$, and near both the exponent of any finite time is another)"
    )

    def holds(self, case: Case) -> bool:
        """Return whether alpha <= -1/3 or alpha >= 0.2, to rounding."""
        correlation, _, _ = numbers(case)
        return correlation <= -1 / 3 + 1e-12 or correlation >= 0.2 - 1e-12

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a flow inside, at one of the two ends, or between them."""
        if where == "inside":
            correlation = float(rng.uniform(-0.8, -0.4) if rng.random() < 0.5 else rng.uniform(0.25, 0.9))
        else:
            correlation = float(rng.choice([-1 / 3, 0.2]) if where == "boundary" else rng.uniform(-0.3, 0.19))
        return Case(problem=memory(correlation, 0.25), rule=GradientFlow(), time=1e6)


@dataclass(frozen=True)
class LateRegime(Assumption):
    """The run has reached the regime of the law well before the decade in which the law is compared."""

    descent: bool = False

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the conditions as formulas."""
        steps = rf", each step moves both modes by at most 0.05 ($\geq {SHORTEST}$ steps)" if self.descent else ""
        time = r"\eta t" if self.descent else "t"
        return (
            r"at a hundredth of the run: $\frac{1}{2}\leq e^{\gamma_2}/(c_0\sqrt{p_1p_2}\," + time + r")\leq 2$, "
            r"$e=e^{-\gamma_2}/(2\sqrt{p_1p_2})\leq 0.05$, $|\gamma_1-\bar\gamma|\leq 1$" + steps + "; and of "
            r"$\sinh(\gamma_1-\bar\gamma)=F+A$, $F=\frac{\kappa(p_1-p_2)e}{\kappa-1}$, the faster part ($F$ for "
            r"$\kappa<1$, $A$ for $\kappa>1$) is, a tenth into the run, at most a fifth of the other"
        )

    def holds(self, case: Case) -> bool:
        """Return whether the simulated run is in its late regime at a hundredth of its length."""
        if isinstance(case.rule, GradientFlow):
            if not float(case.time or 0.0) > 0.0:
                return False
            run = flow(case)
        elif isinstance(case.rule, GradientDescent) and int(case.steps or 0) >= SHORTEST:
            run = descend(case)
        else:
            return False
        if not (np.isfinite(run.margins).all() and float(np.abs(run.mean).max()) < 700.0):
            return False
        state = regime(case, run)
        return (
            0.5 <= state.growth <= 2.0 and state.spread <= 0.05 and state.offset <= 1.0 and state.step <= 0.05
            and state.later(10 * state.time) <= 0.2
        )  # fmt: skip

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a long run, one hardly long enough (by bisection), or a short one."""
        correlation, rare = float(rng.uniform(0.4, 0.7)), float(rng.uniform(0.2, 0.35))

        def case(length: float) -> Case:
            if self.descent:
                return descent_case(correlation, rare, 1.0, 2.0, math.ceil(length))
            return flow_case(correlation, rare, 2.0, length)

        low, high = 20.0, 2e5
        if where == "outside":
            return case(low)
        for _ in range(12 if where == "boundary" else 0):
            middle = math.sqrt(low * high)
            low, high = (low, middle) if self.holds(case(middle)) else (middle, high)
        return case(high)
