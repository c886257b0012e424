"""The exact forms of the state of an associative memory, and which of them is the cheapest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown_name
from .adaptive import Adam

if TYPE_CHECKING:
    from .associative_memory import AssociativeMemory

FORMS = ("margins", "particles", "weights")

# seconds, measured on one core: a multiply-add of a small and of a large product, and a score's softmax
_SMALL_PRODUCT = 4e-10
_LARGE_PRODUCT = 2.5e-11
_SMALL = 1000
_CALL = 1e-7
_SOFTMAX = 6e-9
_MARGIN = 9e-9


def seconds_per_step(form: str, n_tokens: int, n_classes: int, dim: int) -> float:
    """Return the modelled cost of a step of descent in a form, in seconds on one core."""
    if form == "margins":
        return _MARGIN * n_tokens + _SMALL_PRODUCT * n_tokens**2
    softmax = _SOFTMAX * n_tokens * n_classes
    if form == "particles":
        products = [n_tokens * n_tokens * n_classes, n_tokens * n_classes * n_classes]
    else:
        narrow = min(n_tokens, n_classes)
        products = 2 * [narrow * dim * dim, n_tokens * n_classes * dim]
    return softmax + sum(map(_product, products))


def _product(multiply_adds: int) -> float:
    if multiply_adds <= _SMALL:
        return _SMALL_PRODUCT * multiply_adds
    return _CALL + _LARGE_PRODUCT * multiply_adds


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
    allowed = FORMS if problem.n_classes == 2 else FORMS[1:]
    return min(allowed, key=lambda name: seconds_per_step(name, *sizes))
