"""Experiment: how many associations can be stored at all, how many gradient descent stores, and which ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import Definition, Numbers, Request
from .capacity_answers import findings
from .capacity_drawing import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...dynamics import AssociativeMemory, GradientDescent, Trajectory

    Floats = NDArray[np.float64]

GROUPS = 5  # fifths of the tokens by frequency, the most frequent first
POINTS = 60  # saved steps, log-spaced
RATES = (0.3, 3.0)  # of the learning rate, in units of 1 / sharpness at W = 0
FREQUENCIES = ("uniform", "zipf")


@dataclass(frozen=True)
class Size:
    """How much is run: the full size, or the small one.

    Attributes: steps of descent; dimensions, ratios N/d and seeds of two classes; for each N of N classes the
    dimensions and seeds of the separability, of descent, and the seeds of the best accuracy.
    """

    steps: int
    binary: dict[int, tuple[float, ...]]
    binary_seeds: int
    separable: dict[int, tuple[range, int]]
    descent: dict[int, tuple[tuple[int, ...], int]]
    optimum_seeds: dict[int, int]


_RATIOS = tuple(np.arange(1.0, 4.01, 0.2).round(2).tolist())
FULL = Size(
    steps=10_000,
    binary={5: _RATIOS, 10: _RATIOS, 20: _RATIOS, 40: _RATIOS},
    binary_seeds=200,
    separable={
        10: (range(3, 8), 200), 20: (range(4, 11), 200), 40: (range(5, 15), 100), 80: (range(7, 21), 50),
        160: (range(25, 32), 20),
    },
    descent={
        10: ((3, 4, 5, 6, 7), 50),
        20: ((4, 5, 6, 7, 8, 9, 10), 50),
        40: ((5, 6, 7, 8, 9, 10, 11, 12, 13, 14), 50),
        80: ((7, 8, 10, 12, 14, 16, 17, 18, 19, 20), 50),
    },
    optimum_seeds={10: 50, 20: 50},
)  # fmt: skip
QUICK = Size(
    steps=1_000,
    binary={5: (1.0, 1.4, 1.8, 2.2, 2.6, 3.4), 20: (1.0, 1.4, 1.8, 2.2, 2.6, 3.4)},
    binary_seeds=60,
    separable={10: (range(3, 7), 60), 20: (range(5, 11), 60), 40: (range(9, 14), 30)},
    descent={10: ((3, 4, 5), 12), 20: ((5, 6, 7, 8, 10), 12)},
    optimum_seeds={10: 12, 20: 3},
)


def initial_sharpness(memory: AssociativeMemory) -> float:
    r"""Return the largest eigenvalue of the Hessian at W = 0, in closed form.

    There every class is as probable, so that the Hessian is
    $\mathrm{Cov}(u) \otimes \sum_x p(x) e_x e_x^\top$, and the eigenvalues are products.

    >>> from traindyn.dynamics import AssociativeMemory
    >>> round(initial_sharpness(AssociativeMemory.two_tokens(0.95, (0.75, 0.25))), 4)
    0.4907
    """
    centred = memory.outputs - memory.outputs.mean(axis=0)
    inputs = (memory.inputs * memory.frequencies[:, None]).T @ memory.inputs
    outputs = centred.T @ centred / memory.n_classes
    return float(np.linalg.eigvalsh(inputs)[-1] * np.linalg.eigvalsh(outputs)[-1])


def memory_of(n_tokens: int, n_classes: int, dim: int, seed: int, frequencies: str = "uniform") -> AssociativeMemory:
    """Return a memory of uniform unit inputs and outputs (two classes: orthonormal outputs), class x mod M.

    >>> memory_of(10, 10, 4, seed=0).targets.tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    from ...dynamics import AssociativeMemory

    stream = np.random.SeedSequence([seed, n_tokens, n_classes, dim])
    outputs = "orthonormal" if n_classes == 2 else "sphere"
    return AssociativeMemory.random(
        n_tokens, n_classes, dim, "sphere", frequencies, stream, output_embedding=outputs
    )  # fmt: skip


def _with_rate(memory: AssociativeMemory, rate: float) -> tuple[AssociativeMemory, GradientDescent]:
    from ...dynamics import GradientDescent

    return memory, GradientDescent(rate / initial_sharpness(memory))


def binary(dim: int, n_tokens: int, seed: int) -> tuple[AssociativeMemory, GradientDescent]:
    """Return a cell of two classes, with the rate 1 / sharpness at W = 0, below which the loss never rises."""
    return _with_rate(memory_of(n_tokens, 2, dim, seed), 1.0)


