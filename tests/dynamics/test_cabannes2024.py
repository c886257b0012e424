"""The memories of the paper's figures, against the angles and entries that the review of the paper prints."""

from __future__ import annotations

import numpy as np
import pytest

from traindyn.dynamics import cabannes2024
from traindyn.errors import InputError

# seed: the angles of the tokens, to one unit of the last digit
ANGLES = {
    39: ".18219 1.15016 -.62764",
    81: "-.63870 .01250 .80280",
    7: "2.69213 -.99622 2.10059 -2.19309 -.52406 -2.76386 .96033 1.36252 -2.93932 -.16967 1.32230 -.60887 -2.34206 "
    "-2.95370 2.82555 -2.34262 -2.86758 1.49507 -.60502 -2.51030 2.39468 -.57211 2.62942 -3.02702 .94028 2.14215 "
    "-2.22002 1.70910 2.20787 -.29871",
    9: "-2.54994 -.96544 .40455 -1.87486 .42607 -2.01675 .91738 1.85367 2.51431 .29985 -.78875 -2.66703 .79618 "
    "-1.93535 -1.82487 -2.40813 .44991 -1.25150 -.42511 .96448 2.03516 -2.76135 1.52051 -2.20269 .20780 -.86393 "
    "-.64277 1.88009 -.94651 -.36312",
    11: "2.03184 2.80646 -1.71090 .46714 -1.18692 .87811 -.52501 2.43658 .15462 2.52572",
}


@pytest.mark.parametrize("seed", ANGLES)
def test_tokens_on_the_circle(seed: int) -> None:
    expected = np.array([float(word) for word in ANGLES[seed].split()])
    memory = cabannes2024.circle_memory(seed, len(expected), exponent=2.0 if seed == 11 else 1.0)
    np.testing.assert_allclose(np.arctan2(memory.inputs[:, 1], memory.inputs[:, 0]), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(memory.inputs, axis=1), 1.0, rtol=1e-15)
    assert memory.targets.tolist() == [x % 2 for x in range(len(expected))]
    power = 2 if seed == 11 else 1
    np.testing.assert_allclose(memory.frequencies[0] / memory.frequencies[2], 3.0**power, rtol=1e-14)
    assert (memory.outputs == np.eye(2)).all()


def test_figure_6() -> None:
    memory = cabannes2024.figure6_memory(3)
    np.testing.assert_allclose(memory.inputs[0], [-0.561736, -0.611498, 0.557246], rtol=0, atol=1e-6)
    np.testing.assert_allclose(memory.outputs[0], [-0.685785, -0.634202, 0.357052], rtol=0, atol=1e-6)
    assert memory.targets.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(memory.frequencies[0] / memory.frequencies, [1, 2, 3, 4, 5], rtol=1e-14)


@pytest.mark.parametrize(
    ("variant", "second"),
    [
        ("A", (-5 / 6, -0.5527707983925666)),
        ("B", (-(0.75**0.5), -0.5)),
        ("C", (-(0.75**0.5), -0.5)),
        ("D", (-np.cos(np.pi / 9), -np.sin(np.pi / 9))),
    ],
)
def test_forgetful(variant: str, second: tuple[float, float]) -> None:
    memory = cabannes2024.forgetful_memory(variant)
    np.testing.assert_allclose(memory.inputs, [(-1, 0), second, (-second[0], second[1])], rtol=1e-15)
    assert memory.targets.tolist() == [0, 1, 0]
    assert memory.frequencies.argmax() == 0


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown variant; got 'E'"):
        cabannes2024.forgetful_memory("E")
    with pytest.raises(InputError, match="n_tokens"):
        cabannes2024.circle_memory(0, 0)
    with pytest.raises(InputError, match="exponent"):
        cabannes2024.circle_memory(0, 3, -1.0)
    with pytest.raises(InputError, match="dim"):
        cabannes2024.figure6_memory(0)
