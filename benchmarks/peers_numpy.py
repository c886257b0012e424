"""What a careful NumPy user writes."""

from __future__ import annotations

import numpy as np

import traindyn as td


def weights(memory: td.AssociativeMemory, rate: float, steps: int, dtype: str) -> np.ndarray:
    """Full-batch descent on W."""
    inputs, outputs = memory.inputs.astype(dtype), memory.outputs.astype(dtype)
    p = memory.frequencies.astype(dtype)
    tokens = np.arange(memory.n_tokens)
    state = np.zeros((memory.dim, memory.dim), dtype)
    rate = inputs.dtype.type(rate)
    for _ in range(steps):
        scores = (inputs @ state.T) @ outputs.T
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores *= (p / scores.sum(axis=1))[:, None]
        scores[tokens, memory.targets] -= p
        state = state - rate * ((scores @ outputs).T @ inputs)
    return state


def two_token_steps(rate: np.ndarray, correlation: np.ndarray, first: np.ndarray, cap: int) -> np.ndarray:
    """Steps until both margins are positive, over arrays of settings, with the finished ones dropped as they finish."""
    count = np.full(rate.size, -1, np.int64)
    alive = np.arange(rate.size)
    pull, push = 2.0 * rate * first, 2.0 * rate * (1.0 - first)
    alpha = correlation.copy()
    one, two = np.zeros(rate.size), np.zeros(rate.size)
    for step in range(1, cap + 1):
        a = pull / (1.0 + np.exp(one))
        b = push / (1.0 + np.exp(two))
        one += a - alpha * b
        two += b - alpha * a
        done = (one > 0.0) & (two > 0.0)
        if done.any():
            count[alive[done]] = step
            keep = ~done
            alive, pull, push, alpha = alive[keep], pull[keep], push[keep], alpha[keep]
            one, two = one[keep], two[keep]
            if not alive.size:
                break
    return count
