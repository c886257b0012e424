"""The runs of the experiment on factorised W: problems of its cells, and what is measured of each run."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...dynamics import Trajectory

    Floats = NDArray[np.float64]

DIM = 8  # of the tokens that interfere and of the orthonormal ones; ranks go up to it
SPIKE = 1e-3  # a rise of the loss above its least value so far that counts as a spike
WHOLE_RATE = 10.0
MODES = 4  # singular values whose rise is compared with the next one's
RISEN = 3.0  # a singular value that counts as learned
GROWTH = 0.03  # of the logarithm of the rate a step, in runs that follow the direction of W
FULL = 0  # "rank" of a W that is not factorised


@dataclass(frozen=True)
class Replayed:
    """The rates that another run had, step by step; the last one for ever."""

    rates: tuple[float, ...]

    def __call__(self, step: int) -> float:
        return self.rates[min(step, len(self.rates) - 1)]


@dataclass(frozen=True)
class Growing:
    """rate e^(growth t) / (1 + slowing t): steps that keep pace with a loss that falls like one over the time."""

    rate: float
    growth: float
    slowing: float

    def __call__(self, step: int) -> float:
        return self.rate * math.exp(self.growth * step) / (1.0 + self.slowing * step)


def correlated_pair(correlation: float, frequency: float) -> Any:
    """Return the two tokens of Section 4.2 in `DIM` dimensions: f(x) = x, orthonormal outputs.

    >>> correlated_pair(0.5, 0.75).input_gram.round(12).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    from ...dynamics import AssociativeMemory

    inputs = np.zeros((2, DIM))
    inputs[0, 0] = 1.0
    inputs[1, :2] = correlation, math.sqrt((1.0 - correlation) * (1.0 + correlation))
    return AssociativeMemory(inputs, np.eye(2, DIM), [0, 1], (frequency, 1.0 - frequency))


def structured(memory: Any, rank: int, scale: float, balanced: bool, seed: int) -> Any:
    """Return the memory with factors of a rank, or with W itself for the rank `FULL`."""
    from ...dynamics import BlockMemory, FactorisedMemory

    if rank == FULL:
        return BlockMemory(memory, 1)
    return FactorisedMemory(memory, rank, scale, balanced, rng=np.random.SeedSequence([seed, rank]))


def interfering(
    correlation: float, frequency: float, rank: int, scale: float, start: str, learning_rate: float, seed: int
) -> tuple[Any, Any]:
    """Return two correlated tokens under gradient descent; `start` is "gaussian" or "balanced"."""
    from ...dynamics import GradientDescent

    memory = correlated_pair(correlation, frequency)
    return structured(memory, rank, scale, start == "balanced", seed), GradientDescent(learning_rate)


def orthonormal(rank: int, scale: float, start: str, learning_rate: float, seed: int) -> tuple[Any, Any]:
    """Return `DIM` orthonormal tokens and classes with Zipf frequencies under gradient descent."""
    from ...dynamics import AssociativeMemory, GradientDescent

    memory = AssociativeMemory.random(DIM, DIM, DIM, "orthonormal", "zipf", rng=np.random.SeedSequence([seed, 7]))
    return structured(memory, rank, scale, start == "balanced", seed), GradientDescent(learning_rate)


def random_classes(tokens: int, seed: int) -> Any:
    """Return tokens and as many classes with independent unit embeddings in `tokens` dimensions."""
    from ...dynamics import AssociativeMemory

    return AssociativeMemory.random(
        tokens, tokens, tokens, rng=np.random.SeedSequence([seed, tokens]), output_embedding="sphere"
    )


def followed(tokens: int, rank: int, scale: float, start: str, seed: int) -> tuple[Any, Any]:
    """Return random tokens and classes under rates that grow, so that margins reach the hundreds."""
    from ...dynamics import GradientDescent

    schedule = Growing(1.0, GROWTH, 0.0) if rank == FULL else Growing(0.1, GROWTH, GROWTH)
    return structured(random_classes(tokens, seed), rank, scale, start == "balanced", seed), GradientDescent(schedule)


