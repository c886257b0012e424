"""Hypothesis strategies: problems, rules, rates, the domains of assumptions, the cases of claims.

`assert_claim` is the bridge between the two libraries: it feeds the slack of a claim to `hypothesis.target`, so that
the search for a counterexample walks downhill, and it fails with the witness and the lines that reproduce it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..dynamics import (
    Adam,
    AdamW,
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    StochasticGradientDescent,
)
from ..errors import InputError, MissingLibraryError, unknown_name
from .assumption import Assumption, Where
from .case import Case, Parameter
from .check import check
from .claim import Claim
from .registry import find
from .search import judge
from .suite import ClaimFailed
from .verdict import Outcome

try:
    import hypothesis
    from hypothesis import strategies as st
except ImportError as absent:
    raise MissingLibraryError("hypothesis", "check", "traindyn.validation.strategies") from absent

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

EMBEDDINGS = ("sphere", "orthonormal", "gaussian", "equicorrelated", "clustered")
DEGENERATE = ("duplicate inputs", "zero input", "duplicate outputs", "rare token", "unequal norms", "antipodal inputs")
RULES = ("gradient descent", "momentum", "stochastic", "adam", "adamw")


def learning_rates(low: float = 1e-3, high: float = 1e3) -> SearchStrategy[float]:
    """Return a strategy of learning rates, uniform in the logarithm; shrinks towards `low`.

    >>> from hypothesis import strategies as st
    >>> isinstance(learning_rates(0.1, 10.0), st.SearchStrategy)
    True
    """
    return parameters(Parameter("learning_rate", low, high, "log")).map(float)


def parameters(parameter: Parameter) -> SearchStrategy[float | int]:
    """Return a strategy of the values of a parameter on its own scale, both ends of its interval included.

    >>> parameters(Parameter("correlation", -1.0, 1.0)).filter(lambda value: -1 <= value <= 1) is not None
    True
    """
    return positions().map(parameter.value)


def positions() -> SearchStrategy[float]:
    """Return a strategy of numbers in [0, 1]: the ends, the middle, and everything between."""
    return st.one_of(st.sampled_from((0.5, 0.0, 1.0)), st.floats(0.0, 1.0))


def _seeds() -> SearchStrategy[int]:
    return st.integers(0, 2**32 - 1)


@st.composite
def frequencies(draw: DrawFn, n_tokens: int, least: float = 1e-6) -> NDArray[np.float64]:
    """Draw frequencies (n_tokens,) that sum to 1, uniform or spread over as many decades as `least` allows.

    Each is at least about `least`.
    """
    if draw(st.booleans()):
        return np.full(n_tokens, 1.0 / n_tokens)
    decades = [draw(positions()) for _ in range(n_tokens)]
    raw: NDArray[np.float64] = least ** np.array(decades)
    return raw / float(raw.sum())


@st.composite
def memories(
    draw: DrawFn,
    n_tokens: tuple[int, int] = (1, 6),
    n_classes: tuple[int, int] = (2, 5),
    dim: tuple[int, int] = (2, 8),
    embeddings: Sequence[str] = EMBEDDINGS,
    degenerate: bool = True,
) -> AssociativeMemory:
    """Draw an associative memory of any family, any targets, frequencies spread over decades.

    Parameters
    ----------
    n_tokens, n_classes, dim : least and greatest N, M, d
    embeddings : families of the inputs, of `AssociativeMemory.random`
    degenerate : also draw duplicate or zero embeddings, very rare tokens and very unequal norms

    Raises
    ------
    InputError : an unknown family.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, derandomize=True, database=None)
    ... @given(memories(degenerate=False))
    ... def test(memory):
    ...     assert memory.inputs.shape == (memory.n_tokens, memory.dim)
    >>> test()
    """
    for name in embeddings:
        if name not in EMBEDDINGS:
            raise unknown_name("embedding", name, EMBEDDINGS)
    count, classes, width = (draw(st.integers(*limits)) for limits in (n_tokens, n_classes, dim))
    family = draw(st.sampled_from(list(embeddings)))
    if family in ("orthonormal", "equicorrelated"):
        width = max(width, count)
    memory = AssociativeMemory.random(count, classes, width, embedding=family, rng=draw(_seeds()))
    inputs, outputs = memory.inputs.copy(), memory.outputs.copy()
    weights = draw(frequencies(count))
    if degenerate and draw(st.booleans()):
        kind = draw(st.sampled_from(DEGENERATE))
        if kind == "zero input":
            inputs[0] = 0.0
        elif kind == "duplicate inputs":
            inputs[-1] = inputs[0]
        elif kind == "antipodal inputs":
            inputs[-1] = -inputs[0]
        elif kind == "duplicate outputs":
            outputs[-1] = outputs[0]
        elif kind == "unequal norms":
            inputs *= 10.0 ** np.linspace(-3.0, 3.0, count)[:, None]
        elif count > 1:
            weights = np.full(count, 1e-9)
            weights[0] = 1.0 - 1e-9 * (count - 1)
    targets = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    return AssociativeMemory(inputs, outputs, targets, weights)


@st.composite
def two_tokens(draw: DrawFn, correlation: tuple[float, float] = (-1.0, 1.0), least: float = 1e-6) -> AssociativeMemory:
    """Draw two interfering tokens (Section 4.2), the ends of the correlation included.

    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, derandomize=True, database=None)
    ... @given(two_tokens(correlation=(0.0, 1.0)))
    ... def test(memory):
    ...     assert memory.inputs[0] @ memory.inputs[1] >= 0
    >>> test()
    """
    alpha = draw(parameters(Parameter("correlation", *correlation)))
    p = draw(parameters(Parameter("frequency", least, 1.0 - least, "logit")))
    return AssociativeMemory.two_tokens(correlation=float(alpha), frequencies=(p, 1.0 - p))


@st.composite
def weights(draw: DrawFn, memory: AssociativeMemory, size: float = 10.0) -> NDArray[np.float64]:
    """Draw initial weights (d, d): zero, or Gaussian entries with a standard deviation up to `size`."""
    scale = draw(st.sampled_from((0.0, 1e-3, 1.0, size)))
    return scale * np.random.default_rng(draw(_seeds())).standard_normal((memory.dim, memory.dim))


@st.composite
def rules(draw: DrawFn, kinds: Sequence[str] = RULES, low: float = 1e-3, high: float = 1e3) -> Any:
    """Draw a discrete rule with a log-uniform learning rate.

    Parameters
    ----------
    kinds : among "gradient descent", "momentum", "stochastic", "adam", "adamw", and "flow", which has no rate
    low, high : of the learning rate

    Raises
    ------
    InputError : an unknown kind.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, derandomize=True, database=None)
    ... @given(rules(kinds=["momentum"]))
    ... def test(rule):
    ...     assert 0.0 <= rule.momentum < 1.0
    >>> test()
    """
    for kind in kinds:
        if kind not in (*RULES, "flow"):
            raise unknown_name("kind of rule", kind, (*RULES, "flow"))
    kind = draw(st.sampled_from(list(kinds)))
    if kind == "flow":
        return GradientFlow()
    rate = draw(learning_rates(low, high))
    if kind == "momentum":
        return GradientDescent(rate, momentum=draw(st.sampled_from((0.0, 0.5, 0.9, 0.99))))
    if kind == "stochastic":
        return StochasticGradientDescent(rate, batch_size=draw(st.integers(1, 8)))
    return {"gradient descent": GradientDescent, "adam": Adam, "adamw": AdamW}[kind](rate)


@st.composite
def domain(draw: DrawFn, assumption: Assumption, where: Where | None = None) -> Case:
    """Draw a case inside, on the boundary of, or outside an assumption (anywhere, if `where` is left out).

    >>> from hypothesis import given, settings
    >>> from traindyn.validation.assumptions import TwoClasses
    >>> @settings(max_examples=5, derandomize=True, database=None)
    ... @given(domain(TwoClasses(), "outside"))
    ... def test(case):
    ...     assert not TwoClasses().holds(case)
    >>> test()
    """
    if where not in (None, "inside", "boundary", "outside"):
        raise unknown_name("place", where, ("inside", "boundary", "outside"))
    place: Where = draw(st.sampled_from(("inside", "boundary", "outside"))) if where is None else where
    return assumption.draw(np.random.default_rng(draw(_seeds())), place)


@st.composite
def cases(draw: DrawFn, claim: str | Claim, form: str | None = None) -> Case:
    """Draw a case of a claim's family that satisfies the claim's assumptions: a corner, or any point of its box.

    Parameters
    ----------
    claim : the id of a registered claim, or a `Claim`
    form : "printed" or "corrected"; may be left out where the claim has one form only

    Raises
    ------
    InputError : an unknown claim, or one that cannot be tested.
    """
    found = claim if isinstance(claim, Claim) else find(claim, form)
    family = found.family
    if family is None:
        raise InputError(
            f"claim {found.id} [{found.form}] has no cases", found.reason, "choose a claim that can be tested"
        )
    corners = [family.case(values) for values in family.corners]
    at_a_corner = draw(st.booleans())
    if corners and at_a_corner:
        case = draw(st.sampled_from(corners))
    else:
        case = family.at(np.array([draw(positions()) for _ in family.parameters]))
    hypothesis.assume(all(assumption.holds(case) for assumption in found.assumptions))
    return case


def assert_claim(claim: str | Claim, case: Case, form: str | None = None) -> None:
    """Fail with the claim's witness if it is violated in a case; steer hypothesis towards less slack if not.

    Slack inside the error budget is decided by the claim's evaluation in 50 digits, where it has one.

    Parameters
    ----------
    claim, form : as for `check`
    case : of the claim's family, such as `cases` draws

    Raises
    ------
    ClaimFailed : the claim is violated in this case, or neither side can be told; the message reproduces it.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> name = "cabannes2024.theorem2.descent_margin"
    >>> @settings(max_examples=20, derandomize=True, database=None, deadline=None)
    ... @given(cases(name, form="corrected"))
    ... def test(case):
    ...     assert_claim(name, case, form="corrected")
    >>> test()
    """
    found = claim if isinstance(claim, Claim) else find(claim, form)
    point = judge(found, case)
    if point is None:
        hypothesis.assume(False)
        return
    if hypothesis.currently_in_test_context():
        # a relative slack, larger is worse: what the search may climb
        size = float(np.asarray(point.evidence.scale())[point.index])
        hypothesis.target(float(np.clip(-point.slack / size, -1e300, 1e300)), label=f"{found.id} [{found.form}]")
    if not point.violated and not point.within_budget(found.relation):
        return
    verdict = check(found, parameters=case.parameters) if case.parameters else check(
        found, problem=case.problem, rule=case.rule, steps=case.steps, time=case.time, initial=case.initial
    )  # fmt: skip
    if verdict.outcome in (Outcome.VIOLATED, Outcome.INCONCLUSIVE):
        raise ClaimFailed(verdict)
