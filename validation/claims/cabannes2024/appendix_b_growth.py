"""Appendix B.2: the growth of the tightest margin, with an error term that says nothing."""

from __future__ import annotations

from .orthogonal_cases import NOT_TESTABLE, orthogonal_claim

CLAIMS = (
    orthogonal_claim(
        "appendix_b.tightest_growth", "printed", ("Appendix B.2, limit of the scores", "T3.4"),
        "Growth of the tightest margin",
        r"$e^{w_1-w_k}=c_tt\,(1+o(t))+c_{kj}h(t)$ with $c_t$ bounded",
        (r"$e^{w_1-w_k}$", "==", r"$c_tt\,(1+o(t))+c_{kj}h(t)$"), NOT_TESTABLE,
        "vacuous: $o(t)$ may grow without bound, so that $1+o(t)$ allows every growth below $t^2$; a typo for "
        "$1+o(1)$, which is a limit without a rate. What stands behind it, $(c+e^m)\\,dm=p\\|e\\|^2(c+1)\\,dt$ with "
        "$c\\in[1,M-1]$, is tested by section4.tightest_margin and appendix_b.tightest_factor",
    ),
)  # fmt: skip
