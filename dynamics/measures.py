"""Measures: numbers that sum up a run, each with one exact meaning.

Every name means the same here, in a batched kernel and in the store of a sweep. A run looks at the indices
t = 0, 1, ..., T; index 0 is the start, T the last one. L_t is the loss, and an index is perfect where accuracy is 1,
that is where every margin is > 0. A number that the run does not decide is NaN: an event that did not happen until T,
or any number but an event already seen of a run that ended before its time (not finite, interrupted, failed).

A spike is a maximal interval [a, b) of indices with L_t > L_(a-1), entered by a rise at a (spec, section 4). Outside
of spikes the loss only falls, so that L_(a-1) is the least loss before a, and in other words

.. code-block:: text

    t lies in a spike  iff  L_t > M_t (1 + 1e-12),      M_t = min over s < t of L_s

where 1e-12 keeps rounding errors of a loss that stands still from being spikes. Height is the spec's amplitude.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, unknown_name
from .saving import At, Every, at, every
from .status import Status
from .stopping import When, when

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .trajectory import Trajectory

__all__ = ["MEASURES", "SPIKE_TOLERANCE", "Measure", "Needs", "measure_named", "measures_of", "needs_of"]

SPIKE_TOLERANCE = 1e-12
"""Relative rise above the least loss before, from which on a step belongs to a spike."""

_DECIDED = (Status.COMPLETED, Status.THRESHOLD_REACHED, Status.STEPS_EXHAUSTED, Status.STATIONARY)


@dataclass(frozen=True)
class Measure:
    """A number of a run, and what the run must show for it.

    Arguments:
        name: what it is called in cubes, stores and tables.
        observe: the observables that it reads; None for those that the problem declares.
        evaluate: the function Trajectory -> float.
        stop: a condition that decides it, at which a run made for nothing else may end; None where there is none.
        every_step: whether it reads all steps (unless the run ended at `stop`); else the start and the end.

    >>> MEASURES["final_loss"].observe, MEASURES["final_loss"].every_step
    (('loss',), False)
    """

    name: str
    observe: tuple[str, ...] | None
    evaluate: Callable[[Trajectory], float]
    stop: When | None = None
    every_step: bool = True

    def __call__(self, run: Trajectory) -> float:
        """Return the number of a run."""
        value = self.evaluate(run)
        try:
            number = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            number = np.empty(0)
        if number.size != 1:
            raise InputError(
                f"the measure {self.name!r} must return one number", f"{type(value).__name__}", "return a float"
            )
        return float(number.reshape(()))


def _is_decided(run: Trajectory) -> bool:
    return run.status in _DECIDED


def _steps_to_accuracy(run: Trajectory) -> float:
    """First index with accuracy 1."""
    perfect = np.flatnonzero(run["accuracy"] >= 1.0)
    return float(run.step[perfect[0]]) if perfect.size else math.nan


def _steps_to_settle(run: Trajectory) -> float:
    """Last imperfect index + 1; NaN where the last index is imperfect."""
    imperfect = np.flatnonzero(~(run["accuracy"] >= 1.0))
    if not imperfect.size:
        return 0.0 if _is_decided(run) else math.nan
    last = imperfect[-1]
    return float(run.step[last]) + 1.0 if last < run.step.size - 1 and _is_decided(run) else math.nan


def _peak_loss(run: Trajectory) -> float:
    """Largest loss."""
    return float(run["loss"].max()) if _is_decided(run) else math.nan


def _peak_step(run: Trajectory) -> float:
    """First index of the largest loss."""
    return float(run.step[np.argmax(run["loss"])]) if _is_decided(run) else math.nan


def _spikes(loss: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (L_t - M_t where t lies in a spike, else 0; whether it does)."""
    before = np.concatenate([[math.inf], np.minimum.accumulate(loss)[:-1]])
    inside = loss > before * (1.0 + SPIKE_TOLERANCE)
    return np.where(inside, loss - np.where(inside, before, loss), 0.0), inside


def _spike_height(run: Trajectory) -> float:
    """Largest L_t - L_(a-1) over the spikes [a, b) and t in them; 0 without a spike."""
    return float(_spikes(run["loss"])[0].max()) if _is_decided(run) else math.nan


def _spike_duration(run: Trajectory) -> float:
    """b - a of the highest spike, the first of equals; 0 without a spike, NaN where it lasts to the last index.

    In the regime of `analytics.spike_duration` this is its `above_initial`: the only spike then starts at a = 1.
    """
    if not _is_decided(run):
        return math.nan
    rise, inside = _spikes(run["loss"])
    top = int(np.argmax(rise))
    if rise[top] == 0.0:
        return 0.0
    outside = np.flatnonzero(~inside)
    after = outside[outside > top]
    if not after.size:
        return math.nan
    return float(run.step[after[0]] - run.step[outside[outside < top][-1]] - 1)


def _spike_count(run: Trajectory) -> float:
    """Number of spikes, the one that may last to the end included."""
    if not _is_decided(run):
        return math.nan
    inside = _spikes(run["loss"])[1]
    return float(inside[0]) + float((inside[1:] & ~inside[:-1]).sum())


