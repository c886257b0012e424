"""Figures: drawn from simulations, written with their data and where they come from.

One module draws one figure; `figures()` lists what the modules of this package and of `validation.experiments` define.
"""

from __future__ import annotations

from .catalogue import figures
from .definition import Definition, Numbers
from .drawing import FigureFiles, figure
from .finding import Finding, judged
from .request import Request

__all__ = ["Definition", "FigureFiles", "Finding", "Numbers", "Request", "figure", "figures", "judged"]
