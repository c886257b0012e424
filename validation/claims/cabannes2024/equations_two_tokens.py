"""Equations (16)-(19), (21), (30)-(36) and the cone of Appendix C: one step, or one state, from any W."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

from .... import analytics
from ....dynamics import GradientDescent, simulate
from ....kernels import softmax_gradient
from ...assumptions import ConstantRateDescent, CorrelationBetween
from ...case import Case, Evidence, Exact
from ...claim import Claim, Source
from ...precision import Descent, evaluate_twice
from ...verdict import Outcome
from .two_token_cases import OPEN, ORDERED, PAPER, SETTING, UNIT, Array, Form, numbers, state_family
from .two_token_precision import exact_numbers, exact_start, exact_velocity

STEPPING = (*SETTING, ConstantRateDescent())
SHOW = {
    "correlation": 0.5, "rare": 0.25, "squared_distance": 2.0, "tilt": 1.0, "mean_margin": 0.5, "learning_rate": 1.0,
}  # fmt: skip
FAMILY = state_family(SHOW, corners=({**SHOW, "tilt": -3.0, "squared_distance": 0.1}, {**SHOW, "correlation": -0.9}))
COMPONENT = "component"


# what one step does


def _stepped(case: Case) -> Case:
    """Return the case as one step of descent, with rate 1 where its rule is another: the field at W asks for none."""
    if ConstantRateDescent().holds(case):
        return case
    return Case(problem=case.problem, rule=GradientDescent(1.0), steps=1, initial=case.initial)


def _steps(case: Case) -> tuple[Array, Array, float]:
    """Return the margins before and after one step of descent, and the learning rate."""
    run = simulate(case.problem, case.rule, steps=1, observe=("margin",), initial=case.initial)
    margins = np.asarray(run["margin"])
    return margins[0], margins[1], float(case.rule.learning_rate)


def _velocity(case: Case) -> tuple[Array, Array, float]:
    """Return (start, (step of the margins) / rate, error): the right-hand side of the flow, measured."""
    before, after, rate = _steps(_stepped(case))
    _, _, distance = numbers(case)
    size = max(1.0, float(np.abs(before).max()), float(np.abs(after).max()))
    return before, (after - before) / rate, 16 * UNIT * size / rate + 64 * UNIT * distance * size


def _exact_velocity(case: Case) -> tuple[list[Any], list[Any]]:
    """Return (start, velocity) from the gradient in the scores, in the current precision."""
    stepped = _stepped(case)
    run = Descent(case.problem, stepped.rule.learning_rate, case.initial)
    before = run.margins()
    after = run.run(1).margins()
    rate = mpf(float(stepped.rule.learning_rate))
    return before, [(b - a) / rate for a, b in zip(before, after, strict=True)]


def _printed_modes(margins: Any, case: Case, exp: Any = np.exp, *, half: bool) -> list[Any]:
    """Return the right-hand sides of (19): with c as printed, with c/2 as corrected."""
    correlation, (frequent, rare), distance = numbers(case)
    if exp is not np.exp:
        correlation, frequent, rare, distance = exact_numbers(case)
    pull, counter = frequent / (1 + exp(margins[0])), rare / (1 + exp(margins[1]))
    scale = distance / 2 if half else distance
    return [scale * (1 + correlation) * (pull - counter), scale * (1 - correlation) * (pull + counter)]


def _modes(pair: Any) -> list[Any]:
    return [(pair[0] - pair[1]) / 2, (pair[0] + pair[1]) / 2]


def _mode_claims(place: str, name: str, index: int | None, rate: bool) -> tuple[Claim, Claim]:
    """Return the printed and the corrected form of a velocity (rate False) or a step (True) of one mode or both."""
    picked = slice(None) if index is None else slice(index, index + 1)

    def evaluate(half: bool, case: Case) -> Evidence:
        before, velocity, error = _velocity(case)
        scale = float(case.rule.learning_rate) if rate else 1.0
        measured = np.array(_modes(velocity))[picked] * scale
        if half:
            correlation, frequencies, distance = numbers(case)
            bound = np.array(
                analytics.mode_velocity(*_modes(before), correlation, frequencies, distance), dtype=float
            )
        else:
            bound = np.array(_printed_modes(before, case, half=False))
        bound = bound[picked] * scale
        axis = np.arange(2.0)[picked] + 1
        return Evidence(axis, measured, bound, error * scale, axis_name=COMPONENT)

    def exact(half: bool, case: Case, point: int) -> Exact:
        def both() -> tuple[Any, Any]:
            before, velocity = _exact_velocity(case)
            which = point if index is None else index
            scale = mpf(float(case.rule.learning_rate)) if rate else mpf(1)
            return scale * _modes(velocity)[which], scale * _printed_modes(before, case, mpmath.exp, half=half)[which]

        return evaluate_twice(both, "one step of descent in the scores")

    left = {None: r"\dot\gamma_i", 0: r"\dot\gamma_1", 1: r"\dot\gamma_2"}[index]
    if rate:
        left = {None: r"\Delta\gamma_i", 0: r"\Delta\gamma_1", 1: r"\Delta\gamma_2"}[index]
    unit = r"\eta c" if rate else "c"
    signs = {None: r"(1\pm\alpha)(A\mp B)", 0: r"(1+\alpha)(A-B)", 1: r"(1-\alpha)(A+B)"}[index]
    forms = []
    for half in (False, True):
        factor = rf"\frac{{{unit}}}{{2}}" if half else unit
        forms.append(
            Claim(
                id=f"{PAPER}.{place}.{name}",
                form="corrected" if half else "printed",
                title=f"Equation ({place.removeprefix('equation')}): "
                + ("the two modes" if index is None else f"mode gamma_{index + 1}"),
                statement=rf"${left} = {factor}{signs}$ with $A=p_1/(1+e^{{\gamma_2+\gamma_1}})$, "
                r"$B=p_2/(1+e^{\gamma_2-\gamma_1})$, $c=\|u_1-u_2\|^2$, from any $W$",
                source=Source(PAPER, f"({place.removeprefix('equation')})", "T4.1"),
                quantity=f"${left}$",
                relation="==",
                bound=f"${factor}{signs}$",
                expected=Outcome.HOLDS if half else Outcome.VIOLATED,
                reason="true with c/2; the ratio to the printed right-hand side, measured from the raw gradient in W, "
                "is 0.5 in both components",
                proof=r"$\gamma_i=\frac{1}{2}(u_1-u_2)^TWf_i$ is half a sum or difference of margins: (31) for both, "
                r"and $1\pm\alpha$ factors out" if half else "",
                assumptions=STEPPING if rate else SETTING,
                family=FAMILY,
                evaluate=partial(evaluate, half),
                exact=partial(exact, half),
            )
        )  # fmt: skip
    return forms[0], forms[1]


# (16), (17), (18), (21), (30), (31), (34)


def _gram(case: Case) -> Evidence:
    inputs = case.problem.inputs
    correlation = case.parameters.get("correlation", float(inputs[0] @ inputs[1]))
    measured = (inputs @ inputs.T).ravel()
    return Evidence(
        np.arange(4.0), measured, np.array([1.0, correlation, correlation, 1.0]), 4 * UNIT, axis_name="entry"
    )


def _margin_step(case: Case) -> Evidence:
    before, velocity, error = _velocity(case)
    bound = analytics.margin_velocity(before, *numbers(case))
    rate = float(case.rule.learning_rate)
    return Evidence(np.array([1.0, 2.0]), velocity * rate, bound * rate, error * rate, axis_name="token")


def _mode_margins(case: Case) -> Evidence:
    """Margins of a short run against gamma_2 +- gamma_1 computed from W."""
    problem = case.problem
    run = simulate(problem, case.rule, steps=1, observe=("margin",), initial=case.initial)
    gap = problem.outputs[0] - problem.outputs[1]
    total, difference = problem.inputs[0] + problem.inputs[1], problem.inputs[0] - problem.inputs[1]
    first, second = 0.5 * gap @ run.final @ total, 0.5 * gap @ run.final @ difference
    measured = np.asarray(run["margin"])[-1]
    size = float(np.abs(run.final).max() * np.abs(gap).sum()) + float(np.abs(np.asarray(run["margin"])).max())
    return Evidence(
        np.array([1.0, 2.0]), measured, np.array([second + first, second - first]), 32 * UNIT * size, axis_name="token"
    )


def _figure_axes(case: Case, sign: float) -> Evidence:
    """Margin of token 1 against the first statistic of (21), e_1 = (1, 0) as in Figure 1."""
    problem = case.problem
    start = np.zeros((problem.dim, problem.dim)) if case.initial is None else case.initial
    run = simulate(problem, case.rule, steps=1, observe=("margin",), initial=case.initial)
    statistic = (problem.outputs[1] - problem.outputs[0]) @ start @ problem.inputs[0]
    size = float(np.abs(start).max() * np.abs(problem.outputs).sum()) + 1.0
    return Evidence(
        np.zeros(1), np.asarray(run["margin"])[0, :1], np.array([sign * statistic]), 32 * UNIT * size,
        axis_name="step t"
    )


def _exact_figure_axes(case: Case, sign: int) -> Exact:
    def both() -> tuple[Any, Any]:
        start = exact_start(case)[0]
        return Descent(case.problem, case.rule.learning_rate, case.initial).margins()[0], -sign * start

    return evaluate_twice(both, "scores of W")


def _projected_gradient(case: Case) -> Evidence:
    """(30): <grad L, (u_j - u_i) (x) e_j> from the kernel."""
    problem = case.problem
    start = np.zeros((problem.dim, problem.dim)) if case.initial is None else case.initial
    _, gradient = softmax_gradient(start, problem.inputs, problem.outputs, problem.targets, problem.frequencies)
    gap = problem.outputs[0] - problem.outputs[1]
    margins = np.array([gap @ start @ problem.inputs[0], -gap @ start @ problem.inputs[1]])
    measured = np.array([gap @ gradient @ problem.inputs[0], -gap @ gradient @ problem.inputs[1]])
    bound = -analytics.margin_velocity(margins, *numbers(case))
    size = max(1.0, float(np.abs(start).max() * np.abs(gap).sum()))
    return Evidence(np.array([1.0, 2.0]), measured, bound, 64 * UNIT * size * numbers(case)[2], axis_name="token")


def _printed_flow(case: Case) -> Evidence:
    """(31) as printed, with m_i in both denominators."""
    before, velocity, error = _velocity(case)
    correlation, pair, distance = numbers(case)
    other = before[::-1]
    bound = distance * (np.array(pair) - correlation * np.array(pair[::-1])) / (1 + np.exp(other))
    return Evidence(np.array([1.0, 2.0]), velocity, bound, error, axis_name="token")


def _exact_printed_flow(case: Case, point: int) -> Exact:
    def both() -> tuple[Any, Any]:
        before, velocity = _exact_velocity(case)
        correlation, frequent, rare, distance = exact_numbers(case)
        pair = (frequent, rare)
        bound = distance * (pair[point] - correlation * pair[1 - point]) / (1 + mpmath.exp(before[1 - point]))
        return velocity[point], bound

    return evaluate_twice(both, "one step of descent in the scores")


def _flow_step(case: Case) -> Evidence:
    before, velocity, error = _velocity(case)
    bound = analytics.margin_velocity(before, *numbers(case))
    return Evidence(np.array([1.0, 2.0]), velocity, bound, error, axis_name="token")


def _turning(case: Case) -> Evidence:
    """(34): the speed of the tilt has the sign of C(gamma_2) - sinh(gamma_1 - gbar); their product is >= 0."""
    before, velocity, error = _velocity(case)
    _, pair, _ = numbers(case)
    tilt, mean = _modes(before)
    gap = float(analytics.turning_level(mean, pair)) - float(np.sinh(tilt - analytics.limiting_tilt(pair)))
    speed = _modes(velocity)[0]
    return Evidence(np.zeros(1), np.array([speed * gap]), np.zeros(1), error * (abs(gap) + 1.0), axis_name="step t")


def _exact_turning(case: Case, point: int) -> Exact:
    def both() -> tuple[Any, Any]:
        before = exact_start(case)
        speed = _modes(exact_velocity(case)(before))[0]
        _, frequent, rare, _ = exact_numbers(case)
        tilt, mean = _modes(before)
        level = (frequent - rare) * mpmath.exp(-mean) / (2 * mpmath.sqrt(frequent * rare))
        return speed * (level - mpmath.sinh(tilt - mpmath.log(frequent / rare) / 2)), mpf(0)

    return evaluate_twice(both, "speed of the tilt")


# T4.17: the cone of the updates


def _cone(case: Case, signs: tuple[float, float]) -> Evidence:
    """Coefficients of the update of W on (u_1-u_2) (x) e_1 and (u_1-u_2) (x) e_2, times signs; the cone wants >= 0."""
    problem = case.problem
    start = np.zeros((problem.dim, problem.dim)) if case.initial is None else case.initial
    run = simulate(problem, case.rule, steps=1, observe=("margin",), initial=case.initial)
    gap = problem.outputs[0] - problem.outputs[1]
    image = gap @ (np.asarray(run.final) - start) / (gap @ gap)
    solution = np.linalg.lstsq(problem.inputs.T, image, rcond=None)[0]
    correlation, _, _ = numbers(case)
    size = (float(np.abs(start).max()) + float(np.abs(run.final).max())) / max(1e-3, 1.0 - abs(correlation))
    rate = float(case.rule.learning_rate)
    return Evidence(
        np.array([1.0, 2.0]), solution * signs / rate, np.zeros(2), 64 * UNIT * size / rate, axis_name="input"
    )


def _exact_cone(case: Case, point: int, signs: tuple[int, int]) -> Exact:
    def both() -> tuple[Any, Any]:
        # the coefficients from the change of the margins: [1, -a; -a, 1]^-1 applied to it
        _, velocity = _exact_velocity(case)
        correlation, _, _, distance = exact_numbers(case)
        moved = [velocity[0], -velocity[1]]
        scale = distance * (1 - correlation**2)
        coefficient = (moved[point] - correlation * moved[1 - point]) / scale
        return signs[point] * coefficient, mpf(0)

    return evaluate_twice(both, "one step of descent in the scores")


REPULSIVE = state_family(
    {**SHOW, "correlation": -0.5}, correlation=replace(FAMILY.parameters[0], low=-0.99, high=0.0)
)


def _single(
    place: str, name: str, form: Form, title: str, statement: str, quantity: str, bound: str, expected: Outcome,
    reason: str, evaluate: Callable[[Case], Evidence], exact: Callable[[Case, int], Exact] | None = None,
    **more: Any,
) -> Claim:  # fmt: skip
    return Claim(
        id=f"{PAPER}.{place}.{name}", form=form, title=title, statement=statement, quantity=quantity, bound=bound,
       
        source=Source(PAPER, more.pop("where"), more.pop("erratum", "")), relation=more.pop("relation", "=="),
        expected=expected, reason=reason, evaluate=evaluate, exact=exact, family=more.pop("family", FAMILY),
        assumptions=more.pop("assumptions", STEPPING), **more,
    )  # fmt: skip


CLAIMS = (
    _single(
        "equation16", "gram", "printed", "Equation (16): the Gram matrix of the inputs",
        r"$\langle e_i,e_j\rangle = 1_{i=j} + \alpha\, 1_{i\neq j}$", r"$\langle e_i,e_j\rangle$",
        r"$1_{i=j} + \alpha 1_{i\neq j}$", Outcome.HOLDS, "the setting of Section 4.2, to rounding", _gram,
        where="(16)", assumptions=SETTING,
    ),
    _single(
        "equation17", "margin_step", "printed", "Equation (17): a step of the two margins",
        r"$\Delta m_i = c\,\eta\,(p_i/(1+e^{m_i}) - \alpha p_j/(1+e^{m_j}))$, $c=\|u_1-u_2\|^2$, from any $W$",
        r"$\Delta m_i$", r"$c\eta(\frac{p_i}{1+e^{m_i}}-\frac{\alpha p_j}{1+e^{m_j}})$", Outcome.HOLDS,
        "true with the full c", _margin_step, where="(17)",
    ),
    _single(
        "equation18", "modes", "printed", "Equation (18): the margins as sum and difference of the modes",
        r"$m_1=\gamma_2+\gamma_1$, $m_2=\gamma_2-\gamma_1$ with $\gamma_i=\frac{1}{2}(u_1-u_2)^TWf_i$, "
        r"$f_{1,2}=e_1\pm e_2$",
        "$m_i$", r"$\gamma_2\pm\gamma_1$", Outcome.HOLDS, "linear algebra", _mode_margins, where="(18)",
    ),
    *_mode_claims("equation19", "modes", None, rate=False),
    _single(
        "equation21", "figure_axes", "printed", "Equation (21): the sign of the figures' axes",
        r"Figures 1, 2, 4, 5 show perfect accuracy of token 1, $e_1=(1,0)$, where $\gamma_1>0$: "
        r"$m_1=\gamma_1$ with $\gamma_1=(u_2-u_1)^TWe_1$",
        "$m_1$", r"$(u_2-u_1)^TWe_1$", Outcome.VIOLATED,
        "the figures and the authors' code use (u_1-u_2); with the printed sign the regions are mirrored",
        lambda case: _figure_axes(case, 1.0), lambda case, point: _exact_figure_axes(case, 1),
        where="(21), Figure 1", erratum="smaller slips",
    ),
    _single(
        "equation21", "figure_axes", "corrected", "Equation (21): the sign of the figures' axes",
        r"$m_1=(u_1-u_2)^TWe_1$: the figures' axes are $\gamma_i=(u_1-u_2)^TWf_i$ on the canonical basis",
        "$m_1$", r"$(u_1-u_2)^TWe_1$", Outcome.HOLDS, "the definition of the margin",
        lambda case: _figure_axes(case, -1.0), where="(21), Figure 1", erratum="smaller slips",
        proof="the definition (13) of the margin of token 1",
    ),
    _single(
        "equation30", "projected_gradient", "printed", "Equation (30): the gradient along the margins",
        r"$\langle\nabla L(W),(u_j-u_i)\otimes e_j\rangle = c\,(\frac{\alpha p_i}{1+e^{m_i}}-\frac{p_j}{1+e^{m_j}})$",
        r"$\langle\nabla L,(u_j-u_i)\otimes e_j\rangle$",
        r"$c(\frac{\alpha p_i}{1+e^{m_i}}-\frac{p_j}{1+e^{m_j}})$", Outcome.HOLDS,
        "true; both margins stand in it as scalar products with W", _projected_gradient, where="(30)",
        assumptions=SETTING,
    ),
    _single(
        "equation31", "flow_margins", "printed", "Equation (31): flow of the margins",
        r"$\dot m_j = c\,(p_j - \alpha p_i)/(1+e^{m_i})$: the same $m_i$ in both denominators",
        r"$\dot m_j$", r"$c(\frac{p_j}{1+e^{m_i}}-\frac{\alpha p_i}{1+e^{m_i}})$", Outcome.VIOLATED,
        "typo: the first denominator needs m_j; false wherever the margins differ", _printed_flow, _exact_printed_flow,
        where="(31)", erratum="smaller slips", assumptions=SETTING,
    ),
    _single(
        "equation31", "flow_margins", "corrected", "Equation (31): flow of the margins",
        r"$\dot m_j = c\,(p_j/(1+e^{m_j}) - \alpha p_i/(1+e^{m_i}))$",
        r"$\dot m_j$", r"$c(\frac{p_j}{1+e^{m_j}}-\frac{\alpha p_i}{1+e^{m_i}})$", Outcome.HOLDS,
        "(30) with the right index", _flow_step, where="(31)", erratum="smaller slips",
        proof="minus (30): the flow moves W by minus the gradient", assumptions=SETTING,
    ),
    *_mode_claims("equation32", "tilt_flow", 0, rate=False),
    *_mode_claims("equation33", "mean_margin_flow", 1, rate=False),
    _single(
        "equation34", "turning_level", "printed", "Equation (34): where the tilt turns",
        r"$\dot\gamma_1\leq 0$ iff $\sinh(\gamma_1-\bar\gamma)\geq C(\gamma_2)$, "
        r"$C(\gamma_2)=(p_1-p_2)e^{-\gamma_2}/(2\sqrt{p_1p_2})$, from any $W$",
        r"$\dot\gamma_1\,(C(\gamma_2)-\sinh(\gamma_1-\bar\gamma))$", "$0$", Outcome.HOLDS,
        "the chain of equivalences before (34) is right", _turning, _exact_turning, where="(34)", relation=">=",
        assumptions=ORDERED,
    ),
    *_mode_claims("equation35", "tilt_step", 0, rate=True),
    *_mode_claims("equation36", "mean_margin_step", 1, rate=True),
    _single(
        "appendix_c", "update_cone", "printed", "Appendix C: the cone of the updates",
        r"for $\alpha\leq 0$ every update of $W$ lies in $(u_1-u_2)\otimes(R_+e_1+R_+e_2)$",
        r"coefficients of $\Delta W/\eta$ on $e_1$, $e_2$", "$0$", Outcome.VIOLATED,
        "sign: token 2 moves W along (u_2-u_1) (x) e_2, so the coefficient on e_2 is negative at every state",
        lambda case: _cone(case, (1.0, 1.0)), lambda case, point: _exact_cone(case, point, (1, 1)),
        where="Appendix C", erratum="T4.17", relation=">=", family=REPULSIVE,
        assumptions=(*STEPPING, CorrelationBetween(-1.0, 0.0, open_low=True)),
    ),
    _single(
        "appendix_c", "update_cone", "corrected", "Appendix C: the cone of the updates",
        r"for every $\alpha$ and $W$ every update of $W$ lies in $(u_1-u_2)\otimes(R_+e_1-R_+e_2)$",
        r"coefficients of $\Delta W/\eta$ on $e_1$, $-e_2$", "$0$", Outcome.HOLDS,
        "the coefficients are c p_i/(1+e^{m_i})/c > 0", lambda case: _cone(case, (1.0, -1.0)),
        lambda case, point: _exact_cone(case, point, (1, -1)),
        where="Appendix C", erratum="T4.17", relation=">=", assumptions=(*STEPPING, OPEN),
        proof=r"$-\nabla L=\sum_i \frac{p_i}{1+e^{m_i}}(u_i-u_j)\otimes e_i$, and $u_2-u_1=-(u_1-u_2)$",
    ),
)  # fmt: skip
