"""What a PyTorch user writes. `torch.compile` never gained more than a tenth here and takes minutes to compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import traindyn as td

Run = Callable[[], np.ndarray]


def _tensors(memory: td.AssociativeMemory, dtype: str) -> tuple[Any, Any, Any, Any]:
    real = getattr(torch, dtype)
    arrays = (memory.inputs, memory.outputs, memory.frequencies)
    inputs, outputs, p = (torch.tensor(np.array(array), dtype=real) for array in arrays)
    return inputs, outputs, p, torch.tensor(np.array(memory.targets))


def hand_written(memory: td.AssociativeMemory, rate: float, steps: int, dtype: str) -> Run:
    """Descent on W with the gradient written out, in inference mode."""
    inputs, outputs, p, targets = _tensors(memory, dtype)
    tokens = torch.arange(memory.n_tokens)

    def run() -> np.ndarray:
        with torch.inference_mode():
            weights = torch.zeros(memory.dim, memory.dim, dtype=inputs.dtype)
            for _ in range(steps):
                scores = torch.softmax((inputs @ weights.T) @ outputs.T, 1)
                scores[tokens, targets] -= 1.0
                scores *= p[:, None]
                weights = weights - rate * ((scores @ outputs).T @ inputs)
            return weights.numpy()

    return run


def autograd(memory: td.AssociativeMemory, rate: float, steps: int, dtype: str) -> Run:
    """Descent on W with autograd."""
    inputs, outputs, p, targets = _tensors(memory, dtype)

    def run() -> np.ndarray:
        weights = torch.zeros(memory.dim, memory.dim, dtype=inputs.dtype, requires_grad=True)
        for _ in range(steps):
            scores = (inputs @ weights.T) @ outputs.T
            loss = (torch.nn.functional.cross_entropy(scores, targets, reduction="none") * p).sum()
            (gradient,) = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                weights.sub_(gradient, alpha=rate)
        return weights.detach().numpy()

    return run


def power_iteration(memory: td.AssociativeMemory, weights: np.ndarray, start: np.ndarray, tolerance: float) -> Run:
    """Largest eigenvalue by power iteration on forward-over-reverse products, as in common sharpness tools."""
    inputs, outputs, p, targets = _tensors(memory, "float64")

    def loss(w: Any) -> Any:
        scores = (inputs @ w.T) @ outputs.T
        return (torch.nn.functional.cross_entropy(scores, targets, reduction="none") * p).sum()

    gradient = torch.func.grad(loss)
    w, first = torch.tensor(np.array(weights)), torch.tensor(np.array(start))

    def run() -> np.ndarray:
        x, value = first / first.norm(), 0.0
        for _ in range(2000):
            y = torch.func.jvp(gradient, (w,), (x,))[1]
            new = float((x * y).sum())
            x = y / y.norm()
            if abs(new - value) < 0.1 * tolerance * abs(new):
                break
            value = new
        return np.array(new)

    return run
