"""What the numbers of the experiment on capacity say: fits, intervals, and the sentences that they decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ..figures.finding import Finding, judged
from .intervals import bootstrap, proportion
from .thresholds import Crossing, crossing, percentiles, scatter, trend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SURE = 0.001  # probability below which a discrepancy with an exact law counts as real
ALIKE = 0.05  # difference of two shares that counts as none
FLAT = 0.1  # slope of d^2 / N against log N that counts as none


def findings(arrays: Mapping[str, Any], parameters: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Return the fitted numbers, and the sentences."""
    derived: dict[str, Any] = {}
    answers = [*_cover(arrays, parameters, derived), *_scaling(arrays, parameters, derived)]
    answers += [*_descent(arrays, parameters, derived), *_forgotten(arrays, parameters)]
    return derived, tuple(answers)


def _cover(arrays: Mapping[str, Any], parameters: Mapping[str, Any], derived: dict[str, Any]) -> list[Finding]:
    """Two classes: certificates against Cover's law, and descent against certificates."""
    from scipy.stats import chi2

    from ...analytics import cover_probability

    seeds, steps = parameters["binary_seeds"], parameters["steps"]
    cells, statistic, freedom = 0, 0.0, 0
    separable, solved, wrong, near, near_solved = 0, 0, 0, 0, 0
    for dim in parameters["binary_dims"]:
        tokens, storable = arrays[f"binary_tokens_{dim}"], arrays[f"binary_separable_{dim}"]
        law = np.array([cover_probability(int(n), dim) for n in tokens])
        derived[f"binary_law_{dim}"] = law
        counts = storable.sum(axis=1)
        cells += tokens.size
        expected, variance = seeds * law, seeds * law * (1.0 - law)
        usable = variance >= 1.0
        statistic += float(((counts - expected)[usable] ** 2 / variance[usable]).sum())
        freedom += int(usable.sum())
        perfect = ~np.isnan(arrays[f"binary_learned_at_{dim}"])
        separable += int(storable.sum())
        solved += int((perfect & storable).sum())
        wrong += int((perfect & ~storable).sum())
        close = (tokens >= 1.5 * dim) & (tokens <= 2.0 * dim)
        near += int(storable[close].sum())
        near_solved += int((perfect & storable)[close].sum())
    probability = float(chi2.sf(statistic, freedom))
    found = [
        Finding(
            "Two classes: the share of separable problems is Cover's 2^(1-N) sum_(k<d) binom(N-1, k)",
            probability, probability, probability,
            f"probability of a larger chi-square, {freedom} pairs (N, d), {seeds} seeds each; refuted below {SURE}",
            "supported" if probability >= SURE else "refuted",
        ),
        Finding(
            "Two classes: no problem without a certificate is answered by descent",
            wrong, wrong, wrong, f"exceptions among {cells * seeds - separable} problems",
            judged(wrong, wrong, at_most=0.0),
        ),
    ]  # fmt: skip
    value, low, high = proportion(solved, separable)
    found.append(Finding(
        f"Two classes: descent answers every token of every separable problem within {steps} steps",
        value, low, high, f"share of {separable} separable problems; 95 % Clopper-Pearson interval",
        "supported" if solved == separable else "refuted",
    ))  # fmt: skip
    if near:
        value, low, high = proportion(near_solved, near)
        found.append(Finding(
            f"Near the threshold, 1.5 <= N/d <= 2, it answers at least nine in ten of them within {steps} steps",
            value, low, high, f"share of {near} separable problems; 95 % Clopper-Pearson interval",
            judged(low, high, at_least=0.9),
        ))  # fmt: skip
    return found


def centres(arrays: Mapping[str, Any], sizes: list[int]) -> list[Crossing]:
    """Return the half-way point of the share of separable problems in log d, for each N."""
    found = []
    for n_tokens in sizes:
        solved = arrays[f"separable_{n_tokens}"]
        runs = np.full(len(solved), solved.shape[1])
        found.append(crossing(np.log(arrays[f"dims_{n_tokens}"]), solved.sum(axis=1), runs, rng=n_tokens))
    return found


