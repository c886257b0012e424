"""Learning rates that depend on the step: frozen, picklable callables step -> rate.

A rule takes any of them, or a function of your own, as its `learning_rate`; step t is the one from index t to t + 1.

>>> from traindyn.dynamics import GradientDescent, schedules
>>> rule = GradientDescent(learning_rate=schedules.linear_warmup(10.0, steps=100))
>>> rule.rate(0), rule.rate(49), rule.rate(1000)
(0.1, 5.0, 10.0)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import InputError, TraindynError
from .failing import failure
from .numbers import integer, real

__all__ = ["constant", "cosine", "inverse_time", "linear_warmup", "step_decay"]

LearningRate: TypeAlias = float | Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    rate: float

    def __call__(self, step: int) -> float:
        return self.rate


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `rate` to `final`, then `final`."""

    rate: float
    steps: int
    final: float

    def __call__(self, step: int) -> float:
        if step >= self.steps:
            return self.final
        return self.final + (self.rate - self.final) * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True)
class LinearWarmup:
    """rate (t + 1) / steps up to `rate`; then the schedule that follows, counted from there."""

    rate: float
    steps: int
    then: LearningRate | None = None

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return self.rate * (step + 1) / self.steps
        if self.then is None:
            return self.rate
        return self.then(step - self.steps) if callable(self.then) else self.then


@dataclass(frozen=True)
class StepDecay:
    """rate factor^(t // every)."""

    rate: float
    every: int
    factor: float

    def __call__(self, step: int) -> float:
        return self.rate * self.factor ** (step // self.every)


@dataclass(frozen=True)
class InverseTime:
    """rate / (1 + t / scale)^power."""

    rate: float
    scale: float
    power: float

    def __call__(self, step: int) -> float:
        return self.rate / (1.0 + step / self.scale) ** self.power  # type: ignore[no-any-return]


def constant(rate: float) -> Constant:
    """Return the schedule that is `rate` at every step; `rate` alone does the same and is faster.

    >>> constant(0.5)(10)
    0.5
    """
    return Constant(real("rate", rate, above=0.0))


def cosine(rate: float, steps: int, final: float = 0.0) -> Cosine:
    r"""Return $final + (rate - final) (1 + \cos(\pi t / steps)) / 2$, and `final` from `steps` on.

    >>> cosine(2.0, steps=10)(5)
    1.0
    """
    return Cosine(real("rate", rate, above=0.0), integer("steps", steps, minimum=1), real("final", final, least=0.0))


def linear_warmup(rate: float, steps: int, then: LearningRate | None = None) -> LinearWarmup:
    """Return rate (t + 1) / steps for t < steps; afterwards `rate`, or the schedule `then` counted from there.

    >>> linear_warmup(1.0, steps=4, then=cosine(1.0, steps=100))(4)
    1.0
    """
    following = then if then is None or callable(then) else real("then", then, above=0.0)
    return LinearWarmup(real("rate", rate, above=0.0), integer("steps", steps, minimum=1), following)


def step_decay(rate: float, every: int, factor: float = 0.1) -> StepDecay:
    """Return rate factor^(t // every).

    >>> step_decay(8.0, every=10, factor=0.5)(20)
    2.0
    """
    return StepDecay(
        real("rate", rate, above=0.0), integer("every", every, minimum=1), real("factor", factor, above=0.0)
    )


def inverse_time(rate: float, scale: float = 1.0, power: float = 1.0) -> InverseTime:
    """Return rate / (1 + t / scale)^power.

    >>> inverse_time(6.0)(2)
    2.0
    """
    return InverseTime(real("rate", rate, above=0.0), real("scale", scale, above=0.0), real("power", power, least=0.0))


def checked_learning_rate(value: LearningRate) -> LearningRate:
    """Return a positive float, or the callable as it is, or raise InputError."""
    if callable(value):
        return value
    return real("learning_rate", value, above=0.0, cure="pass learning_rate > 0 or a schedule step -> rate")


def rate_at(learning_rate: LearningRate, step: int) -> float:
    """Return the rate of one step; a schedule's value is checked: finite and >= 0."""
    if not callable(learning_rate):
        return learning_rate
    try:
        returned: object = learning_rate(step)
    except TraindynError:
        raise
    except Exception as error:
        name = getattr(learning_rate, "__qualname__", type(learning_rate).__qualname__)
        raise failure(f"the schedule {name}", f"at step {step}", error) from error
    try:
        # float() would take a text and a truth value
        if isinstance(returned, (str, bytes, bool)):
            raise TypeError
        rate = float(returned)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError("a schedule must return a number", f"{returned!r} at step {step}") from None
    if not 0.0 <= rate < math.inf:
        raise InputError("a schedule must return finite rates >= 0", f"{rate} at step {step}")
    return rate


def stable_digest(value: Any) -> str:
    """Return a SHA-256 of a rule, schedule or plain value, the same in every process.

    Floats enter by their bits, dataclasses field by field, functions by their name and compiled code.
    """
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, float):
        return value.hex()
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_canonical(item)}" for key, item in sorted(value.items())) + "}"
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    code = getattr(value, "__code__", None)
    if code is not None:
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        constants = [item for item in code.co_consts if isinstance(item, (bool, int, float, str, bytes, tuple))]
        parts = [value.__module__, value.__qualname__, code.co_code, constants, list(code.co_names), cells]
        return f"function({_canonical(parts)},{_canonical(list(value.__defaults__ or ()))})"
    if hasattr(value, "tobytes"):
        return f"{kind}{getattr(value, 'shape', ())}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(getattr(value, "digest", None), str):
        return f"{kind}({value.digest})"
    return f"{kind}({_canonical(vars(value) if hasattr(value, '__dict__') else repr(value))})"
