"""Going on with a run: what must agree, and the state of the random stream as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .saving import At, Every, Logarithmic
from .status import Status
from .trajectory import Trajectory, digest_of

if TYPE_CHECKING:
    from .saving import Grid


def check_resumable(run: Any, problem: Any, rule: Any, initial: Any, dtype: str, form: str | None) -> tuple[str, str]:
    """Return dtype and form of the run, or raise InputError saying why it cannot go on so."""
    if not isinstance(run, Trajectory):
        raise InputError("resume must be a Trajectory", type(run).__name__, "pass a run or Trajectory.load(path)")
    facts = run.provenance
    if run.status is Status.NOT_FINITE:
        raise InputError("a run that is no longer finite cannot go on", run.message, "start again, with a smaller rate")
    for kind, thing in (("problem", problem), ("rule", rule)):
        if digest_of(thing) != facts[f"{kind}_digest"]:
            raise InputError(
                f"resume needs the {kind} of the run, {facts[f'{kind}_name']}", repr(thing),
                f"pass that {kind}, or start afresh with initial=run.final",
            )  # fmt: skip
    if initial is not None:
        raise InputError("initial= belongs to a fresh start", None, "leave it out when resuming")
    if dtype not in ("float64", facts["dtype"]):
        raise InputError(f"the run has dtype {facts['dtype']}", dtype, "leave dtype out when resuming")
    # a flow of two classes asked for "particles" runs, and is recorded, as "margins": the same unknowns
    same = form == "particles" and facts["form"] == "margins" and "flow_time" in run.restart.facts
    if form not in (None, facts["form"]) and not same:
        raise InputError(f"the run has the form {facts['form']!r}", repr(form), "leave form out when resuming")
    return str(facts["dtype"]), str(facts["form"])


def plain_state(generator: np.random.Generator | None) -> Any:
    """Return the state of a generator as values that JSON can hold."""
    return None if generator is None else _plain(generator.bit_generator.state)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    return int(value) if isinstance(value, np.integer) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"array", "dtype"}:
        return np.array(value["array"], dtype=value["dtype"])
    return {key: _restored(item) for key, item in value.items()} if isinstance(value, dict) else value


def generator_from(source: Trajectory | np.random.Generator | dict[str, Any]) -> np.random.Generator:
    """Return a new generator in the state that a run ended with, that another one has, or that was written down."""
    if isinstance(source, Trajectory):
        state = _restored(source.restart.facts["generator"])
    else:
        state = source.bit_generator.state if isinstance(source, np.random.Generator) else _restored(source)
    kind = getattr(np.random, str(state["bit_generator"]), None)
    if kind is None:
        raise InputError("rng must use one of NumPy's bit generators", state["bit_generator"])
    bits = kind()
    bits.state = state
    return np.random.Generator(bits)


def plain_grid(grid: Grid) -> dict[str, Any]:
    """Return a save grid as values that JSON can hold."""
    if isinstance(grid, Every):
        return {"every": grid.interval}
    return {"logarithmic": grid.number} if isinstance(grid, Logarithmic) else {"at": grid.points.tolist()}


def grid_from(run: Trajectory) -> Grid:
    """Return the save grid of a run."""
    grid = run.restart.facts["save"]
    if "every" in grid:
        return Every(grid["every"])
    return Logarithmic(grid["logarithmic"]) if "logarithmic" in grid else At(np.array(grid["at"], dtype=np.float64))
