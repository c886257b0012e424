"""Whether a run is slowed down by the other libraries of the user's process: threaded products and pools of threads.

    python benchmarks/neighbours.py

Prints the time of a step of descent, sizes (1000, 1000, 256), alone and in turns with products of NumPy and PyTorch
that use all cores, and of as many runs at once as there are cores, in a thread pool and in dask's threads.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from traindyn.dynamics import AssociativeMemory, GradientDescent, at, simulate
from traindyn.kernels.compile import thread_count

STEPS, ROUNDS = 4, 5
MEMORY = AssociativeMemory.random(1000, 1000, 256, "gaussian", rng=0)


def run() -> None:
    """Run a few steps."""
    simulate(MEMORY, GradientDescent(1.0), steps=STEPS, observe="loss", save=at([0]))


def seconds(before: Callable[[], object] | None = None) -> float:
    """Return the median seconds of a step, each run right after the neighbour's work."""
    found = []
    for _ in range(ROUNDS):
        if before is not None:
            before()
        begun = time.perf_counter()
        run()
        found.append((time.perf_counter() - begun) / STEPS)
    return statistics.median(found)


def pooled(together: Callable[[int], object]) -> float:
    """Return the seconds of a step of a run, times the threads over the runs: 1 run's share of the machine."""
    runs = 2 * thread_count()
    begun = time.perf_counter()
    together(runs)
    return (time.perf_counter() - begun) / (runs * STEPS)


def in_threads(runs: int) -> None:
    """Run in the threads of a pool."""
    with ThreadPoolExecutor(thread_count()) as pool:
        for future in [pool.submit(run) for _ in range(runs)]:
            future.result()


def in_dask(runs: int) -> None:
    """Run in dask's threads."""
    import dask

    dask.compute(*(dask.delayed(run)() for _ in range(runs)), scheduler="threads", num_workers=thread_count())


def main() -> None:
    """Measure and print."""
    matrix = np.random.default_rng(0).random((1500, 1500))
    for first in (run, lambda: matrix @ matrix, lambda: in_threads(2)):  # compiled, and the threads started
        first()
    alone = seconds()
    rows = {"alone": alone, "after NumPy's product": seconds(lambda: matrix @ matrix)}
    try:
        import torch

        tensor = torch.from_numpy(matrix)
        torch.mm(tensor, tensor)
        rows["after PyTorch's product"] = seconds(lambda: tensor @ tensor)
    except ImportError:
        print("torch is not installed: pip install '.[bench]'")
    rows["in a thread pool, each step"] = pooled(in_threads)
    try:
        in_dask(1)  # loads the library
        rows["in dask's threads, each step"] = pooled(in_dask)
    except ImportError:
        print("dask is not installed: pip install '.[cluster]'")
    rows["alone again"] = seconds()
    for name, value in rows.items():
        print(f"{name:30} {1e3 * value:8.2f} ms a step   {value / alone:5.2f} of alone")


if __name__ == "__main__":
    main()
