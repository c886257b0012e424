"""The error of a run whose observable or schedule raised one: it names both and keeps what was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..errors import TraindynError

if TYPE_CHECKING:
    from .trajectory import Trajectory


class RunFailed(TraindynError):
    """A function of yours raised an error; that one is the ``__cause__``.

    Attributes: trajectory, the run until then, with `Status.FAILED`, which can be saved and resumed; None before the
    first row.
    """

    trajectory: Trajectory | None = None


def failure(what: str, place: str, error: Exception) -> RunFailed:
    """Return the error to raise from `error`."""
    return RunFailed(f"{what} raised {type(error).__name__} {place}: {error}")


def attach(error: TraindynError, run: Trajectory | None) -> None:
    """Give the error what was computed as its attribute `trajectory`."""
    cast(Any, error).trajectory = run
