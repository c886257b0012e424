"""Curvature: Hessian-vector products, the largest eigenvalue cold and warm, the whole spectrum."""

from __future__ import annotations

import functools

import numpy as np
from limits import least_seconds
from timing import Row, absent, interleaved

import traindyn as td

STEPS, RATE = 60, 5.0
# N = M, d, products of the JAX peer, our tolerance of the residual for the same error, rounds
SIZES = ((100, 16, 10, 1e-4, 7), (1000, 256, 8, 1e-2, 5))


def _states(memory: td.AssociativeMemory) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights one step before, and at, the step that is looked at."""
    rule = td.GradientDescent(RATE)
    run = lambda steps: td.simulate(memory, rule, steps=steps, save=td.at([]), observe=("loss",)).final  # noqa: E731
    return run(STEPS - 1), run(STEPS)


def rows(threads: int) -> list[Row]:
    """Time one eigenvalue, one product, one spectrum."""
    out = []
    for size, dim, products, tolerance, rounds in SIZES:
        memory = td.AssociativeMemory.random(size, size, dim, embedding="gaussian", frequencies="zipf", rng=1)
        before, weights = _states(memory)
        start = np.random.default_rng(0).standard_normal((dim, dim))
        problem = (memory.inputs, memory.outputs, memory.targets, memory.frequencies)
        exact = td.kernels.largest_eigenvalue(weights, *problem, tolerance=1e-12)
        out += _eigenvalue(memory, weights, before, start, exact.value, products, tolerance, rounds, threads)
        for dtype in ("float64", "float32"):
            out += _product(memory, weights, exact.vector, dtype, threads)
        if dim <= 16:
            out += _spectrum(memory, weights, threads)
    return out


def _eigenvalue(
    memory: td.AssociativeMemory, weights: np.ndarray, before: np.ndarray, start: np.ndarray, exact: float,
    products: int, tolerance: float, rounds: int, threads: int,
) -> list[Row]:  # fmt: skip
    problem = (memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    vector = td.kernels.largest_eigenvalue(before, *problem, tolerance=tolerance).vector
    find = functools.partial(td.kernels.largest_eigenvalue, weights, *problem, tolerance=tolerance)
    ours = {
        "cold": lambda: find().value,
        "warm, from the step before": lambda: find(start=vector).value,
    }
    work = f"largest eigenvalue, N=M={memory.n_tokens} d={memory.dim}"
    runs, missing = {}, []
    try:
        import peers_jax

        name = f"JAX linearize and Lanczos, {products} products"
        runs[name] = peers_jax.lanczos(memory, weights, start, products, "float64")
    except ImportError:
        missing.append(absent(work, "JAX", "jax", threads))
    try:
        import peers_torch

        if memory.dim <= 16 or threads == 1:
            runs["PyTorch, power iteration"] = peers_torch.power_iteration(memory, weights, start, 1e-4)
    except ImportError:
        missing.append(absent(work, "PyTorch", "torch", threads))
    out = []
    for kind, call in ours.items():
        others = runs if kind == "cold" else {name: run for name, run in runs.items() if "JAX" in name}
        errors = {name: abs(float(run()) / exact - 1) for name, run in ({"ours": call} | others).items()}
        found = find() if kind == "cold" else find(start=vector)
        note = f"{found.products} products; relative errors: " + ", ".join(f"{k} {e:.0e}" for k, e in errors.items())
        out += interleaved(f"{work}, {kind}", {"largest_eigenvalue": call} | others, rounds, 1.0, threads, note)
    return out + missing


def _product(
    memory: td.AssociativeMemory, weights: np.ndarray, direction: np.ndarray, dtype: str, threads: int
) -> list[Row]:  # fmt: skip
    """A call of ours computes the probabilities too, as its arguments do not hold them; JAX shares them by eight."""
    cast = [np.asarray(array, dtype) for array in (weights, direction, memory.inputs, memory.outputs)]
    p = memory.frequencies.astype(dtype)
    apply = functools.partial(td.kernels.hessian_vector_product, *cast, memory.targets, p / p.sum())
    n, dim = memory.n_tokens, memory.dim
    work = f"one Hessian-vector product, N=M={n} d={dim}, {dtype}"
    limit = least_seconds(6.0 * n * n * dim + 6.0 * n * dim * dim, 0.0, dtype, threads)
    out = interleaved(work, {"hessian_vector_product": apply}, 5, 1.0, threads, limit=limit)
    try:
        import peers_jax
    except ImportError:
        return [*out, absent(work, "JAX", "jax", threads)]
    shared = peers_jax.products(memory, weights, direction, 8, dtype)
    return out + interleaved(work, {"JAX linearize, each of 8 products": shared}, 5, 8.0, threads)


def _spectrum(memory: td.AssociativeMemory, weights: np.ndarray, threads: int) -> list[Row]:
    problem = (memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    work = f"all {memory.dim**2} eigenvalues, N=M={memory.n_tokens} d={memory.dim}"
    ours = {"hessian_spectrum": lambda: td.kernels.hessian_spectrum(weights, *problem).values}
    try:
        import peers_jax
    except ImportError:
        return [*interleaved(work, ours, 5, 1.0, threads), absent(work, "JAX", "jax", threads)]
    peer = {"jax.hessian and eigvalsh": peers_jax.spectrum(memory, weights)}
    return interleaved(work, ours | peer, 5, 1.0, threads, tolerance=1e-10)
