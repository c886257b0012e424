"""The search for the least slack of a claim: corners, boundary, random cases, then downhill.

Everything is counted, nothing is timed, so that a seed gives the same verdict on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .case import Array, Case, Evidence
from .claim import Claim


@dataclass(frozen=True)
class Point:
    """One evaluated case: its evidence, and the point of it with the least slack relative to the scale."""

    case: Case
    evidence: Evidence
    index: int
    slack: float
    error: float
    rank: float
    position: Array | None = None

    @property
    def violated(self) -> bool:
        """Return whether the slack is negative beyond the error budget."""
        return self.slack < -self.error


def judge(claim: Claim, case: Case, position: Array | None = None) -> Point:
    """Evaluate a claim on a case and return the worst point of the evidence.

    Points violated beyond the error budget come before points that are not; among equals the least slack
    relative to the scale of the values counts.
    """
    assert claim.evaluate is not None
    evidence = claim.evaluate(case)
    slack = evidence.slack(claim.relation)
    bad = np.isnan(slack)
    if bad.any():
        # inf - inf: a relation between equal infinities is met with equality
        same = bad & (evidence.quantity == evidence.bound)
        slack = np.where(same, 0.0, slack)
        if (bad & ~same).any():
            where = int(np.flatnonzero(bad & ~same)[0])
            raise InputError(
                f"claim {claim.id} [{claim.form}]: quantity and bound must be numbers",
                f"quantity={evidence.quantity[where]}, bound={evidence.bound[where]} at "
                f"{evidence.axis_name}={evidence.axis[where]:g} of the case {case}",
            )
    error = np.asarray(evidence.error)
    excess = (slack + error if claim.relation == "==" else slack) / evidence.scale()
    violated = slack < -error
    excess = np.where(violated, np.minimum(excess, -np.finfo(float).tiny), np.maximum(excess, -1.0))
    rank = np.where(violated, excess - 1e3, excess)
    index = int(np.argmin(rank))
    return Point(case, evidence, index, float(slack[index]), float(error[index]), float(rank[index]), position)


@dataclass
class Search:
    """The state of a search: the worst points seen, how many cases were evaluated and how many left out."""

    claim: Claim
    keep: int = 4
    cases: int = 0
    outside: int = 0
    worst: list[Point] = field(default_factory=list)

    def consider(self, case: Case, position: Array | None = None) -> Point | None:
        """Evaluate a case that satisfies the assumptions; return None for one that does not."""
        if not all(assumption.holds(case) for assumption in self.claim.assumptions):
            self.outside += 1
            return None
        point = judge(self.claim, case, position)
        self.cases += 1
        self.worst = sorted([*self.worst, point], key=lambda p: p.rank)[: self.keep]
        return point


def run_search(
    claim: Claim, budget: str, seed: int, interrupted: Callable[[], bool] | None = None
) -> Search:
    """Search the family of a claim for the least slack and return what was found.

    A violated claim is not searched to the end: once random cases have broken it, the directed search makes the
    counterexample clear, and that is enough.
    """
    assert claim.family is not None
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *claim.id.encode()])))
    level = {"fast": 0, "full": 1}[budget]
    search = Search(claim)
    family = claim.family
    listed = [*family.corners] + ([family.show] if family.show is not None else [])
    for values in listed:
        search.consider(family.case(values))
    dimension = len(family.parameters)
    if dimension:
        budget_cases = claim.cases[level]
        for position in family.vertices(max(4, budget_cases // 6), rng):
            search.consider(family.at(position), position)
        for count, position in enumerate(_random_positions(rng, dimension, budget_cases)):
            search.consider(family.at(position), position)
            if count >= budget_cases // 4 and search.worst and search.worst[0].violated:
                break
        _downhill(search, rng, claim.directed[level])
    if not search.cases:
        raise InputError(
            f"claim {claim.id} [{claim.form}]: no case of its family satisfies its assumptions",
            f"{search.outside} cases tried",
            "mend the family or the assumptions",
        )
    return search


def _random_positions(rng: np.random.Generator, dimension: int, count: int) -> Iterator[Array]:
    """Yield random points of the cube; every fourth lies on a random face of it."""
    for number in range(count):
        position = rng.random(dimension)
        if number % 4 == 3:
            position[rng.integers(dimension)] = float(rng.integers(2))
        yield position


def _downhill(search: Search, rng: np.random.Generator, evaluations: int) -> None:
    """Pattern search from the worst position: random directions, step halved after failures.

    The slack is a minimum over a trajectory, hence neither smooth nor unimodal; a direct search with its own
    random directions needs no gradient and no simplex that could collapse on the boundary.
    """
    start = next((p for p in search.worst if p.position is not None), None)
    if start is None or start.position is None or evaluations <= 0:
        return
    best, position, step = start, start.position, 0.25
    failures = 0
    for _ in range(evaluations):
        trial = np.clip(position + step * rng.normal(size=position.size) / np.sqrt(position.size), 0.0, 1.0)
        assert search.claim.family is not None
        point = search.consider(search.claim.family.at(trial), trial)
        if point is not None and point.rank < best.rank:
            best, position, failures = point, trial, 0
        else:
            failures += 1
            if failures >= 4:
                step, failures = max(0.5 * step, 1e-6), 0
