"""Figures: drawn from simulations, written with their data and where they come from.

One module draws one figure; `figures()` lists what the modules of this package define.
"""

from __future__ import annotations

from .catalogue import figure, figures
from .definition import Definition, FigureFiles, Numbers

__all__ = ["Definition", "FigureFiles", "Numbers", "figure", "figures"]
