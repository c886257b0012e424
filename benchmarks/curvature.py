"""Curvature: Hessian-vector products, the largest eigenvalue cold and warm, the whole spectrum."""

from __future__ import annotations

import functools

import numpy as np
from limits import least_seconds
from timing import Row, absent, interleaved

import traindyn as td

STEPS, RATE, PRODUCTS = 60, 5.0, 8
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
    runs, slow, missing = {}, {}, []
    try:
        import peers_jax

        name = f"JAX linearize and Lanczos, {products} products"
        runs[name] = peers_jax.lanczos(memory, weights, start, products, "float64")
    except ImportError:
        missing.append(absent(work, "JAX", "jax", threads))
    try:
        import peers_torch

        if memory.dim <= 16 or threads == 1:
            slow["PyTorch, power iteration"] = peers_torch.power_iteration(memory, weights, start, 1e-4)
    except ImportError:
        missing.append(absent(work, "PyTorch", "torch", threads))
    out = []
    for kind, call in ours.items():
        errors = {name: abs(float(run()) / exact - 1) for name, run in ({"ours": call} | runs).items()}
        found = find() if kind == "cold" else find(start=vector)
        note = f"{found.products} products; relative errors: " + ", ".join(f"{k} {e:.0e}" for k, e in errors.items())
        out += interleaved(f"{work}, {kind}", {"largest_eigenvalue": call} | runs, rounds, 1.0, threads, note)
        if kind == "cold" and slow:
            out += interleaved(f"{work}, cold", {"largest_eigenvalue": call} | slow, 1, 1.0, threads)[1:]
    return out + missing


def _product(
    memory: td.AssociativeMemory, weights: np.ndarray, direction: np.ndarray, dtype: str, threads: int
) -> list[Row]:  # fmt: skip
    """Products at one point, which share its probabilities: ours within a Lanczos iteration, and a call for one."""
    cast = [np.asarray(array, dtype) for array in (weights, memory.inputs, memory.outputs)]
    p = memory.frequencies.astype(dtype)
    point = (*cast, memory.targets, p / p.sum())
    start = np.random.default_rng(0).standard_normal(weights.shape).astype(dtype)
    several = functools.partial(
        td.kernels.largest_eigenvalue, *point, start=start, tolerance=1e-30, max_products=PRODUCTS
    )  # fmt: skip
    # less than eight, where nothing is left to improve
    unit = float(several().products)
    n, dim = memory.n_tokens, memory.dim
    work = f"one of {PRODUCTS} Hessian-vector products, N=M={n} d={dim}, {dtype}"
    limit = least_seconds(4.0 * n * n * dim + 4.0 * n * dim * dim, 0.0, dtype, threads)
    candidates = {"within largest_eigenvalue": several}
    missing = []
    try:
        import peers_jax

        candidates["JAX linearize"] = peers_jax.products(memory, weights, direction, int(unit), dtype)
    except ImportError:
        missing.append(absent(work, "JAX", "jax", threads))
    alone = functools.partial(td.kernels.hessian_vector_product, cast[0], np.asarray(direction, dtype), *point[1:])
    single = f"a call for one product, N=M={n} d={dim}, {dtype}"
    rows_alone = interleaved(single, {"hessian_vector_product": alone}, 5, 1.0, threads)
    return interleaved(work, candidates, 5, unit, threads, limit=limit) + missing + rows_alone


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
