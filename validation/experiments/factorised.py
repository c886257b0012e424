"""Experiment: what changes when W is a product of two factors, or block-diagonal."""

from __future__ import annotations

from typing import Any

from ..figures import Definition, Finding, Numbers, Request
from . import factorised_runs as runs
from .factorised_drawing import draw
from .factorised_dynamics import RANKS, STRONG, matched, rising, spikes
from .factorised_storage import STORE_DIM, TOKENS, blocks, directions, stored


def factorised(request: Request = Request()) -> Numbers:  # noqa: B008  (frozen)
    r"""Compare gradient descent on $W = A B^\top$ and on block-diagonal W with descent on W itself.

    Six parts: singular values of W one after another (orthonormal tokens); spikes and lost runs of two correlated
    tokens, by rate, rank and scale of the start; the same beside W moved at the matched rate
    $\eta\,(|\partial_A L|^2 + |\partial_B L|^2)/|\partial_W L|^2$ of each step; margins in units of the largest that
    any W of the same Frobenius or nuclear norm has; associations stored by rank; and block-diagonal W at matched rates.

    Parameters
    ----------
    request : size, seed, store and executor of the sweeps

    Returns
    -------
    Numbers
        Arrays by name (see `factorised_drawing`), parameters and findings.

    Cost: about 4 minutes of CPU; with ``quick`` about 20 s.

    Source: the review of Cabannes, Simsek, Bietti 2024, open question 1.
    """
    arrays: dict[str, Any] = {}
    findings: list[Finding] = []
    for part in (rising, spikes, matched, directions, stored, blocks):
        found, told = part(request)
        arrays |= found
        findings += told
    parameters = {
        "quick": request.quick, "spike": runs.SPIKE, "risen": runs.RISEN, "dim": runs.DIM, "ranks": list(RANKS),
        "store_dim": STORE_DIM, "tokens_followed": TOKENS, "rng": request.rng,
    }  # fmt: skip
    problems = {"two tokens": runs.correlated_pair(STRONG, 0.75).digest}
    return Numbers(arrays, parameters, problems, tuple(findings))


FIGURES = (
    Definition(
        name="cabannes2024.review.factorised",
        title="Factorised and block-diagonal W against W itself",
        seconds=240.0,
        quick_seconds=20.0,
        compute=factorised,
        draw=draw,
        published=False,
        question=(
            "What changes when W is learned as a product $W = A B^\\top$ of two factors of rank r, or as a "
            "block-diagonal matrix? Does the loss spike of correlated tokens persist, is W learned in steps, which "
            "max margin does its direction approach, does the rank limit what is stored, and do blocks raise or lower "
            "interference?"
        ),
        hypothesis=(
            "The spike persists. From a small start the singular values of W rise one after another, after plateaus of "
            "a length proportional to the logarithm of the scale. The direction is that of the largest margin in "
            "nuclear norm, not in Frobenius norm. The number of stored associations is proportional to the rank. "
            "Blocks raise interference."
        ),
        method=(
            "Gradient descent on both factors from Gaussian starts of scale $10^{-3}$, $10^{-1}$ and $1/\\sqrt d$, "
            "ranks from 1 to d, beside descent on W. A run is lost when it is no longer finite or ends above the loss "
            "$\\log M$ of a guess; a spike is a rise of more than $10^{-3}$ above the least loss so far. The matched "
            "rate of a step is the one at which W itself goes down the loss as fast, "
            "$\\eta\\,(|\\partial_A L|^2 + |\\partial_B L|^2) / |\\partial_W L|^2$; W is run again with exactly these "
            "rates. Directions are followed with rates that grow exponentially, until margins reach the hundreds; the "
            "largest margin in nuclear norm is enclosed by a feasible W and a dual bound; with two classes it has the "
            "same direction as that in Frobenius norm, so six classes are taken. Block-diagonal W runs at the "
            "rate that gives tokens the same push on their own scores."
        ),
        caption=(
            "Top: singular values of W for orthonormal tokens, with factors from a small start (a) and for W itself "
            "(b); share of the runs of two correlated tokens that are lost for ever, with factors of rank 8 (c). The "
            "black lines are the rates at which half of the runs are lost, by rank; the dashed line is the rate from "
            "which on W itself spikes, and always recovers. Bottom: margins reached by W itself and by factors of full "
            "rank from starts of three scales, over the largest in Frobenius and in nuclear norm (d); share of the "
            "associations that are stored in 16 dimensions, by rank (e); steps until 16 random classes are learned for "
            "good with a block-diagonal W, at matched rates, with quartiles over seeds (f)."
        ),
    ),
)
