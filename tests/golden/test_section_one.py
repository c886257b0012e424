"""Numbers of the papers' theory that were verified before this package existed, reproduced to their last digit.

Each was obtained once by other code; the tests compute it here through the public interface. Random experiments agree
within three standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import traindyn as td

Draw = Callable[..., list[NDArray[np.float64]]]


def last_digit(value: float, printed: str) -> None:
    """Assert that value agrees with a printed number to one unit of its last digit."""
    mantissa = printed.lower().split("e")[0]
    decimals = len(mantissa.split(".")[1]) if "." in mantissa else 0
    exponent = int(printed.lower().split("e")[1]) if "e" in printed.lower() else 0
    unit = 10.0 ** (exponent - decimals)
    assert abs(value - float(printed)) <= unit * (1 + 1e-9), (value, printed)


def orthogonal(frequencies: list[float], rates_scale: float = 1.0) -> td.AssociativeMemory:
    """Binary memory with orthonormal inputs and |u_1 - u_2|^2 = rates_scale * 2."""
    n = len(frequencies)
    outputs = np.zeros((2, max(n, 2)))
    outputs[0, 0] = outputs[1, 1] = math.sqrt(rates_scale)
    return td.AssociativeMemory(np.eye(n, max(n, 2)), outputs, [0] * n, frequencies)


def scalar_margins(rate: float, steps: int) -> NDArray[np.float64]:
    """Margins of one token with eta c_x = rate, through the real simulation."""
    memory = orthogonal([1.0])
    run = td.simulate(memory, td.GradientDescent(rate / 2.0), steps=steps, observe=("margin",), save=td.every(1))
    return np.asarray(run["margin"][:, 0])


# --- Theorem 1 ------------------------------------------------------------------------------------------------------


def test_particles_equal_weights() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    memory = td.AssociativeMemory(*embeddings, [0, 2, 1, 1], [0.4, 0.3, 0.2, 0.1])
    start, rule = rng.normal(size=(3, 3)), td.GradientDescent(0.7)
    runs = {
        form: td.simulate(memory, rule, steps=50, initial=start, observe=("scores",), form=form)["scores"]
        for form in ("weights", "particles")
    }
    size = np.abs(runs["weights"]).max()
    assert np.abs(runs["weights"] - runs["particles"]).max() <= 1e-13 * size


# --- Theorem 2 ------------------------------------------------------------------------------------------------------


def test_descent_bound_fails_at_every_step_for_small_rates() -> None:
    t = np.arange(1, 20001)
    for rate in (0.01, 0.1, 0.5, 1.0, 2.0):
        assert np.all(scalar_margins(rate, 20000)[1:] < np.log(rate * t + 1)), rate
    for rate, failing in ((2.5, [1]), (3.0, []), (5.0, [])):
        below = scalar_margins(rate, 20000)[1:] < np.log(rate * t + 1)
        assert t[below].tolist() == failing


@pytest.mark.parametrize(
    ("rate", "first", "largest"), [(0.01, None, "1.079"), (0.1, 52, "1.072"), (1.0, 13, "1.016"), (2.0, math.inf, None)]
)
def test_loss_bound(rate: float, first: float | None, largest: str | None) -> None:
    steps = 20000
    margins = scalar_margins(rate, steps)
    ratio = np.log1p(np.exp(-margins[1:])) * rate * np.arange(1, steps + 1)
    violated = np.flatnonzero(ratio > 1)
    if first == math.inf:
        assert violated.size == 0
        return
    if first is not None:
        assert violated[0] + 1 == first
    assert largest is not None
    last_digit(float(ratio.max()), largest)


def test_one_step_from_a_random_start() -> None:
    """M = 5, orthonormal, p(x) = 0.2, W_0 ~ N(0, 9): shares of tokens still wrong after one step."""
    rng = np.random.default_rng(7)
    memory = td.AssociativeMemory(np.eye(5), np.eye(5), range(5), np.full(5, 0.2))
    runs = 400
    for rate, printed in ((1.0, 0.76), (10.0, 0.45), (100.0, 0.0)):
        starts = 3.0 * rng.normal(size=(runs, 5, 5))
        ends = [td.simulate(memory, td.GradientDescent(rate), steps=1, initial=start)["margin"][-1] for start in starts]
        wrong = np.array(ends) <= 0
        # tokens decouple: 5 * runs independent tokens; the printed value is itself rounded to a hundredth
        standard_error = math.sqrt(max(printed * (1 - printed), 1e-12) / (5 * runs))
        assert abs(wrong.mean() - printed) <= 3 * standard_error * math.sqrt(2) + 0.005, (rate, wrong.mean())


# --- Theorem 3 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_classes", "printed"),
    [(2, ("1.069", "1.035", "1.023")), (3, ("1.110", "1.055", "1.037")), (5, ("1.161", "1.080", "1.054"))],
)
def test_limit_constant_is_one(n_classes: int, printed: tuple[str, ...]) -> None:
    """W_t / log t along Pi(u_1) e^T: 1 + log(M kappa) / log t, simulated at log t = 10, 20, 30 with kappa = 1."""
    memory = td.AssociativeMemory(np.eye(1, n_classes), np.eye(n_classes), [0], [1.0])
    times = np.exp([10.0, 20.0, 30.0])
    run = td.simulate(memory, td.GradientFlow(), time=float(times[-1]), save=td.at(times), observe=("scores",))
    direction = np.eye(n_classes)[0] - 1 / n_classes
    for time, scores, text in zip(times, run["scores"][-3:, 0], printed, strict=True):
        last_digit(float(direction @ scores / (direction @ direction) / math.log(time)), text)


@pytest.mark.parametrize(
    ("dim", "inverse_square_margin", "measured"),
    [
        (5, "30.339", {3.0: ("31.39", "30.09", "30.02"), 20.0: ("30.06", "30.01", "30.06")}),
        (10, "4.2754", {3.0: ("4.214", "4.221", "4.231"), 20.0: ("4.134", "4.234", "4.247")}),
    ],
)
def test_universal_law(
    random_unit_rows: Draw, dim: int, inverse_square_margin: str, measured: dict[float, tuple[str, ...]]
) -> None:
    inputs, outputs = random_unit_rows(43, (5, dim), (5, dim))
    p = 1 / np.arange(1, 6)
    memory = td.AssociativeMemory(inputs, outputs, range(5), p / p.sum())
    margin = td.analytics.hard_margin(memory).margin
    last_digit(1 / margin**2, inverse_square_margin)
    times = [1000, 10000, 30000]
    for rate, printed in measured.items():
        run = td.simulate(memory, td.GradientDescent(rate), steps=30000, save=td.at(times), observe=("loss",))
        for t, text in zip(times, printed, strict=True):
            last_digit(rate * t * float(run["loss"][np.flatnonzero(run.step == t)[0]]), text)


# --- Theorem 4 ------------------------------------------------------------------------------------------------------


def gammas(margins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """gamma_1 = (m_1 - m_2) / 2, gamma_2 = (m_1 + m_2) / 2."""
    return (margins[:, 0] - margins[:, 1]) / 2, (margins[:, 0] + margins[:, 1]) / 2


@pytest.mark.parametrize(
    ("p", "correlation", "printed"),
    [
        *((0.75, correlation, ".43301") for correlation in (-0.5, -0.2, 0.0, 0.5, 0.95)),
        (0.95, 0.5, ".21794"),
        (0.5, 0.5, ".5"),
    ],
)
def test_growth_constant(p: float, correlation: float, printed: str) -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=correlation, frequencies=(p, 1 - p))
    run = td.simulate(memory, td.GradientFlow(), time=1e10, observe=("margin",))
    gamma_2 = gammas(run["margin"])[1][-1]
    # c_t from gamma_2 = log(c_t t + 1) - the logarithmic correction of the flow, which is log(t)/t at 1e10
    last_digit(math.expm1(float(gamma_2)) / (1e10 * 2 * (1 - correlation)), printed)


@pytest.mark.parametrize(
    ("correlation", "printed"),
    [(-0.5, "-.3333"), (-0.2, "-.6635"), (0.0, "-.9456"), (0.5, "-1.000"), (0.95, "-1.000")],
)
def test_rate_of_the_bias(correlation: float, printed: str) -> None:
    """Exponent of |gamma_1 - log(p_1/p_2)/2| over the two decades up to t = 1e10 (up to 1e8 where the offset falls like
    1/t: at 1e10 it would be below what margins in double precision resolve)."""
    memory = td.AssociativeMemory.two_tokens(correlation=correlation)
    end = 1e8 if correlation >= 0.5 else 1e10
    times = [0.01 * end, end]
    run = td.simulate(memory, td.GradientFlow(rtol=1e-12), time=end, save=td.at(times), observe=("margin",))
    offset = gammas(run["margin"][-2:])[0] - 0.5 * math.log(3)
    exponent = math.log(offset[1] / offset[0]) / math.log(times[1] / times[0])
    last_digit(exponent, printed)


def test_slow_bias_for_negative_correlation() -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=-0.5)
    run = td.simulate(memory, td.GradientFlow(), time=1e4, observe=("margin",))
    last_digit(float(gammas(run["margin"])[0][-1] - 0.5 * math.log(3)), "-.0213")


@pytest.mark.parametrize(
    ("correlation", "p", "rate", "largest", "at", "printed_bound", "corrected"),
    [(0.95, 0.75, 10.0, "5.76", 5, "1.875", "16.1"), (0.95, 0.9, 50.0, "37.9", None, "6.75", "92.3")],
)
def test_bias_bound_of_descent(
    correlation: float, p: float, rate: float, largest: str, at: int | None, printed_bound: str, corrected: str
) -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=correlation, frequencies=(p, 1 - p))
    run = td.simulate(memory, td.GradientDescent(rate), steps=5000, observe=("margin",))
    offset = np.abs(gammas(run["margin"])[0] - 0.5 * math.log(p / (1 - p)))
    last_digit(float(offset.max()), largest)
    if at is not None:
        assert int(offset.argmax()) == at
    last_digit(rate * (1 - correlation) * p + p / (2 * (1 - p)), printed_bound)
    last_digit(rate * (1 + correlation) * p + p / (2 * (1 - p)), corrected)


def test_main_text_bound_is_undercut_early() -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=0.95)
    run = td.simulate(memory, td.GradientDescent(1.0), steps=5000, observe=("margin",))
    t = np.arange(1, 5001)
    gap = gammas(run["margin"])[1][1:] - np.log(0.25 * 2 * 0.05 * t + 1)
    assert int((gap < 0).sum()) == 62
    last_digit(float(-gap.min()), ".05")


def test_asymptotic_loss() -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=0.95)
    for rate, printed in ((10.0, "2.0e-4"), (1.0, "2.03e-3")):
        run = td.simulate(memory, td.GradientDescent(rate), steps=10000, save=td.at([10000]), observe=("loss",))
        last_digit(float(run["loss"][-1]), printed)


# --- Proposition 5 and the spikes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "loss", "bound"), [(1.0, ".5898", ".1156"), (10.0, "1.16314", "1.15625"), (100.0, "11.5625", "11.5625")]
)
def test_first_step(rate: float, loss: str, bound: str) -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=0.95)
    run = td.simulate(memory, td.GradientDescent(rate), steps=1, observe=("loss",))
    last_digit(float(run["loss"][1]), loss)
    last_digit(rate * (0.95 * 0.75 - 0.25) * 0.25, bound)


@pytest.mark.parametrize(("rate", "above"), [(100.0, 12), (1000.0, 44)])
def test_spike_duration(rate: float, above: int) -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=0.95, frequencies=(0.99, 0.01))
    run = td.simulate(memory, td.GradientDescent(rate), steps=300, observe=("loss", "accuracy"))
    assert int(np.flatnonzero(run["accuracy"] < 1)[-1]) == 47
    assert int((run["loss"] > math.log(2)).sum()) == above


def test_naive_regime_of_the_spike_law() -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=0.9, frequencies=(0.6, 0.4))
    run = td.simulate(memory, td.GradientDescent(1e4), steps=300, observe=("loss", "accuracy"))
    assert int((run["accuracy"][1:] < 1).sum()) == 7
    assert abs(float(run["loss"].max()) - 2880) <= 10 * 0.5
    assert abs(1e4 * (0.9 * 0.6 - 0.4) * 0.4 - 560) < 1e-9


# --- Appendix A -----------------------------------------------------------------------------------------------------


def test_sharpness_at_zero() -> None:
    memory = td.AssociativeMemory.two_tokens(correlation=0.95)
    value = td.kernels.sharpness(np.zeros((2, 2)), memory.inputs, memory.outputs, memory.targets, memory.frequencies)
    # the specification prints .490687; (1 + sqrt(0.926875)) / 4 = 0.49068587, so its last digit is one too high
    last_digit(value, ".490686")
    last_digit(2 / value, "4.076")
