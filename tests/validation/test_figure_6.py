"""Figure 6 of Cabannes, Simsek, Bietti 2024: golden margins, losses and counts, the law of the loss, both versions."""

import numpy as np
import pytest

import traindyn as td
from traindyn import analytics
from traindyn.dynamics import cabannes2024
from traindyn.validation.figures import cabannes2024_fig6 as fig6
from traindyn.validation.figures.request import Request

DIM = {3: 0, 5: 1, 10: 2}
RATE = {3: 0, 10: 1, 20: 2}


@pytest.fixture(scope="module")
def published():
    return fig6.compute(Request(as_published=True))


@pytest.fixture(scope="module")
def corrected():
    return fig6.compute(Request())


def test_the_embeddings_are_those_of_seed_43():
    memory = cabannes2024.figure6_memory(3)
    np.testing.assert_allclose(memory.inputs[0], (-0.561736, -0.611498, 0.557246), atol=1e-6)
    np.testing.assert_allclose(memory.outputs[0], (-0.685785, -0.634202, 0.357052), atol=1e-6)
    np.testing.assert_allclose(memory.frequencies, np.array([60, 30, 20, 15, 12]) / 137, rtol=1e-15)
    assert memory.targets.tolist() == [0, 1, 2, 3, 4]


MARGINS = {  # (d, eta, t): margins of the five tokens
    (3, 3, 29): (3.687, 0.902, 0.363, -0.325, -1.940),
    (3, 20, 1): (4.581, 5.088, -11.675, -4.492, -6.106),
    (5, 20, 1): (5.362, 5.065, -4.435, -5.145, 1.778),
    (5, 20, 29): (4.583, 4.053, 2.874, 2.215, 2.991),
    (10, 3, 29): (4.601, 3.928, 3.362, 3.380, 2.838),
    (10, 20, 29): (7.476, 5.852, 5.328, 5.344, 5.080),
}


@pytest.mark.parametrize("place", MARGINS)
def test_golden_margins(published, place):
    dim, rate, step = place
    found = published["margin"][DIM[dim], RATE[rate], step]
    np.testing.assert_allclose(found, MARGINS[place], atol=5.1e-4, rtol=0)  # printed to three digits


LOSSES = {  # (d, eta, t): loss
    (10, 3, 29): 0.0541, (10, 10, 29): 0.0141, (10, 20, 29): 0.0053,
    (5, 3, 29): 0.3249, (5, 10, 29): 0.1187, (5, 20, 29): 0.0556,
    (3, 3, 29): 0.6525, (3, 10, 29): 0.6401, (3, 20, 29): 0.9097,
    (3, 20, 1): 2.7535, (3, 20, 5): 1.6149,
}  # fmt: skip


@pytest.mark.parametrize("place", LOSSES)
def test_golden_losses(published, corrected, place):
    dim, rate, step = place
    for numbers in (published, corrected):
        assert numbers["step"][step] == step
        assert abs(numbers["loss"][DIM[dim], RATE[rate], step] - LOSSES[place]) <= 5.1e-5
    assert published["loss"][DIM[dim], RATE[rate], 0] == pytest.approx(np.log(5), rel=1e-14)


def test_an_independent_descent_gives_the_margins(published):
    """Plain NumPy in the weights, as the equations have it, against all 99 steps, to rounding."""
    memory = cabannes2024.figure6_memory(3)
    weights, tokens = np.zeros((3, 3)), np.arange(5)
    for step in range(100):
        scores = memory.inputs @ weights.T @ memory.outputs.T
        others = scores.copy()
        others[tokens, tokens] = -np.inf
        margin = scores[tokens, tokens] - others.max(axis=1)
        np.testing.assert_allclose(published["margin"][0, 2, step], margin, atol=1e-9, rtol=0)
        error = np.exp(scores - scores.max(axis=1, keepdims=True))
        error /= error.sum(axis=1, keepdims=True)
        error[tokens, tokens] -= 1.0
        weights -= 20.0 * (memory.outputs.T @ (error * memory.frequencies[:, None]).T @ memory.inputs)


