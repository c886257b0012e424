"""Figures and findings as text: aligned for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from .definition import Definition
from .finding import Finding


def listing(definitions: Iterable[Definition]) -> str:
    """Return a table of figures and experiments: name, cost in CPU seconds, versions, title.

    >>> from traindyn.validation.figures import figures
    >>> print(listing(figures()[:2]))  # doctest: +ELLIPSIS
    figures            seconds  quick  as published  title
    cabannes2024.fig1  ...
    """
    known = tuple(definitions)
    blocks = []
    for kind, wanted in (("figures", False), ("experiments", True)):
        rows = [
            (
                each.name,
                f"{each.seconds:g}",
                "-" if each.quick_seconds is None else f"{each.quick_seconds:g}",
                "yes" if each.published else "-",
                each.title,
            )
            for each in known
            if each.is_experiment is wanted
        ]
        if rows:
            blocks.append([(kind, "seconds", "quick", "as published", "title"), *rows])
    widths = [max(len(row[column]) for block in blocks for row in block) for column in range(4)]
    layout = "{:{}}  {:>{}}  {:>{}}  {:{}}  {}"
    lines = []
    for block in blocks:
        for row in block:
            cells = [x for pair in zip(row[:4], widths, strict=True) for x in pair]
            lines.append(layout.format(*cells, row[4]).rstrip())
        lines.append("")
    return "\n".join([*lines, "seconds: of one core, once everything is compiled"])


def told(findings: Sequence[Finding]) -> str:
    """Return findings as a table: outcome, number with interval, statement and basis, as wide as the terminal.

    >>> print(told([Finding("Half of the runs spike", 0.48, 0.38, 0.58, "95 % interval over 100 runs", "supported")]))
    outcome    number             finding
    supported  0.48 [0.38, 0.58]  Half of the runs spike
                                  (95 % interval over 100 runs)
    """
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    numbers = max(len("number"), *(len(each.number) for each in findings))
    margin = " " * (11 + numbers + 2)
    lines = [f"{'outcome':9}  {'number':{numbers}}  finding"]
    for each in findings:
        words = textwrap.wrap(each.statement, max(30, width - len(margin)), break_on_hyphens=False)
        words += textwrap.wrap(f"({each.basis})", max(30, width - len(margin)), break_on_hyphens=False)
        lines.append(f"{each.outcome:9}  {each.number:{numbers}}  {words[0]}")
        lines += [margin + line for line in words[1:]]
    return "\n".join(lines)
