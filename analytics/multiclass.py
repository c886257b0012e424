"""Gradient flow of one token with orthogonal outputs, solved exactly for every number of classes and initialisation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import double_double as dd
from .double_double import Array, Pair

_NODES = 24
_REACH = 24.0  # one panel spans this many decay lengths of the integrand
_LARGEST_BLOCK = 2_000_000  # numbers held at once by one quadrature


def multiclass_flow(
    elapsed: npt.ArrayLike, initial: npt.ArrayLike, squared_norms: npt.ArrayLike | None = None
) -> Array:
    r"""Return the scores of one token under gradient flow, exactly, from any initialisation.

    With orthogonal outputs and orthogonal inputs the tokens decouple. With target class 0, n_j the squared norms of
    the outputs and the internal clock s of ``ds = p |e|^2 dt / A`` (A the partition function),

    .. math:: e^{-w_j} = e^{-w_j(0)} + n_j s \ (j \ne 0), \qquad w_0 = w_0(0) + n_0 \sum_{j\ne0} (w_j(0)-w_j)/n_j,
              \qquad p|e|^2 t = \int_0^s A\,ds'.

    Parameters
    ----------
    elapsed
        p(x) |e_x|^2 t >= 0, a scalar or an array of shape (T,).
    initial
        Scores at time zero, shape (M,), target class first, M >= 2, each within +-700.
    squared_norms
        Squared norms of the outputs, shape (M,); all one when absent (orthonormal outputs).

    Returns
    -------
    Scores, shape (M,) for a scalar `elapsed`, else (T, M). Orthonormal outputs: within 4 ulp of max(1, |score|).
    With `squared_norms`: within 1e-12 of max(1, |score|).

    Raises
    ------
    InputError
        For negative or non-finite times, scores beyond +-700, fewer than two classes or norms that are not positive.

    Source: errata of cabannes2024, section 4 (NEW), after the invariants of Section 4.1. Proof: in the clock s each
    ``e^{-w_j}`` is linear and ``sum w_j/n_j`` is conserved. Time is increasing in s, so one scalar root is left:
    safeguarded Newton in log s in float64, then one Newton step with 32 digits, because w_0 can cancel.

    Cost: O(T M) times 24 to 48 quadrature nodes (the integrand is a polynomial of degree M - 1).

    Examples
    --------
    >>> multiclass_flow(3.0, [0.0, 0.0]).round(12)
    array([ 0.83641085, -0.83641085])
    >>> multiclass_flow([0.0, 1e300], [-5.0, 3.0, 0.0]).round(6)
    array([[  -5.     ,    3.     ,    0.     ],
           [ 460.58276, -231.29138, -231.29138]])
    """
    times = np.asarray(elapsed, dtype=np.float64)
    start = np.array(initial, dtype=np.float64)
    if start.ndim != 1 or len(start) < 2:
        raise InputError("initial must hold the scores of one token, target first, shape (M,) with M >= 2", start.shape)
    if not np.all(np.abs(start) <= 700.0):
        worst = float(start[np.argmax(~(np.abs(start) <= 700.0))])
        raise InputError("initial scores must lie within -700 and 700", worst)
    if times.ndim > 1 or not np.all(np.isfinite(times)) or np.any(times < 0.0):
        raise InputError("elapsed must be a finite non-negative scalar or shape (T,)", elapsed)
    norms = None
    if squared_norms is not None:
        norms = np.array(squared_norms, dtype=np.float64)
        if norms.shape != start.shape or not np.all(np.isfinite(norms) & (norms > 0.0)):
            raise InputError("squared_norms must be positive, one for each class", squared_norms)
        if np.all(norms == 1.0):
            norms = None
    flat = np.atleast_1d(times)
    scores = np.tile(start, (len(flat), 1))
    # before 1e-19 no score moves by a quarter of an ulp of max(1, |score|)
    reach = 1.0 if norms is None else max(float(norms.max()), 1.0)
    (moving,) = np.nonzero(flat * reach > 1e-19)
    nodes = _NODES * (1 if len(start) <= 2 * _NODES else 2)
    block = max(1, _LARGEST_BLOCK // (nodes * len(start)))
    for first in range(0, len(moving), block):
        chosen = moving[first : first + block]
        scores[chosen] = _solve(flat[chosen], start, norms)
    return scores if times.ndim else scores[0]


def _solve(times: Array, start: Array, norms: Array | None) -> Array:
    ones = np.ones(len(start) - 1)
    wrong_norms = ones if norms is None else norms[1:]
    powers = ones if norms is None else norms[0] / norms[1:]
    shifted = start[1:] if norms is None else start[1:] + np.log(norms[1:])
    log_clock = _root(times, start[0], shifted, wrong_norms, powers, exact_powers=norms is None)
    moved = _polish(times, start[0], shifted, wrong_norms, powers, log_clock, exact_powers=norms is None)
    wrong = dd.add(dd.pair(np.broadcast_to(start[1:], moved[0].shape)), dd.negate(moved))
    weighted = moved if norms is None else dd.multiply(moved, dd.pair(np.broadcast_to(powers, moved[0].shape)))
    target = dd.add(dd.pair(np.full(len(times), start[0])), dd.total(weighted, axis=1))
    return np.concatenate([target[0][:, None], wrong[0]], axis=1)


def _softplus(z: Array) -> Array:
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def _root(
    times: Array, target: float, shifted: Array, norms: Array, powers: Array, exact_powers: bool
) -> Array:
    """Return log s for each time, to about 1e-12, by Newton's method inside a bracket that always shrinks."""
    log_times = np.log(times)
    top = int(np.argmax(shifted))
    # time >= s e^{w_0(0)}, and time >= log1p(n s a)/n for every wrong class
    scaled = times * norms[top]
    log_expm1 = np.where(scaled < 700.0, np.log(np.expm1(np.minimum(scaled, 700.0))), scaled)
    high = np.minimum(log_times - target, log_expm1 - shifted[top])
    # half of the time comes from one of the two parts; each has its own latest start
    total_power = powers.sum()
    part = times * norms.min() / (2.0 * len(shifted))
    log_part = np.where(part < 700.0, np.log(np.expm1(np.minimum(part, 700.0))), part)
    ceiling = log_times - np.log(2.0) - target - total_power * np.log(2.0)
    by_target = np.minimum(ceiling, (ceiling - total_power * shifted[top]) / (1.0 + total_power))
    low = np.minimum(by_target, log_part - shifted[top]) - 1.0
    high = np.maximum(high, low) + 1.0
    guess = np.clip(log_times - np.logaddexp(target, np.logaddexp.reduce(shifted)), low, high)
    for _ in range(200):
        z = shifted + guess[:, None]
        saturation = 1.0 / (1.0 + np.exp(np.clip(-z, -700.0, 700.0)))
        gained = _softplus(z)
        wrong_time = gained @ (1.0 / norms)
        mean = _mean_growth(saturation, powers, exact_powers)
        log_target_time = target + gained @ powers + guess + np.log(mean)
        log_total = np.logaddexp(log_target_time, np.log(np.maximum(wrong_time, 1e-320)))
        # d log(time)/d log s, as the mean of the two parts' slopes
        weight = np.exp(log_target_time - log_total)
        drift = np.exp(np.log(np.maximum(saturation @ (1.0 / norms), 1e-320)) - log_total)
        excess = log_total - log_times
        slope = weight / mean + drift
        high = np.where(excess > 0.0, guess, high)
        low = np.where(excess <= 0.0, guess, low)
        # the wrong classes' part is linear in log s when it is large: its Newton step is taken on the time itself
        linear = (weight < 0.5) & (np.abs(excess) < 600.0)
        step = -np.where(linear, -np.expm1(np.where(linear, -excess, 0.0)), excess) / slope
        new = guess + step
        outside = (new <= low) | (new >= high)
        new = np.where(outside & (np.abs(step) > 1e-13 * np.maximum(1.0, np.abs(guess))), 0.5 * (low + high), new)
        done = np.abs(new - guess) <= 4e-13 * np.maximum(1.0, np.abs(guess))
        guess = new
        if bool(np.all(done)):
            break
    return np.asarray(guess)