def test_when_each_run_settles(corrected):
    settled = corrected["steps_to_settle"]
    assert (settled[2] - 1).tolist() == [2, 1, 1]  # last imperfect steps
    assert (settled[1] - 1).tolist() == [37, 10, 5]
    assert (settled[0, :2] - 1 > 1000).all()
    assert settled[0, 2] - 1 == 493
    assert corrected["steps_to_accuracy"][0, 2] == 492  # lost once more, at 493


def test_the_spike_above_the_initial_loss(corrected):
    above = corrected["peak_loss"] > np.log(5) + 1e-9
    assert above.tolist() == [[False, False, True], [False, False, False], [False, False, False]]


def test_hard_margins_and_the_law_of_the_loss(corrected):
    inverse = corrected["hard_margin"] ** -2.0
    assert inverse[1] == pytest.approx(30.339, abs=5.1e-4)
    assert inverse[2] == pytest.approx(4.2754, abs=5.1e-5)
    assert (corrected["hard_margin_gap"] < 1e-10).all()
    golden = {  # (d, eta): eta t L at t = 10^3, 10^4
        (5, 3): (31.39, 30.09), (5, 20): (30.06, 30.01), (10, 3): (4.214, 4.221), (10, 20): (4.134, 4.234),
    }  # fmt: skip
    for (dim, rate), values in golden.items():
        for step, value in zip((1000, 10_000), values, strict=True):
            at = int(np.flatnonzero(corrected["step"] == step)[0])
            found = rate * step * corrected["loss"][DIM[dim], RATE[rate], at]
            assert abs(found - value) <= (5.1e-3 if value > 10 else 5.1e-4)
            if step == 10_000:
                assert corrected["loss_ratio"][DIM[dim], RATE[rate], at] == pytest.approx(1.0, abs=0.02)
    # dimension 3 needs 10^6 steps
    assert np.abs(corrected["loss_ratio"][:, :, -1] - 1.0).max() < 0.03


def test_dimension_3_is_separable_and_so_are_all_random_instances():
    memory = cabannes2024.figure6_memory(3)
    answer = analytics.separability(memory)
    assert answer.strict
    assert 0.0 < answer.margin <= analytics.hard_margin(memory).margin * (1 + 1e-12)
    kinds = dict.fromkeys((2, 3), 0)
    for dim in kinds:
        for seed in range(100):
            random = td.AssociativeMemory.random(5, 5, dim, output_embedding="sphere", rng=seed)
            kinds[dim] += analytics.separability(random).strict
    assert kinds[3] == 100
    assert kinds[2] <= 12  # 3 of 100 in the review's draw; a binomial share of 3 % gives more than 12 once in 10^5


def test_findings_are_computed_from_the_numbers(corrected):
    capacity, settled, law = corrected.findings
    assert capacity.outcome == "refuted"
    assert capacity.value == corrected["hard_margin"][0] > 0
    assert (settled.outcome, settled.value) == ("supported", 494)
    assert law.outcome == "supported"
    worse = dict(corrected.arrays) | {"loss_ratio": corrected["loss_ratio"] * 1.1}
    assert fig6._findings(worse)[2].outcome == "refuted"
    slower = dict(corrected.arrays) | {"steps_to_settle": corrected["steps_to_settle"][:, ::-1]}
    assert fig6._findings(slower)[1].outcome == "refuted"


@pytest.mark.parametrize("as_published", [True, False])
def test_it_draws(as_published, published, corrected):
    import io

    drawn = fig6.draw(published if as_published else corrected, as_published)
    drawn.savefig(io.BytesIO(), format="png", dpi=50)
    assert len(drawn.axes) == 12
    if as_published:
        assert len(drawn.axes[0].lines[0].get_xdata()) == 30
