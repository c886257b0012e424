"""The silver step sizes on quadratics: a problem, a rule, an observable and claims for traindyn."""

from .problem import Quadratic, distance
from .rule import SilverDescent, silver_step

__all__ = ["Quadratic", "SilverDescent", "distance", "silver_step"]
