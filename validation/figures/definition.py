"""What a figure is: a name, the numbers behind it, and a drawing of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .finding import Finding
from .request import Request


@dataclass(frozen=True)
class Numbers:
    """What a figure shows and what follows from it.

    Attributes
    ----------
    arrays : name -> array; they go into the NPZ file
    parameters : what gave them, as JSON takes it
    problems : name -> digest of a problem
    findings : the sentences of an experiment's answer; a figure of a paper may have some too
    """

    arrays: Mapping[str, NDArray[Any]]
    parameters: Mapping[str, Any]
    problems: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return an array by name."""
        return np.asarray(self.arrays[name])


@dataclass(frozen=True)
class Definition:
    """A figure of a paper, or an experiment, that can be drawn.

    Attributes
    ----------
    name : "cabannes2024.fig1", "cabannes2024.review.spike_map"
    title : one line
    seconds : CPU seconds of the full size, once everything is compiled
    compute : request -> numbers
    draw : (numbers, as_published) -> a matplotlib figure
    quirks : what the as-published version does and the corrected one does not
    caption : what to see, in two to four sentences (Markdown, $...$ for formulas)
    published : whether there is an as-published version
    quick_seconds : CPU seconds of the small size; None when there is none
    question, hypothesis, method : the page of an experiment, in plain sentences; an experiment has all three

    A module of ``validation.figures`` or ``validation.experiments`` that ends with ``FIGURES = (Definition(...), ...)``
    adds its figures to the list.
    """

    name: str
    title: str
    seconds: float
    compute: Callable[[Request], Numbers]
    draw: Callable[[Numbers, bool], Any]
    quirks: tuple[str, ...] = ()
    caption: str = ""
    published: bool = True
    quick_seconds: float | None = None
    question: str = ""
    hypothesis: str = ""
    method: str = ""

    def __post_init__(self) -> None:
        if self.quirks and not self.published:
            raise InputError("a figure with quirks has an as-published version", self.name, "leave published=True")
        parts = (self.question, self.hypothesis, self.method)
        if any(parts) and not (all(parts) and self.quick_seconds is not None):
            raise InputError("an experiment needs question, hypothesis, method and quick_seconds", self.name)

    @property
    def is_experiment(self) -> bool:
        """Whether this is an experiment, with a question and an answer."""
        return bool(self.question)
