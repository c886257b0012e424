"""Step counts between their bounds, against runs of the scalar map."""

import math

import numpy as np
import pytest

from traindyn.analytics import steps_to_margin_bounds
from traindyn.errors import InputError


def first_step(goal, k, start, a, limit=100_000):
    """Return the first step whose margin reaches the goal, or None."""
    m = start
    for t in range(limit + 1):
        if m >= goal:
            return t
        m += k / (a + math.exp(m))
    return None


@pytest.mark.parametrize("seed", range(3))
def test_the_count_lies_between_the_bounds(seed):
    rng = np.random.default_rng(seed)
    checked = 0
    for _ in range(60):
        k, a = 10 ** rng.uniform(-2, 3), float(rng.integers(1, 50))
        start = rng.uniform(-10, 6) if rng.random() < 0.6 else 0.0
        goal = start + rng.uniform(0, 6)
        count = first_step(goal, k, start, a)
        if count is None:
            continue
        least, most = steps_to_margin_bounds(goal, k, start, a)
        assert least <= count <= most, (k, a, start, goal, count)
        # (3.6) without the restart is weaker, and holds too
        plain = math.ceil((math.exp(goal) - math.exp(start) + a * (goal - start)) / k * (1 + 1e-12))
        assert count <= plain, (k, a, start, goal)
        checked += 1
    assert checked > 40


def test_the_bounds_are_tight():
    least, most = steps_to_margin_bounds(12.0, [0.1, 1.0, 2.0, 5.0])
    assert ((most - least) / most < 1e-4).all()
    assert (most - least <= 5).all()


def test_reached_at_once_after_one_step_and_for_huge_counts():
    least, most = steps_to_margin_bounds([-1.0, 0.0, 0.5 - 1e-9, 0.5, 0.5 + 1e-9, 1.0], 1.0)
    assert least.tolist() == [0, 0, 1, 1, 2, 3]
    assert most[[0, 1, 2, 4]].tolist() == [0, 0, 1, 2]
    assert most[5] == 3
    least, most = steps_to_margin_bounds(600.0, 1e-3)
    assert most / least == pytest.approx(1, abs=1e-11)
    assert math.log(least) == pytest.approx(600 + 3 * math.log(10), rel=1e-14)


def test_bad_input_names_the_law():
    with pytest.raises(InputError, match="margin must lie in"):
        steps_to_margin_bounds(701.0, 1.0)
