"""traindyn: solve, simulate and check the training dynamics of small models.

The names below are imported on first use, so that ``import traindyn`` stays light.

>>> import traindyn as td
>>> memory = td.AssociativeMemory.two_tokens(correlation=0.95, frequencies=(0.75, 0.25))
>>> run = td.simulate(memory, td.GradientDescent(learning_rate=10.0), steps=35)
>>> float(run["accuracy"][-1])
1.0
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from traindyn import analytics, dynamics, kernels, validation
    from traindyn.analytics import accuracy_optimum, minimise
    from traindyn.dynamics import (
        Adam,
        AdamW,
        AssociativeMemory,
        BlockMemory,
        Cube,
        FactorisedMemory,
        GradientDescent,
        GradientFlow,
        GradientNoise,
        NormalisedMemory,
        Recipe,
        Status,
        StochasticGradientDescent,
        StochasticGradientFlow,
        Trajectory,
        at,
        every,
        logarithmic,
        schedules,
        simulate,
        sweep,
        when,
    )
    from traindyn.errors import TraindynError
    from traindyn.validation import Assumption, Claim, Outcome, Verdict
    from traindyn.validation.check import check
    from traindyn.validation.figures import figure, figures
    from traindyn.validation.papers import cite
    from traindyn.validation.registry import claims
    from traindyn.validation.verify import verify

__version__ = "0.1.0"

_SUBPACKAGES = ("analytics", "dynamics", "kernels", "validation")
_HOME = {
    "traindyn.errors": ("TraindynError",),
    "traindyn.analytics": ("accuracy_optimum", "minimise"),
    "traindyn.dynamics": (
        "Adam", "AdamW", "AssociativeMemory", "BlockMemory", "Cube", "FactorisedMemory", "GradientDescent",
        "GradientFlow", "GradientNoise", "NormalisedMemory", "Recipe", "Status", "StochasticGradientDescent",
        "StochasticGradientFlow", "Trajectory", "at", "every", "logarithmic", "schedules", "simulate", "sweep", "when",
    ),
    "traindyn.validation": ("Assumption", "Claim", "Outcome", "Verdict"),
    "traindyn.validation.check": ("check",),
    "traindyn.validation.figures": ("figure", "figures"),
    "traindyn.validation.papers": ("cite",),
    "traindyn.validation.registry": ("claims",),
    "traindyn.validation.verify": ("verify",),
}  # fmt: skip
_LAZY = {name: home for home, names in _HOME.items() for name in names}

__all__ = [
    "Adam",
    "AdamW",
    "AssociativeMemory",
    "Assumption",
    "BlockMemory",
    "Claim",
    "Cube",
    "FactorisedMemory",
    "GradientDescent",
    "GradientFlow",
    "GradientNoise",
    "NormalisedMemory",
    "Outcome",
    "Recipe",
    "Status",
    "StochasticGradientDescent",
    "StochasticGradientFlow",
    "TraindynError",
    "Trajectory",
    "Verdict",
    "accuracy_optimum",
    "analytics",
    "at",
    "check",
    "cite",
    "claims",
    "dynamics",
    "every",
    "figure",
    "figures",
    "kernels",
    "logarithmic",
    "minimise",
    "schedules",
    "simulate",
    "sweep",
    "validation",
    "verify",
    "when",
]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"traindyn.{name}")
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({"__version__", *__all__})
