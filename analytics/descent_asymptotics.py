"""Where the margin of gradient descent ends up: the constant behind the logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from .arguments import Floats, counts

_ORDER = 8
_SMALL = 0.02
_MOST_STEPS = 2_000_000


@dataclass(frozen=True)
class DescentConstant:
    """The constant C_inf with an estimate of its error and the number of steps that were summed."""

    value: float
    error: float
    steps: int


def descent_constant(rate: float, initial: float = 0.0, wrong_classes: float = 1) -> DescentConstant:
    r"""Return the constant in the asymptotics of gradient descent of one margin.

    $$C_\infty = e^{m_0} - \left(\tfrac k2 - a\right) m_0 + \sum_{t \geq 0} z_t\left(\phi(z_t) - \tfrac k2\right),$$

    with $z_t = k/(a+e^{m_t})$ and $\phi$ of `descent_margin_bounds`. The sum is taken until z and the share of the
    wrong classes fall below 0.02; its tail is a power series in z, whose coefficients follow from
    $Q(z) - Q(z') = z(\phi(z) - k/2)$.

    Parameters
    ----------
    rate : float
        k > 0, with k/a >= 1e-4.
    initial : float
        m_0 in [-700, 700].
    wrong_classes : float
        a = M - 1 >= 1.

    Returns
    -------
    DescentConstant with `value`, `error` (last term kept and rounding) and `steps`.

    Raises
    ------
    InputError: numbers outside these ranges, or so large a first step that $C_\infty$ exceeds 1e308.

    Cost: about 2 microseconds a summed step; 50 a/k steps, and more from very negative m_0.

    Source: errata (3.5), NEW.

    >>> round(descent_constant(1.0).value, 5), round(descent_constant(5.0).value, 5)
    (0.71145, 3.58227)
    """
    k, m, a = float(rate), float(initial), float(wrong_classes)
    if not (0 < k < math.inf and a >= 1 and -700 <= m <= 700):
        raise InputError(
            "rate > 0, initial in [-700, 700] and wrong_classes >= 1 are needed", (rate, initial, wrong_classes)
        )
    if k / a < 1e-4:
        raise InputError("rate/wrong_classes must be at least 1e-4", k / a, "use the gradient flow for smaller steps")
    terms = []
    steps = 0
    pull = k / (a + math.exp(m))
    start = math.exp(m) - (0.5 * k - a) * m
    while pull > _SMALL or a * pull > _SMALL * k:
        if steps >= _MOST_STEPS:
            raise InputError("the series needs more than 2e6 steps", (rate, initial), "take a larger rate or margin")
        if pull > 700.0:
            raise InputError(
                "the first steps move the margin so far that the constant overflows", pull, "take a lower rate"
            )
        half, sixth = _remainders(pull)
        terms.append(pull * pull * (k * sixth - a * half))
        m += pull
        steps += 1
        if m > 700.0:
            pull = 0.0
            break
        pull = k / (a + math.exp(m))
    tail = [q * pull ** (j + 1) for j, q in enumerate(_tail_series(a / k))]
    value = start + math.fsum(terms) + k * math.fsum(tail)
    largest = max([abs(start), abs(value), *map(abs, terms)])
    return DescentConstant(value, k * abs(tail[-1]) + (8 + steps**0.5) * 2.3e-16 * largest, steps)


def _remainders(z: float) -> tuple[float, float]:
    """Return (e^z - 1 - z)/z^2 and (e^z - 1 - z - z^2/2)/z^3."""
    if z > 1.0:
        half = (math.expm1(z) - z) / z**2
        return half, (half - 0.5) / z
    sixth = 0.0
    for n in range(18, -1, -1):
        sixth = sixth * z + 1.0 / math.factorial(n + 3)
    return 0.5 + z * sixth, sixth


def _multiply(left: list[float], right: list[float]) -> list[float]:
    size = len(left)
    product = [0.0] * size
    for i, value in enumerate(left):
        for j in range(size - i):
            product[i + j] += value * right[j]
    return product


def _tail_series(ratio: float) -> list[float]:
    """Return q_1, q_2, ... of Q(z)/k, the sum of f over the orbit of z, in powers of z; ratio = a/k.

    z' = z / g with g = r z + (1 - r z) e^z, and f/k = z ((1 - r z) psi(z) - 1/2).
    """
    size = _ORDER + 2
    exponential = [1.0 / math.factorial(n) for n in range(size)]
    psi = [1.0 / math.factorial(n + 2) for n in range(size)]
    line = [1.0, -ratio] + [0.0] * (size - 2)
    divisor = _multiply(line, exponential)
    divisor[1] += ratio
    inverse = [1.0] + [0.0] * (size - 1)
    for n in range(1, size):
        inverse[n] = -sum(divisor[i] * inverse[n - i] for i in range(1, n + 1))
    moved = [0.0, *inverse[:-1]]
    source = _multiply(line, psi)
    source[0] -= 0.5
    rest = [0.0, *source[:-1]]
    coefficients = []
    power = [1.0] + [0.0] * (size - 1)
    for j in range(1, _ORDER + 1):
        power = _multiply(power, moved)
        change = [-value for value in power]
        change[j] += 1.0
        q = rest[j + 1] / change[j + 1]
        coefficients.append(q)
        rest = [have - q * give for have, give in zip(rest, change, strict=True)]
    return coefficients


def descent_margin_asymptote(steps: ArrayLike, rate: float, initial: float = 0.0, wrong_classes: float = 1) -> Floats:
    r"""Return the asymptotic margin of gradient descent after many steps.

    $$m_t \approx \log\left(kt + \left(\tfrac k2 - a\right)\log(kt) + C_\infty\right),$$

    with an error $O(\log(t)/t^2)$ in the margin. The argument must be positive.

    Parameters: `steps` t >= 1, whole numbers; the others as in `descent_constant`. Returns an array.
    Raises InputError as `descent_constant`, or where the argument of the logarithm is not positive (t too small).
    Cost: that of `descent_constant` and two logarithms an element.

    Source: errata (3.5), NEW. Proof: sum $e^{m'} - e^m - (k/2 - a) z = k + z(\phi(z) - k/2)$ with $z_t \sim 1/t$.

    >>> float(descent_margin_asymptote(10**6, 1.0).round(6))
    13.815504
    """
    t = counts("steps", steps, least=1)
    constant = descent_constant(rate, initial, wrong_classes).value
    argument = rate * t + (0.5 * rate - wrong_classes) * np.log(rate * t) + constant
    if (argument <= 0.0).any():
        raise InputError("the asymptotic margin is defined from larger t on", float(t.min()), "pass more steps")
    return np.log(argument)[()]