def stored(tokens: int, dim: int, rank: int, learning_rate: float, seed: int) -> tuple[Any, Any]:
    """Return as many classes as tokens, random unit embeddings, uniform frequencies, under gradient descent.

    W itself has `WHOLE_RATE` times the rate: about what factors gain once margins are some units large.
    """
    from ...dynamics import AssociativeMemory, GradientDescent

    memory = AssociativeMemory.random(
        tokens, tokens, dim, rng=np.random.SeedSequence([seed, tokens, dim]), output_embedding="sphere"
    )
    rate = learning_rate * (WHOLE_RATE if rank == FULL else 1.0)
    return structured(memory, rank, 1.0 / math.sqrt(dim), False, seed), GradientDescent(rate)


def in_blocks(
    blocks: int, tokens: int, dim: int, alignment: float, correlation: float, learning_rate: float, seed: int
) -> tuple[Any, Any]:
    """Return a block-diagonal W at the rate over `own_coupling`, which matches what tokens do to their own scores.

    With two tokens they are the correlated pair, randomly rotated; with more, unit embeddings and as many classes,
    random but for an `alignment` > 0: then this share of the squared norm of both embeddings of token x lies in block
    x mod k of four.
    """
    from ...dynamics import AssociativeMemory, BlockMemory, GradientDescent

    generator = np.random.default_rng([seed, tokens, dim])
    if tokens == 2:
        pair = correlated_pair(correlation, 0.75)
        turns = [np.linalg.qr(generator.normal(size=(dim, dim)))[0][:DIM] for _ in range(2)]
        memory = AssociativeMemory(pair.inputs @ turns[0], pair.outputs @ turns[1], pair.targets, pair.frequencies)
    else:
        memory = AssociativeMemory.random(tokens, tokens, dim, rng=generator, output_embedding="sphere")
        if alignment > 0.0:
            memory = AssociativeMemory(
                aligned(memory.inputs, alignment), aligned(memory.outputs, alignment), memory.targets,
                memory.frequencies,
            )  # fmt: skip
    return BlockMemory(memory, blocks), GradientDescent(learning_rate / own_coupling(memory, blocks))


def aligned(rows: Floats, alignment: float) -> Floats:
    """Return the rows with a share of their squared norm in the quarter number x mod 4 of the dimensions.

    >>> aligned(np.ones((1, 4)) / 2.0, 0.97).round(3).tolist()
    [[0.985, 0.1, 0.1, 0.1]]
    """
    parts = rows.reshape(len(rows), 4, -1).copy()
    own = np.arange(len(rows)) % 4 == np.arange(4)[:, None]
    inside = (parts**2).sum(axis=2)
    total = np.where(own.T, inside, 0.0).sum(axis=1, keepdims=True)
    share = np.where(own.T, alignment / total, (1.0 - alignment) / (inside.sum(axis=1, keepdims=True) - total))
    return np.asarray((parts * np.sqrt(share)[:, :, None]).reshape(rows.shape))


def is_lost(run: Trajectory) -> float:
    """1 where the run is no longer finite, or ends above the loss of a guess, log M; else 0."""
    from ...dynamics import Status

    lost = run.status is Status.NOT_FINITE or not run["loss"][-1] <= math.log(run.problem.n_classes)
    return float(lost)


def height(loss: Floats) -> float:
    """Return the largest rise of the loss above its least value so far."""
    return float((loss[1:] - np.minimum.accumulate(loss)[:-1]).max(initial=0.0))


def spike(run: Trajectory) -> float:
    """Height of the highest spike; NaN for a run that is lost."""
    return math.nan if is_lost(run) else height(run["loss"])


def matched_spike(run: Trajectory) -> float:
    """Height of the highest spike of W itself, from the same W and with the rate gained at each step; NaN if lost."""
    from ...dynamics import AssociativeMemory, GradientDescent, simulate

    if is_lost(run):
        return math.nan
    memory: AssociativeMemory = run.problem.memory
    rates = run.rule.learning_rate * run["rate_gain"]
    start = run.problem.product(run.problem.start)
    twin = simulate(
        memory, GradientDescent(Replayed(tuple(rates.tolist()))), steps=int(run.step[-1]), observe="loss", initial=start
    )
    return height(twin["loss"])


