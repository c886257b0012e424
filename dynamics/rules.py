"""The rules of motion: every one is a frozen dataclass, checked when it is made."""

from __future__ import annotations

from .adaptive import Adam, AdamW
from .descent import GradientDescent, GradientFlow
from .stochastic import GradientNoise, StochasticGradientDescent, StochasticGradientFlow

__all__ = [
    "Adam",
    "AdamW",
    "GradientDescent",
    "GradientFlow",
    "GradientNoise",
    "StochasticGradientDescent",
    "StochasticGradientFlow",
]
