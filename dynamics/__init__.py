"""Problems, rules and `simulate`: what is learned, how it moves, and what is seen of it.

>>> from traindyn.dynamics import AssociativeMemory, GradientDescent, simulate
>>> run = simulate(AssociativeMemory.two_tokens(), GradientDescent(learning_rate=10.0), steps=35)
>>> run["loss"].shape
(36,)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import cabannes2024, schedules
    from .associative_memory import AssociativeMemory
    from .cube import Cube
    from .factorised import BlockMemory, FactorisedMemory
    from .fan_out import SweepStopped
    from .measures import MEASURES, Measure
    from .normalised import NormalisedMemory
    from .problem import Problem, Rule, State
    from .recipe import Recipe
    from .rules import (
        Adam,
        AdamW,
        GradientDescent,
        GradientFlow,
        GradientNoise,
        StochasticGradientDescent,
        StochasticGradientFlow,
    )
    from .saving import at, every, logarithmic
    from .simulation import simulate
    from .status import Status
    from .stopping import when
    from .sweep_estimate import Estimate
    from .sweeping import sweep
    from .torch_normals import TorchNormals
    from .trajectory import Trajectory

_HOME = {
    "associative_memory": ("AssociativeMemory",),
    "cube": ("Cube",),
    "factorised": ("BlockMemory", "FactorisedMemory"),
    "fan_out": ("SweepStopped",),
    "measures": ("MEASURES", "Measure"),
    "normalised": ("NormalisedMemory",),
    "problem": ("Problem", "Rule", "State"),
    "recipe": ("Recipe",),
    "rules": (
        "Adam", "AdamW", "GradientDescent", "GradientFlow", "GradientNoise", "StochasticGradientDescent",
        "StochasticGradientFlow",
    ),
    "saving": ("at", "every", "logarithmic"),
    "simulation": ("simulate",),
    "status": ("Status",),
    "stopping": ("when",),
    "sweep_estimate": ("Estimate",),
    "sweeping": ("sweep",),
    "torch_normals": ("TorchNormals",),
    "trajectory": ("Trajectory",),
}  # fmt: skip
_MODULES = ("cabannes2024", "schedules")
_LAZY = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "MEASURES",
    "Adam",
    "AdamW",
    "AssociativeMemory",
    "BlockMemory",
    "Cube",
    "Estimate",
    "FactorisedMemory",
    "GradientDescent",
    "GradientFlow",
    "GradientNoise",
    "Measure",
    "NormalisedMemory",
    "Problem",
    "Recipe",
    "Rule",
    "State",
    "Status",
    "StochasticGradientDescent",
    "StochasticGradientFlow",
    "SweepStopped",
    "TorchNormals",
    "Trajectory",
    "at",
    "cabannes2024",
    "every",
    "logarithmic",
    "schedules",
    "simulate",
    "sweep",
    "when",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY:
        value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