def risen_at(run: Trajectory, mode: int) -> float:
    """Return the step at which the singular value number `mode` reaches `RISEN`, between saved steps; NaN if never."""
    values = run["singular_values"][:, mode]
    above = np.flatnonzero(values >= RISEN)
    if not above.size or above[0] == 0:
        return math.nan
    last = int(above[0])
    share = (RISEN - values[last - 1]) / (values[last] - values[last - 1])
    return float(run.step[last - 1] + share * (run.step[last] - run.step[last - 1]))


def first_risen(run: Trajectory) -> float:
    """Step at which the first singular value reaches `RISEN`."""
    return risen_at(run, 0)


def overlap(run: Trajectory) -> float:
    """Geometric mean over the first `MODES` of the next singular value when one reaches `RISEN`, in units of that."""
    steps = [risen_at(run, mode) for mode in range(MODES)]
    if any(math.isnan(step) for step in steps):
        return math.nan
    following = [np.interp(step, run.step, run["singular_values"][:, mode + 1]) for mode, step in enumerate(steps)]
    return float(np.exp(np.mean(np.log(np.maximum(following, 1e-300))))) / RISEN


def margin_over(run: Trajectory, norm: str) -> float:
    """Return the least margin at the end over a norm of W, "fro" or "nuc"; NaN for a run that is lost."""
    if is_lost(run):
        return math.nan
    return float(run["margin"][-1].min() / np.linalg.norm(run.problem.product(run.final), norm))  # type: ignore[call-overload]


@functools.lru_cache(maxsize=1024)
def best_margins(memory: Any) -> tuple[float, float, float]:
    """Return the largest least margin of W of unit Frobenius norm, of unit nuclear norm, and a bound of the latter."""
    from ...analytics import hard_margin, nuclear_margin

    nuclear = nuclear_margin(memory)
    return hard_margin(memory).margin, nuclear.margin, nuclear.upper_margin


def frobenius_share(run: Trajectory) -> float:
    """Least margin at the end over the Frobenius norm of W, in units of the largest that any W has."""
    return margin_over(run, "fro") / best_margins(run.problem.memory)[0]


def nuclear_share(run: Trajectory) -> float:
    """Least margin at the end over the nuclear norm of W, in units of a proved upper bound of the largest."""
    return margin_over(run, "nuc") / best_margins(run.problem.memory)[2]


def share_right(run: Trajectory) -> float:
    """Share of the tokens with a positive margin at the end, each counted once; 0 for a run that is lost."""
    return 0.0 if is_lost(run) else float((run["margin"][-1] > 0.0).mean())


def classes_right(run: Trajectory) -> float:
    """Number of tokens, each with a class of its own, with a positive margin at the end."""
    return 0.0 if is_lost(run) else float((run["margin"][-1] > 0.0).sum())


def _pushes(memory: Any, blocks: int) -> tuple[Floats, Floats]:
    inputs = memory.inputs.reshape(memory.n_tokens, blocks, -1)
    outputs = memory.outputs.reshape(memory.n_classes, blocks, -1)
    return np.einsum("xbi,zbi->bxz", inputs, inputs), np.einsum("ybi,wbi->byw", outputs, outputs)


def own_coupling(memory: Any, blocks: int) -> float:
    """Return the mean push of a token on its own score of its class, sum_b |e_b|^2 |u_b|^2; 1 for unit vectors, k = 1.

    >>> round(own_coupling(correlated_pair(0.5, 0.75), 1), 12)
    1.0
    """
    token_grams, class_grams = _pushes(memory, blocks)
    tokens = np.arange(memory.n_tokens)
    return float((token_grams[:, tokens, tokens] * class_grams[:, memory.targets, memory.targets]).sum(axis=0).mean())


def cross_coupling(memory: Any, blocks: int) -> float:
    """Return the root mean square push of a token on another token's score of another class, over `own_coupling`.

    The push of token x, of class y, on the score of class y' on token x' is sum_b <e_x, e_x'>_b <u_y, u_y'>_b.
    """
    token_grams, class_grams = _pushes(memory, blocks)
    of_targets = class_grams[:, memory.targets[:, None], memory.targets]
    others = memory.targets[:, None] != memory.targets
    pushes = (token_grams * of_targets).sum(axis=0)[others]
    return float(np.sqrt((pushes**2).mean()) / own_coupling(memory, blocks))


def coupling(run: Trajectory) -> float:
    """`cross_coupling` of the problem of a run."""
    return cross_coupling(run.problem.memory, run.problem.blocks)
