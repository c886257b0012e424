"""Experiment: more tokens than the plane can hold. What does the minimiser of the cross entropy forget, how often?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import Definition, Numbers, Request
from .limited_capacity_drawing import draw
from .limited_capacity_findings import findings, shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...dynamics import AssociativeMemory, Cube, Trajectory

    Array = NDArray[np.float64]

COUNTS = (3, 5, 10, 30, 100)
EXPONENTS = (0.0, 0.5, 1.0, 2.0)
SEEDS, RUN_SEEDS = 1000, 300
QUICK_SEEDS, QUICK_RUN_SEEDS = 60, 12
RATE, BATCH, STEPS = 0.1, 10, 2000  # the paper's rate and batch; its runs have 1000 steps
START = (7.5, 2.5)  # gamma at the start of the paper's run; the tokens' directions are uniform, so any would do
TIE = 1e-9  # of an accuracy: far below every frequency, far above rounding


def random_memory(n_tokens: int, exponent: float, seed: int, rng: int = 0) -> AssociativeMemory:
    r"""Return N tokens of two classes in uniform directions of the plane, with :math:`p(x) \propto (x+1)^{-a}`.

    Classes alternate, f(x) = x mod 2. The directions depend on (rng, N, seed) alone, so that exponents are paired.

    Parameters
    ----------
    n_tokens, exponent : N >= 1 and a
    seed, rng : number of the problem, and the seed of all of them

    >>> a, b = (random_memory(5, exponent, seed=3) for exponent in (0.0, 2.0))
    >>> bool((a.inputs == b.inputs).all()), a.targets.tolist()
    (True, [0, 1, 0, 1, 0])
    """
    from ...dynamics import AssociativeMemory

    normal = np.random.default_rng(np.random.SeedSequence(rng, spawn_key=(n_tokens, seed))).normal(size=(n_tokens, 2))
    weights = 1.0 / np.arange(1.0, n_tokens + 1.0) ** exponent
    directions = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return AssociativeMemory(directions, np.eye(2), np.arange(n_tokens) % 2, weights / math.fsum(weights))


def forgotten(memory: AssociativeMemory) -> tuple[NDArray[np.bool_], float, float]:
    """Return which tokens the minimiser of the cross entropy forgets, its 0-1 loss, and the least 0-1 loss of any W.

    A separable problem has no minimiser: descent tends to the max-margin direction, which forgets nothing.

    Cost: about half a millisecond; exact (Newton's method to rounding, angular sweep in rational arithmetic).

    >>> from traindyn.dynamics import cabannes2024
    >>> wrong, error, least = forgotten(cabannes2024.forgetful_memory("B"))
    >>> wrong.tolist(), round(error, 12), round(least, 12)
    ([True, False, True], 0.65, 0.25)
    """
    from ...analytics import accuracy_optimum, minimise

    least = 1.0 - accuracy_optimum(memory).lower
    weights = minimise(memory).weights
    if weights is None:
        return np.zeros(memory.n_tokens, dtype=bool), 0.0, least
    own = np.where(memory.targets == 0, 1.0, -1.0)
    wrong = own * (memory.scores(weights) @ [1.0, -1.0]) <= 0.0
    return wrong, math.fsum(memory.frequencies[wrong]), least


def limited_capacity(request: Request = Request()) -> Numbers:  # noqa: B008  (frozen)
    """Return how often, how much and which tokens the minimiser forgets, and whether training passes the optimum.

    Parameters
    ----------
    request : full size: 1000 problems for each of 5 counts of tokens and 4 exponents of the frequencies, and 300 of
        them trained by descent and by stochastic descent (batch 10) from W = 0 and from far away; quick: 60 and 12

    Returns
    -------
    Numbers
        ``excess`` and ``least`` (count, exponent, problem): excess risk of the minimiser, and the least 0-1 loss;
        ``forgotten`` (count, exponent, rank): how many problems forget a token; ``first_forgotten`` and
        ``rare_forgotten`` (count, exponent, problem): whether the first token is, and the share of the rarer half;
        ``frequency_first`` (count, exponent);
        ``share``, ``share_low``, ``share_high``: of problems with an excess, with 95 % intervals; ``mean...`` of the
        excess likewise; ``best_error``, ``best_step``, ``last_error`` (start, count, exponent, problem, rule).

    Source: the third experiment that the review of the paper asks for; the paper's Section 5.1.

    Cost: 20000 problems at half a millisecond, 24000 runs of 2000 steps: about one minute of CPU.

    >>> numbers = limited_capacity(Request(quick=True))
    >>> numbers["excess"].shape, bool((numbers["excess"] >= 0.0).all())
    ((5, 4, 60), True)
    """
    seeds = QUICK_SEEDS if request.quick else SEEDS
    runs = QUICK_RUN_SEEDS if request.quick else RUN_SEEDS
    arrays = _solved(request, seeds)
    cubes = {name: _trained(request, name, runs) for name in ("zero", "far")}
    for measure in ("best_error", "best_step", "last_error"):
        arrays[measure] = np.stack([cube[measure] for cube in cubes.values()])
    arrays |= shares(arrays)
    arrays |= _published_examples()
    parameters = {
        "seed": request.rng, "problems": seeds, "trained": runs, "steps": STEPS, "learning_rate": RATE, "batch": BATCH,
        "starts": ["W = 0", f"gamma = {START}"], "rules": list(RULES), "counts": list(COUNTS),
        "exponents": list(EXPONENTS),
    }  # fmt: skip
    return Numbers(arrays, parameters, {}, findings(arrays))


def _solved(request: Request, seeds: int) -> dict[str, Any]:
    shape = len(COUNTS), len(EXPONENTS)
    excess, least = np.zeros((*shape, seeds)), np.zeros((*shape, seeds))
    lost, frequency = np.full((*shape, max(COUNTS)), np.nan), np.zeros(shape)
    first, rare = np.zeros((*shape, seeds), dtype=bool), np.zeros((*shape, seeds))
    with request.bar(seeds * shape[0] * shape[1], "minimisers") as bar:
        for i, n_tokens in enumerate(COUNTS):
            lost[i, :, :n_tokens] = 0.0
            for j, exponent in enumerate(EXPONENTS):
                for seed in range(seeds):
                    memory = random_memory(n_tokens, exponent, seed, request.rng)
                    wrong, error, least[i, j, seed] = forgotten(memory)
                    excess[i, j, seed] = _excess(error, least[i, j, seed])
                    lost[i, j, :n_tokens] += wrong
                    first[i, j, seed], rare[i, j, seed] = wrong[0], wrong[n_tokens // 2 :].mean()
                bar.update(seeds)
                frequency[i, j] = memory.frequencies[0]
    return {
        "count": np.array(COUNTS), "exponent": np.array(EXPONENTS), "excess": excess, "least": least,
        "forgotten": lost, "first_forgotten": first, "rare_forgotten": rare, "frequency_first": frequency,
    }  # fmt: skip


def _excess(error: float, least: float) -> float:
    """Return the difference of two sums of frequencies; zero where it is rounding."""
    return error - least if error - least > TIE else 0.0


def _best_error(run: Trajectory) -> float:
    """Least 0-1 loss of any state."""
    return float(1.0 - run["accuracy"].max())


def _best_step(run: Trajectory) -> float:
    """First step with the largest accuracy."""
    return float(run.step[np.argmax(run["accuracy"] >= run["accuracy"].max() - TIE)])


def _last_error(run: Trajectory) -> float:
    """0-1 loss of the last state."""
    return float(1.0 - run["accuracy"][-1])


RULES = ("descent", "stochastic")


def _trained(request: Request, start: str, runs: int) -> Cube:
    from functools import partial

    from ...dynamics import Measure

    measured: tuple[tuple[str, Callable[[Trajectory], float]], ...] = (
        ("best_error", _best_error), ("best_step", _best_step), ("last_error", _last_error),
    )  # fmt: skip
    grid = {"n_tokens": COUNTS, "exponent": EXPONENTS, "seed": range(runs), "rule": RULES}
    gamma = np.zeros(2) if start == "zero" else np.array(START)
    return request.sweep(
        f"from-{start}", partial(training, rng=request.rng), grid=grid, steps=STEPS,
        measure=tuple(Measure(name, ("accuracy",), function) for name, function in measured),
        initial=0.5 * np.outer([1.0, -1.0], gamma),
    )  # fmt: skip


def training(n_tokens: int, exponent: float, seed: int, rule: str, rng: int = 0) -> tuple[Any, Any]:
    """Return the memory and the rule of a cell: full batches, or batches of 10, at the paper's rate 0.1.

    >>> training(3, 1.0, 0, "stochastic")[1].batch_size
    10
    """
    from ...dynamics import GradientDescent, StochasticGradientDescent

    memory = random_memory(int(n_tokens), exponent, int(seed), rng)
    return memory, GradientDescent(RATE) if rule == "descent" else StochasticGradientDescent(RATE, BATCH)


def _published_examples() -> dict[str, Any]:
    """Return the four problems of three tokens whose minimiser forgets the most frequent one."""
    from ...analytics import accuracy_optimum, minimise
    from ...dynamics import cabannes2024

    memories = [cabannes2024.forgetful_memory(variant) for variant in cabannes2024.FORGETFUL]
    answers, gap = [minimise(memory).weights for memory in memories], np.array([1.0, -1.0])
    return {
        "example_inputs": np.array([memory.inputs for memory in memories]),
        "example_targets": np.array([memory.targets for memory in memories]),
        "example_frequencies": np.array([memory.frequencies for memory in memories]),
        "example_minimiser": np.array([gap @ weights for weights in answers if weights is not None]),
        "example_optimum": np.array([gap @ accuracy_optimum(memory).direction for memory in memories]),
        "example_error": np.array([forgotten(memory)[1:] for memory in memories]),
    }


FIGURES = (
    Definition(
        "cabannes2024.review.limited_capacity",
        "More tokens than the plane can hold: how often the cross entropy forgets what could be kept, and which",
        60.0,
        limited_capacity,
        draw,
        caption=(
            "Top: three tokens (filled: first class, open: second; area: frequency) of which the minimiser of the "
            "cross entropy (solid line) forgets the most frequent one, though another line (dashed) keeps it. "
            "Then the share of random problems in which the minimiser is not the best classifier, the mean excess "
            "risk, how often a token is forgotten by its rank, and how often training passes the best classifier "
            "on its way, where the minimiser is not it."
        ),
        published=False,
        quick_seconds=4.0,
        question=(
            "When tokens outnumber dimensions, how often does the minimiser of the cross entropy forget what a better "
            "W would keep, which tokens does it forget, and does training pass the better W on its way?"
        ),
        hypothesis=(
            "Problems in which the minimiser is not the best classifier become the norm as $N$ grows. The most "
            "frequent token can be forgotten even with $N = 3$, rare ones are forgotten more often, and descent passes "
            "the best classifier before it leaves it, as in the paper's example."
        ),
        method=(
            "Random directions in the plane, two classes in turn, $p(x) \\propto (x+1)^{-a}$ with $a \\in "
            "\\{0, 1/2, 1, 2\\}$, $N$ from 3 to 100, 1000 problems each, the same directions for every $a$. The "
            "minimiser by Newton's method to rounding, the least 0-1 loss by an exact angular sweep. Shares have "
            "Clopper-Pearson intervals, means bootstrap intervals. Training: rate 0.1, 2000 steps, full batches and "
            "batches of 10, from $W = 0$ and from $\\gamma = (7.5, 2.5)$.\n\n"
            "A count of zero only bounds a share. But for two classes there is a proof that the minimiser never "
            "forgets a token of frequency above one half whose embedding is no shorter than the others. Let $a_x = "
            "\\pm e_x$ with the sign of the class and $q_x$ the probability that the minimiser gives to the wrong "
            "class, so that $m_x = \\log((1-q_x)/q_x)$. The gradient vanishes, $\\sum p_x q_x a_x = 0$, hence $\\sum "
            "p_x q_x m_x = 0$ and $p_1 q_1 \\le \\sum_{x>1} p_x q_x$. The function $g(q) = q\\log((1-q)/q)$ is concave "
            "with $g(q) \\le 1-2q$, so $\\sum_{x>1} p_x g(q_x) \\le 1 - p_1 - 2 p_1 q_1 < p_1(1 - 2q_1)$ for $p_1 > "
            "1/2$. If $q_1 \\ge 1/2$, that is at most 0, and so is $p_1 g(q_1)$: their sum, which is $\\sum p_x q_x "
            "m_x$, would be negative."
        ),
    ),
)
