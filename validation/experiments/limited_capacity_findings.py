"""What the problems with more tokens than dimensions say: shares, means, and the sentences that follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..figures import Finding, judged
from .intervals import bootstrap, proportion, ratio, share_by_seed

Array = NDArray[np.float64]

PILOT = {3: 0.085, 5: 0.36, 10: 0.685, 30: 0.95, 100: 0.97}
"""The review's share of problems with an excess, exponent 1, by number of tokens."""
PILOT_SEEDS = 200
STOCHASTIC, DESCENT = 1, 0  # places of the rules
ZERO, FAR = 0, 1  # places of the starts


def shares(a: Mapping[str, Any]) -> dict[str, Array]:
    """Return shares and means of the excess with 95 % intervals, and how often training passes the optimum.

    Parameters
    ----------
    a : the arrays ``excess``, ``least``, ``best_error``, ``best_step`` and ``last_error`` of the experiment

    Returns
    -------
    ``share``, ``mean`` with ``_low`` and ``_high`` (count, exponent); ``passing`` with ``_low`` and ``_high``
    (start, count, exponent, rule): of the trained problems with an excess, the share whose run has a state with the
    least 0-1 loss; ``at_start`` (count, exponent): the share that begins in it far away; ``gain`` (start, count,
    exponent, rule): the mean share of the excess that the best state of a run avoids. NaN without such a problem.
    """
    grid = a["excess"].shape[:2]
    share, mean = np.empty((3, *grid)), np.empty((3, *grid))
    for place in np.ndindex(*grid):
        excess = a["excess"][place]
        share[:, *place] = proportion(int((excess > 0.0).sum()), excess.size)
        mean[:, *place] = bootstrap(excess)
    shape = a["best_error"].shape
    passing = np.full((3, shape[0], *grid, shape[-1]), np.nan)
    gain, at_start = np.full((shape[0], *grid, shape[-1]), np.nan), np.full(grid, np.nan)
    for place in np.ndindex(*grid):
        excess, least = a["excess"][place][: shape[3]], a["least"][place][: shape[3]]
        counted = excess > 0.0
        if not counted.any():
            continue
        for start, rule in np.ndindex(shape[0], shape[-1]):
            above = a["best_error"][start, *place, counted, rule] - least[counted]
            passing[:, start, *place, rule] = proportion(int((above <= 1e-9).sum()), int(counted.sum()))
            gain[start, *place, rule] = np.mean(1.0 - np.maximum(above, 0.0) / excess[counted])
        there = a["best_error"][FAR, *place, counted, DESCENT] - least[counted] <= 1e-9
        at_start[place] = np.mean(there & (a["best_step"][FAR, *place, counted, DESCENT] == 0))
    names = {"share": share, "mean": mean, "passing": passing}
    intervals = {f"{name}{end}": x[k] for name, x in names.items() for k, end in enumerate(("", "_low", "_high"))}
    return {**intervals, "gain": gain, "at_start": at_start}


