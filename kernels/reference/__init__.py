"""NumPy twins of the kernels: the equations as printed, obviously right, slow.

The functions have the names and arguments of those in `traindyn.kernels`, check nothing, and take arrays only.
"""

from .accuracy import accuracy
from .factorised_gradient import factorised_gradient
from .hessian import hessian
from .hessian_spectrum import hessian_spectrum
from .hessian_vector_product import hessian_vector_product
from .largest_eigenvalue import largest_eigenvalue
from .loss import loss
from .margins import margins
from .normalised_gradient import normalised_gradient
from .particle_step import particle_step
from .scores import scores
from .sharpness import sharpness
from .softmax_gradient import softmax_gradient
from .two_token_descent import two_token_descent

__all__ = [
    "accuracy",
    "factorised_gradient",
    "hessian",
    "hessian_spectrum",
    "hessian_vector_product",
    "largest_eigenvalue",
    "loss",
    "margins",
    "normalised_gradient",
    "particle_step",
    "scores",
    "sharpness",
    "softmax_gradient",
    "two_token_descent",
]
