"""What the minimiser forgets when tokens outnumber dimensions: the exact parts, the shares, the sentences."""

import io

import numpy as np
import pytest

from traindyn import analytics
from traindyn.dynamics import cabannes2024
from traindyn.validation.experiments import limited_capacity as experiment
from traindyn.validation.experiments import limited_capacity_findings as said
from traindyn.validation.figures import Request


@pytest.fixture(scope="module")
def quick():
    return experiment.limited_capacity(Request(quick=True))


def test_the_four_published_configurations():
    for variant, excess in {"A": 0.10, "B": 0.40, "C": 0.10, "D": 0.45}.items():
        wrong, error, least = experiment.forgotten(cabannes2024.forgetful_memory(variant))
        assert wrong[0]
        assert error - least == pytest.approx(excess, abs=1e-12)


def test_what_is_forgotten_agrees_with_the_closed_form_of_three_tokens():
    compared = 0
    for seed in range(60):
        memory = experiment.random_memory(3, 0.5, seed)
        signed = memory.inputs * np.where(memory.targets == 0, 1.0, -1.0)[:, None]
        wrong, error, least = experiment.forgotten(memory)
        if analytics.separability(memory).strict:
            assert not wrong.any()
            assert (error, least) == (0.0, 0.0)
            continue
        closed = analytics.three_token_minimiser(signed, memory.frequencies)
        assert (closed.wrong == wrong).all()
        assert error - least == pytest.approx(closed.excess, abs=1e-12)
        compared += 1
    assert 5 <= compared <= 30  # one in four


def test_problems_are_paired_over_exponents_and_differ_otherwise():
    memory = experiment.random_memory(10, 1.0, 7)
    assert (memory.inputs == experiment.random_memory(10, 2.0, 7).inputs).all()
    assert not (memory.inputs == experiment.random_memory(10, 1.0, 8).inputs).any()
    assert not (memory.inputs == experiment.random_memory(10, 1.0, 7, rng=1).inputs).any()
    np.testing.assert_allclose(memory.frequencies[0] / memory.frequencies, np.arange(1, 11))


def test_a_majority_is_never_forgotten_but_less_can_be():
    """The proof needs p > 1/2: adversarial problems, others nearly opposite to the first token, on both sides of it."""
    from types import SimpleNamespace

    rng, below = np.random.default_rng(0), 0
    for trial in range(300):
        d, n = int(rng.integers(2, 5)), int(rng.integers(5, 12))
        first = rng.normal(size=d)
        inputs = np.vstack([first, -first + rng.choice([0.05, 0.5]) * rng.normal(size=(n - 1, d))])
        inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
        p = 0.51 if trial % 2 else 0.45
        frequencies = np.r_[p, (1 - p) * rng.dirichlet(np.full(n - 1, 5.0))]
        memory = SimpleNamespace(
            inputs=inputs, outputs=np.eye(2, d), targets=np.zeros(n, dtype=int), frequencies=frequencies
        )
        weights = analytics.minimise(memory).weights
        if weights is None:
            continue
        margin = float((weights @ first) @ (memory.outputs[0] - memory.outputs[1]))
        if p > 0.5:
            assert margin > 0.0
        else:
            below += margin <= 0.0
    assert below > 20


def test_shares_and_runs_of_the_quick_size(quick):
    assert quick["excess"].shape == (5, 4, 60)
    share = (quick["excess"] > 0).mean(axis=-1)
    np.testing.assert_allclose(quick["share"], share)
    assert (quick["share_low"] < share).all()
    assert (quick["share_high"] > share).all()
    assert (share[0] < share[-1]).all()
    # no run is better than the optimum, and none is worse at its best than at its end
    least = quick["least"][None, :, :, :12, None]
    assert (quick["best_error"] >= least - 1e-9).all()
    assert (quick["best_error"] <= quick["last_error"] + 1e-12).all()
    assert quick["forgotten"][0, :, 3:].size == np.isnan(quick["forgotten"][0, :, 3:]).sum()
    np.testing.assert_array_equal(quick["forgotten"][:, :, 0], quick["first_forgotten"].sum(axis=-1))
    # exponent 0: no token is more frequent, so its rank says nothing
    assert abs(quick["forgotten"][3, 0, 0] / 60 - quick["rare_forgotten"][3, 0].mean()) < 0.25


def test_the_pilot_of_the_review_with_its_own_draws():
    """200 problems of three and ten tokens: the spec's fractions, to the last digit, from NumPy's default streams."""
    for count, fraction, mean in ((3, 0.085, 0.018), (10, 0.685, 0.073)):
        excess = []
        for seed in range(200):
            normal = np.random.default_rng(seed).normal(size=(count, 2))
            memory = experiment.random_memory(count, 1.0, seed)
            drawn = type(memory)(
                normal / np.linalg.norm(normal, axis=1)[:, None], memory.outputs, memory.targets, memory.frequencies
            )
            _, error, least = experiment.forgotten(drawn)
            excess.append(error - least)
        assert np.mean(np.array(excess) > 1e-9) == fraction
        assert np.mean(excess) == pytest.approx(mean, abs=5.1e-4)


def test_sentences_follow_from_the_numbers(quick):
    by_start = {finding.statement[:20]: finding for finding in quick.findings}
    assert len(quick.findings) == 10
    assert by_start["With 100 tokens the "].outcome == "supported"
    arrays = dict(quick.arrays)
    assert said._majority(arrays).outcome == "supported"
    lost = arrays["first_forgotten"].copy()
    lost[2, 3, 0] = True  # one case
    assert said._majority(arrays | {"first_forgotten": lost}).outcome == "refuted"
    # exponents of one draw share its directions: four alike are one
    same = arrays | {name: arrays[name][..., :1, :, :].repeat(4, axis=-3) for name in ("best_error", "best_step")}
    same |= {name: arrays[name][:, :1].repeat(4, axis=1) for name in ("excess", "least")}
    one = {name: same[name][..., :1, :, :] for name in ("best_error", "best_step")}
    one |= {name: same[name][:, :1] for name in ("excess", "least")}
    for sentence in (said._gain, lambda a: said._passing(a, said.STOCHASTIC)):
        np.testing.assert_allclose((sentence(same).low, sentence(same).high), (sentence(one).low, sentence(one).high))
        assert sentence(same).low < sentence(same).high
    lost[...] = False
    lost[0, 2:4, 5] = True  # one draw, at both exponents that give the first of three tokens a majority
    assert said._majority(arrays | {"first_forgotten": lost}).basis.startswith("1 of 300 draws")
    rare = arrays | {"share_low": arrays["share"] * 0, "share": arrays["share"] * 0, "share_high": arrays["share"] * 0}
    assert said._norm(rare).outcome == "refuted"
    assert said._three(arrays, 1.0, "1/x").outcome == "refuted"
    assert said._three(arrays, 0.5, "1/sqrt(x)").outcome in ("open", "supported")


def test_it_draws(quick):
    experiment.draw(quick, False).savefig(io.BytesIO(), format="png", dpi=40)
