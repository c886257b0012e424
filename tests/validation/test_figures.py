"""Figures: the golden numbers of the paper's figures 1 and 2, their files, and wrong calls."""

import hashlib
import json

import numpy as np
import pytest

import traindyn as td
from traindyn.errors import FileError, InputError, MissingLibraryError
from traindyn.kernels import softmax_gradient
from traindyn.validation.figures import drawing, figure, figures, landscape


@pytest.mark.parametrize(
    ("correlation", "gamma", "expected"),
    [
        (-0.5, (1, -1), 0.2917539),
        (-0.5, (5, -5), 0.0053065),
        (-0.5, (-10, 10), 10.9151),
        (0.95, (5, -5), 0.8123232),
        (0.95, (10, -10), 1.5948338),  # the specification transposes digits (1.5947838); 30 digits give 1.59483378
        (0.95, (5, 5), 1.5833024),
        (0.95, (-10, 10), 7.5004585),
    ],
)
def test_golden_losses_of_figure_1(correlation, gamma, expected):
    memory = td.AssociativeMemory.two_tokens(correlation, (0.75, 0.25))
    value = landscape.loss(memory, np.array(gamma, dtype=float))
    digits = len(str(expected).split(".")[1])
    assert abs(value - expected) <= 10.0**-digits  # one unit of the last printed digit


def test_the_landscape_is_the_loss_of_the_kernels():
    memory = td.AssociativeMemory.two_tokens(0.95, (0.75, 0.25))
    for gamma in np.random.default_rng(0).normal(size=(20, 2)) * 5:
        weights = landscape.weights(memory, gamma)
        exact, _ = softmax_gradient(weights, memory.inputs, memory.outputs, memory.targets, memory.frequencies)
        np.testing.assert_allclose(landscape.loss(memory, gamma), exact, rtol=1e-13)
        # gamma_i = (u_1 - u_2)^T W f_i, the convention of the figures
        np.testing.assert_allclose((memory.outputs[0] - memory.outputs[1]) @ weights, gamma, rtol=1e-14)


