"""What a run returns, what it costs, and how far off it is."""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import pytest

from traindyn.dynamics import (
    AssociativeMemory,
    GradientDescent,
    GradientFlow,
    StochasticGradientFlow,
    schedules,
    simulate,
)
from traindyn.errors import MissingLibraryError

MANY = AssociativeMemory.random(5, 3, 4, "gaussian", "zipf", rng=1)
TWO = AssociativeMemory.two_tokens()
RULE = GradientDescent(2.0)
START = np.random.default_rng(2).standard_normal((4, 4))


def test_rows_are_read_only() -> None:
    run = simulate(TWO, RULE, steps=3)
    for array in (run["loss"], run["margin"], run.step, run.time, run.final):
        assert not array.flags.writeable


def test_the_error_estimate_sees_the_rounding() -> None:
    run = simulate(MANY, RULE, steps=200, observe=("loss", "margin", "scores"), initial=START)
    scale = np.abs(run["scores"]).max()
    assert 1e-18 < run.error["margin"].max() < 1e-13 * scale
    single = simulate(MANY, RULE, steps=200, dtype="float32", initial=START)
    assert 1e-9 < single.error["margin"].max() < 1e-4
    noisy = simulate(MANY, StochasticGradientFlow(0.3, 0.1), steps=50, rng=4)
    assert noisy.error["margin"].max() < 1e-13
    flow = simulate(MANY, GradientFlow(), time=100.0)
    assert flow.error["margin"].max() < 1e-8


def test_xarray() -> None:
    xarray = pytest.importorskip("xarray")
    data = simulate(MANY, RULE, steps=5, observe=("loss", "margin", "scores")).to_xarray()
    assert isinstance(data, xarray.Dataset)
    assert data["scores"].dims == ("saved", "token", "class")
    assert data["margin"].sel(saved=5).shape == (5,)


def test_without_xarray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'traindyn\[data\]'"):
        simulate(MANY, RULE, steps=5).to_xarray()


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    simulate(TWO, RULE, steps=30, progress=True)
    assert "30" in capsys.readouterr().err


def test_a_small_run_costs_less_than_a_millisecond() -> None:
    rule = GradientDescent(10.0)
    simulate(TWO, rule, steps=50)
    best = math.inf
    for _ in range(30):
        begun = time.perf_counter()
        simulate(TWO, rule, steps=50)
        best = min(best, time.perf_counter() - begun)
    assert best < 1e-3


def test_compiled_loops_see_one_type_for_each_precision() -> None:
    from traindyn.kernels.cpu.descent_margins import margin_slice
    from traindyn.kernels.cpu.descent_particles import particle_slice
    from traindyn.kernels.cpu.descent_weights import weight_slice

    fortran = AssociativeMemory(np.asfortranarray(MANY.inputs), MANY.outputs.tolist(), MANY.targets.astype("int32"),
                                MANY.frequencies)  # fmt: skip
    for memory in (MANY, fortran, TWO):
        for rule in (RULE, GradientDescent(schedules.constant(1.0)), StochasticGradientFlow(0.1, 0.1)):
            for form in ("weights", "particles", *(["margins"] if memory.n_classes == 2 else [])):
                for dtype in ("float64", "float32"):
                    simulate(memory, rule, steps=3, form=form, dtype=dtype)
    for compiled in (weight_slice, particle_slice, margin_slice):
        assert len(compiled.signatures) <= 2
