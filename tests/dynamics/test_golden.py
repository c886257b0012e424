"""Numbers of the paper's figures 2, 3 and 6, to their last printed digit."""

from __future__ import annotations

import numpy as np
import pytest

from traindyn.dynamics import AssociativeMemory, GradientDescent, cabannes2024, simulate, when

MEMORY = AssociativeMemory.two_tokens(correlation=0.95, frequencies=(0.75, 0.25))

# step: (gamma_1, gamma_2, m_2, loss) at learning rate 10
FIGURE_2 = {
    1: ("5.125", "-.78062", "-4.625", "1.16314"),
    2: (".50978", "-2.32672", ".24222", ".49763"),
    3: ("4.0497", "-3.01326", "-2.90632", ".75285"),
    4: ("-.19712", "-4.49357", "1.59038", ".6438"),
    5: ("7.23537", "-4.75794", "-5.38793", "1.34866"),
}
LOSSES = {
    6: ".28957", 7: ".33431", 8: ".55868", 9: ".35716", 10: ".61967", 11: ".22529", 12: ".27614", 13: ".20254",
    14: ".21597", 15: ".1472", 34: ".05424",
}  # fmt: skip
WRONG = [0.25, 0.25, 0, 0.25, 0.75, 0.25, 0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25] + 20 * [0]


def digits(value: float, printed: str) -> bool:
    """Whether a value agrees with a printed one to one unit of its last digit."""
    unit = 10.0 ** -len(printed.split(".")[1])
    return abs(value - float(printed)) <= unit


@pytest.mark.parametrize("form", ["weights", "particles", "margins"])
def test_figure_2_at_rate_ten(form: str) -> None:
    observe = ("loss", "accuracy_first_index", "margin", "weights")
    run = simulate(MEMORY, GradientDescent(10.0), steps=34, observe=observe, form=form)
    for step, (first, second, margin, loss) in FIGURE_2.items():
        coordinates = run["weights"][step][0] - run["weights"][step][1]
        assert digits(coordinates[0], first)
        assert digits(coordinates[1], second)
        assert digits(run["margin"][step, 1], margin)
        assert digits(run["loss"][step], loss)
    assert all(digits(run["loss"][step], loss) for step, loss in LOSSES.items())
    assert run["loss"].argmax() == 5
    # the papers' tie rule at step 0 gives class 0 to both tokens
    np.testing.assert_allclose(1.0 - run["accuracy_first_index"], WRONG, atol=1e-15)


def test_figure_2_at_rate_one() -> None:
    run = simulate(MEMORY, GradientDescent(1.0), steps=52)
    printed = {0: ".69315", 1: ".58976", 2: ".55636", 3: ".5413", 4: ".5318", 34: ".3722"}
    assert all(digits(run["loss"][step], loss) for step, loss in printed.items())
    assert (np.diff(run["loss"]) < 0).all()
    assert run["accuracy"][0] == 0.0
    assert (run["accuracy"][1:52] == 0.75).all()
    assert run["accuracy"][52] == 1.0
    assert run["margin"][:, 1].argmin() == 6
    assert digits(run["margin"][6, 1], "-.887")


@pytest.mark.parametrize(
    ("ratio", "correlation", "printed"),
    [
        (1.136, 0.9444, "494 296 178 107 64 38 23 14 6 2"),
        (1.136, 0.5, "34 21 13 8 5 4 3 2 2 2"),
        (0.316, 0.7778, "12 8 5 4 3 2 2 2 2 4"),
    ],
)
def test_figure_3_rows(ratio: float, correlation: float, printed: str) -> None:
    ratios = np.logspace(-0.5, 0.5, 10)
    exact_ratio = ratios[np.abs(ratios - ratio).argmin()]
    correlations = np.linspace(0.5, 1.0, 10)
    alpha = correlations[np.abs(correlations - correlation).argmin()]
    p = 1.0 / (1.0 + np.exp(-exact_ratio))
    memory = AssociativeMemory.two_tokens(correlation=alpha, frequencies=(p, 1.0 - p))
    found = []
    for rate in np.logspace(-1.0, 1.0, 10):
        run = simulate(memory, GradientDescent(rate), steps=1000, stop=when("accuracy", ">=", 1.0))
        found.append(int(run.step[-1]))
    assert found == [int(word) for word in printed.split()]


# (dim, rate): step -> margins; and the loss at step 29, and the last imperfect step where it is below 1000
FIGURE_6 = {
    (3, 3.0): ({29: "3.687 .902 .363 -.325 -1.940"}, ".6525", None),
    (3, 20.0): ({1: "4.581 5.088 -11.675 -4.492 -6.106"}, ".9097", 493),
    (5, 3.0): ({}, ".3249", 37),
    (5, 10.0): ({}, ".1187", 10),
    (5, 20.0): ({1: "5.362 5.065 -4.435 -5.145 1.778", 29: "4.583 4.053 2.874 2.215 2.991"}, ".0556", 5),
    (10, 3.0): ({29: "4.601 3.928 3.362 3.380 2.838"}, ".0541", 2),
    (10, 10.0): ({}, ".0141", 1),
    (10, 20.0): ({29: "7.476 5.852 5.328 5.344 5.080"}, ".0053", 1),
}


@pytest.mark.parametrize(("dim", "rate"), FIGURE_6, ids=str)
def test_figure_6(dim: int, rate: float) -> None:
    margins, loss, last_imperfect = FIGURE_6[dim, rate]
    run = simulate(cabannes2024.figure6_memory(dim), GradientDescent(rate), steps=1000)
    for step, printed in margins.items():
        for value, word in zip(run["margin"][step], printed.split(), strict=True):
            assert digits(value, word)
    assert digits(run["loss"][29], loss)
    imperfect = np.flatnonzero(run["accuracy"] < 1.0)
    assert imperfect[-1] == (1000 if last_imperfect is None else last_imperfect)
