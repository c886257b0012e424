"""What the numbers of the experiment on correlations say: the sentences that they decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..figures.finding import Finding, judged
from .intervals import bootstrap, share_by_seed

TOLERANCE = 1e-9  # relative, of constants from quadratic programs, and of sums in a loss of one run
EXPONENT = 0.01  # of the loss, about -1
SLOPE = 0.02  # of the margins against log t, about 1
CLOSE = 0.01  # of the loss's constant, relative to its limit


def _exact(statement: str, value: float, basis: str, at_least: float = -math.inf, at_most: float = math.inf) -> Finding:
    return Finding(statement, value, value, value, basis, judged(value, value, at_least=at_least, at_most=at_most))


def _range(statement: str, values: Any, basis: str, at_least: float = -math.inf, at_most: float = math.inf) -> Finding:
    """Return a finding on all values: median and range."""
    low, high = float(np.min(values)), float(np.max(values))
    basis = f"median and range of {basis}"
    return Finding(
        statement, np.median(values), low, high, basis, judged(low, high, at_least=at_least, at_most=at_most)
    )


def _share(statement: str, hits: Any, basis: str, among: Any = True) -> Finding:
    """Return a finding that something is so in all cells that count: refuted by one exception."""
    counted = np.broadcast_to(among, hits.shape)
    basis = f"share of {int(counted.sum())} {basis}; {_over_seeds(hits)}"
    return Finding(statement, *share_by_seed(hits, counted), basis, "supported" if hits[counted].all() else "refuted")


def _over_seeds(hits: Any) -> str:
    """Return what the interval of a share is: runs of one seed are no independent ones."""
    return f"95 % bootstrap over {hits.shape[-1]} seeds"


def findings(arrays: Mapping[str, Any], parameters: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the sentences; arrays of descent have the axes structure, outputs, frequencies, rate, seed."""
    return tuple(_late(arrays, parameters) + _constants(arrays) + _early(arrays, parameters))


def _equal(parameters: Mapping[str, Any]) -> list[int]:
    """Return the places of the structures with equal correlations that are not negative."""
    names = parameters["structures"]
    return [k for k, name in enumerate(names) if name.startswith("equicorrelated") and "-" not in name]


def _late(a: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Finding]:
    """The end of the flow: universal laws."""
    runs = f"{a['loss_exponent'].size} flows to t = {parameters['time']:.0e}"
    late = f"{runs}, fitted over the last factor 100"
    angle, low, high = bootstrap(a["misalignment"].mean(axis=(0, 1, 2)))
    close = a["profile_error"] < 0.1
    value, under, over = share_by_seed(close)
    return [
        _range("Every structure: the loss falls as 1/t (exponent -1 +- 0.01)", a["loss_exponent"], late,
               at_least=-1.0 - EXPONENT, at_most=-1.0 + EXPONENT),
        _range("Every structure: t L tends to 1/margin^2 (at the end within 1 % of it)", a["flow_constant"], runs,
               at_least=1.0 - CLOSE, at_most=1.0 + CLOSE),
        _range("Every structure: the smallest margin grows as log t (slope 1 +- 0.02)", a["margin_slope"], late,
               at_least=1.0 - SLOPE, at_most=1.0 + SLOPE),
        Finding("W turns to the max-margin direction: at the end 1 - cosine is below 0.01", angle, low, high,
                f"mean over the structures, 95 % bootstrap over {a['misalignment'].shape[-1]} seeds",
                judged(low, high, at_most=0.01)),
        Finding("As for two tokens, p(x) e^(-m_y(x)) ends proportional to the multipliers of the max margin: by the "
                "end the log ratios lie within 0.1 of each other in nine of ten runs", value, under, over,
                f"share of {runs}; {_over_seeds(close)}", judged(under, over, at_least=0.9)),
        _exact("They do where all correlations and all outputs' correlations are equal and not negative",
               float(a["profile_error"][_equal(parameters), parameters["outputs"].index("orthonormal")].max()),
               "largest spread of the log ratios at the end", at_most=0.1),
    ]  # fmt: skip