def _steps_above_initial(run: Trajectory) -> float:
    """Number of indices with L_t > L_0 (1 + 1e-12)."""
    if not _is_decided(run):
        return math.nan
    return float((run["loss"] > run["loss"][0] * (1.0 + SPIKE_TOLERANCE)).sum())


def _last_rise(run: Trajectory) -> float:
    """Last index t with L_t > L_(t-1) (1 + 1e-12): the loss only falls from it on; 0 where it never rises."""
    if not _is_decided(run):
        return math.nan
    rises = np.flatnonzero(run["loss"][1:] > run["loss"][:-1] * (1.0 + SPIKE_TOLERANCE))
    return float(run.step[rises[-1] + 1]) if rises.size else 0.0


def _final_loss(run: Trajectory) -> float:
    """Loss at the last index."""
    return float(run["loss"][-1]) if _is_decided(run) else math.nan


def _final_accuracy(run: Trajectory) -> float:
    """Accuracy at the last index."""
    return float(run["accuracy"][-1]) if _is_decided(run) else math.nan


def _smallest_margin(run: Trajectory) -> float:
    """Least margin of any token at any index: how far the run falls, not where it ends."""
    return float(run["smallest_margin"].min()) if _is_decided(run) else math.nan


MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("steps_to_accuracy", ("accuracy",), _steps_to_accuracy, stop=when("accuracy", ">=", 1.0)),
        Measure("steps_to_settle", ("accuracy",), _steps_to_settle),
        Measure("peak_loss", ("loss",), _peak_loss),
        Measure("peak_step", ("loss",), _peak_step),
        Measure("spike_height", ("loss",), _spike_height),
        Measure("spike_duration", ("loss",), _spike_duration),
        Measure("final_loss", ("loss",), _final_loss, every_step=False),
        Measure("final_accuracy", ("accuracy",), _final_accuracy, every_step=False),
        Measure("smallest_margin", ("smallest_margin",), _smallest_margin),
        Measure("spike_count", ("loss",), _spike_count),
        Measure("steps_above_initial", ("loss",), _steps_above_initial),
        Measure("last_rise", ("loss",), _last_rise),
    )
}
"""Name -> measure, all that `measure=` takes by name."""


def measure_named(name: str) -> Measure:
    """Return the measure of that name.

    Raises: InputError with the nearest names.

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, simulate
    >>> run = simulate(AssociativeMemory.two_tokens(), GradientDescent(learning_rate=10.0), steps=100)
    >>> measure_named("steps_to_accuracy")(run), measure_named("steps_to_settle")(run)
    (2.0, 15.0)
    """
    if name not in MEASURES:
        raise unknown_name("measure", name, MEASURES)
    return MEASURES[name]


def measures_of(measure: Any) -> tuple[Measure, ...]:
    """Return the measures that a name, a `Measure`, a function Trajectory -> float, or a tuple of them stands for.

    A function sees the observables that the problem declares, at every step, and is called by its name.

    Raises: InputError for unknown names, for what is neither, and for two measures of one name.

    >>> [measure.name for measure in measures_of(("peak_loss", "peak_step"))]
    ['peak_loss', 'peak_step']
    """
    listed: Iterable[Any] = measure if isinstance(measure, (tuple, list)) else (measure,)
    chosen = tuple(_one(item) for item in listed)
    if not chosen:
        raise InputError("measure must name at least one measure", repr(measure), f"such as {next(iter(MEASURES))!r}")
    names = [item.name for item in chosen]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(
            "every measure needs a name of its own", twice[0],
            "give a function a name with Measure(name, None, function)",
        )  # fmt: skip
    return chosen


def _one(item: Any) -> Measure:
    if isinstance(item, Measure):
        return item
    if isinstance(item, str):
        return measure_named(item)
    if not callable(item):
        raise InputError(
            "a measure is a name, a Measure or a function Trajectory -> float", repr(item),
            f"known: {', '.join(MEASURES)}",
        )  # fmt: skip
    return Measure(getattr(item, "__name__", type(item).__name__), None, item)


@dataclass(frozen=True)
class Needs:
    """What `simulate` must be told so that some measures can be read from the run."""

    observe: tuple[str, ...] | None
    stop: When | None
    save: At | Every


def needs_of(measures: Iterable[Measure], problem: Any = None) -> Needs:
    """Return the observables, the stop condition and the saved steps that the measures need of one run.

    A run made for one event ends there; one made for several measures runs to its end. Steps are saved only where
    some measure reads them all.

    >>> needs_of(measures_of("steps_to_accuracy")).stop
    When(name='accuracy', relation='>=', threshold=1.0)
    >>> needs_of(measures_of(("steps_to_accuracy", "final_loss"))).stop is None
    True
    """
    measures = tuple(measures)
    stops = {measure.stop for measure in measures}
    stop = next(iter(stops)) if len(stops) == 1 else None
    names: dict[str, None] = {}
    default = False
    for measure in measures:
        declared = measure.observe
        if declared is None:
            declared = getattr(problem, "default_observables", None)
            default = default or declared is None
        names.update(dict.fromkeys(declared or ()))
    whole = stop is None and any(measure.every_step for measure in measures)
    return Needs(None if default else tuple(names), stop, every(1) if whole else at([]))