def test_zero_one_loss_and_its_ties():
    memory = td.AssociativeMemory.two_tokens(0.95, (0.75, 0.25))
    points = np.array([[1.0, -9.0], [1.0, 1.0], [-1.0, 9.0], [-1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(landscape.error_rate(memory, points), [0, 0.25, 1, 0.75, 1])
    assert landscape.error_rate(memory, points[-1], first_index=True) == 0.25


def test_the_perfect_cone_of_figure_1():
    for correlation, slope in ((-0.5, 0.57735), (0.95, -3.0424)):
        memory = td.AssociativeMemory.two_tokens(correlation, (0.75, 0.25))
        edge = np.array([[1.0, slope - 1e-4], [1.0, slope + 1e-4]])
        np.testing.assert_allclose(landscape.error_rate(memory, edge), [0.0, 0.25])


@pytest.fixture(scope="module")
def spikes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    return figure("cabannes2024.fig2", out=folder), figure("cabannes2024.fig2", out=folder, as_published=True)


GOLDEN = {  # step: gamma_1, gamma_2, margin of token 2, loss; spec of figure 2, learning rate 10
    1: (5.125, -0.78062, -4.625, 1.16314),
    2: (0.50978, -2.32672, 0.24222, 0.49763),
    3: (4.0497, -3.01326, -2.90632, 0.75285),
    4: (-0.19712, -4.49357, 1.59038, 0.6438),
    5: (7.23537, -4.75794, -5.38793, 1.34866),
}
LOSSES = {
    6: 0.28957, 7: 0.33431, 8: 0.55868, 9: 0.35716, 10: 0.61967, 11: 0.22529, 12: 0.27614, 13: 0.20254, 14: 0.21597,
    15: 0.1472, 34: 0.05424,
}  # fmt: skip


def test_golden_trajectory_of_figure_2(spikes):
    drawn = spikes[0]
    for step, expected in GOLDEN.items():
        row = [drawn[name][0, step] for name in ("gamma_1", "gamma_2")]
        row += [drawn["margin"][0, step, 1], drawn["loss"][0, step]]
        np.testing.assert_allclose(row, expected, atol=1.01e-5, rtol=0)
    for step, expected in LOSSES.items():
        assert abs(drawn["loss"][0, step] - expected) <= 1.01e-5
    assert int(np.argmax(drawn["loss"][0])) == 5


def test_golden_losses_of_the_small_rate(spikes):
    loss = spikes[0]["loss"][1]
    np.testing.assert_allclose(loss[:4], [0.69315, 0.58976, 0.55636, 0.5413], atol=1.01e-5, rtol=0)
    assert abs(loss[34] - 0.3722) <= 1.01e-4
    assert (np.diff(loss) < 0).all()
    second = spikes[0]["margin"][1, :, 1]
    assert abs(second.min() + 0.887) <= 1.01e-3
    assert int(second.argmin()) == 6


def test_golden_zero_one_losses_of_figure_2(spikes):
    corrected, published = (each["error_rate"] for each in spikes)
    expected = [0.25, 0.25, 0, 0.25, 0.75, 0.25, 0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25] + [0] * 20
    np.testing.assert_allclose(published[0], expected, atol=1e-15)
    np.testing.assert_allclose(published[1], 0.25, atol=1e-15)
    np.testing.assert_allclose(corrected[:, 0], 1.0)  # at W = 0 every token is tied
    np.testing.assert_allclose(corrected[:, 1:], published[:, 1:], atol=1e-15)


def test_findings_of_figure_2(spikes):
    spike, lost, fall, gain, threshold = spikes[0].findings
    assert abs(spike.value - 1.34866 / np.log(2)) <= 2e-5
    assert lost.value == 6  # 0-1 loss .25 .25 0 .25 .75 .25 .25 0 .25 0 .25 0 .25 0 .25 0 rises six times after step 1
    assert fall.value < 0
    assert abs(gain.value - 0.3722 / 0.05424) <= 2e-3
    assert abs(threshold.value - 4.076) <= 5e-4
    assert {finding.outcome for finding in spikes[0].findings} == {"supported"}


def test_findings_of_figure_1(tmp_path):
    wide, thin, into, past = figure("cabannes2024.fig1", tmp_path, as_published=True).findings
    assert abs(wide.value - 120) <= 1e-12
    assert abs(thin.value - 18.2) <= 0.01
    # p_1 alpha <e_1, e_2> against p_2: m_2 of the step is p_2 - alpha p_1, over its length
    lengths = [np.hypot(0.75 - 0.25 * a, 0.25 * np.sqrt(1 - a * a)) for a in (-0.5, 0.95)]
    np.testing.assert_allclose([into.value, past.value], [0.625 / lengths[0], -0.4625 / lengths[1]], rtol=1e-14)
    assert [each.outcome for each in (wide, thin, into, past)] == ["supported"] * 3 + ["refuted"]


def test_findings_of_the_overview(tmp_path):
    printed, proved = figure("traindyn.overview", tmp_path).findings[-2:]
    assert (printed.value, printed.outcome) == (1000, "refuted")
    assert (proved.value, proved.outcome) == (0, "supported")


def test_as_published_halves_the_landscape(spikes):
    assert spikes[1]["grid_loss"].shape == (50, 50)
    np.testing.assert_allclose(spikes[1]["grid_loss"][0, 0] * 2, spikes[0]["grid_loss"][0, 0], rtol=1e-14)


def test_files_hold_picture_data_and_provenance(spikes):
    for drawn, stem in zip(spikes, ("cabannes2024.fig2", "cabannes2024.fig2-as-published"), strict=True):
        assert [path.name for path in drawn.paths] == [
            f"{stem}.{kind}" for kind in ("png", "svg", "pdf", "npz", "json")
        ]
        assert drawn.picture.read_bytes().startswith(b"\x89PNG")
        assert "<svg" in drawn.vector.read_text()
        with np.load(drawn.data) as data:
            np.testing.assert_array_equal(data["loss"], drawn["loss"])
        record = json.loads(drawn.provenance.read_text())
        assert record["version"] == td.__version__
        memory = td.AssociativeMemory.two_tokens(0.95, (0.75, 0.25))
        assert record["problems"] == {"two tokens": memory.digest}
        assert record["parameters"]["learning_rates"] == [10.0, 1.0]
        assert bool(record["quirks_kept"]) == record["as_published"]
        assert record["sha256"]["png"] == hashlib.sha256(drawn.picture.read_bytes()).hexdigest()
        assert "date" not in record


def test_the_same_call_gives_the_same_files(spikes, tmp_path):
    again = figure("cabannes2024.fig2", out=tmp_path)
    for old, new in zip(spikes[0].paths, again.paths, strict=True):
        assert old.read_bytes() == new.read_bytes()


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawn = figure("cabannes2024.fig1", out=tmp_path / "new" / "folder", as_published=True)
    assert dict(matplotlib.rcParams) == before
    assert drawn["loss"].shape == (2, 50, 50)


def test_figures_are_listed():
    names = [each.name for each in figures()]
    assert {"cabannes2024.fig1", "cabannes2024.fig2", "traindyn.overview"} <= set(names)
    assert all(each.seconds > 0 for each in figures())


def test_an_unknown_figure_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"did you mean 'cabannes2024\.fig\d'"):
        figure("cabannes.fig2", out=tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made"):
        figure("cabannes2024.fig1", out=tmp_path / "file" / "below")


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"traindyn\[report\]"):
        figure("cabannes2024.fig1", out=tmp_path)