def _constants(a: Mapping[str, Any]) -> list[Finding]:
    """Closed forms of 1 / margin^2 against quadratic programs."""
    closed = np.abs(a["constant_solved"] / a["constant_closed"] - 1.0)
    optimal = a["equal_optimal"] > 0.0
    excess = a["equal_excess"]
    found = [
        _exact("Equal correlations: 1/margin^2 = N (1 - 1/M) / ((1 - alpha)(1 - beta))", float(closed.max()),
               f"largest relative difference from quadratic programming, {closed.size} cases of N from 2 to 20",
               at_most=TOLERANCE),
        _exact("Where the multipliers of the least W with equal margins are >= 0, it is the max-margin solution",
               float(np.abs(excess[optimal]).max()),
               f"largest relative difference of 1/margin^2 in {int(optimal.sum())} memories", at_most=TOLERANCE),
    ]  # fmt: skip
    if not optimal.all():
        found.append(_exact(
            "Where one of them is negative, it is not", float(excess[~optimal].min()),
            f"least relative excess of |W|^2 in {int((~optimal).sum())} memories", at_least=TOLERANCE,
        ))  # fmt: skip
    return found


def _early(a: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Finding]:
    """The start of descent: Proposition 5 and the spike-duration law for many tokens."""
    rates, n = np.array(parameters["rates"]), parameters["n_tokens"]
    cells = f"{a['interference'].size} runs"
    excess = a["first_loss_excess"]
    rounding = TOLERANCE * (1.0 + a["peak_loss"])
    last = np.argmax(rates)
    slope, spikes = a["interference"][..., last, :], a["spike_count"] > 0.0
    interfering = slope > 1e-12
    found = [
        Finding("Proposition 5 for many tokens: 0 < L(W_1) - eta S <= log N at every rate", np.median(excess),
                excess.min(), excess.max(), f"median and range over {cells}; log N = {math.log(n):.4f}",
                "supported" if np.all(excess > -rounding) and np.all(excess <= math.log(n) + rounding) else "refuted"),
        _share("At the largest rate the first step raises the loss if and only if S > 0",
               (a["first_rise"][..., last, :] > 0.0) == interfering, "runs"),
    ]  # fmt: skip
    middle = [k for k in range(len(rates)) if k != last]
    found.append(_share(
        "Without interference (S = 0) no rate below the largest gives a spike", ~spikes[..., middle, :],
        "runs with S = 0", among=~interfering[..., None, :],
    ))  # fmt: skip
    below = rates < 2.0
    found.append(_share(
        "As for two tokens, there is no spike below 2 / sharpness at W = 0", ~spikes[..., below, :],
        f"runs at {', '.join(f'{rate:g}' for rate in rates[below])} over the initial sharpness",
    ))  # fmt: skip
    known = ~np.isnan(a["imperfect_limit"][..., last, :])
    agree = a["imperfect"][..., last, :] == a["imperfect_limit"][..., last, :]
    value, low, high = share_by_seed(agree, known)
    found.append(Finding(
        "The spike-duration law for many tokens: at the largest rate the number of imperfect steps is that of the "
        "perceptron limit in at least 95 % of the runs", value, low, high,
        f"share of {int(known.sum())} runs; {_over_seeds(agree)}", judged(low, high, at_least=0.95),
    ))  # fmt: skip
    ratio = np.divide(a["peak_over_rate"][..., last, :], slope, out=np.zeros(slope.shape), where=interfering)
    value, low, high = share_by_seed(ratio > 1.1, interfering)
    found.append(Finding(
        "At the largest rate the first step is the highest: no later peak exceeds eta S by a tenth", value, low, high,
        f"share of exceptions in {int(interfering.sum())} runs with S > 0, up to a factor {ratio.max():.0f}; "
        + _over_seeds(ratio), judged(low, high, at_most=0.0),
    ))  # fmt: skip
    names = parameters["structures"]
    negative = [k for k, name in enumerate(names) if name in ("equicorrelated -0.14", "equicorrelated 0")]
    orthonormal = parameters["outputs"].index("orthonormal")
    found.append(_exact(
        "Correlations <= 0 and orthonormal outputs: one step is enough at every rate, as for two tokens",
        float(a["imperfect"][negative, orthonormal].max()), "largest number of imperfect steps, the start included",
        at_most=1.0,
    ))  # fmt: skip
    even = [k for k, name in enumerate(names) if name.startswith("equicorrelated")]
    found.append(_exact(
        "Equal correlations, equal frequencies, orthonormal outputs: never a spike, at no rate",
        float(spikes[even, orthonormal, parameters["frequencies"].index("uniform")].sum()), "runs with a spike",
        at_most=0.0,
    ))  # fmt: skip
    return found
