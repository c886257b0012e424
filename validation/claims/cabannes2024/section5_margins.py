"""Equations (13) and (22): margins and perfect accuracy."""

from __future__ import annotations

import numpy as np

from ....dynamics import simulate
from ...assumptions import ConstantRateDescent
from ...case import Array, Case, Evidence, Family, Parameter
from ...claim import Claim
from ...verdict import Outcome
from .separable_problems import _CASES, _DIRECTED, _SHAPE
from .situations_multiclass import (
    EPS,
    descent_case,
    measured,
    random_memory,
    random_start,
    separable_memory,
    source_of,
    start_of,
    steps_of,
)


def _margin_definition(case: Case) -> Evidence:
    steps = steps_of(case, 20)
    run = simulate(case.problem, case.rule, steps=steps, observe=("margins",), initial=case.initial)
    m, weights = case.problem, np.asarray(run.final)
    image = weights @ m.inputs.T
    formula = [(m.outputs[f] - u) @ image[:, x] for x, f in enumerate(m.targets) for u in m.outputs]
    margins = np.asarray(run["margins"])
    flat = margins[-1].ravel()
    size = _margin_sizes(case, margins[:-1]).ravel() + float(np.abs(margins).max())
    budget = 4 * EPS * size * (1 + steps + m.inputs.shape[1])
    return measured(np.arange(flat.size) + 1.0, flat, formula, budget, axis_name="margin")


def _margin_sizes(case: Case, margins: Array) -> Array:
    """Return sum |u_f - u_i| |W| |e_x| of every margin (N, M), with |W| the sum of the sizes of all that went into W.

    Steps of nearly parallel tokens cancel in W and in the margins, but each of them was rounded at its own size.
    """
    m = case.problem
    scores = margins.min(axis=2, keepdims=True) - margins  # up to a constant of the token, at most 0
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=2, keepdims=True)
    errors = np.abs(np.eye(len(m.outputs))[m.targets] - probabilities).sum(axis=0)
    learned = case.rule.learning_rate * m.frequencies[:, None] * errors
    outputs, inputs = np.abs(m.outputs), np.abs(m.inputs)
    sizes = np.abs(start_of(case)) + outputs.T @ learned.T @ inputs
    image = sizes @ inputs.T
    return np.asarray((outputs[m.targets] @ image).diagonal()[:, None] + (outputs @ image).T)


def _accuracy_definition(case: Case) -> Evidence:
    """Whether all tokens are right (accuracy exactly 1) against whether all margins (22) are positive."""
    run = simulate(
        case.problem, case.rule, steps=steps_of(case, 50), observe=("accuracy", "margin"), initial=case.initial
    )
    right = (np.asarray(run["accuracy"]) == 1.0).astype(float)
    positive = np.all(np.asarray(run["margin"]) > 0, axis=1).astype(float)
    return measured(np.asarray(run.step, dtype=float), right, positive, 0.0)


CLAIMS = (
    Claim(
        id="cabannes2024.equation13.margins",
        form="printed",
        title="Margins as differences of particles",
        statement=r"$m_i(x)=w_{xf^*(x)}-w_{xi}=(u_{f^*(x)}-u_i)^\top We_x$",
        source=source_of("(13)"),
        quantity=r"$m_i(x)$ of the particles",
        relation="==",
        bound=r"$(u_{f^*(x)}-u_i)^\top We_x$",
        assumptions=(ConstantRateDescent(),),
        expected=Outcome.HOLDS,
        reason="The margins that the simulation reports are those of its final weights.",
        proof="Definition (10).",
        family=Family(
            (*_SHAPE, Parameter("rate", 0.1, 10.0, "log")),
            lambda seed, n_tokens, n_classes, dim, rate: descent_case(
                random_memory(seed, n_tokens, n_classes, dim), rate, 20, random_start(seed, dim, 1.0)
            ),
            show={"seed": 1, "n_tokens": 3, "n_classes": 3, "dim": 3, "rate": 1.0},
        ),
        evaluate=_margin_definition,
        cases=_CASES,
        directed=_DIRECTED,
    ),
    Claim(
        id="cabannes2024.equation22.perfect_accuracy",
        form="printed",
        title="Perfect accuracy and positive margins",
        statement=r"perfect accuracy is achieved when $m_t(x)=u_{f^*(x)}^\top We_x-\max_{j\neq x}u_j^\top We_x>0$ "
        r"for all $x$",
        source=source_of("(22)"),
        quantity="accuracy is 1",
        relation="==",
        bound=r"all $m_t(x)>0$",
        assumptions=(ConstantRateDescent(),),
        expected=Outcome.HOLDS,
        reason="True for f*(x) = x, for which (22) is written; in general the maximum is over j != f*(x), as here.",
        proof="Definition; a tie counts as wrong.",
        family=Family(
            (*_SHAPE, Parameter("rate", 0.1, 100.0, "log")),
            lambda seed, n_tokens, n_classes, dim, rate: descent_case(
                separable_memory(seed, n_tokens, n_classes, dim), rate, 50
            ),
            show={"seed": 1, "n_tokens": 4, "n_classes": 3, "dim": 4, "rate": 3.0},
        ),
        evaluate=_accuracy_definition,
        cases=_CASES,
        directed=_DIRECTED,
    ),
)