def _polish(
    times: Array, target: float, shifted: Array, norms: Array, powers: Array, log_clock: Array, exact_powers: bool
) -> Pair:
    """Return how far each wrong score has fallen, shape (T, M - 1), with the clock corrected in 32 digits."""
    clock = dd.pair(log_clock)
    shape = (len(times), len(shifted))
    ones = dd.pair(np.ones(shape))
    for _ in range(8):
        z = dd.add(
            dd.pair(np.broadcast_to(shifted, shape)),
            (np.broadcast_to(clock[0][:, None], shape), np.broadcast_to(clock[1][:, None], shape)),
        )
        negative = z[0] < 0.0
        sign = np.where(negative, 1.0, -1.0)
        folded = dd.exponential((np.maximum(sign * z[0], -690.0), np.where(sign * z[0] < -690.0, 0.0, sign * z[1])))
        above = dd.add(ones, folded)
        fraction = dd.divide((np.where(negative, folded[0], 1.0), np.where(negative, folded[1], 0.0)), above)
        gained = dd.add((np.where(negative, 0.0, z[0]), np.where(negative, 0.0, z[1])), dd.logarithm(above))
        inverse_norms, exponents = dd.pair(np.broadcast_to(1.0 / norms, shape)), dd.pair(np.broadcast_to(powers, shape))
        wrong_time = dd.total(gained if exact_powers else dd.multiply(gained, inverse_norms), axis=1)
        rise = dd.total(gained if exact_powers else dd.multiply(gained, exponents), axis=1)
        mean = _mean_growth_pair(fraction) if exact_powers else dd.pair(_mean_growth(fraction[0], powers, False))
        log_target_time = dd.add(dd.add(dd.pair(np.full(len(times), target)), rise), dd.add(clock, dd.logarithm(mean)))
        rest = dd.add(dd.pair(times), dd.negate(wrong_time))
        speed = fraction[0] @ (1.0 / norms)
        by_target = rest[0] > 0.5 * times
        safe_rest = (np.where(by_target, rest[0], 1.0), np.where(by_target, rest[1], 0.0))
        log_gap = dd.add(log_target_time, dd.negate(_scaled_logarithm(safe_rest)))
        target_time = np.exp(np.clip(log_target_time[0], -745.0, 690.0))
        target_pair = dd.exponential((np.clip(log_target_time[0], -690.0, 690.0), log_target_time[1]))
        gap = dd.add(dd.add(wrong_time, target_pair), dd.negate(dd.pair(times)))
        step = np.where(
            by_target,
            -log_gap[0] / (1.0 / mean[0] + speed / safe_rest[0]),
            -gap[0] / (speed + target_time / mean[0]),
        )
        delta = step[:, None]
        second = 0.5 * delta * delta * fraction[0] * (1.0 - fraction[0])
        gained = dd.add(gained, dd.add(dd.multiply(fraction, dd.pair(np.broadcast_to(delta, shape))), dd.pair(second)))
        clock = dd.add(clock, dd.pair(step))
        if bool(np.all(np.abs(step) < 1e-8)):
            break
    return gained