def identity(
    n_tokens: int, dim: int, seed: int, frequencies: str = "uniform", rate: float = RATES[0]
) -> tuple[AssociativeMemory, GradientDescent]:
    """Return a cell of N classes, one a token; `rate` in units of 1 / sharpness at W = 0."""
    return _with_rate(memory_of(n_tokens, n_tokens, dim, seed, frequencies), rate)


def is_separable(run: Trajectory) -> float:
    """1 where some W answers every token, else 0; a run that ends with all margins > 0 has found one."""
    from ...analytics import separability

    return 1.0 if run["accuracy"][-1] >= 1.0 else float(separability(run.problem).strict)


def learned_at(run: Trajectory) -> float:
    """First saved step with accuracy 1; NaN where there is none."""
    perfect = np.flatnonzero(run["accuracy"] >= 1.0)
    return float(run.step[perfect[0]]) if perfect.size else math.nan


def best_accuracy(run: Trajectory) -> float:
    """Largest accuracy at a saved step."""
    return float(run["accuracy"].max())


def stored(run: Trajectory) -> float:
    """Number of tokens answered at the end."""
    return float((run["margin"][-1] > 0.0).sum())


def _group(run: Trajectory, group: int) -> Floats:
    """Return the margins at the end of one fifth of the tokens, by frequency."""
    return np.asarray(np.array_split(run["margin"][-1], GROUPS)[group])


def group_stored(run: Trajectory, group: int) -> float:
    """Share of a fifth of the tokens answered at the end."""
    return float((_group(run, group) > 0.0).mean())


def group_margin(run: Trajectory, group: int) -> float:
    """Mean margin of a fifth of the tokens at the end."""
    return float(_group(run, group).mean())


def highest_accuracy(run: Trajectory) -> float:
    """Largest accuracy that `accuracy_optimum` finds for the problem, from several starts."""
    from ...analytics import accuracy_optimum

    return float(accuracy_optimum(run.problem).lower)


def _measures() -> tuple[Any, ...]:
    from ...dynamics.measures import Measure

    seen = ("accuracy", "margin")
    by_group = [
        Measure(f"{function.__name__}_{group}", seen, partial(function, group=group))
        for function in (group_stored, group_margin)
        for group in range(GROUPS)
    ]
    return "final_accuracy", learned_at, best_accuracy, stored, *by_group


