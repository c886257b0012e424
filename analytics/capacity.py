"""How many random associations of two classes can be separated: Cover's function-counting law."""

from __future__ import annotations

import math
from fractions import Fraction

from ..errors import InputError


def separable_labelings(n_tokens: int, dim: int) -> int:
    r"""Return the exact number of separable labelings of N points in general position in dimension d.

    .. math:: C(N, d) = 2 \sum_{k<d} \binom{N-1}{k}

    `n_tokens` N >= 1 and `dim` d >= 1; separation is by a hyperplane through the origin. Source: Cover (1965); spec
    section 4.2 (N2). Proof: C(N+1, d) = C(N, d) + C(N, d-1). Cost: O(min(N, d)) operations on big integers.

    >>> separable_labelings(3, 2)
    6
    """
    _check(n_tokens, dim)
    term, total = 1, 0
    for k in range(min(dim, n_tokens)):
        total += term
        term = term * (n_tokens - 1 - k) // (k + 1)
    return 2 * total


def cover_probability(n_tokens: int, dim: int) -> float:
    r"""Return the probability that random labels of two classes are separable, :math:`2^{1-N}\sum_{k<d}\binom{N-1}{k}`.

    For points in general position (any continuous symmetric law of the signed tokens). One half at N = 2 d.
    `n_tokens` N >= 1, `dim` d >= 1. Exact to the last bit up to N = 4000; beyond, a log-space sum to about 1e-10.
    Source: Cover (1965); spec section 4.2 (N2). Cost: O(min(N, d)).

    >>> [cover_probability(3, 2), cover_probability(10, 5), cover_probability(5, 2)]
    [0.75, 0.5, 0.3125]
    """
    _check(n_tokens, dim)
    if dim >= n_tokens:
        return 1.0
    if n_tokens <= 4000:
        return float(Fraction(separable_labelings(n_tokens, dim), 2**n_tokens))
    return math.exp(cover_log_probability(n_tokens, dim))


def cover_log_probability(n_tokens: int, dim: int) -> float:
    r"""Return the logarithm of `cover_probability`, which does not underflow for large N.

    Absolute error about 1e-15 N log N (from log-gamma). Cost: O(terms within e^-50 of the largest).

    >>> import math
    >>> round(math.exp(cover_log_probability(10, 5)), 9)
    0.5
    """
    _check(n_tokens, dim)
    if dim >= n_tokens:
        return 0.0
    trials, last = n_tokens - 1, dim - 1
    if 2 * last >= trials:
        # 1 - (the probability of the complementary tail), which is at most one half
        return math.log1p(-math.exp(_log_tail(trials, trials - dim)))
    return _log_tail(trials, last)


def _log_tail(trials: int, last: int) -> float:
    """Return log of 2^-trials sum_{k<=last} binom(trials, k) for last <= trials/2: terms fall from the last on."""
    log_last = math.lgamma(trials + 1) - math.lgamma(last + 1) - math.lgamma(trials - last + 1) - trials * math.log(2.0)
    ratio, total = 1.0, 1.0
    for k in range(last, 0, -1):
        ratio *= k / (trials - k + 1)
        total += ratio
        if ratio < 1e-18 * total:
            break
    return log_last + math.log(total)


def _check(n_tokens: int, dim: int) -> None:
    for name, value in (("n_tokens", n_tokens), ("dim", dim)):
        if int(value) != value or value < 1:
            raise InputError(f"{name} must be an integer of at least 1", value)