def _scaled_logarithm(x: Pair) -> Pair:
    """Return log x for positive pairs up to the largest float64."""
    large = x[0] > 1e250
    scale = np.where(large, 2.0**-400, 1.0)
    value = dd.logarithm((x[0] * scale, x[1] * scale))
    shift = dd.logarithm(dd.pair(np.where(large, 2.0**400, 1.0)))
    return dd.add(value, shift)


@lru_cache(maxsize=1)
def _legendre() -> tuple[Pair, Pair]:
    """Return nodes and weights on [0, 1] as pairs, from 40-digit roots of the Legendre polynomial."""
    import mpmath

    starts, _ = np.polynomial.legendre.leggauss(_NODES)
    exact: list[tuple[Any, Any]] = []
    with mpmath.workdps(40):
        for start in starts:
            x = mpmath.mpf(float(start))
            for _ in range(3):
                value, before = mpmath.legendre(_NODES, x), mpmath.legendre(_NODES - 1, x)
                slope = _NODES * (x * value - before) / (x * x - 1)
                x -= value / slope
            before = mpmath.legendre(_NODES - 1, x)
            slope = -_NODES * before / (x * x - 1)
            exact.append(((1 + x) / 2, 1 / ((1 - x * x) * slope * slope)))
        columns = []
        for column in range(2):
            high = np.array([float(row[column]) for row in exact])
            low = np.array([float(row[column] - mpmath.mpf(h)) for row, h in zip(exact, high, strict=True)])
            columns.append((high, low))
    return columns[0], columns[1]


