"""What an expert JAX user writes: whole loops in one compiled function, in the form of the state that pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import traindyn as td

Run = Callable[[], np.ndarray]


def _loss(memory: td.AssociativeMemory, dtype: str) -> Callable[[Any], Any]:
    inputs, outputs = jnp.asarray(memory.inputs, dtype), jnp.asarray(memory.outputs, dtype)
    p, targets = jnp.asarray(memory.frequencies, dtype), jnp.asarray(memory.targets)
    tokens = jnp.arange(memory.n_tokens)

    def loss(weights: Any) -> Any:
        scores = (inputs @ weights.T) @ outputs.T
        return (p * (jax.nn.logsumexp(scores, 1) - scores[tokens, targets])).sum()

    return loss


def autodiff(memory: td.AssociativeMemory, rate: float, steps: int, dtype: str) -> Run:
    """Descent on W by `jax.grad` inside `lax.scan`."""
    gradient = jax.grad(_loss(memory, dtype))
    step = jnp.asarray(rate, dtype)

    @jax.jit
    def run(weights: Any) -> Any:
        return jax.lax.scan(lambda w, _: (w - step * gradient(w), None), weights, None, length=steps)[0]

    start = jnp.zeros((memory.dim, memory.dim), dtype)
    return lambda: np.asarray(run(start).block_until_ready())


def particles(memory: td.AssociativeMemory, rate: float, steps: int, dtype: str, unroll: int = 8) -> Run:
    """Descent on the scores with both Gram matrices, the scan unrolled."""
    left, right = jnp.asarray(memory.input_gram, dtype), jnp.asarray(memory.output_gram, dtype)
    onehot = jax.nn.one_hot(memory.targets, memory.n_classes, dtype=dtype)
    p = jnp.asarray(memory.frequencies, dtype)[:, None]
    step = jnp.asarray(rate, dtype)

    def body(scores: Any, _: Any) -> Any:
        return scores - step * (left @ (p * (jax.nn.softmax(scores, -1) - onehot)) @ right), None

    run = jax.jit(lambda s: jax.lax.scan(body, s, None, length=steps, unroll=unroll)[0])
    start = jnp.zeros((memory.n_tokens, memory.n_classes), dtype)
    return lambda: np.asarray(run(start).block_until_ready())


def batch_autodiff(memory: td.AssociativeMemory, rates: np.ndarray, steps: int, dtype: str) -> Run:
    """Many runs with different rates: `vmap` over a scan of `jax.grad`; return the final scores (R, N, M)."""
    gradient = jax.grad(_loss(memory, dtype))
    start = jnp.zeros((memory.dim, memory.dim), dtype)

    def one(rate: Any) -> Any:
        return jax.lax.scan(lambda w, _: (w - rate * gradient(w), None), start, None, length=steps)[0]

    run, given = jax.jit(jax.vmap(one)), jnp.asarray(rates, dtype)

    def call() -> np.ndarray:
        final = np.asarray(run(given).block_until_ready(), np.float64)
        return np.einsum("ia,rba,jb->rij", memory.inputs, final, memory.outputs, optimize=True)

    return call


def batch_particles(memory: td.AssociativeMemory, rates: np.ndarray, steps: int, dtype: str) -> Run:
    """Many runs with different rates, on the scores, one batched scan."""
    left, right = jnp.asarray(memory.input_gram, dtype), jnp.asarray(memory.output_gram, dtype)
    onehot = jax.nn.one_hot(memory.targets, memory.n_classes, dtype=dtype)
    p = jnp.asarray(memory.frequencies, dtype)[:, None]
    rate = jnp.asarray(rates, dtype)[:, None, None]

    def body(scores: Any, _: Any) -> Any:
        return scores - rate * (left @ (p * (jax.nn.softmax(scores, -1) - onehot)) @ right), None

    run = jax.jit(lambda s: jax.lax.scan(body, s, None, length=steps)[0])
    start = jnp.zeros((rates.size, memory.n_tokens, memory.n_classes), dtype)
    return lambda: np.asarray(run(start).block_until_ready())


def two_token_steps(rate: np.ndarray, correlation: np.ndarray, first: np.ndarray, cap: int, block: int = 64) -> Run:
    """Steps until both margins are positive: blocks of lanes, each with a while loop of its own."""

    def one(values: Any) -> Any:
        eta, alpha, p = values
        pull, push = 2.0 * eta * p, 2.0 * eta * (1.0 - p)

        def body(state: Any) -> Any:
            step, a, b = state
            x, y = pull / (1.0 + jnp.exp(a)), push / (1.0 + jnp.exp(b))
            return step + 1, a + (x - alpha * y), b + (y - alpha * x)

        def go_on(state: Any) -> Any:
            step, a, b = state
            return ((a <= 0.0) | (b <= 0.0)) & (step < cap)

        step, a, b = jax.lax.while_loop(go_on, body, (0, 0.0, 0.0))
        return jnp.where((a > 0.0) & (b > 0.0), step, -1)

    size = rate.size
    padded = -(-size // block) * block
    arrays = [jnp.asarray(np.resize(array, padded)).reshape(-1, block) for array in (rate, correlation, first)]
    run = jax.jit(lambda values: jax.lax.map(jax.vmap(one), values))
    return lambda: np.asarray(run(tuple(arrays)).block_until_ready()).reshape(-1)[:size]


def lanczos(memory: td.AssociativeMemory, weights: np.ndarray, start: np.ndarray, products: int, dtype: str) -> Run:
    """Largest eigenvalue of the Hessian: linearised gradient, Lanczos with full reorthogonalisation, one function."""
    gradient = jax.grad(_loss(memory, dtype))
    dim = memory.dim

    @jax.jit
    def run(w: Any, x: Any) -> Any:
        _, apply = jax.linearize(gradient, w)
        basis = jnp.zeros((products + 1, dim * dim), dtype).at[0].set((x / jnp.linalg.norm(x)).ravel())

        def body(k: Any, state: Any) -> Any:
            vectors, diagonal, off = state
            y = apply(vectors[k].reshape(dim, dim)).ravel()
            along = y @ vectors[k]
            y = y - vectors.T @ (vectors @ y)
            y = y - vectors.T @ (vectors @ y)
            length = jnp.linalg.norm(y)
            return vectors.at[k + 1].set(y / length), diagonal.at[k].set(along), off.at[k].set(length)

        zeros = jnp.zeros(products, dtype)
        _, diagonal, off = jax.lax.fori_loop(0, products, body, (basis, zeros, zeros))
        matrix = jnp.diag(diagonal) + jnp.diag(off[:-1], 1) + jnp.diag(off[:-1], -1)
        return jnp.linalg.eigvalsh(matrix)[-1]

    w, x = jnp.asarray(weights, dtype), jnp.asarray(start, dtype)
    return lambda: np.asarray(run(w, x).block_until_ready())


def products(memory: td.AssociativeMemory, weights: np.ndarray, direction: np.ndarray, count: int, dtype: str) -> Run:
    """`count` Hessian-vector products of the linearised gradient, each applied to the one before, normalised."""
    gradient = jax.grad(_loss(memory, dtype))

    @jax.jit
    def run(w: Any, x: Any) -> Any:
        _, apply = jax.linearize(gradient, w)
        return jax.lax.fori_loop(0, count, lambda _, v: (lambda y: y / jnp.linalg.norm(y))(apply(v)), x)

    w, x = jnp.asarray(weights, dtype), jnp.asarray(direction, dtype)
    return lambda: np.asarray(run(w, x).block_until_ready())


def spectrum(memory: td.AssociativeMemory, weights: np.ndarray) -> Run:
    """All eigenvalues: `jax.hessian` and `eigvalsh`."""
    loss = _loss(memory, "float64")
    size = memory.dim**2
    run = jax.jit(lambda w: jnp.linalg.eigvalsh(jax.hessian(loss)(w).reshape(size, size)))
    w = jnp.asarray(weights)
    return lambda: np.asarray(run(w).block_until_ready())
