"""Memories with a normalisation in motion: W, and the gain where it is trained, in compiled slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError
from .descent_work import constant
from .parameter_system import ParameterSystem, is_moved
from .stochastic import GradientNoise


def normalised_system(
    problem: Any,
    rule: Any,
    form: str | None,
    initial: Any,
    dtype: str,
    generator: np.random.Generator | None,
) -> NormalisedSystem | None:
    """Return the system of a memory with a normalisation under a rule of the package; None for any other rule.

    Raises: InputError for gradient noise under batch normalisation, whose tokens have no gradients of their own.
    """
    if not is_moved(problem, rule, form):
        return None
    if problem.normalisation == "batch" and isinstance(getattr(rule, "noise", None), GradientNoise):
        raise InputError(
            "gradient noise is that of the gradients of single tokens, which batch normalisation mixes", rule.noise,
            "draw batches with StochasticGradientDescent, or take another normalisation",
        )  # fmt: skip
    return NormalisedSystem(problem, rule, initial, dtype, generator)


class NormalisedSystem(ParameterSystem):
    """W (d, d), and below it the row of a trained gain."""

    def __init__(
        self, problem: Any, rule: Any, initial: Any, dtype: str, generator: np.random.Generator | None
    ) -> None:
        from ..kernels.cpu.normalised import FURTHER, KINDS, Embeddings, Places, normalised_slice

        super().__init__(problem, rule, initial, dtype, generator, FURTHER)
        self._slice = normalised_slice
        n_tokens, n_classes, dim = problem.n_tokens, problem.n_classes, problem.dim
        tokens, table = (n_tokens, dim), (n_tokens, n_classes)
        hidden, normal, pulled, scores, residual, gradient = (
            np.empty(shape, dtype) for shape in (tokens, tokens, tokens, table, table, self._parameters.shape)
        )
        inputs, outputs = (constant(array, dtype) for array in (problem.memory.inputs, problem.memory.outputs))
        self._arguments = (
            self._parameters, self._velocity, self._momentum, self._adaptation, KINDS[problem.normalisation],
            problem.gain, problem.epsilon, Embeddings(inputs, outputs, problem.targets, problem.frequencies),
            Places(hidden, normal, np.empty(max(tokens)), pulled, scores, residual, gradient), self._rows,
        )  # fmt: skip
        products = 4 * n_tokens * dim * (dim + n_classes)
        self.seconds_per_step = 3e-7 + 5e-11 * products + 3e-9 * n_tokens * (n_classes + dim)
