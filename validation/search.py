"""The search for the least slack of a claim: corners, boundary, random cases, then downhill.

Everything is counted, nothing is timed, so that a seed gives the same verdict on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .case import Array, Case, Evidence
from .claim import Claim

FAR = 1e9  # the rank of a case outside the assumptions
SWALLOWED = 0.25  # an error budget beyond this share of the values compared leaves an identity untested
TIGHT = {"xatol": 1e-9, "fatol": 0.0}  # the search ends by its count


@dataclass(frozen=True)
class Point:
    """One evaluated case: its evidence, and the point of it with the least slack relative to the scale."""

    case: Case
    evidence: Evidence
    index: int
    slack: float
    error: float
    rank: float
    strict: bool = False
    swallowed: bool = False  # an identity whose error budget is of the size of the values: it shows nothing
    position: Array | None = None

    @property
    def violated(self) -> bool:
        """Return whether the slack is negative beyond the error budget, or exactly zero where > or < is claimed."""
        return self.slack < -self.error or (self.strict and self.slack == self.error == 0)

    def within_budget(self, relation: str) -> bool:
        """Return whether double precision cannot tell the sign of the slack (identities are never doubtful so)."""
        return relation != "==" and abs(self.slack) <= self.error and self.error > 0


def judge(claim: Claim, case: Case, position: Array | None = None) -> Point | None:
    """Evaluate a claim on a case and return the worst point of the evidence, None if the evidence is empty.

    Points violated beyond the error budget come before points that are not. Among the others the least slack relative
    to the scale of the values counts.
    """
    assert claim.evaluate is not None
    evidence = claim.evaluate(case)
    slack = evidence.slack(claim.relation)
    if slack.size == 0:
        return None
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
    strict = claim.relation in (">", "<")
    violated = (slack < -error) | (strict & (slack == 0) & (error == 0))
    # among violated points the plainest comes first: -0.3 tells a reader more than half of 1e-4
    plain = slack / np.maximum(evidence.scale(), 1.0)
    rank = np.where(violated, np.maximum(plain, -1e3) - 1e3, np.maximum(excess, -1.0))
    sizes = np.maximum(np.abs(evidence.quantity), np.abs(evidence.bound))
    blind = (claim.relation == "==") & ~violated & (evidence.bound != 0) & (error > SWALLOWED * sizes)
    rank = np.where(blind, FAR, rank)
    index = int(np.argmin(rank))
    swallowed = bool(blind[index])
    return Point(
        case, evidence, index, float(slack[index]), float(error[index]), float(rank[index]), strict, swallowed, position
    )


@dataclass
class Search:
    """The state of a search: the worst points seen, how many cases were evaluated and how many left out."""

    claim: Claim
    keep: int = 4
    cases: int = 0
    outside: int = 0
    worst: list[Point] = field(default_factory=list)

    def consider(self, case: Case, position: Array | None = None) -> Point | None:
        """Evaluate a case that satisfies the assumptions; return None for one that does not, or shows nothing."""
        inside = all(assumption.holds(case) for assumption in self.claim.assumptions)
        point = judge(self.claim, case, position) if inside else None
        if point is None or point.swallowed:
            self.outside += 1
            return None
        self.cases += 1
        self.worst = sorted([*self.worst, point], key=lambda p: p.rank)[: self.keep]
        return point


def run_search(claim: Claim, budget: str, seed: int) -> Search:
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
        _downhill(search, claim.directed[level])
    if not search.cases:
        raise InputError(
            f"claim {claim.id} [{claim.form}]: no case of its family satisfies its assumptions and has evidence",
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


def _downhill(search: Search, evaluations: int) -> None:
    """Run Nelder-Mead from the worst random case, and again from where it ended with a smaller simplex.

    The slack is a minimum over a trajectory, hence neither smooth nor unimodal: a simplex needs no gradient, and the
    second start helps one that collapsed on the boundary. Cases outside the assumptions count as far from failing.
    """
    from scipy.optimize import minimize

    family = search.claim.family
    best = next((p for p in search.worst if p.position is not None), None)
    if best is None or best.position is None or family is None or evaluations <= 0:
        return
    position = best.position

    def rank(trial: Array) -> float:
        point = search.consider(family.at(trial), np.array(trial))
        return FAR if point is None else point.rank

    dimension = position.size
    for edge in (0.25, 0.02):
        away = np.where(position < 0.5, edge, -edge)
        simplex = np.vstack([position, position + np.diag(away)])
        options = {"maxfev": evaluations // 2, "initial_simplex": simplex, "adaptive": True} | TIGHT
        found = minimize(rank, position, method="Nelder-Mead", bounds=[(0.0, 1.0)] * dimension, options=options)
        position = found.x
