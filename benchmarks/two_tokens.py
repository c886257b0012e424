"""Figure 3's sweep: steps until both of two tokens are right, over rates, correlations and frequencies."""

from __future__ import annotations

import numpy as np
from limits import peak_flops
from peers_numpy import two_token_steps
from timing import Row, absent, interleaved

import traindyn as td
from traindyn.dynamics.measures import MEASURES
from traindyn.kernels.sweeps import two_token_descent

CAP = 10_000
RATES = np.geomspace(0.1, 100.0, 512)
CORRELATIONS = np.linspace(-0.5, 0.99, 512)
FIRST = (0.55, 0.75, 0.95)
# of a step and vector, a fused multiply-add as two: two exponentials of 16, two divisions, the rest
OPERATIONS = 2 * 16 + 2 + 16
SPIKES = ("steps_to_accuracy", "steps_to_settle", "peak_loss", "spike_height", "spike_duration")


def rows(threads: int) -> list[Row]:
    """Time a step of one run; all candidates must count the same steps in every cell."""
    rate, correlation, first = (a.ravel() for a in np.meshgrid(RATES, CORRELATIONS, FIRST, indexing="ij"))
    frequencies = np.column_stack([first, 1.0 - first])

    def kernel(measures: str | tuple[str, ...] = "steps_to_accuracy") -> np.ndarray:
        found = two_token_descent(rate, correlation, frequencies, steps=CAP, measures=measures, threads=threads)
        return np.nan_to_num(found[:, 0], nan=-1.0)

    def sweep() -> np.ndarray:
        recipe = td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent)
        grid = {"learning_rate": RATES, "correlation": CORRELATIONS, "frequencies": [(p, 1.0 - p) for p in FIRST]}
        cube = td.sweep(recipe, grid=grid, measure="steps_to_accuracy", steps=CAP)
        return np.nan_to_num(cube.values.ravel(), nan=-1.0)

    counts = kernel()
    useful = float(np.where(counts < 0, CAP, counts).sum())
    work = f"two tokens, step of one of {rate.size} runs"
    candidates = {"two_token_descent": kernel, "sweep": sweep}
    candidates["NumPy, finished runs dropped"] = lambda: two_token_steps(rate, correlation, first, CAP)
    missing = []
    try:
        import peers_jax

        candidates["JAX, blocks of 64 lanes"] = peers_jax.two_token_steps(rate, correlation, first, CAP)
    except ImportError:
        missing.append(absent(work, "JAX", "jax", threads))
    limit = OPERATIONS / (threads * peak_flops("float64"))
    note = f"{useful / 1e6:.1f} million steps; counts equal in every cell"
    out = interleaved(work, candidates, 5, useful, threads, note, tolerance=0.0, limit=limit)
    several = {
        "5 measures in one pass": lambda: kernel(SPIKES),
        "steps alone": kernel,
    }
    assert set(SPIKES) <= set(MEASURES)
    return out + missing + interleaved("two tokens, the whole grid", several, 5, 1.0, threads)
