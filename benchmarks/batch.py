"""Many small runs at once: a sweep over learning rates of (5, 5, 10), a run in each lane of a vector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from limits import peak_flops
from timing import Row, absent, interleaved

import traindyn as td
from traindyn.dynamics.batching import run_group

RUNS, STEPS = 1024, 500
SIZES = ((5, 5, 10), (3, 3, 4), (10, 10, 16))


def operations(n_tokens: int, n_classes: int) -> float:
    """Return the operations of a step, a fused multiply-add as two: products and softmax, 16 an exponential.

    One class may be left out of the products: the scores are relative to it.
    """
    products = 2.0 * n_tokens * (n_classes - 1) * (n_tokens + n_classes - 1)
    return products + n_tokens * n_classes * (16.0 + 6.0)


def _losses(memory: td.AssociativeMemory, scores: np.ndarray) -> np.ndarray:
    scores = scores.astype(np.float64)
    right = np.take_along_axis(scores, memory.targets[None, :, None], 2)[..., 0]
    largest = scores.max(axis=2)
    return (np.log(np.exp(scores - largest[..., None]).sum(axis=2)) + largest - right) @ memory.frequencies


def rows(threads: int) -> list[Row]:
    """Time a step of one run."""
    out = []
    for n_tokens, n_classes, dim in SIZES:
        for dtype in ("float64", "float32"):
            memory = td.AssociativeMemory.random(n_tokens, n_classes, dim, embedding="gaussian", rng=1)
            rates = np.linspace(0.1, 5.0, RUNS)
            rules = [td.GradientDescent(float(rate)) for rate in rates]
            memories = [memory] * RUNS

            def ours(memories=memories, rules=rules, dtype=dtype) -> np.ndarray:
                return run_group(memories, rules, ("final_loss",), STEPS, dtype, threads)[0][:, 0]

            def sweep(memory=memory, rates=rates, dtype=dtype) -> np.ndarray:
                build = lambda learning_rate: (memory, td.GradientDescent(learning_rate))  # noqa: E731
                return td.sweep(
                    build, grid={"learning_rate": rates}, measure="final_loss", steps=STEPS, dtype=dtype
                ).values  # fmt: skip

            work = f"step of one of {RUNS} runs, N={n_tokens} M={n_classes} d={dim}, {dtype}"
            candidates: dict[str, Callable[[], np.ndarray]] = {"batched kernel": ours, "sweep": sweep}
            missing = []
            try:
                import peers_jax

                for name, peer in (
                    ("JAX vmap, autodiff", peers_jax.batch_autodiff(memory, rates, STEPS, dtype)),
                    ("JAX batched particles", peers_jax.batch_particles(memory, rates, STEPS, dtype)),
                ):
                    candidates[name] = lambda peer=peer, memory=memory: _losses(memory, peer())
            except ImportError:
                missing.append(absent(work, "JAX", "jax", threads))
            limit = operations(n_tokens, n_classes) / (threads * peak_flops(dtype))
            tolerance = 1e-9 if dtype == "float64" else 1e-3
            out += interleaved(work, candidates, 3, RUNS * STEPS, threads, tolerance=tolerance, limit=limit) + missing
    return out