def _panels(decay: Array, n_wrong: int) -> list[tuple[Array, Array]]:
    """Return (left end, width) of the panels of [0, 1] that hold the integrand, for each decay rate."""
    if n_wrong < 2 * _NODES:
        return [(np.zeros_like(decay), np.ones_like(decay))]
    first = np.minimum(1.0, _REACH / decay)
    second = np.minimum(1.0, 2.0 * _REACH / decay)
    return [(np.zeros_like(decay), first), (first, second - first)]


def _mean_growth(saturation: Array, powers: Array, exact_powers: bool) -> Array:
    r"""Return the mean of e^{w_0} over the clock by its last value, :math:`\int_0^1 \prod (1-y r_j)^{\rho_j} dy`."""
    if not exact_powers:
        return _mean_growth_powers(saturation, powers)
    nodes, weights = _legendre()
    result = np.zeros(len(saturation))
    for left, width in _panels(saturation.sum(axis=1), saturation.shape[1]):
        y = left[:, None] + width[:, None] * nodes[0]
        factors = 1.0 - y[:, :, None] * saturation[:, None, :]
        result += width * (np.prod(factors, axis=2) @ weights[0])
    return result


def _mean_growth_powers(saturation: Array, powers: Array) -> Array:
    """Return the same mean for real powers: in v = -log(1 - y) the integrand is smooth up to infinity."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = 0.5 * (1.0 + nodes), 0.5 * weights
    result = np.zeros(len(saturation))
    for row, r in enumerate(saturation):
        shortest = 2.0 / (1.0 + float(r @ powers))
        edges = [0.0]
        while edges[-1] < 46.0:
            edges.append(edges[-1] + min(2.0, max(shortest, 0.5 * edges[-1])))
        left, width = np.array(edges[:-1]), np.diff(edges)
        v = (left[:, None] + width[:, None] * nodes).ravel()
        logs = np.log1p(np.expm1(-v)[:, None] * np.minimum(r, 1.0 - 1e-300)) @ powers
        result[row] = (np.exp(logs - v).reshape(len(left), _NODES) @ weights) @ width
    return result


def _mean_growth_pair(saturation: Pair) -> Pair:
    """Return the same integral for integer powers with 32 digits (a polynomial: the quadrature is exact)."""
    nodes, weights = _legendre()
    result = dd.pair(np.zeros(len(saturation[0])))
    for left, width in _panels(saturation[0].sum(axis=1), saturation[0].shape[1]):
        shape = (len(left), _NODES)
        spread = dd.multiply(
            dd.pair(np.broadcast_to(width[:, None], shape)),
            (np.broadcast_to(nodes[0], shape), np.broadcast_to(nodes[1], shape)),
        )
        y = dd.add(dd.pair(np.broadcast_to(left[:, None], shape)), spread)
        full = (*shape, saturation[0].shape[1])
        part = dd.multiply(
            (np.broadcast_to(y[0][:, :, None], full), np.broadcast_to(y[1][:, :, None], full)),
            (np.broadcast_to(saturation[0][:, None, :], full), np.broadcast_to(saturation[1][:, None, :], full)),
        )
        factors = dd.add(dd.pair(np.ones(full)), dd.negate(part))
        values = dd.product(factors, axis=2)
        weighted = dd.multiply(values, (np.broadcast_to(weights[0], shape), np.broadcast_to(weights[1], shape)))
        result = dd.add(result, dd.multiply(dd.pair(width), dd.total(weighted, axis=1)))
    return result
