"""The case whose picture a report draws lies within the assumptions of its claim."""

from __future__ import annotations

import pytest

import traindyn as td

SHOWN = [claim for claim in td.claims() if claim.family is not None and claim.family.show is not None]


@pytest.mark.parametrize("claim", SHOWN, ids=lambda claim: "-".join(claim.key))
def test_the_picture_is_of_a_case_that_the_claim_speaks_of(claim: td.Claim) -> None:
    assert claim.family is not None
    assert claim.family.show is not None
    case = claim.family.case(claim.family.show)
    assert [str(assumption) for assumption in claim.assumptions if not assumption.holds(case)] == []
