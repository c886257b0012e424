"""`simulate`: one verb for every problem and rule."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, unknown_name
from .associative_memory import AssociativeMemory
from .continuous import run_flow
from .descent import GradientFlow
from .discrete import run_steps
from .draws import random_stream
from .numbers import integer, real
from .observing import known_observables, resolve
from .one_thread import one_thread
from .recorder import Clock
from .restarting import check_resumable, generator_from, grid_from
from .saving import At, Every, Logarithmic, every, logarithmic
from .stochastic import StochasticGradientFlow
from .stopping import When
from .system import PlainSystem, System

if TYPE_CHECKING:
    from .numbers import Seed
    from .saving import Grid
    from .trajectory import Trajectory

_DTYPES = ("float32", "float64")
_FLOW_POINTS = 200


def simulate(
    problem: Any,
    rule: Any,
    *,
    steps: int | None = None,
    time: float | None = None,
    observe: Any = None,
    save: Grid | None = None,
    stop: When | None = None,
    initial: Any = None,
    rng: Seed = 0,
    dtype: str = "float64",
    device: str = "cpu",
    form: str | None = None,
    progress: bool = False,
    resume: Trajectory | None = None,
    estimate_error: bool = False,
) -> Trajectory:
    r"""Move a problem by a rule, and return what was seen on the way.

    Main arguments:
        problem: an `AssociativeMemory`, or a problem of your own (see `problem`).
        rule: `GradientDescent`, `GradientFlow`, ... or a rule of your own.
        steps: the step at which the run ends (rules that move in steps).
        time: the time at which it ends (flows; `StochasticGradientFlow` takes either).
        observe: names of observables and mappings of a name to a function of a `State`, or a mixture of both;
            by default what the problem declares: loss, accuracy and margin of a memory.
        save: `every(k)`, `logarithmic(n)` or `at(points)`, always with the start and the end. By default every step
            of a rule that moves in steps, and 200 log-spaced times of a flow.
        stop: `when(name, relation, threshold)`, tested at every step; for a flow the time is located to 1e-12 of
            itself within the saved interval where the condition first holds.
        initial: the weights at the start; zero for a memory.
        rng: seed of the rules that draw: an integer, a SeedSequence, or a Generator, whose next two words are the
            key of the run (it is copied, not moved). The numbers of a step depend on the key and the step alone.

    Other arguments:
        dtype: "float64" or "float32", of the state; problems are stored in float64.
        device: "cpu".
        form: "weights", "particles" or "margins" (two classes); by default the cheapest exact one.
        progress: whether to show a progress bar.
        resume: a run to go on with; `steps` and `time` still count from its very start. Rows already saved are kept,
            and later ones are those of the new run's grid: where the grid depends on the end, as ``logarithmic(n)``
            does, the result holds the union of both. The states are those of the uninterrupted run, to the last bit.
        estimate_error: whether to compute ``run.error`` at once, so that it is saved with the run.

    Returns: a `Trajectory`; row 0 is the start, row t the state after t updates if every step is saved.

    Raises: InputError, SizeError (the rows would take more than half of the free memory), and `RunFailed` where an
        observable or a schedule of yours raises an error; ``error.trajectory`` then holds the run until there.

    Cost: see `forms.seconds_per_step`; observables other than loss, accuracy and margins are computed in Python at
    the saved points. Ctrl-C ends the run within a second, with what it has and `Status.INTERRUPTED`.

    Source: Cabannes, Simsek, Bietti 2024, equations (4)-(7) and Theorem 1.

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, simulate, when
    >>> run = simulate(AssociativeMemory.two_tokens(), GradientDescent(learning_rate=10.0), steps=100,
    ...                stop=when("accuracy", ">=", 1.0))
    >>> run.step[-1], run.status.name
    (np.int64(2), 'THRESHOLD_REACHED')
    """
    if device != "cpu":
        raise unknown_name("device", device, ("cpu",))
    dtype = str(np.dtype(dtype)) if not isinstance(dtype, str) else dtype
    if dtype not in _DTYPES:
        raise unknown_name("dtype", dtype, _DTYPES)
    if not isinstance(rng, (np.random.Generator, np.random.SeedSequence)):
        integer("rng", rng, minimum=0)
    if resume is not None:
        dtype, form = check_resumable(resume, problem, rule, initial, dtype, form)
    functions = resolve(problem, observe if resume is None or observe is not None else tuple(resume))
    _check_stop(stop, functions, problem)
    save = _checked_save(save, resume)
    with _threads(problem):
        if isinstance(rule, GradientFlow):
            if steps is not None:
                raise InputError("a gradient flow runs for a time, not for steps", f"steps={steps!r}", "pass time=")
            if dtype != "float64":
                raise InputError("a gradient flow is integrated in float64", f"dtype={dtype!r}", "leave dtype out")
            end = real("time", time, least=0.0, cure="pass time= in units of the flow")
            run = run_flow(
                problem, rule, save or logarithmic(_FLOW_POINTS), end, functions, stop, initial, form, progress, resume
            )
        else:
            last = _last_step(rule, steps, time)
            clock = Clock(_learning_rate(rule))
            generator = None
            if getattr(rule, "stochastic", False):
                generator = generator_from(resume) if resume is not None else random_stream(rng)
            start = resume.restart.arrays.get("initial") if resume is not None else initial
            system = _system(problem, rule, form, start, dtype, generator)
            run = run_steps(
                problem, rule, system, clock, functions, save or every(1), stop, last, _seed_name(rng), generator,
                start, dtype, progress, resume,
            )  # fmt: skip
        if estimate_error:
            run.error  # noqa: B018  (computed here, kept by the run)
    return run


def _threads(problem: Any) -> AbstractContextManager[Any]:
    """Return the context that keeps BLAS in one thread for a memory; problems of your own use theirs as they like."""
    if isinstance(problem, AssociativeMemory):
        return one_thread(problem.n_tokens, problem.n_classes, problem.dim)
    return nullcontext()


def _system(
    problem: Any, rule: Any, form: str | None, initial: Any, dtype: str, generator: np.random.Generator | None
) -> System:
    offered = getattr(problem, "system", None)
    system: System | None = None
    if offered is not None:
        system = offered(rule, form=form, initial=initial, dtype=dtype, generator=generator)
    if system is None:
        for name in ("initial_weights", "loss_and_gradient"):
            if not callable(getattr(problem, name, None)):
                raise InputError(
                    f"{type(problem).__name__} is not a problem", f"it has no method {name}()",
                    "a problem needs initial_weights() and loss_and_gradient(weights)",
                )  # fmt: skip
        if form not in (None, "weights"):
            raise InputError(f"{type(rule).__name__} moves {type(problem).__name__} in weights only", f"form={form!r}")
        system = PlainSystem(problem, rule, initial, dtype)
    return system


def _learning_rate(rule: Any) -> Any:
    constant = getattr(rule, "learning_rate", None)
    if constant is not None and (callable(constant) or isinstance(constant, float)):
        return constant
    return getattr(rule, "rate", 1.0 if constant is None else float(constant))


def _last_step(rule: Any, steps: int | None, time: float | None) -> int:
    if time is not None and isinstance(rule, StochasticGradientFlow) and steps is None:
        count = real("time", time, least=0.0) / rule.dt
        if abs(count - round(count)) > 1e-9 * max(count, 1.0):
            raise InputError("time must be a whole number of dt", f"time={time}, dt={rule.dt}", "pass steps=")
        return round(count)
    if time is not None:
        raise InputError(
            f"{type(rule).__name__} moves in steps, not for a time", f"time={time!r}",
            "pass steps=; run.time holds the sum of the learning rates",
        )  # fmt: skip
    if steps is None:
        raise InputError(f"{type(rule).__name__} needs steps=", None, "pass steps=; stop= may end the run before them")
    return integer("steps", steps, minimum=0)


def _check_stop(stop: When | None, functions: Mapping[str, Any], problem: Any) -> None:
    if stop is None:
        return
    if not isinstance(stop, When):
        raise InputError("stop must be a condition", repr(stop), 'such as when("accuracy", ">=", 1.0)')
    if stop.name not in functions and stop.name not in known_observables(problem):
        raise unknown_name("observable of the stop condition", stop.name, {*functions, *known_observables(problem)})


def _checked_save(save: Any, resume: Trajectory | None) -> Grid | None:
    if save is None:
        return grid_from(resume) if resume is not None else None
    if not isinstance(save, (Every, Logarithmic, At)):
        raise InputError("save must be a grid of points", repr(save), "pass every(k), logarithmic(n) or at([...])")
    return save


def _seed_name(rng: Any) -> str:
    if isinstance(rng, np.random.SeedSequence):
        return f"SeedSequence({rng.entropy}, spawn_key={rng.spawn_key})"
    return type(rng.bit_generator).__name__ + " generator" if isinstance(rng, np.random.Generator) else str(rng)
