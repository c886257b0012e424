"""The exact forms of the state of an associative memory, and which of them is the cheapest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown_name
from .adaptive import Adam

if TYPE_CHECKING:
    from .associative_memory import AssociativeMemory

FORMS = ("margins", "particles", "weights")

# seconds on one core, fitted to measured steps of 2 to 1000 tokens (sizes in tests and benchmarks)
_STEP = 1e-7
_MARGIN = 1e-8  # a token of the margin form
_COUPLING = 7e-11  # a pair of tokens of the margin form
_ROW = 4e-8  # a token with its scores
_SOFTMAX = 9e-9  # a score
_SMALL_PRODUCT = 4e-10  # a multiply-add of a plain loop
_LARGE_PRODUCT = 3.5e-11  # a multiply-add in BLAS
_CALL = 2.5e-7  # a call of BLAS
_SMALL = 1000  # multiply-adds from which on BLAS is called

# condition of redundant embeddings above which W is not recovered from scores by choice
_WORST_CONDITION = 1e3


def is_redundant(n_tokens: int, n_classes: int, dim: int) -> bool:
    """Return whether the dual coefficients (N, M) outnumber the weights, by the shapes alone.

    >>> is_redundant(20, 2, 3), is_redundant(3, 4, 3)
    (True, False)
    """
    return n_tokens > dim or n_classes - 1 > dim


def seconds_per_step(form: str, n_tokens: int, n_classes: int, dim: int) -> float:
    """Return the modelled cost of a step of descent in a form, in seconds on one core.

    >>> seconds_per_step("margins", 2, 2, 2) < seconds_per_step("weights", 2, 2, 2)
    True
    """
    if form == "margins":
        pairs = n_tokens * (2 * dim if is_redundant(n_tokens, 2, dim) else n_tokens)
        return _STEP + _MARGIN * n_tokens + _COUPLING * pairs
    softmax = _ROW * n_tokens + _SOFTMAX * n_tokens * n_classes
    if form == "particles" and not is_redundant(n_tokens, n_classes, dim):
        products = [n_tokens * n_tokens * n_classes, n_tokens * n_classes * n_classes]
    else:
        narrow = min(n_tokens, n_classes)
        products = 2 * [narrow * dim * dim, n_tokens * n_classes * dim]
    return _STEP + softmax + sum(map(_product, products))


def _product(multiply_adds: int) -> float:
    if multiply_adds <= _SMALL:
        return _SMALL_PRODUCT * multiply_adds
    return _CALL + _LARGE_PRODUCT * multiply_adds


def state_bytes(form: str, n_tokens: int, n_classes: int, dim: int) -> float:
    """Return the memory that a form needs beside the problem: Gram matrices, state and work arrays."""
    if form == "margins":
        return 8.0 * (2 * n_tokens * min(n_tokens, dim) + 10 * n_tokens)
    if form == "particles" and not is_redundant(n_tokens, n_classes, dim):
        return 8.0 * (n_tokens**2 + n_classes**2 + 8 * n_tokens * n_classes)
    return 8.0 * (4 * dim**2 + 8 * n_tokens * n_classes + 2 * dim * (n_tokens + n_classes))


def choose_form(problem: AssociativeMemory, rule: Any, form: str | None) -> str:
    """Return the form asked for, if the rule and the problem allow it, else the cheapest that they allow."""
    if form is not None and form not in FORMS:
        raise unknown_name("form", form, FORMS)
    if isinstance(rule, Adam):
        if form not in (None, "weights"):
            raise InputError(
                f"{type(rule).__name__} moves in weight form only: it divides the gradient entry by entry, and "
                "the scores do not determine the entries", f"form={form!r}", 'leave form out or pass form="weights"',
            )  # fmt: skip
        return "weights"
    if form == "margins" and problem.n_classes != 2:
        raise InputError(
            "margins are the whole state for two classes only", f"{problem.n_classes} classes",
            'pass form="particles" or "weights"',
        )  # fmt: skip
    if form is not None:
        return form
    sizes = problem.n_tokens, problem.n_classes, problem.dim
    allowed: tuple[str, ...] = FORMS if problem.n_classes == 2 else FORMS[1:]
    if is_redundant(*sizes):
        # particles then move by way of the weights, and cannot be cheaper
        margins = problem.n_classes == 2 and problem.gradient_span.condition <= _WORST_CONDITION
        allowed = ("margins", "weights") if margins else ("weights",)
    return min(allowed, key=lambda name: seconds_per_step(name, *sizes))
