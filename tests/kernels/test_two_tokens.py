"""Two-token sweeps: the numbers of the plain loop, whatever runs beside them."""

from __future__ import annotations

import inspect
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import numba
import numpy as np
import pytest

from traindyn.errors import InputError
from traindyn.kernels import reference, sweeps
from traindyn.kernels.sweeps import TWO_TOKEN_MEASURES, two_token_descent

sys.path.insert(0, str(Path(__file__).parent))
from two_token_exact import deciding_margin

COUNTS = (
    "steps_to_accuracy", "steps_to_settle", "peak_step", "spike_duration", "spike_count", "steps_above_initial",
    "last_rise",
)  # fmt: skip
REALS = ("peak_loss", "spike_height", "final_loss", "smallest_margin")
CLOSE = 1e-12  # deciding margin below which rounding may turn a count


def plain_loop() -> Callable[..., None]:
    """The reference twin, compiled as it stands, over cells (n, 7) into (n, k)."""
    twin = inspect.getmodule(reference.two_token_descent)
    names: dict[str, object] = {"math": math}
    for name in ("_exp", "_softplus", "_accuracy"):
        names[name] = numba.njit(error_model="numpy")(getattr(twin, name))
    run = numba.njit(error_model="numpy")(FunctionType(reference.two_token_descent.__code__, names))

    @numba.njit(error_model="numpy")
    def over(cells, steps, out):
        for k in range(cells.shape[0]):
            c = cells[k]
            out[k] = run(c[0], c[1], c[2], c[3], c[4], c[5], c[6], steps)

    return over


@pytest.fixture(scope="module")
def plain() -> Callable[[np.ndarray, int], np.ndarray]:
    compiled = plain_loop()

    def run(cells: np.ndarray, steps: int) -> np.ndarray:
        out = np.empty((len(cells), len(TWO_TOKEN_MEASURES)))
        compiled(cells, steps, out)
        return out

    return run


def ours(cells: np.ndarray, steps: int, measures=TWO_TOKEN_MEASURES, **options) -> np.ndarray:
    return two_token_descent(
        cells[:, 0], cells[:, 1], cells[:, 2:4], steps=steps, measures=measures, squared_distance=cells[:, 4],
        margins=cells[:, 5:7], **options,
    )  # fmt: skip


def cells_of(rate, correlation, frequent, distance=2.0, first=0.0, second=0.0) -> np.ndarray:
    rate = np.asarray(rate, dtype=float).ravel()
    columns = np.broadcast_arrays(
        rate, np.ravel(correlation), np.ravel(frequent), 1.0 - np.ravel(frequent), distance, first, second
    )
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=float)


def structured(size: int) -> np.ndarray:
    """Figure 3 widened to the whole range, with its corners: correlations -1, 0, 1 and equal frequencies."""
    rates = np.geomspace(1e-3, 1e6, size)
    correlations = np.concatenate([[-1.0, 0.0, 1.0], np.linspace(-0.5, 0.99, size - 3)])
    parts = [(*np.meshgrid(rates, correlations), p) for p in (0.5, 0.75, 1e-6, 1 - 1e-6)]
    return np.concatenate([cells_of(*part) for part in parts])


def random(size: int, seed: int) -> np.ndarray:
    """Rates 1e-3 .. 1e6, frequencies 1e-6 .. 1 - 1e-6, correlations in the middle and near both ends, any start."""
    rng = np.random.default_rng(seed)
    correlation = rng.uniform(-1, 1, size)
    near = rng.random(size) < 0.3
    correlation[near] = rng.choice([-1.0, 1.0], near.sum()) * (1 - 10 ** rng.uniform(-6, 0, near.sum()))
    frequent = 1 / (1 + 10 ** rng.uniform(-6, 6, size))
    started = rng.random(size) < 0.3
    start = np.where(started[:, None], rng.normal(size=(size, 2)) * 10 ** rng.uniform(-2, 2, (size, 1)), 0.0)
    distance = np.where(rng.random(size) < 0.5, 2.0, 10 ** rng.uniform(-2, 2, size))
    cells = cells_of(10 ** rng.uniform(-3, 6, size), correlation, frequent, distance)
    cells[:, 5:] = start
    return cells


def same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left == right) | (np.isnan(left) & np.isnan(right))