def findings(a: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the sentences of the experiment, each with its interval and an outcome computed from the numbers."""
    return (
        _norm(a), _pilot(a), _mild(a), _majority(a), _three(a, 1.0, "1/x"), _three(a, 0.5, "1/sqrt(x)"), _rank(a),
        _passing(a, DESCENT), _passing(a, STOCHASTIC), _gain(a),
    )  # fmt: skip


def _at(values: Any, wanted: float) -> int:
    return int(np.flatnonzero(np.asarray(values) == wanted)[0])


def _norm(a: Mapping[str, Any]) -> Finding:
    place = int(np.argmin(a["share"][-1]))
    value, low, high = (float(a[name][-1, place]) for name in ("share", "share_low", "share_high"))
    return Finding(
        f"With {a['count'][-1]} tokens the minimiser is not the best classifier in most problems, for every exponent",
        value, low, high,
        f"least share of the four exponents (at {a['exponent'][place]:g}), 95 % over {a['excess'].shape[-1]} problems",
        judged(low, high, at_least=0.5),
    )  # fmt: skip


def _pilot(a: Mapping[str, Any]) -> Finding:
    column, n = _at(a["exponent"], 1.0), a["excess"].shape[-1]
    worst = 0.0
    for row, count in enumerate(a["count"]):
        pilot, here = PILOT[int(count)], float(a["share"][row, column])
        pooled = (pilot * PILOT_SEEDS + here * n) / (PILOT_SEEDS + n)
        error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / PILOT_SEEDS + 1.0 / n))
        worst = max(worst, abs(here - pilot) / error)
    return Finding(
        "The shares of the review's pilot (exponent 1, 200 problems for each N) return within 3 standard errors",
        worst, worst, worst, "largest distance in standard errors of the five", judged(worst, worst, at_most=3.0),
    )  # fmt: skip


def _mild(a: Mapping[str, Any]) -> Finding:
    place = np.unravel_index(int(np.argmax(a["mean"])), a["mean"].shape)
    value, low, high = (float(a[name][place]) for name in ("mean", "mean_low", "mean_high"))
    return Finding(
        "Forgetting is common but mild: the mean excess risk stays below 0.1 in every setting",
        value, low, high,
        f"largest of the means, at N = {a['count'][place[0]]} and exponent {a['exponent'][place[1]]:g}, 95 % bootstrap",
        judged(low, high, at_most=0.1),
    )  # fmt: skip


def _counted(a: Mapping[str, Any], chosen: NDArray[np.bool_]) -> tuple[int, int]:
    """Return with how many of how many draws of directions the most frequent token is forgotten in a chosen setting.

    The exponents share the directions, so that the draws are independent and the problems are not.
    """
    missed = (a["first_forgotten"] & chosen[..., None]).any(axis=1)[chosen.any(axis=1)]
    return int(missed.sum()), int(missed.size)


def _majority(a: Mapping[str, Any]) -> Finding:
    chosen = a["frequency_first"] > 0.5
    missed, draws = _counted(a, chosen)
    value, low, high = proportion(missed, draws)
    return Finding(
        "A token that occurs more than half of the time is never forgotten (unit embeddings, two classes)",
        value, low, high,
        f"{missed} of {draws} draws of directions in {chosen.sum()} settings, 95 % interval; proved under Method",
        "supported" if missed == 0 else "refuted",
    )  # fmt: skip


def _three(a: Mapping[str, Any], exponent: float, law: str) -> Finding:
    chosen = np.zeros(a["frequency_first"].shape, dtype=bool)
    chosen[_at(a["count"], 3), _at(a["exponent"], exponent)] = True
    frequency = float(a["frequency_first"][chosen][0])
    missed, problems = _counted(a, chosen)
    value, low, high = proportion(missed, problems)
    never = frequency > 0.5  # by the proof; a count of zero alone would leave it open
    return Finding(
        f"With three tokens and frequencies proportional to {law} the most frequent one can be forgotten",
        value, low, high, f"{missed} of {problems} problems, 95 % interval; its frequency is {frequency:.3f}",
        "supported" if missed else "refuted" if never else "open",
    )  # fmt: skip


def _rank(a: Mapping[str, Any]) -> Finding:
    """Compare the rarer half of the tokens with the most frequent one, in the setting with the least difference."""
    least, where = (np.inf, np.inf, np.inf), (0, 0)
    for place in np.ndindex(*a["share"].shape):
        if a["exponent"][place[1]] > 0.0 and a["count"][place[0]] >= 10:
            found = bootstrap(a["rare_forgotten"][place] - a["first_forgotten"][place])
            least, where = min((least, where), (found, place))
    return Finding(
        "From ten tokens on the rarer half is forgotten more often than the most frequent token, at every exponent > 0",
        *least, f"least difference of the shares, at N = {a['count'][where[0]]} and exponent "
        f"{a['exponent'][where[1]]:g}, 95 % bootstrap over {a['excess'].shape[-1]} problems",
        judged(least[1], least[2], at_least=0.0),
    )  # fmt: skip


def _passed(a: Mapping[str, Any], start: int, rule: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which trained problems have an excess, and in which of them a run has a state with the least 0-1 loss."""
    runs = a["best_error"].shape[3]
    counted = a["excess"][..., :runs] > 0.0
    there = a["best_error"][start, ..., rule] - a["least"][..., :runs] <= 1e-9
    return counted, there & counted


def _passing(a: Mapping[str, Any], rule: int) -> Finding:
    counted, passed = _passed(a, FAR, rule)
    value, low, high = share_by_seed(passed, counted)
    zero = _passed(a, ZERO, rule)[1].sum() / counted.sum()
    begin = (passed & (a["best_step"][FAR, ..., rule] == 0)).sum() / counted.sum()
    name = "Descent" if rule == DESCENT else "Stochastic descent (batch 10)"
    return Finding(
        f"{name} from far away passes the best classifier on its way, in most problems whose minimiser is another",
        value, low, high,
        f"{passed.sum()} of {counted.sum()} problems with an excess, all settings, {_over_draws(counted)}; "
        f"{begin:.2f} begin there; from W = 0: {zero:.2f}",
        judged(low, high, at_least=0.5),
    )  # fmt: skip


def _gain(a: Mapping[str, Any]) -> Finding:
    runs = a["best_error"].shape[3]
    excess = a["excess"][..., :runs]
    counted = excess > 0.0
    above = np.maximum(a["best_error"][FAR, ..., DESCENT] - a["least"][..., :runs], 0.0)
    avoided = np.where(counted, 1.0 - above / np.where(counted, excess, 1.0), 0.0)
    rows = np.stack([avoided.sum(axis=(0, 1)), counted.sum(axis=(0, 1))], axis=1)
    value, low, high = bootstrap(rows, ratio)
    return Finding(
        "The best state of descent from far away avoids at least half of the excess risk of the minimiser, on average",
        value, low, high, f"mean share avoided in {int(counted.sum())} problems, {_over_draws(counted)}",
        judged(low, high, at_least=0.5),
    )  # fmt: skip


def _over_draws(problems: NDArray[np.bool_]) -> str:
    """Return what the interval is: exponents share the directions of a draw, so that whole draws are resampled."""
    return f"95 % bootstrap over {problems.shape[-1]} draws"
