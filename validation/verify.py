"""`verify`: run every claim and say, one row a claim, which hold.

This is the main job of the package; the command ``traindyn verify`` is a thin shell around it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import interruption
from .claim import Claim
from .results import Report, Result

if TYPE_CHECKING:
    from .report.page import Composer


def verify(
    patterns: str | Iterable[str | Claim] = (),
    budget: str = "fast",
    json: str | os.PathLike[str] | None = None,
    html: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool = True,
    jobs: int | None = None,
) -> Report:
    """Check the claims, each in the printed and the corrected form, and report the verdicts.

    Parameters
    ----------
    patterns : ids or shell patterns over ids (``"cabannes2024.theorem2.*"``), or `Claim` objects; all claims by default
    budget : "fast" (under a minute on two cores) or "full" (minutes)
    json, html : files to write; the folder must exist. `html` needs the extra ``report``
    seed : of the searches; a verdict depends on (claim, budget, seed) only
    progress : show a progress bar on stderr
    jobs : worker processes; by default one a core for "full", and for "fast" where there are claims enough to repay
        the start of the processes. Results do not depend on it

    Returns
    -------
    Report
        Rows in the order of the claims. ``report.exit_status`` is 0 if every outcome is the expected one.

    Raises
    ------
    InputError : no claim matches a pattern, or a wrong budget, seed or number of jobs.
    FileError : a file could not be written; this is found out before any claim is run.
    MissingLibraryError : `html` without matplotlib or jinja2; before any claim is run.

    Ctrl-C stops within a second: the files are written with what there is, the claims not reached have the
    outcome "interrupted". A claim that raises has the outcome "error"; the others go on.

    Examples
    --------
    >>> import traindyn as td
    >>> report = td.verify("cabannes2024.theorem2.descent_margin", progress=False)
    >>> [(row.claim.form, row.outcome) for row in report.results], report.exit_status
    ([('printed', 'violated'), ('corrected', 'holds')], 0)
    """
    chosen = _chosen(patterns)
    if budget not in ("fast", "full"):
        raise InputError("budget must be 'fast' or 'full'", repr(budget))
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError("seed must be an integer >= 0", repr(seed))
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise InputError("jobs must be an integer >= 1", repr(jobs), "leave it out for one process a core")
    targets = _targets(json, html)
    return _run(chosen, patterns, budget, seed, progress, _workers(jobs, budget, chosen), targets)


def _chosen(patterns: str | Iterable[str | Claim]) -> list[Claim]:
    """Return the claims that the patterns name, each once, in the order given."""
    from .registry import claims

    wanted: list[str | Claim] = [patterns] if isinstance(patterns, (str, Claim)) else list(patterns)
    if not wanted:
        wanted = ["*"]
    table: dict[tuple[str, str], Claim] = {}
    for item in wanted:
        for claim in (item,) if isinstance(item, Claim) else claims(item):
            table.setdefault(claim.key, claim)
    return list(table.values())


def _targets(json: str | os.PathLike[str] | None, html: str | os.PathLike[str] | None) -> dict[str, Path]:
    """Return the files to write, each known to be writable, and the libraries known to be there."""
    from .report.output import claim_path

    targets: dict[str, Path] = {}
    if html is not None:
        from .report.page import require_libraries

        require_libraries()
    for kind, path in (("json", json), ("html", html)):
        if path is not None:
            targets[kind] = claim_path(path, f"the {kind.upper()} file")
    if len(targets) == 2 and targets["json"] == targets["html"]:
        raise InputError("the JSON and the HTML file must be two files", repr(str(json)))
    return targets


def _workers(jobs: int | None, budget: str, chosen: list[Claim]) -> int:
    """Return the number of processes: what was asked, or one a core as far as the claims repay their start."""
    from .workers import known_elsewhere

    if jobs is None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        jobs = min(usable, len(chosen) // (20 if budget == "fast" else 2))  # a process costs seconds to start
    return max(1, min(jobs, len(known_elsewhere(chosen)))) if jobs > 1 else 1


def _run(
    chosen: list[Claim],
    patterns: str | Iterable[str | Claim],
    budget: str,
    seed: int,
    progress: bool,
    jobs: int,
    targets: dict[str, Path],
) -> Report:
    from .provenance import libraries, processor, version
    from .workers import evaluate_all

    facts = {"version": version(), "processor": processor(), "libraries": libraries()}
    start = time.perf_counter()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    results: dict[tuple[str, str], Result] = {}
    composer = _composer(targets, chosen)
    with interruption.stopping() as stop, _bar(len(chosen), progress) as advance:
        try:
            for result in evaluate_all(chosen, budget, seed, jobs, pictures="html" in targets):
                results[result.claim.key] = result
                advance(result)
                if composer is not None:
                    composer.add(result)
                if stop.asked:
                    break
        except interruption.Stop:
            pass
        interrupted = stop.asked
    report = Report(
        results=tuple(results.get(claim.key, Result(claim)) for claim in chosen),
        patterns=_spelled(patterns),
        budget=budget,
        seed=seed,
        jobs=jobs,
        seconds=time.perf_counter() - start,
        started=started,
        **facts,
        interrupted=interrupted and len(results) < len(chosen),
    )
    _write(report, targets, composer)
    return report


def _composer(targets: dict[str, Path], chosen: list[Claim]) -> Composer | None:
    if "html" not in targets:
        return None
    from .report.page import Composer

    return Composer(chosen)


def _spelled(patterns: str | Iterable[str | Claim]) -> tuple[str, ...]:
    wanted = [patterns] if isinstance(patterns, (str, Claim)) else list(patterns)
    return tuple(dict.fromkeys(item.id if isinstance(item, Claim) else item for item in wanted))


def _write(report: Report, targets: dict[str, Path], composer: Composer | None) -> None:
    from .report.output import write_whole

    if "json" in targets:
        write_whole(targets["json"], report.to_json())
    if composer is not None:
        write_whole(targets["html"], composer.compose(report))


@contextlib.contextmanager
def _bar(total: int, shown: bool) -> Iterator[Any]:
    """Yield the function to call after each claim; it moves the bar on stderr."""
    if not shown:
        yield lambda result: None
        return
    from tqdm import tqdm

    unexpected = 0
    with tqdm(total=total, unit="claim", file=sys.stderr, dynamic_ncols=True, leave=False, mininterval=0.2) as bar:

        def advance(result: Result) -> None:
            nonlocal unexpected
            unexpected += not result.as_expected
            bar.set_description_str(result.claim.id.split(".", 1)[-1][:32].ljust(32), refresh=False)
            if unexpected:
                bar.set_postfix_str(f"{unexpected} unexpected", refresh=False)
            bar.update()

        yield advance
