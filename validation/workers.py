"""Running claims, in this process or in several."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any

from ..errors import InputError
from . import fleet
from .case import Case, Evidence
from .check import check
from .claim import Claim
from .registry import find
from .results import Result
from .verdict import Verdict


def evaluate_all(
    claims: Sequence[Claim], budget: str, seed: int, jobs: int, pictures: bool
) -> Iterator[Result]:
    """Yield the result of each claim as soon as it is there; the order is that of the claims if jobs is 1."""
    away = known_elsewhere(claims) if jobs > 1 else []
    if len(away) > 1:
        by_key = {claim.key: claim for claim in away}
        tasks = [(claim.key, budget, seed, pictures) for claim in away]
        for task, answer in fleet.run(f"{__name__}:remote", tasks, min(jobs, len(tasks))):
            claim = by_key[task[0]]
            yield answer.result(claim) if isinstance(answer, Parcel) else Result(claim, trouble=str(answer))
    done = {claim.key for claim in away} if len(away) > 1 else set()
    for claim in claims:
        if claim.key not in done:
            yield evaluate_one(claim, budget, seed, pictures)


def evaluate_one(claim: Claim, budget: str, seed: int, pictures: bool) -> Result:
    """Check one claim; an exception of the claim becomes the result's trouble."""
    start = time.perf_counter()
    try:
        verdict = check(claim, budget=budget, seed=seed)
        evidence, shown = _picture(claim, verdict) if pictures else (None, {})
    except Exception as error:  # a broken claim must not take the others with it
        return Result(claim, None, time.perf_counter() - start, _trouble(error))
    return Result(claim, verdict, time.perf_counter() - start, "", evidence, shown)


def _picture(claim: Claim, verdict: Verdict) -> tuple[Evidence | None, Mapping[str, Any]]:
    case = _picture_case(claim, verdict)
    if claim.evaluate is None or case is None:
        return None, {}
    if case is verdict.case and verdict.evidence is not None:
        return verdict.evidence, case.parameters
    return claim.evaluate(case), case.parameters


def _picture_case(claim: Claim, verdict: Verdict) -> Case | None:
    """Return the case whose picture a report draws: the witness, else the family's own choice, else the worst."""
    if verdict.witness is not None and verdict.case is not None:
        return verdict.case
    if claim.family is not None and claim.family.show is not None:
        return claim.family.case(claim.family.show)
    return verdict.case


def _trouble(error: Exception) -> str:
    """Return the error in one line, with the innermost place in a module of claims, or else in this package."""
    frames = traceback.extract_tb(error.__traceback__)
    home = PurePath(__file__).parent.parent
    own = [frame for frame in frames if home in PurePath(frame.filename).parents]
    inner = [frame for frame in frames if "claims" in PurePath(frame.filename).parts] or own or frames
    where = f" (line {inner[-1].lineno} of {PurePath(inner[-1].filename).name})" if inner else ""
    return f"{type(error).__name__}: {error}{where}"


@dataclass(frozen=True)
class Parcel:
    """A result on its way between processes: without the claim and the case, whose functions do not travel."""

    verdict: dict[str, Any] | None
    seconds: float
    trouble: str
    evidence: Evidence | None
    shown: Mapping[str, Any]

    @classmethod
    def pack(cls, result: Result) -> Parcel:
        """Return the result without what stays behind."""
        verdict = None
        if result.verdict is not None:
            left_behind = {"claim", "case", "evidence"}
            names = [f.name for f in fields(Verdict) if f.name not in left_behind]
            verdict = {name: getattr(result.verdict, name) for name in names}
        return cls(verdict, result.seconds, result.trouble, result.evidence, result.shown)

    def result(self, claim: Claim) -> Result:
        """Return the result, attached to this process's own claim."""
        verdict = None if self.verdict is None else Verdict(claim, **self.verdict)
        return Result(claim, verdict, self.seconds, self.trouble, self.evidence, self.shown)


def remote(task: tuple[tuple[str, str], str, int, bool]) -> Parcel:
    """Check the claim of this name; what a worker process calls."""
    (name, form), budget, seed, pictures = task
    return Parcel.pack(evaluate_one(find(name, form), budget, seed, pictures))


def known_elsewhere(claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims that another process finds by their names: the registered ones."""

    def registered(claim: Claim) -> bool:
        try:
            return find(claim.id, claim.form) is claim
        except InputError:
            return False

    return [claim for claim in claims if registered(claim)]
