"""The ratios that this package is held to: against which peer, what it must reach, what it aims at, and what is."""

from __future__ import annotations

from dataclasses import dataclass

from timing import Row

_TINY = "descent step, N=5 M=5 d=10, {}"
_BATCH = "step of one of 1024 runs, N=5 M=5 d=10, {}"
_HUNDRED = "descent step, N=100 M=100 d=64, {}"
_THOUSAND = "descent step, N=1000 M=1000 d=256, {}"
_LARGE = "descent step, N=4096 M=4096 d=1024, {}"
_TWO = "two tokens, step of one of 786432 runs"
_TOP = "largest eigenvalue, N=M={}, {}"
_SPECTRUM = "all 256 eigenvalues, N=M=100 d=16"
AUTODIFF, PARTICLES = "JAX scan, autodiff", "JAX scan, particles"
TORCH = "PyTorch, gradient written out"
WARM = "warm, from the step before"


@dataclass(frozen=True)
class Target:
    """Our time over the peer's in one interleaved run; with several peers the fastest counts."""

    work: str
    peers: tuple[str, ...]
    threads: int
    must: float
    aim: float


def _targets() -> list[Target]:
    found = []
    for dtype in ("float64", "float32"):
        double = dtype == "float64"
        found += [
            Target(_TINY.format(dtype), (AUTODIFF,), 1, 0.12, 0.05),
            Target(_TINY.format(dtype), (PARTICLES,), 1, 0.7, 0.35),
            Target(_BATCH.format(dtype), ("JAX vmap, autodiff",), 1, 0.06, 0.03),
            Target(_BATCH.format(dtype), ("JAX batched particles",), 1, 0.15, 0.08),
            Target(_HUNDRED.format(dtype), (AUTODIFF,), 1, 0.85 if double else 0.95, 0.6),
            Target(_HUNDRED.format(dtype), (AUTODIFF,), 2, 0.65, 0.4),
            Target(_THOUSAND.format(dtype), (AUTODIFF,), 1, 1.05, 0.85),
            Target(_THOUSAND.format(dtype), (AUTODIFF,), 2, 0.95, 0.85),
            Target(_THOUSAND.format(dtype), (TORCH,), 1, 0.6, 0.6),
            Target(_THOUSAND.format(dtype), (TORCH,), 2, 0.6, 0.6),
            Target(_LARGE.format(dtype), ("NumPy", AUTODIFF), 2, 0.95, 0.8),
        ]
    small, large = "JAX linearize and Lanczos, 10 products", "JAX linearize and Lanczos, 8 products"
    return [
        *found,
        Target(_TWO, ("NumPy, finished runs dropped",), 1, 0.25, 0.11),
        Target(_TWO, ("NumPy, finished runs dropped",), 2, 0.15, 0.06),
        Target(_TOP.format("100 d=16", "cold"), (small,), 1, 0.8, 0.5),
        Target(_TOP.format("100 d=16", WARM), (small,), 1, 0.45, 0.25),
        Target(_SPECTRUM, ("jax.hessian and eigvalsh",), 1, 0.1, 0.1),
        Target(_TOP.format("1000 d=256", "cold"), (large,), 1, 1.05, 0.85),
        Target(_TOP.format("1000 d=256", "cold"), ("PyTorch, power iteration",), 1, 0.06, 0.06),
        Target(_TOP.format("1000 d=256", WARM), (large,), 1, 0.6, 0.4),
    ]


def targets_table(rows: list[Row]) -> str:
    """Return the targets that the rows can judge, as a Markdown table."""
    ratios = {(row.work, row.candidate, row.threads): row for row in rows}
    lines = ["| work | threads | against | must | aim | measured | |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for target in _targets():
        peers = [ratios[key] for peer in target.peers if (key := (target.work, peer, target.threads)) in ratios]
        peers = [row for row in peers if row.ratio == row.ratio]
        if not peers:
            continue
        fastest = max(peers, key=lambda row: row.ratio)
        met = "aim" if fastest.ratio <= target.aim else "must" if fastest.ratio <= target.must else "missed"
        cells = (target.work, f"{target.threads}", fastest.candidate, f"{target.must}", f"{target.aim}")
        lines.append("| " + " | ".join([*cells, f"{fastest.ratio:.3g}", met]) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""
