"""Experiment: which laws of two correlated tokens survive for many tokens and any correlations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import Definition, Numbers, Request
from .correlation_structures import N_TOKENS, STRUCTURES, memory_of, name_of, perceptron_steps
from .correlations_answers import findings
from .correlations_drawing import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...dynamics import AssociativeMemory, GradientDescent, GradientFlow, Trajectory

    Floats = NDArray[np.float64]

RATES, QUICK_RATES = (0.5, 1.5, 5.0, 50.0, 500.0, 5000.0), (1.5, 5.0, 5000.0)  # in units of 1 / sharpness at W = 0
OUTPUTS = ("orthonormal", "sphere")
FREQUENCIES = ("uniform", "zipf")
STEPS, TIME, POINTS = 10_000, 1e12, 400
SEEDS, QUICK_SEEDS = 20, 2
LATE = 100.0  # the last factor of time over which exponents and slopes are fitted
CLOSED = tuple(
    (n, m, alpha, beta)
    for n, m in ((2, 2), (3, 3), (8, 8), (8, 4), (12, 2), (20, 10))
    for alpha in (-1.0 / (n - 1), -0.5 / (n - 1), 0.0, 0.5, 0.9)
    for beta in (0.0, 0.3)
)
"""N, M, correlation of the inputs and of the outputs: cases of the closed form."""


def _sharpness(memory: AssociativeMemory) -> float:
    """Return the largest eigenvalue of the Hessian at W = 0: that of the inputs times that of the outputs."""
    from ...kernels import sharpness

    nothing = memory.initial_weights()
    return float(sharpness(nothing, memory.inputs, memory.outputs, memory.targets, memory.frequencies))


def descent(
    structure: tuple[str, float], outputs: str, frequencies: str, rate: float, seed: int
) -> tuple[AssociativeMemory, GradientDescent]:
    """Return a cell of descent; `rate` in units of 1 / sharpness at W = 0."""
    from ...dynamics import GradientDescent

    memory = memory_of(*structure, outputs, frequencies, seed)
    return memory, GradientDescent(rate / _sharpness(memory))


def flow(
    structure: tuple[str, float], outputs: str, frequencies: str, seed: int
) -> tuple[AssociativeMemory, GradientFlow]:
    """Return a cell of flow."""
    from ...dynamics import GradientFlow

    return memory_of(*structure, outputs, frequencies, seed), GradientFlow()


def first_loss_excess(run: Trajectory) -> float:
    """L(W_1) - eta S, S = `first_step_interference`: the law puts it in (0, log M]."""
    from ...analytics import first_step_interference

    return float(run["loss"][1] - run.rule.learning_rate * first_step_interference(run.problem))


def learning_rate(run: Trajectory) -> float:
    """The learning rate itself."""
    return float(run.rule.learning_rate)


def interference(run: Trajectory) -> float:
    """S, the slope of the loss after one step against a large rate."""
    from ...analytics import first_step_interference

    return float(first_step_interference(run.problem))


def peak_over_rate(run: Trajectory) -> float:
    """Largest loss over the learning rate."""
    return float(run["loss"].max()) / float(run.rule.learning_rate)


def first_rise(run: Trajectory) -> float:
    """L(W_1) - L(W_0)."""
    return float(run["loss"][1] - run["loss"][0])


def imperfect(run: Trajectory) -> float:
    """Number of imperfect steps, the start included; NaN where the last one is."""
    wrong = run["accuracy"] < 1.0
    return math.nan if wrong[-1] else float(wrong.sum())


def imperfect_limit(run: Trajectory) -> float:
    """Number of imperfect steps at an infinite rate."""
    return float(perceptron_steps(run.problem))


def turns(run: Trajectory) -> float:
    """Number of times a margin turns round, mean over the tokens."""
    moves = np.sign(np.diff(run["margin"], axis=0))
    return float((moves[1:] * moves[:-1] < 0.0).sum() / moves.shape[1])


def descent_constant(run: Trajectory) -> float:
    """Eta t L_t at the end, over its limit 1 / margin^2."""
    from ...analytics import hard_margin

    return float(run.time[-1] * run["loss"][-1] * hard_margin(run.problem).margin ** 2)


def _late(run: Trajectory) -> NDArray[np.bool_]:
    return np.asarray(run.time >= run.time[-1] / LATE)


def _slope(run: Trajectory, values: Floats) -> float:
    """Return the least-squares slope against log t over the last factor 100 of time."""
    late = _late(run)
    return float(np.polyfit(np.log(run.time[late]), values[late], 1)[0])


def loss_exponent(run: Trajectory) -> float:
    """Exponent of the loss against time."""
    return _slope(run, np.log(run["loss"]))


def margin_slope(run: Trajectory) -> float:
    """Slope of the smallest margin against log t."""
    return _slope(run, run["margin"].min(axis=1))


def profile_error(run: Trajectory) -> float:
    """How far p(x) e^(-m_y(x)) is from the multipliers of the hard margin, at the end: the spread of the log ratio.

    Over the pairs whose multiplier is at least a thousandth of the largest: small ones are slow.
    """
    from ...analytics import hard_margin

    multipliers = hard_margin(run.problem).multipliers
    active = multipliers > 1e-3 * multipliers.max()
    scores = run["scores"][-1]
    margins = scores[np.arange(len(scores)), run.problem.targets][:, None] - scores
    ratio = np.log(run.problem.frequencies)[:, None] - margins - np.log(np.where(active, multipliers, 1.0))
    return float(np.ptp(ratio[active]))


def flow_constant(run: Trajectory) -> float:
    """T L at the end, over its limit 1 / margin^2."""
    return float(constants(run)[-1])


def constants(run: Trajectory) -> Floats:
    """Return t L_t over its limit at all saved times."""
    from ...analytics import hard_margin

    return np.asarray(run.time * run["loss"] * hard_margin(run.problem).margin ** 2)


def misalignment(run: Trajectory) -> float:
    """1 - cosine of W and the max-margin direction, at the end."""
    return float(misalignments(run, run.final[None])[0])


def misalignments(run: Trajectory, weights: Floats) -> Floats:
    """Return 1 - cosine of each W, (n, d, d), and the max-margin direction, without cancellation."""
    from ...analytics import hard_margin

    direction = hard_margin(run.problem).direction
    units = weights / np.linalg.norm(weights, axis=(1, 2), keepdims=True)
    return np.asarray(0.5 * np.sum((units - direction) ** 2, axis=(1, 2)))


def best_constant(run: Trajectory) -> float:
    """1 / margin^2, by quadratic programming."""
    from ...analytics import hard_margin

    return float(hard_margin(run.problem).margin ** -2.0)


def equal_excess(run: Trajectory) -> float:
    """|W|^2 of the least W with equal margins, over 1 / margin^2, minus 1."""
    from ...analytics import equal_margins

    return float(equal_margins(run.problem).squared_norm / best_constant(run) - 1.0)


def equal_optimal(run: Trajectory) -> float:
    """1 where that W is the max-margin solution, by the signs of its multipliers, else 0."""
    from ...analytics import equal_margins

    return float(equal_margins(run.problem).optimal)


DESCENT: tuple[Any, ...] = (
    "spike_count", "peak_loss", "spike_height", "last_rise", first_loss_excess, learning_rate, interference,
    peak_over_rate, first_rise, imperfect, imperfect_limit, turns, descent_constant,
)  # fmt: skip
FLOW = (
    loss_exponent, margin_slope, profile_error, flow_constant, misalignment, best_constant, equal_excess, equal_optimal,
)  # fmt: skip


def closed_forms() -> tuple[Floats, Floats]:
    """Return 1 / margin^2 of equicorrelated tokens and outputs by quadratic programming and in closed form."""
    from ...analytics import equicorrelated_loss_constant, hard_margin
    from ...dynamics import AssociativeMemory, embeddings

    def gram(count: int, correlation: float) -> Floats:
        return np.asarray((1.0 - correlation) * np.eye(count) + correlation)

    rows = []
    for n, m, alpha, beta in CLOSED:
        inputs, outputs = embeddings.from_gram(gram(n, alpha)), embeddings.from_gram(gram(m, beta), n)
        memory = AssociativeMemory(inputs, outputs, np.arange(n) % m, np.full(n, 1.0 / n))
        rows.append((hard_margin(memory).margin ** -2.0, equicorrelated_loss_constant(n, m, alpha, beta)))
    solved, closed = np.array(rows).T
    return solved, closed


def correlations(request: Request | None = None) -> Numbers:
    r"""Return how descent and flow on correlated tokens compare with the laws of two tokens.

    Eight tokens in 16 dimensions, one class each: uniform, clustered, equicorrelated, power-law, block and Toeplitz
    inputs, orthonormal or random outputs, uniform or Zipf frequencies. Descent from zero at six rates to step $10^4$
    for the first step, spikes and imperfect steps; flow to $t = 10^{12}$ for the loss, the margins and the direction.

    Parameters
    ----------
    request : the full size by default (20 seeds, six rates); quick: two seeds and three rates

    Returns
    -------
    `Numbers`: the measures of all cells, the trajectories of the first seed, the closed constants, the findings.

    Raises
    ------
    What `Request.sweep` raises.

    Cost: 6720 runs of descent of 10 000 steps and 1120 of flow, about 100 s; quick: 336 and 112, about 14 s.

    Source: Cabannes, Simsek, Bietti 2024, Sections 4.2 and 5; Proposition 5.

    >>> memory, rule = descent(("block", 0.9), "orthonormal", "uniform", 0.5, seed=0)
    >>> round(rule.learning_rate, 6)  # 0.5 / ((1 + 0.9) / 8 / 8)
    16.842105
    """
    from ...dynamics import logarithmic, simulate

    request = request or Request()
    seeds = range(request.rng, request.rng + (QUICK_SEEDS if request.quick else SEEDS))
    rates = QUICK_RATES if request.quick else RATES
    common: dict[str, Any] = {"structure": STRUCTURES, "outputs": OUTPUTS, "frequencies": FREQUENCIES}
    moved = request.sweep(
        "descent", descent, grid={**common, "rate": rates, "seed": seeds}, measure=DESCENT, steps=STEPS
    )
    flowed = request.sweep(
        "flow", flow, grid={**common, "seed": seeds}, measure=FLOW, time=TIME, save=logarithmic(POINTS),
        observe=("loss", "margin", "scores"),
    )  # fmt: skip
    arrays: dict[str, Any] = {name: moved[name] for name in moved.measures}
    arrays |= {name: flowed[name] for name in flowed.measures}
    arrays["constant_solved"], arrays["constant_closed"] = closed_forms()
    shown = [
        simulate(*flow(structure, "orthonormal", "zipf", request.rng), time=TIME, save=logarithmic(POINTS),
                 observe=("loss", "margin", "weights"))
        for structure in STRUCTURES
    ]  # fmt: skip
    arrays["time"] = shown[0].time
    arrays["constant"] = np.stack([constants(run) for run in shown])
    arrays["misaligned"] = np.stack([np.append(1.0, misalignments(run, run["weights"][1:])) for run in shown])
    parameters = {
        "structures": [name_of(*structure) for structure in STRUCTURES], "outputs": list(OUTPUTS),
        "frequencies": list(FREQUENCIES), "rates": list(rates), "seeds": len(seeds), "seed": request.rng,
        "steps": STEPS, "time": TIME, "n_tokens": N_TOKENS,
    }  # fmt: skip
    digests = {name_of(*s): memory_of(*s, "orthonormal", "zipf", request.rng).digest for s in STRUCTURES}
    return Numbers(arrays, parameters, digests, findings(arrays, parameters))


FIGURES: tuple[Definition, ...] = (
    Definition(
        "cabannes2024.review.correlations",
        "Many tokens with any correlations: which laws of two tokens survive",
        100.0,
        correlations,
        draw,
        caption=(
            "(a) Share of the runs with a spike, by structure of the inputs and rate (Zipf frequencies, orthonormal "
            "outputs): without positive correlations there is none. (b) The loss after one step exceeds $\\eta S$, "
            "the interference of the inputs times the rate, by at most $\\log N$ in every run (dashed lines: the "
            "law). (c) How many steps are imperfect at the largest rate is nearly always what the perceptron limit "
            "says. (d) "
            "$t\\,\\mathcal{L}$ tends to $1/\\gamma^2$ for every structure, while (e) the direction is still on its "
            "way; one line a structure, dashes for the second and later parameters of a family in the order of (a)."
        ),
        published=False,
        quick_seconds=14.0,
        question="Which laws of two correlated tokens hold for many tokens with arbitrary correlations?",
        hypothesis=(
            "At late times all of them: the loss falls as $1/t$ with the constant $1/\\gamma^2$ of the hard margin, "
            "margins grow as $\\log t$, and $W$ turns to the max-margin direction. At early times a spike needs a "
            "token $x$ and a more frequent $y$ with $p(y) \\langle e_x, e_y\\rangle > p(x)$ (Proposition 5), and "
            "there is none below $2/\\lambda_{\\max}(0)$."
        ),
        method=(
            "Eight tokens in 16 dimensions, one class each. Inputs: uniform, clustered, equicorrelated, with a "
            "power-law spectrum, in pairs, and Toeplitz; outputs orthonormal or uniform; frequencies uniform, or Zipf "
            "in random order; twenty seeds. Descent from zero for 10 000 steps at six rates, flow to $t = 10^{12}$. "
            "The constant and the direction come from a quadratic program, and for equal correlations from the closed "
            "form $N(1-1/M)/((1-\\alpha)(1-\\beta))$, with outputs of correlation $\\beta$. $S = \\sum_x p(x) \\max_y "
            "(-m_y(x)/\\eta)_+$ over the margins after one step, $\\sum_x p(x) \\max_y (p(y)\\langle e_x, e_y\\rangle "
            "- p(x))_+$ for orthonormal outputs. In the perceptron limit each wrong token pulls with its frequency, "
            "the others not at all. Exponents are fitted over the last factor 100 of time."
        ),
    ),
)
