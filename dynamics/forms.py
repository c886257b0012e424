"""The exact forms of the state of an associative memory, and which of them is the cheapest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown_name
from ..kernels.compile import thread_count
from .adaptive import Adam
from .descent_work import goes_by_class, scratch_numbers, sizes_of

if TYPE_CHECKING:
    from .associative_memory import AssociativeMemory

FORMS = ("margins", "particles", "half", "weights")

SECONDS = {
    "step": 1e-7, "token": 1.2e-7, "score": 5.5e-10, "multiply-add": 1.85e-11, "product": 1.5e-7, "margin": 1e-8,
    "coupling": 7e-11,
}  # fmt: skip
"""Seconds on one core of each kind of work in a step, fitted by benchmarks/fit_forms.py."""

_SHARED = 2e-5  # a step of this length may be shared by threads

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
    return sum(SECONDS[kind] * count for kind, count in work_of_step(form, n_tokens, n_classes, dim).items())


def work_of_step(form: str, n_tokens: int, n_classes: int, dim: int) -> dict[str, int]:
    """Return how much there is to do in a step, by the kinds of `SECONDS`.

    >>> work_of_step("particles", 5, 4, 10)["multiply-add"] == 5 * 4 * (5 + 4)
    True
    """
    if form == "margins":
        pairs = n_tokens * (2 * dim if is_redundant(n_tokens, 2, dim) else n_tokens)
        return {"step": 1, "margin": n_tokens, "coupling": pairs}
    pair = n_tokens * n_classes
    if form == "particles":
        if is_redundant(n_tokens, n_classes, dim):
            products = [pair * dim, n_classes * dim * dim, n_classes * dim * dim, pair * dim]
        else:
            products = [pair * n_tokens, pair * n_classes]
    elif form == "half":
        through = 2 * [n_tokens * dim * dim] if n_tokens > dim else [n_tokens * n_tokens * dim]
        products = [pair * dim, pair * dim, *through]
    else:
        narrow = n_classes if goes_by_class(n_tokens, n_classes, dim) else n_tokens
        products = 2 * [narrow * dim * dim, pair * dim]
    return {
        "step": 1, "token": n_tokens, "score": pair, "multiply-add": sum(products), "product": len(products)
    }  # fmt: skip


def step_is_shared(form: str, n_tokens: int, n_classes: int, dim: int) -> bool:
    """Return whether a step is long enough for several threads to share it.

    >>> step_is_shared("particles", 5, 5, 10), step_is_shared("weights", 1000, 1000, 256)
    (False, True)
    """
    return form != "margins" and seconds_per_step(form, n_tokens, n_classes, dim) > _SHARED


def state_bytes(form: str, n_tokens: int, n_classes: int, dim: int) -> float:
    """Return the memory that a form needs beside the problem: copies of it, Gram matrices, state and work arrays."""
    if form == "margins":
        return 8.0 * (2 * n_tokens * min(n_tokens, dim) + 16 * n_tokens)
    by_class = form == "weights" and goes_by_class(n_tokens, n_classes, dim)
    sizes = sizes_of(n_tokens, n_classes, dim, form == "particles" or by_class)
    width = n_classes if form == "particles" or by_class else dim
    threads = thread_count() if step_is_shared(form, n_tokens, n_classes, dim) else 1
    work = threads * sum(scratch_numbers(sizes, n_tokens, n_classes, dim, width, n_tokens)) + 12 * n_tokens
    copies = 2 * n_tokens * dim + 3 * n_classes * dim
    square = 3 * dim * dim
    if form == "weights":
        packed = n_tokens * width + dim * dim
        return 8.0 * (copies + square + work + packed + n_tokens * width + (dim * n_classes if by_class else 0))
    grams = n_tokens**2 + (n_classes**2 if form == "particles" else 0)
    ends = 4 * n_tokens * n_classes  # W at the end is tried out on the scores
    return 8.0 * (copies + square + work + grams + 6 * n_tokens * width + ends)


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
    if getattr(rule, "input_noise", 0.0) > 0.0:
        if form not in (None, "weights"):
            raise InputError(
                "input noise leaves the span of the tokens, so that only the weights tell the state", f"form={form!r}",
                'leave form out or pass form="weights"',
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
        allowed = ("margins", "weights") if margins else ("half", "weights")
        if problem.n_tokens > problem.dim:
            allowed = tuple(name for name in allowed if name != "half")
    return min(allowed, key=lambda name: seconds_per_step(name, *sizes))
