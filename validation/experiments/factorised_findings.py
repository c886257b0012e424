"""Findings of the experiment on factorised W: means over seeds and shares of runs, each with its interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..figures import Finding, Request, judged
from .intervals import bootstrap, proportion


def seeds_of(request: Request, quick: int, full: int) -> list[int]:
    """Return the seeds of the small or the full size."""
    return [1000 * request.rng + seed for seed in range(quick if request.quick else full)]


def sampled(statement: str, sample: Any, *, at_least: float = -math.inf, at_most: float = math.inf) -> Finding:
    """Return the finding about the mean of a sample of seeds."""
    value, low, high = bootstrap(sample)
    basis = f"95 % bootstrap interval over {np.size(sample)} seeds"
    return Finding(statement, value, low, high, basis, judged(low, high, at_least=at_least, at_most=at_most))


def share(
    statement: str, successes: int, trials: int, basis: str, *, at_least: float = -math.inf, at_most: float = math.inf,
    exact: bool = False,
) -> Finding:  # fmt: skip
    """Return the finding about a share of runs."""
    value, low, high = proportion(successes, trials)
    if exact:
        low = high = value
    else:
        basis = f"exact 95 % binomial interval over {trials} runs: {basis}"
    return Finding(statement, value, low, high, basis, judged(low, high, at_least=at_least, at_most=at_most))