def compared(cells: np.ndarray, steps: int, run: Callable[..., np.ndarray]) -> list[str]:
    """Assert that counts are the plain loop's but in cells too closely decided, and reals close; list those cells."""
    got, expected = ours(cells, steps), run(cells, steps)
    counts = [TWO_TOKEN_MEASURES.index(name) for name in (*COUNTS, "final_accuracy")]
    differing = np.flatnonzero(~same(got[:, counts], expected[:, counts]).all(axis=1))
    listed = []
    for cell in differing:
        margin, step, _ = deciding_margin(cells[cell], steps, CLOSE)
        listed.append(f"{margin:.1e} at step {step}: {cells[cell].tolist()} gives {got[cell].tolist()}, "
                      f"the plain loop {expected[cell].tolist()}")  # fmt: skip
        assert margin < CLOSE, listed[-1]
    kept = np.setdiff1d(np.arange(len(cells)), differing)
    for name in REALS:
        column = TWO_TOKEN_MEASURES.index(name)
        a, b = got[kept, column], expected[kept, column]
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = np.where(a == b, 0.0, np.abs(a - b) / np.abs(b))
        for cell, error in zip(kept[apart > 1e-11], apart[apart > 1e-11], strict=True):
            margin, _, growth = deciding_margin(cells[cell], steps, CLOSE)
            assert margin < CLOSE or error < 1e-14 * growth, (name, error, growth, cells[cell].tolist())
    return listed


@pytest.mark.parametrize("sample", ["structured", "random"])
def test_counts_are_those_of_the_plain_loop(sample, plain, record_property):
    cells = structured(24) if sample == "structured" else random(3000, 1)
    listed = compared(cells, 300, plain)
    record_property("closely decided cells", len(listed))
    print(*listed, sep="\n")
    assert len(listed) < 0.01 * len(cells)


@pytest.mark.slow
def test_half_a_million_cells(plain, record_property):
    cells = np.concatenate([structured(256), random(262144, 2)])
    listed = compared(cells, 1000, plain)
    record_property("closely decided cells", len(listed))
    print(f"{len(listed)} of {len(cells)} cells are decided by less than {CLOSE}:", *listed, sep="\n")
    assert len(listed) < 0.01 * len(cells)


def test_figure_3_of_the_specification():
    rates = np.geomspace(0.1, 10, 10)
    frequent = 1 / (1 + np.exp(-np.geomspace(10**-0.5, 10**0.5, 10)))
    near = np.linspace(0.5, 1, 10)[8]
    got = two_token_descent(rates, near, (frequent[5], 1 - frequent[5]), steps=1000)[:, 0]
    assert got.tolist() == [494, 296, 178, 107, 64, 38, 23, 14, 6, 2]
    got = two_token_descent(rates, near, (frequent[0], 1 - frequent[0]), steps=1000)[:, 0]
    assert got.tolist() == [112, 67, 41, 25, 15, 9, 6, 2, 10, 8]
    got = two_token_descent(rates, near, (frequent[9], 1 - frequent[9]), steps=999)[:, 0]
    assert np.isnan(got[:4]).all()
    assert got[4:].tolist() == [720, 432, 259, 155, 93, 56]


def test_spike_map_of_the_specification():
    rates = [0.3, 1, 3, 10, 30, 100, 300]
    peaks = two_token_descent(rates, 0.95, (0.75, 0.25), steps=4000, measures="peak_loss")[:, 0]
    np.testing.assert_allclose(peaks, [0.693, 0.693, 0.693, 1.349, 8.329, 26.07, 34.69], rtol=6e-4)
    settle = two_token_descent(rates, 0.95, (0.75, 0.25), steps=4000, measures="steps_to_settle")[:, 0]
    assert settle.tolist() == [174, 52, 18, 15, 11, 11, 2]
    # the law of spike durations: 47 steps wrong, 44 of them above the start at rate 1000 and 12 at rate 100
    law = two_token_descent([100, 1000], 0.95, (0.99, 0.01), steps=4000, measures=("steps_to_settle", "spike_duration"))
    assert law.tolist() == [[48, 12], [48, 44]]


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 15, 16, 17])
def test_short_runs(steps, plain):
    cells = random(300, 3)
    got, expected = ours(cells, steps), plain(cells, steps)
    exact = [TWO_TOKEN_MEASURES.index(name) for name in (*COUNTS, "final_accuracy")]
    assert same(got[:, exact], expected[:, exact]).all()
    assert same(ours(cells, steps, "steps_to_accuracy")[:, 0], expected[:, 0]).all()


