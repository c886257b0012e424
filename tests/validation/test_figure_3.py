"""Figure 3 of Cabannes, Simsek, Bietti 2024: every golden count as an integer, both versions, and what they show."""

import numpy as np
import pytest

import traindyn as td
from traindyn.validation.figures import cabannes2024_fig3 as fig3
from traindyn.validation.figures.request import Request


@pytest.fixture(scope="module")
def corrected():
    return fig3.compute(Request())


@pytest.fixture(scope="module")
def published():
    return fig3.compute(Request(as_published=True))


def test_the_axes_of_the_cube(corrected):
    frequent = np.array([fig3.frequencies(ratio)[0] for ratio in corrected["log_ratio"]])
    golden = [0.578, 0.601, 0.629, 0.664, 0.707, 0.757, 0.813, 0.869, 0.920, 0.959]
    np.testing.assert_allclose(frequent, golden, atol=1e-3)
    np.testing.assert_allclose(corrected["correlation"][[0, 5, 8, 9]], [0.5, 7 / 9, 17 / 18, 1.0])
    np.testing.assert_allclose(corrected["learning_rate"][[0, -1]], [0.1, 10.0])


def test_how_many_cells_reach_perfect_accuracy(corrected):
    first, settled = corrected["first"], corrected["settled"]
    assert np.isnan(first[:, 9]).all()  # correlation 1: never
    assert np.isnan(first[:, :9]).sum() == 14
    assert np.isfinite(first).sum() == 886
    gap = (settled - first)[np.isfinite(first)]
    assert np.isfinite(gap).all()
    assert (gap > 0).sum() == 30
    assert gap.min() == 0
    assert gap.max() == 11


GOLDEN = {  # (imbalance, correlation): counts by learning rate
    (5, 8): [494, 296, 178, 107, 64, 38, 23, 14, 6, 2],
    (5, 0): [34, 21, 13, 8, 5, 4, 3, 2, 2, 2],
    (0, 8): [112, 67, 41, 25, 15, 9, 6, 2, 10, 8],
    (1, 8): [146, 88, 53, 32, 19, 12, 7, 4, 10, 4],
    (9, 8): [999, 999, 999, 999, 720, 432, 259, 155, 93, 56],
    (0, 5): [12, 8, 5, 4, 3, 2, 2, 2, 2, 4],
}


@pytest.mark.parametrize("slot", GOLDEN)
def test_golden_rows(corrected, published, slot):
    assert published["first"][slot].tolist() == GOLDEN[slot]
    expected = np.where(np.array(GOLDEN[slot]) == 999, np.nan, GOLDEN[slot])
    np.testing.assert_array_equal(corrected["first"][slot], expected)


def test_weak_interference_needs_one_step(corrected):
    assert corrected["first"][0, :5].tolist() == [[1.0] * 10] * 5


def test_as_published_counts_999_where_accuracy_one_is_not_reached(corrected, published):
    unreached = np.isnan(corrected["first"])
    assert (published["first"][unreached] == 999).all()
    np.testing.assert_array_equal(published["first"][~unreached], corrected["first"][~unreached])
    assert not np.isnan(published["first"]).any()


def test_the_count_of_a_cell_is_that_of_a_plain_simulation(corrected):
    for place in ((0, 8, 8), (4, 8, 9), (9, 7, 3)):
        ratio, alpha, rate = (fig3.LOG_RATIOS[place[0]], fig3.CORRELATIONS[place[1]], fig3.RATES[place[2]])
        memory = td.AssociativeMemory.two_tokens(float(alpha), fig3.frequencies(ratio))
        run = td.simulate(memory, td.GradientDescent(float(rate)), steps=999, observe="accuracy", form="weights")
        perfect = run["accuracy"] == 1.0
        assert corrected["first"][place] == np.argmax(perfect)
        assert corrected["settled"][place] == np.flatnonzero(~perfect)[-1] + 1


def test_the_slices_hold_the_cells_of_the_cube(corrected):
    """The fine rows and columns run through the ends of the published grid."""
    fine, coarse = corrected["fixed_correlation_first"], corrected["first"][:, fig3.CORRELATION]
    np.testing.assert_array_equal(fine[np.ix_([0, -1], [0, -1])][:, 1], coarse[[0, 9], 9])
    assert fine[0, 0] == coarse[0, 0]
    assert fine[-1, 0] == 5576  # beyond the paper's 1000 states
    other = corrected["fixed_frequencies_first"]
    np.testing.assert_array_equal(other[0, [0, -1]], corrected["first"][fig3.LOG_RATIO, 0, [0, 9]])
    assert np.isnan(other[-1]).all()  # correlation 1
    assert np.isfinite(other[:-1]).all()  # every other cell gets there, given time
    assert np.isfinite(fine).all()


def test_small_rates_need_the_time_of_gradient_flow(corrected):
    """Steps times rate is the flow's time, up to one step and O(rate): the printed 1/eta law."""
    rate, time = corrected["line_learning_rate"], corrected["line_flow_time"]
    small = rate < 0.3
    for row in range(3):
        off = corrected["line_first"][row, small] * rate[small] - time[row]
        assert (np.abs(off) <= 1.2 * rate[small]).all()


def test_the_law_of_large_rates_where_it_applies(corrected):
    law, settled = corrected["line_law"], corrected["line_settled"]
    applies = np.isfinite(law)
    assert applies.sum(axis=1).tolist()[0] == 0  # p_1 = 0.578: its regime is never entered
    assert (applies.sum(axis=1)[1:] >= 10).all()
    np.testing.assert_array_equal(settled[applies], law[applies])
    first = corrected["line_first"]
    assert first[2, -1] == 12
    assert first[1, -1] == 2


def test_larger_rates_can_be_slower(corrected):
    counts = corrected["first"][0, fig3.CORRELATION]
    assert counts[7] == 2
    assert counts[8] == 10
    assert (np.diff(corrected["first"][5, fig3.CORRELATION]) < 0).all()


def test_a_store_keeps_the_sweeps(tmp_path):
    request = Request(store=tmp_path / "fig3", as_published=True)
    first = fig3.compute(request)
    assert (tmp_path / "fig3.published.db").exists()
    np.testing.assert_array_equal(fig3.compute(request)["first"], first["first"])


def test_the_published_panels_keep_their_bugs(published):
    left, right = [axes for axes in fig3.draw(published, True).axes if axes.get_label() != "<colorbar>"]
    assert left.get_title() == r"$\alpha = 0.94$"
    assert (left.collections[0].zmin, left.collections[0].zmax) == (2, 999)  # not logarithmic
    assert right.get_title() == "$p_1 = 0.76$"
    # the counts at p_1 = 0.578 begin at 1; those at the p_1 of the title at 2
    assert right.collections[0].zmin == 0.0
    assert published["first"][fig3.LOG_RATIO].min() == 2
    assert right.collections[0].zmax == pytest.approx(np.log(999))


def test_the_corrected_version_draws(corrected):
    import io

    drawn = fig3.draw(corrected, False)
    drawn.savefig(io.BytesIO(), format="png", dpi=50)
    assert len([axes for axes in drawn.axes if axes.get_label() != "<colorbar>"]) == 4
