"""Compiled arithmetic: arrays in, arrays out; knows no model, no theorem and no file.

Every function takes arrays of float64 or of float32 (or lists), checks them, and runs compiled on the CPU. The same
names in `traindyn.kernels.reference` are the NumPy twins, the equations as printed. numba is loaded by the first call.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import cpu, reference, sweeps
    from .factorised import factorised_gradient
    from .functions import (
        Eigenpair,
        Spectrum,
        accuracy,
        hessian,
        hessian_spectrum,
        hessian_vector_product,
        largest_eigenvalue,
        loss,
        margins,
        particle_step,
        scores,
        sharpness,
        softmax_gradient,
    )
    from .normalised import normalised_gradient
    from .operations import OPERATIONS, Operation

_HOME = {
    "factorised": ("factorised_gradient",),
    "normalised": ("normalised_gradient",),
    "functions": (
        "Eigenpair", "Spectrum", "accuracy", "hessian", "hessian_spectrum", "hessian_vector_product",
        "largest_eigenvalue", "loss", "margins", "particle_step", "scores", "sharpness", "softmax_gradient",
    ),
    "operations": ("OPERATIONS", "Operation"),
}  # fmt: skip
_LAZY = {name: home for home, names in _HOME.items() for name in names}

__all__ = [
    "OPERATIONS",
    "Eigenpair",
    "Operation",
    "Spectrum",
    "accuracy",
    "cpu",
    "factorised_gradient",
    "hessian",
    "hessian_spectrum",
    "hessian_vector_product",
    "largest_eigenvalue",
    "loss",
    "margins",
    "normalised_gradient",
    "particle_step",
    "reference",
    "scores",
    "sharpness",
    "softmax_gradient",
    "sweeps",
]


def __getattr__(name: str) -> Any:
    if name in ("cpu", "reference", "sweeps"):
        return importlib.import_module(f".{name}", __name__)
    if name in _LAZY:
        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