@pytest.mark.parametrize("measures", [("steps_to_accuracy",), ("steps_to_settle",), COUNTS, ("smallest_margin",)])
def test_a_cell_does_not_depend_on_the_others(measures, monkeypatch):
    cells = np.concatenate([structured(12), random(500, 4)])
    steps = 3000
    expected = ours(cells, steps, measures)
    order = np.random.default_rng(0).permutation(len(cells))
    assert same(ours(cells[order], steps, measures), expected[order]).all()
    assert same(ours(cells[7:8], steps, measures), expected[7:8]).all()
    monkeypatch.setattr(sweeps, "team_size", lambda seconds: 3)
    assert same(ours(cells, steps, measures), expected).all()
    monkeypatch.setattr(sweeps, "_ROUNDS", 7)
    monkeypatch.setattr(sweeps, "_WATCHED_ROUNDS", 7)
    assert same(ours(cells, 200, measures), ours(cells[order], 200, measures)[np.argsort(order)]).all()


def test_a_run_that_ends_early_shows_what_the_whole_run_shows():
    """The rules that end runs early are exact: with a measure of the last step beside them no run ends early."""
    # rates about the onset of spikes (errata, section 6), where a first rise comes late and is small
    onset = [cells_of(np.linspace(4, 12, 100), *pair) for pair in ((0.9, 0.6), (0.99, 0.7), (0.999, 0.55))]
    cells = np.concatenate([structured(16), random(1500, 5), *onset])
    steps = 2000
    whole = ours(cells, steps)
    for name in TWO_TOKEN_MEASURES:
        early = ours(cells, steps, name)[:, 0]
        late = whole[:, TWO_TOKEN_MEASURES.index(name)]
        assert same(early, late).all(), (name, cells[~same(early, late)][:3])


PROGRAM = """
import json, sys
import numpy as np
from traindyn.kernels.sweeps import two_token_descent
cells = np.array(json.load(sys.stdin))
numbers = [two_token_descent(cells[:, 0], cells[:, 1], cells[:, 2:4], steps=500, measures=measures,
                             squared_distance=cells[:, 4], margins=cells[:, 5:7])
           for measures in ("steps_to_accuracy", ("steps_to_settle", "peak_loss", "spike_height", "smallest_margin"))]
print(json.dumps([array.tobytes().hex() for array in numbers]))
"""


@pytest.mark.parametrize("bits", ["128", pytest.param("256", marks=pytest.mark.slow)])
def test_the_width_of_the_vectors_changes_no_bit(bits):
    cells = random(200, 6)
    results = []
    for width in (bits, None):
        environment = {**os.environ, **({"TRAINDYN_VECTOR_BITS": width} if width else {})}
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM], input=json.dumps(cells.tolist()), capture_output=True, text=True,
            env=environment, check=True,
        )  # fmt: skip
        results.append(json.loads(done.stdout))
    assert results[0] == results[1]


def test_one_number_for_all_cells():
    rates = np.geomspace(0.1, 10, 50)
    short = two_token_descent(rates, 0.9, (0.7, 0.3), steps=500)
    assert same(short, ours(cells_of(rates, 0.9, 0.7), 500, "steps_to_accuracy")).all()
    assert two_token_descent(1.0, 0.9, (0.7, 0.3), steps=500).shape == (1, 1)


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"learning_rates": [1.0, 0.0]}, "learning_rates must be positive"),
        ({"correlations": 1.5}, "correlations must lie in"),
        ({"frequencies": (0.7, 0.2)}, "sum to 1"),
        ({"frequencies": (1.0, 0.0)}, "frequencies must be positive"),
        ({"frequencies": 0.7}, "shape"),
        ({"learning_rates": [1.0, math.nan]}, "finite"),
        ({"learning_rates": [1.0, 2.0], "correlations": [0.1, 0.2, 0.3]}, "as many as"),
        ({"learning_rates": "fast"}, "numbers"),
        ({"steps": -1}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"measures": "steps_to_acuracy"}, "did you mean 'steps_to_accuracy'"),
        ({"measures": ()}, "at least one"),
        ({"measures": ("peak_loss", "peak_loss")}, "none twice"),
        ({"squared_distance": 0.0}, "squared_distance"),
        ({"threads": 0}, "threads"),
    ],
)
def test_what_is_refused(change, law):
    given = {"learning_rates": 1.0, "correlations": 0.5, "frequencies": (0.6, 0.4), "steps": 10, **change}
    with pytest.raises(InputError, match=law):
        two_token_descent(**given)