def _scaling(arrays: Mapping[str, Any], parameters: Mapping[str, Any], derived: dict[str, Any]) -> list[Finding]:
    """One class a token: where the transition lies, and in which variable the sizes fall together."""
    sizes = list(parameters["separable_sizes"])
    crossings = centres(arrays, sizes)
    n = np.array(sizes, dtype=float)
    derived["half_dim"] = np.exp([one.interval() for one in crossings])
    derived["half_slope"] = np.array([one.slope for one in crossings])
    basis = f"95 % interval from resampled seeds, N = {', '.join(map(str, sizes))}"
    slope, resampled = trend(sizes, crossings)
    low, high = percentiles(resampled)
    found = [Finding(
        "The half-way dimension grows as N to the power 1/2 (between 0.45 and 0.55)",
        slope[0], min(low, slope[0]), max(high, slope[0]), basis, judged(low, high, at_least=0.45, at_most=0.55),
    )]  # fmt: skip
    derived["exponent"] = np.array([slope[0], low, high])
    late, late_resampled = trend(sizes[-2:], crossings[-2:])
    early, early_resampled = trend(sizes[:2], crossings[:2])
    fall, change = late_resampled - early_resampled, late[0] - early[0]
    found.append(Finding(
        f"That exponent falls with N: from N = {sizes[0]}, {sizes[1]} to N = {sizes[-2]}, {sizes[-1]} it changes by",
        change, min(percentiles(fall)[0], change), max(percentiles(fall)[1], change),
        f"{early[0]:.3f} to {late[0]:.3f}; 95 % interval from resampled seeds", judged(*percentiles(fall), at_most=0.0),
    ))  # fmt: skip
    # d^2 / N at the half-way point against log N
    squared = np.exp(2.0 * np.array([[one.centre, *one.resampled] for one in crossings])) / n[:, None]
    weight = 1.0 / squared[:, 1:].std(axis=1)
    design = np.column_stack([np.log(n), np.ones_like(n)])
    fitted = np.linalg.lstsq(design * weight[:, None], squared * weight[:, None], rcond=None)[0]
    gain, offset = fitted[:, 0]
    derived["logarithm_law"] = fitted[:, 0]
    derived["squared_over_tokens"] = squared[:, 0]
    low, high = percentiles(fitted[0, 1:])
    found.append(Finding(
        f"The half-way d^2/N does not depend on N: the slope of its fit, {gain:.3f} log N {offset:+.3f}, is "
        f"0 to {FLAT:g}",
        gain, min(low, gain), max(high, gain), basis,
        judged(low, high, at_least=-FLAT, at_most=FLAT),  # an interval around 0 of any width would show nothing
    ))  # fmt: skip
    axes = {"d / N": np.log(n), "d^2 / N": 0.5 * np.log(n), "d^2 / (N log N)": 0.5 * np.log(n * np.log(n))}
    spread = {name: scatter(offset_of, crossings) for name, offset_of in axes.items()}
    derived["collapse"] = np.array([one[0][0] for one in spread.values()])
    for better, worse in (("d^2 / N", "d / N"), ("d^2 / (N log N)", "d^2 / N")):
        ratio = spread[better][0][0] / spread[worse][0][0]
        low, high = percentiles(spread[better][1] / spread[worse][1])
        found.append(Finding(
            f"The transitions of all N fall together better in {better} than in {worse}",
            ratio, min(low, ratio), max(high, ratio),
            f"ratio of the spreads of log d at the half-way points about the two laws; {basis}",
            judged(low, high, at_most=1.0),
        ))  # fmt: skip
    return found


