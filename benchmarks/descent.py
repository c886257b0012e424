"""One full-batch run at a time: hundreds and thousands of tokens, and a long vocabulary."""

from __future__ import annotations

import functools
import resource
from collections.abc import Callable

import numpy as np
from limits import least_seconds
from timing import Row, absent, interleaved

import traindyn as td

# N, M, d, steps, rounds, whether one thread is timed too
SIZES = ((100, 100, 64, 200, 7, True), (1000, 1000, 256, 8, 5, True), (4096, 4096, 1024, 5, 3, False))
TOLERANCE = {"float64": 1e-10, "float32": 1e-3}
Run = Callable[[], np.ndarray]


def simulated(memory: td.AssociativeMemory, steps: int, dtype: str, form: str | None = None) -> np.ndarray:
    """Run ours, recording nothing, as the peers do; return W."""
    rule = td.GradientDescent(1.0)
    return td.simulate(memory, rule, steps=steps, save=td.at([]), observe=(), dtype=dtype, form=form).final


def scores_of(memory: td.AssociativeMemory) -> Callable[[object], object]:
    """Return the function that takes W to the scores, and scores to themselves: what candidates are compared by."""

    def view(state: object) -> object:
        array = np.asarray(state, np.float64)
        whole = array.shape == (memory.dim, memory.dim)
        return memory.inputs @ array.T @ memory.outputs.T if whole else array

    return view


def peers(memory: td.AssociativeMemory, steps: int, dtype: str) -> dict[str, Run | str]:
    """Return the other programs by name; in the place of a missing one, the library that it needs."""
    from peers_numpy import weights

    found: dict[str, Run | str] = {"NumPy": lambda: weights(memory, 1.0, steps, dtype)}
    try:
        import peers_jax

        found["JAX scan, autodiff"] = peers_jax.autodiff(memory, 1.0, steps, dtype)
        if memory.n_tokens <= 1000:
            unroll = 8 if memory.n_tokens <= 16 else 1
            found["JAX scan, particles"] = peers_jax.particles(memory, 1.0, steps, dtype, unroll)
    except ImportError:
        found["JAX"] = "jax"
    try:
        import peers_torch

        found["PyTorch, gradient written out"] = peers_torch.hand_written(memory, 1.0, steps, dtype)
        if memory.n_tokens == 100:
            found["PyTorch, autograd"] = peers_torch.autograd(memory, 1.0, steps, dtype)
    except ImportError:
        found["PyTorch"] = "torch"
    return found


def split(work: str, found: dict[str, Run | str], threads: int) -> tuple[dict[str, Run], list[Row]]:
    """Return the programs that can run, and rows for those that cannot."""
    runs = {name: run for name, run in found.items() if callable(run)}
    return runs, [absent(work, name, library, threads) for name, library in found.items() if isinstance(library, str)]


def least_flops(n_tokens: int, n_classes: int, dim: int) -> float:
    """Return the operations of the cheapest exact form, products only."""
    particles = 2.0 * n_tokens * n_classes * (n_tokens + n_classes)
    half = 4.0 * n_tokens * n_classes * dim + 2.0 * n_tokens**2 * dim
    whole = 4.0 * n_tokens * n_classes * dim + 4.0 * min(n_tokens, n_classes) * dim**2
    return min(particles, half, whole)


def rows(threads: int) -> list[Row]:
    """Time a step."""
    out = []
    for n_tokens, n_classes, dim, steps, rounds, alone in SIZES:
        if threads == 1 and not alone:
            continue
        for dtype in ("float64", "float32"):
            memory = td.AssociativeMemory.random(n_tokens, n_classes, dim, embedding="gaussian", rng=1)
            work = f"descent step, N={n_tokens} M={n_classes} d={dim}, {dtype}"
            runs, missing = split(work, peers(memory, steps, dtype), threads)
            ours = {"simulate": functools.partial(simulated, memory, steps, dtype)}
            limit = least_seconds(least_flops(n_tokens, n_classes, dim), 0.0, dtype, threads)
            check = {"tolerance": TOLERANCE[dtype], "compared": scores_of(memory)}
            out += interleaved(work, ours | runs, rounds, steps, threads, limit=limit, **check) + missing
    return out + _vocabulary(threads)


def _vocabulary(threads: int) -> list[Row]:
    n_tokens, n_classes, dim = 2000, 100_000, 64
    memory = td.AssociativeMemory.random(
        n_tokens, n_classes, dim, embedding="gaussian", output_embedding="gaussian", rng=1
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limit = least_seconds(4.0 * n_tokens * n_classes * dim, 0.0, "float64", threads)
    ours = {"simulate": functools.partial(td.simulate, memory, td.GradientDescent(1.0), steps=1, save=td.at([]))}
    work = f"descent step, N={n_tokens} M={n_classes} d={dim}, float64"
    found = interleaved(work, ours, 3, 2, threads, limit=limit)  # a step, and the look at the last state
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    scores = 8 * n_tokens * n_classes / 2**20
    note = f"memory grew by {grown:.0f} MB; the scores alone would take {scores:.0f} MB"
    return [Row(**{**vars(row), "note": note}) for row in found]