def capacity(request: Request | None = None) -> Numbers:
    r"""Return what can be stored, by certificate, and what gradient descent stores, around the capacity.

    Two parts. Two classes and N uniform unit tokens in d dimensions: Cover's law for the share of separable problems,
    and descent from zero. One class a token, M = N, with independent uniform unit inputs and outputs: the share of
    separable problems, its half-way point d(N) with the exponent b of $d \sim N^b$, and descent with uniform and Zipf
    frequencies at two rates.

    Parameters
    ----------
    request : the full size by default; quick: smaller N, fewer seeds, 1000 steps in place of 10000

    Returns
    -------
    `Numbers`: counts of separable problems by N and d, first steps of accuracy 1, accuracies, numbers and shares of
    tokens stored, best accuracies found, and the findings.

    Raises
    ------
    What `Request.sweep` raises.

    Cost: 12 800 runs with two classes and 6400 with N classes, to step 10 000, and 4000 decisions of separability,
    about 400 s; quick: about 12 s; once compiled.

    Source: Cabannes, Simsek, Bietti 2024, Section 5; Cover 1965.

    >>> memory, rule = binary(5, 10, seed=0)
    >>> round(rule.learning_rate * initial_sharpness(memory), 12)
    1.0
    """
    from ...dynamics import logarithmic

    request = request or Request()
    size = QUICK if request.quick else FULL
    arrays: dict[str, Any] = {}
    often: dict[str, Any] = {"save": logarithmic(POINTS), "steps": size.steps, "observe": ("accuracy", "margin")}

    def seeds(count: int) -> range:
        return range(request.rng, request.rng + count)

    for dim, ratios in size.binary.items():
        tokens = sorted({round(ratio * dim) for ratio in ratios})
        grid: dict[str, Any] = {"dim": (dim,), "n_tokens": tokens, "seed": seeds(size.binary_seeds)}
        cube = request.sweep(f"binary-{dim}", binary, grid=grid, measure=(is_separable, learned_at), **often)
        arrays[f"binary_tokens_{dim}"] = np.array(tokens)
        arrays[f"binary_separable_{dim}"] = cube["is_separable"][0] > 0.0
        arrays[f"binary_learned_at_{dim}"] = cube["learned_at"][0]
    for n_tokens, (dims, count) in size.separable.items():
        grid = {"n_tokens": (n_tokens,), "dim": dims, "seed": seeds(count)}
        cube = request.sweep(f"separable-{n_tokens}", identity, grid=grid, measure=is_separable, steps=0)
        arrays[f"dims_{n_tokens}"] = np.array(dims)
        arrays[f"separable_{n_tokens}"] = cube["is_separable"][0] > 0.0
    for n_tokens, (chosen, count) in size.descent.items():
        both: dict[str, Any] = {"n_tokens": (n_tokens,), "dim": chosen, "frequencies": FREQUENCIES}
        grid = {**both, "rate": RATES, "seed": seeds(count)}
        cube = request.sweep(f"descent-{n_tokens}", identity, grid=grid, measure=_measures(), **often)
        arrays[f"descent_dims_{n_tokens}"] = np.array(chosen)
        for name in ("final_accuracy", "learned_at", "best_accuracy", "stored"):
            arrays[f"{name}_{n_tokens}"] = cube[name][0]
        for name in ("group_stored", "group_margin"):
            arrays[f"{name}_{n_tokens}"] = np.stack([cube[f"{name}_{g}"][0] for g in range(GROUPS)], axis=-1)
        if n_tokens in size.optimum_seeds:
            grid = {**both, "seed": seeds(size.optimum_seeds[n_tokens])}
            cube = request.sweep(f"optimum-{n_tokens}", identity, grid=grid, measure=highest_accuracy, steps=0)
            arrays[f"highest_accuracy_{n_tokens}"] = cube["highest_accuracy"][0]
    parameters = {
        "steps": size.steps, "rates": list(RATES), "frequencies": list(FREQUENCIES), "groups": GROUPS,
        "binary_dims": list(size.binary), "binary_seeds": size.binary_seeds,
        "separable_sizes": list(size.separable), "descent_sizes": list(size.descent),
        "optimum_sizes": [n for n in size.descent if n in size.optimum_seeds], "seed": request.rng,
    }  # fmt: skip
    first = next(iter(size.descent))
    digests = {"first of N classes": identity(first, size.descent[first][0][0], request.rng)[0].digest}
    derived, answers = findings(arrays, parameters)
    return Numbers({**arrays, **derived}, parameters, digests, answers)


FIGURES: tuple[Definition, ...] = (
    Definition(
        "cabannes2024.review.capacity",
        "Capacity: what can be stored, and what gradient descent stores",
        400.0,
        capacity,
        draw,
        caption=(
            "(a) Two classes: certificates (marks, with exact 95 % intervals) follow Cover's law (lines). (b) One "
            "class a token: the transition moves to the right on the axis $d^2/N$ as N grows (lines: logistic fits in "
            "log d). (c) The number of tokens that descent stores against d, mean and the middle 80 % of the seeds, "
            "slow and fast rate; the dashed line grows as $d^2$. (d) Of the separable problems with two classes, how "
            "many descent has solved by step t. (e) $d^2/N$ at the half-way points of (b) against N, with a line "
            "fitted in log N; dashed: a capacity proportional to $d^2$, dotted: to d. (f) Which tokens are stored "
            "below capacity, by fifths of the frequencies."
        ),
        published=False,
        quick_seconds=12.0,
        question=(
            "When can a d x d matrix store N associations of random unit vectors, does gradient descent then store "
            "them all, and where it cannot, which ones does it keep?"
        ),
        hypothesis=(
            "With two classes the share of separable problems is Cover's, one half at $N = 2d$. With one class a token "
            "it depends on $d^2/N$ and not on $d/N$, so that the half-way dimension grows as $N^{1/2}$. Gradient "
            "descent answers every token of a separable problem, slowly near the threshold."
        ),
        method=(
            "Independent uniform unit vectors. Each problem is decided by a certificate: a W with all margins "
            "positive, or positive multipliers of the margins that sum to zero (Newton's method, a linear program "
            "where it finds neither). The half-way dimension of each N comes from a logistic fit in log d, with "
            "intervals from resampled seeds. A collapse is judged by the standard deviation over N of the half-way "
            "point on a logarithmic axis. Descent starts at zero with rates 0.3 and 3 over the sharpness there (two "
            "classes: 1) and runs 10 000 steps; the accuracy is looked at on 60 log-spaced ones. The best accuracy is "
            "the best of several greedy starts and of all runs seen."
        ),
    ),
)
