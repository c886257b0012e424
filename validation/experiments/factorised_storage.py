"""What a factorised or block-diagonal W ends with: its direction, what it stores, and what blocks do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import Finding, Request, judged
from . import factorised_runs as runs
from .factorised_dynamics import MIDDLE, SAFE, SMALL, STRONG
from .factorised_findings import sampled, seeds_of, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TOKENS = 6  # of the runs that are followed in their direction
STORE_DIM = 16
BLOCKS = (1, 2, 4, 8)


def directions(request: Request) -> tuple[dict[str, Any], list[Finding]]:
    """Margins over the Frobenius and the nuclear norm of W, in units of the largest that any W has."""
    from ...dynamics import at

    seeds, scales = seeds_of(request, 6, 20), [SMALL, MIDDLE, TOKENS**-0.5]
    common: dict[str, Any] = {
        "measure": (runs.frobenius_share, runs.nuclear_share), "steps": 6000, "observe": ("loss", "margin"),
        "save": at([]),
    }  # fmt: skip
    factors = request.sweep(
        "directions", runs.followed,
        grid={"tokens": [TOKENS], "rank": [2, 3, TOKENS], "scale": scales, "start": ["balanced"], "seed": seeds},
        **common,
    )  # fmt: skip
    whole = request.sweep(
        "directions_whole", runs.followed,
        grid={"tokens": [TOKENS], "rank": [runs.FULL], "scale": [1.0], "start": ["gaussian"], "seed": seeds}, **common,
    )  # fmt: skip
    shares = np.stack([factors[name][0, :, :, 0] for name in ("frobenius_share", "nuclear_share")])
    of_whole = np.stack([whole[name][0, 0, 0, 0] for name in ("frobenius_share", "nuclear_share")])
    full, kept = shares[:, 2, 2], ~np.isnan(shares[0, 2, 2])
    small = ~np.isnan(shares[1, 2, 0]) & kept
    gaps = [best[2] / best[1] - 1.0 for best in (runs.best_margins(runs.random_classes(TOKENS, s)) for s in seeds)]
    told = [
        sampled(
            f"W itself goes to the largest margin in Frobenius norm (share of it reached by {TOKENS} random classes in "
            f"{TOKENS} dimensions)", of_whole[0], at_least=0.98,
        ),
        sampled(
            "Factors of full rank go to the largest margin in nuclear norm: share of a proved upper bound of it (the "
            f"bound is at most {100 * max(gaps):.2g} % above the best W found)", full[1, kept], at_least=0.95,
        ),
        sampled(
            "They come closer to the largest margin in nuclear norm than W itself does (difference of the shares, "
            "paired)",
            (full[1] - of_whole[1])[kept], at_least=0.0,
        ),
        sampled(
            "They stay further than W itself from the largest margin in Frobenius norm (difference of the shares, "
            "paired)",
            (full[0] - of_whole[0])[kept], at_most=0.0,
        ),
        sampled(
            f"A small start, of scale {SMALL:g}, brings factors closer to it than one of scale 1/sqrt(d) in as many "
            "steps (difference of the shares of the nuclear margin, paired)",
            (shares[1, 2, 0] - shares[1, 2, 2])[small], at_least=0.0,
        ),
    ]  # fmt: skip
    return {"direction_scale": np.array(scales), "direction": shares, "direction_whole": of_whole}, told


def stored(request: Request) -> tuple[dict[str, Any], list[Finding]]:
    """Associations stored by rank, with as many classes as tokens."""
    from ...dynamics import at

    tokens = [8, 16, 24, 32, 48] if request.quick else [8, 16, 24, 32, 40, 48, 64, 80, 96]
    ranks, seeds = [1, 2, 4, 8, STORE_DIM, runs.FULL], seeds_of(request, 3, 8)
    cube = request.sweep(
        "stored", runs.stored,
        grid={"tokens": tokens, "dim": [STORE_DIM], "rank": ranks, "learning_rate": [1.0], "seed": seeds},
        measure=(runs.share_right, runs.classes_right), steps=3000 if request.quick else 20_000,
        observe=("loss", "margin"), save=at([]),
    )  # fmt: skip
    kept, right = cube["share_right"][:, 0, :, 0], cube["classes_right"][:, 0, :, 0]
    two, within = right[:, 0], tokens.index(STORE_DIM)
    told = [
        Finding(
            "Rank 1 stores at most two classes, however many there are", two.max(), two.max(), two.max(),
            f"largest number over {two.size} runs with {tokens[0]} to {tokens[-1]} classes; its scores $h_x k_y$ ask "
            "every token for the largest k or the smallest", judged(two.max(), two.max(), at_most=2.0),
        ),
        share(
            f"Rank 2 is enough for as many associations as dimensions ({STORE_DIM}): all of them are stored",
            int((kept[within, 1] == 1.0).sum()), len(seeds), "seeds", at_least=0.5,
        ),
    ]  # fmt: skip
    capacity = np.array([[_half(tokens, kept[:, rank, seed]) for seed in range(len(seeds))] for rank in range(1, 5)])
    known = ~np.isnan(capacity)
    if known[:2].all():
        growth = np.log2(capacity[1] / capacity[0])
        told.append(
            sampled(
                "From rank 2 to rank 4 the number of tokens of which half are stored doubles, as does the number of "
                "parameters (binary logarithm of the ratio)", growth, at_least=0.9, at_most=1.1,
            )
        )  # fmt: skip
    return {
        "stored_tokens": np.array(tokens), "stored_rank": np.array(ranks), "stored_share": kept,
        "stored_capacity": capacity,
    }, told  # fmt: skip


def _half(tokens: list[int], stored: Floats) -> float:
    """Return the number of tokens, between those run, at which the share falls to a half; NaN if it does not."""
    below = np.flatnonzero(stored < 0.5)
    if not below.size or below[0] == 0:
        return math.nan
    last = int(below[0])
    part = (stored[last - 1] - 0.5) / (stored[last - 1] - stored[last])
    return float(tokens[last - 1] * (tokens[last] / tokens[last - 1]) ** part)


def blocks(request: Request) -> tuple[dict[str, Any], list[Finding]]:
    """Block-diagonal W beside W, at rates that match what tokens do to their own scores."""
    seeds = seeds_of(request, 10, 40)
    options: dict[str, Any] = {
        "measure": (runs.spike, runs.coupling, "steps_to_settle"), "steps": 3000, "observe": ("loss", "accuracy")
    }  # fmt: skip
    pair = request.sweep(
        "blocks_pair", runs.in_blocks,
        grid={"blocks": BLOCKS, "tokens": [2], "dim": [runs.DIM], "alignment": [0.0], "correlation": [STRONG],
              "learning_rate": [SAFE], "seed": seeds}, **options,
    )  # fmt: skip
    many = request.sweep(
        "blocks_many", runs.in_blocks,
        grid={"blocks": BLOCKS, "tokens": [16], "dim": [16], "alignment": [0.0, 0.9], "correlation": [0.0],
              "learning_rate": [1.0], "seed": seeds}, **options,
    )  # fmt: skip
    heights = pair["spike"][:, 0, 0, 0, 0, 0]
    coupling, settle = (many[name][:, 0, 0, :, 0, 0] for name in ("coupling", "steps_to_settle"))
    settle = np.where(np.isnan(settle), math.inf, settle)  # not settled within the run
    slopes = np.polyfit(np.log(BLOCKS), np.log(coupling[:, 0]), 1)[0]
    spike_ratio = heights[-1] / heights[0]
    later = settle[1] > settle[0]  # alignment, seed
    told = [
        sampled(
            "Blocks in random directions raise the push between tokens of different classes, relative to that on their "
            "own scores, like the square root of their number (exponent)", slopes, at_least=0.45, at_most=0.55,
        ),
        share(
            "So block structure increases interference: 16 random classes settle later with two blocks than with one",
            int(later[0].sum()), len(seeds), "seeds, paired", at_least=0.5,
        ),
        share(
            "It does so too where nine tenths of each embedding lie in one block of four: with the matching four "
            "blocks they settle later than with W itself", int((settle[2, 1] > settle[0, 1]).sum()), len(seeds),
            "seeds, paired", at_least=0.5,
        ),
        sampled(
            f"Blocks raise the spike of two correlated tokens too (height with {BLOCKS[-1]} blocks over that of W "
            "itself, mean)", spike_ratio, at_least=1.0,
        ),
    ]  # fmt: skip
    return {
        "block_count": np.array(BLOCKS), "block_steps": np.array(options["steps"]), "block_coupling": coupling,
        "block_settle": settle, "block_spike": heights,
    }, told  # fmt: skip