def _descent(arrays: Mapping[str, Any], parameters: Mapping[str, Any], derived: dict[str, Any]) -> list[Finding]:
    """One class a token: descent against certificates, against the best accuracy, and the number stored by d."""
    found = []
    sizes, steps = parameters["descent_sizes"], parameters["steps"]
    for row, rate in enumerate(parameters["rates"]):
        storable, solved = 0, 0
        for n_tokens in sizes:
            yes, perfect = _paired(arrays, n_tokens)
            storable += int(yes.sum())
            solved += int((perfect[:, 0, row] & yes).sum())
        if storable:
            value, low, high = proportion(solved, storable)
            found.append(Finding(
                f"One class a token, uniform frequencies, rate {rate:g} over the initial sharpness: descent answers "
                f"every token of every separable problem within {steps} steps",
                value, low, high, f"share of {storable} separable problems; 95 % Clopper-Pearson interval",
                "supported" if solved == storable else "refuted",
            ))  # fmt: skip
    largest = max(sizes)
    below = arrays[f"descent_dims_{largest}"] < derived["half_dim"][parameters["separable_sizes"].index(largest), 0]
    dims = np.log(arrays[f"descent_dims_{largest}"][below])
    counts = np.log(np.maximum(arrays[f"stored_{largest}"][below, 0, 0], 1.0)).T  # a row a seed
    slope = (counts @ (dims - dims.mean())) / np.sum((dims - dims.mean()) ** 2)
    value, low, high = bootstrap(slope)
    found.append(Finding(
        f"Below capacity the number stored by descent grows as d^2 (an exponent of 1.8 to 2.2; N = {largest}, uniform)",
        value, low, high, f"slope of log number against log d, 95 % bootstrap over {len(slope)} seeds",
        judged(low, high, at_least=1.8, at_most=2.2),
    ))  # fmt: skip
    for name, column in (("uniform", 0), ("zipf", 1)):
        excess = np.concatenate([best_excess(arrays, n, column) for n in parameters["optimum_sizes"]])
        value, low, high = bootstrap(excess)
        found.append(Finding(
            f"Where not all can be stored ({name} frequencies), descent ends within 0.001 of the best accuracy known",
            value, low, high,
            f"mean accuracy missed at the rate 0.3 in {len(excess)} problems that are not separable; 95 % bootstrap",
            judged(low, high, at_most=0.001),
        ))  # fmt: skip
    return found


def _paired(arrays: Mapping[str, Any], n_tokens: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which problems are separable, (dims, seeds), and which runs were perfect once, (dims, 2, 2, seeds)."""
    dims, chosen = arrays[f"dims_{n_tokens}"].tolist(), arrays[f"descent_dims_{n_tokens}"].tolist()
    perfect = ~np.isnan(arrays[f"learned_at_{n_tokens}"])
    if not set(chosen) <= set(dims):
        raise InputError("every dimension of descent needs its certificates", sorted(set(chosen) - set(dims)))
    seeds = perfect.shape[-1]
    return arrays[f"separable_{n_tokens}"][[dims.index(d) for d in chosen], :seeds], perfect


def best_excess(arrays: Mapping[str, Any], n_tokens: int, column: int) -> Floats:
    """Return best accuracy known - accuracy at the end, of the slow rate, over the problems that are not separable."""
    greedy = arrays[f"highest_accuracy_{n_tokens}"][:, column]
    seen = arrays[f"best_accuracy_{n_tokens}"][:, column, :, : greedy.shape[-1]].max(axis=1)
    missed = np.maximum(greedy, seen) - arrays[f"final_accuracy_{n_tokens}"][:, column, 0, : greedy.shape[-1]]
    return np.asarray(missed[~_paired(arrays, n_tokens)[0][:, : greedy.shape[-1]]])


def _forgotten(arrays: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Finding]:
    """Return which tokens are kept below capacity: the most frequent fifth against the rarest."""
    found = []
    for name, column in (("zipf", 1), ("uniform", 0)):
        gaps = []
        for n_tokens in parameters["descent_sizes"]:
            share = arrays[f"group_stored_{n_tokens}"][:, column, 0]  # dims, seeds, groups
            lost = ~_paired(arrays, n_tokens)[0]
            gaps.append((share[..., 0] - share[..., -1])[lost])
        value, low, high = bootstrap(np.concatenate(gaps))
        says = "keeps the frequent tokens: the most frequent fifth is stored more often than the rarest"
        found.append(Finding(
            f"Below capacity and with {name} frequencies descent {says}" if column else
            f"With uniform frequencies, the first fifth of the tokens is stored as often as the last, to {ALIKE:g}",
            value, low, high, f"difference of the shares at the end, {sum(map(len, gaps))} problems; 95 % bootstrap",
            judged(low, high, at_least=1e-12) if column else judged(low, high, at_least=-ALIKE, at_most=ALIKE),
        ))  # fmt: skip
    return found
