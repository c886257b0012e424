"""One run of a handful of tokens: what counts is the latency of a step and the overhead of a call."""

from __future__ import annotations

import functools

from descent import peers, scores_of, simulated, split
from peers_numpy import weights
from timing import Row, interleaved

import traindyn as td

SIZES = ((2, 2, 2), (5, 5, 10), (8, 8, 16), (100, 2, 16))
STEPS = 20_000


def rows(threads: int) -> list[Row]:
    """Time a step of a long run, and a whole short run."""
    out = []
    for n_tokens, n_classes, dim in SIZES:
        for dtype in ("float64", "float32"):
            memory = td.AssociativeMemory.random(n_tokens, n_classes, dim, embedding="gaussian", rng=1)
            work = f"descent step, N={n_tokens} M={n_classes} d={dim}, {dtype}"
            found = peers(memory, STEPS, dtype) if (n_tokens, n_classes) == (5, 5) else {}
            found["NumPy"] = lambda memory=memory, dtype=dtype: weights(memory, 1.0, STEPS, dtype)
            runs, missing = split(work, found, threads)
            ours = {"simulate": functools.partial(simulated, memory, STEPS, dtype)}
            tolerance = 1e-8 if dtype == "float64" else 2e-2
            check = {"tolerance": tolerance, "compared": scores_of(memory)}
            out += interleaved(work, ours | runs, 5, STEPS, threads, **check) + missing
    memory = td.AssociativeMemory.two_tokens()
    short = functools.partial(td.simulate, memory, td.GradientDescent(1.0), steps=50)
    out += interleaved("simulate, two tokens, 50 steps, all saved", {"simulate": short}, 50, 1.0, threads)
    return out
