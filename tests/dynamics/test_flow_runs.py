"""How a flow is run: the bitwise laws, interruption, error estimates, the ways for large and for stiff problems."""

from __future__ import annotations

import math

import numpy as np
import pytest

from traindyn.dynamics import flow as flow_module
from traindyn.dynamics import flow_stationary
from traindyn.dynamics.associative_memory import AssociativeMemory
from traindyn.dynamics.flow import FlowSystem
from traindyn.errors import InputError

two_tokens = AssociativeMemory.two_tokens
# explicit all along; turns stiff on the way; ends stationary; particles with redundant dual coefficients that turns
# stiff; implicit from the start
RUNS = {
    "explicit": (two_tokens(correlation=0.95), {}),
    "turns stiff": (two_tokens(correlation=1.0 - 1e-7), {}),
    "stationary": (AssociativeMemory.random(20, 2, 3, rng=1), {}),
    "redundant": (AssociativeMemory.random(9, 3, 3, rng=4), {"form": "particles"}),
    "implicit": (two_tokens(correlation=0.95), {"method": "radau"}),
}
TIMES = np.array([1e-3, 0.7, 2.0, 2.1, 40.0, 1e3, 1.1e3, 5e5, 1e8])


def start_of(memory):
    return np.random.default_rng(0).standard_normal((memory.dim, memory.dim))


def states(memory, times, **options):
    flow = FlowSystem(memory, initial=start_of(memory), **options)
    seen = []
    for time in times:
        flow.advance_to(float(time))
        assert flow.time == time
        seen.append((flow.scores(), flow.margins(), flow.weights(), flow.stationary))
    return flow, seen


def same(first, second):
    return all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("name", RUNS)
def test_a_state_does_not_depend_on_the_other_times(name):
    """Bit for bit: alone, among others, and after going back."""
    memory, options = RUNS[name]
    flow, every = states(memory, TIMES, **options)
    if name == "turns stiff":
        assert flow._stiff
    for k in (1, 4, 6, 8):
        _, alone = states(memory, TIMES[k : k + 1], **options)
        assert same(alone[0], every[k]), (name, k)
    _, dense = states(memory, np.unique(np.concatenate([TIMES, np.geomspace(1e-4, 1e8, 60)])), **options)
    assert same(dense[-1], every[-1])
    flow.advance_to(TIMES[3])
    assert np.array_equal(flow.scores(), every[3][0])


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_is_the_uninterrupted_one(name, tmp_path):
    """Saved at any time (through a file), then resumed: bit for bit, wherever the cut falls."""
    memory, options = RUNS[name]
    _, whole = states(memory, TIMES, **options)
    for cut in range(len(TIMES)):
        flow, _ = states(memory, TIMES[: cut + 1], **options)
        time, arrays = flow.checkpoint()
        assert time <= TIMES[cut] * (1 + 1e-14)
        np.savez(tmp_path / "flow.npz", **arrays)
        with np.load(tmp_path / "flow.npz") as saved:
            resumed = FlowSystem(memory, initial=start_of(memory), checkpoint=(time, dict(saved)), **options)
        for k in range(cut, len(TIMES)):
            resumed.advance_to(TIMES[k])
            assert same((resumed.scores(), resumed.margins(), resumed.weights(), resumed.stationary), whole[k])


@pytest.mark.parametrize("name", RUNS)
def test_interruption_returns_early_and_changes_no_bit(name):
    memory, options = RUNS[name]
    _, whole = states(memory, TIMES, **options)
    flow = FlowSystem(memory, initial=start_of(memory), **options)
    flow._first_slice = 3  # many short slices
    flow.advance_to(1e8, interrupted=lambda: True)
    assert flow.time < 1e8
    assert np.isfinite(flow.scores()).all()
    calls = iter(range(10**6))
    returned = 0
    while flow.time < 1e8:
        flow._first_slice = 3
        flow.advance_to(1e8, interrupted=lambda: next(calls) % 5 == 4)
        returned += 1
    assert returned > 1
    assert np.array_equal(flow.scores(), whole[-1][0])


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8, 1e-10, 1e-12])
@pytest.mark.parametrize("form", ["margins", "weights"])
def test_the_error_estimate_covers_the_error(rtol, form):
    """Against the closed form of orthogonal tokens: covered, below rtol, and not absurdly larger than the truth."""
    memory = two_tokens(correlation=0.0, frequencies=(0.8, 0.2))
    flow = FlowSystem(memory, form=form, rtol=rtol)
    ratios = []
    for time in (0.1, 3.0, 50.0, 1e4, 1e10):
        flow.advance_to(time)
        estimate = flow.error()
        for x, c in enumerate((1.6, 0.4)):
            margin = _orthogonal_margin(c * time)
            true = abs(flow.margins()[x] - margin)
            assert true <= estimate[x] + 4e-16 * margin, (time, x)
            assert true <= rtol * max(margin, 1.0)
            ratios.append(estimate[x] / max(true, 1e-15 * margin))
    # where truncation dominates the estimate is the error itself
    assert rtol < 1e-9 or np.median(ratios) < 3.0


def _orthogonal_margin(elapsed):
    margin = math.log1p(elapsed)
    for _ in range(60):
        margin -= (math.expm1(margin) + margin - elapsed) / (math.exp(margin) + 1.0)
    return margin


@pytest.mark.parametrize("correlation", [0.5, 0.99, 0.9999])
def test_error_of_interfering_tokens_is_below_rtol_and_seen(correlation):
    memory = two_tokens(correlation=correlation)
    finest = FlowSystem(memory, rtol=1e-13)
    flow = FlowSystem(memory)
    for time in (1.0, 1e3, 1e10):
        finest.advance_to(time)
        flow.advance_to(time)
        difference = np.abs(flow.margins() - finest.margins())
        assert (difference <= flow.error() + finest.error()).all()
        assert (difference <= 1e-10 * np.maximum(1.0, np.abs(flow.margins()))).all()


def test_explicit_and_implicit_steps_agree():
    """The cross-check by SciPy's integrators, on tokens whose fastest rate is 199 in log time."""
    memory = two_tokens(correlation=0.99)
    margins = {}
    for method in ("explicit", "radau", "bdf", "lsoda"):
        flow = FlowSystem(memory, rtol=1e-9, method=method)
        seen = []
        for time in (0.3, 20.0, 1e6):
            flow.advance_to(time)
            seen.append(flow.margins())
        margins[method] = np.array(seen)
    for method, tolerance in (("radau", 1e-9), ("bdf", 5e-8), ("lsoda", 5e-8)):
        assert np.abs(margins[method] - margins["explicit"]).max() < tolerance, method


@pytest.mark.parametrize("separable", [True, False])
def test_the_way_of_large_problems_agrees_with_the_other(monkeypatch, separable):
    """Thresholds put at 0: no implicit steps, and conjugate gradients tell rest. Same margins, same end."""
    size, dim = (20, 10) if separable else (40, 8)
    memory = AssociativeMemory.random(size, size, dim, rng=1, frequencies="zipf")
    usual = FlowSystem(memory)
    usual.advance_to(1e7)
    monkeypatch.setattr(flow_module, "STIFF_UP_TO", 0)
    monkeypatch.setattr(flow_stationary, "DENSE_UP_TO", 0)
    large = FlowSystem(memory)
    large.advance_to(1e7)
    assert not large._stiff
    assert usual.stationary == large.stationary == (not separable)
    assert np.abs(usual.margins() - large.margins()).max() <= 1e-9 * np.abs(usual.margins()).max()
    assert np.abs(usual.weights() - large.weights()).max() <= 1e-8 * np.abs(usual.weights()).max()


def test_large_and_ill_conditioned_comes_to_rest(monkeypatch):
    """Where conjugate gradients cannot decide, rest is called once steps limited by stability move nothing."""
    monkeypatch.setattr(flow_module, "STIFF_UP_TO", 0)
    monkeypatch.setattr(flow_stationary, "DENSE_UP_TO", 0)
    monkeypatch.setattr(flow_stationary, "_PRODUCTS", 0)
    inputs = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.1], [0.0, 0.1]])
    memory = AssociativeMemory(inputs, np.eye(2), [0, 1, 0, 1], [0.4, 0.2, 0.3, 0.1])
    flow = FlowSystem(memory)
    flow.advance_to(1e8)
    assert flow.stationary
    assert "stability" in flow.message
    assert np.abs(flow.margins() - np.log([2.0, 0.5, 3.0, 1 / 3])).max() < 1e-8


@pytest.mark.parametrize("time", [1e-300, 1e-10, 1e10, 1e100, 1e300])
@pytest.mark.parametrize("scale", [0.0, 1.0, 700.0])
def test_nothing_overflows(time, scale):
    """Scores up to +-700, times up to 1e300, with warnings as errors; the loss stays positive where it can."""
    rng = np.random.default_rng(2)
    memory = AssociativeMemory.random(4, 3, 5, rng=3)
    scores = scale * rng.uniform(-1.0, 1.0, (4, 3))
    weights = (np.linalg.pinv(memory.inputs) @ scores @ np.linalg.pinv(memory.outputs).T).T
    for method in ("auto", "radau"):
        if method == "radau" and time > 1e10:
            continue
        flow = FlowSystem(memory, initial=weights, method=method)
        flow.advance_to(time)
        assert np.isfinite(flow.scores()).all()
        assert np.isfinite(flow.weights()).all()
        if time == 1e-300:
            assert np.abs(flow.scores() - scores).max() <= 1e-12 * max(scale, 1.0)
        if time >= 1e100:
            # e^m ~ t: the least margin of a separable problem is about log t (the others may have started above)
            assert abs(flow.margins().min() / math.log(time) - 1.0) < 0.1


def test_zero_embeddings_and_tiny_frequencies():
    memory = AssociativeMemory([[0.0, 0.0], [0.0, 0.0]], np.eye(2), [0, 1], [0.5, 0.5])
    flow = FlowSystem(memory)
    flow.advance_to(1e10)
    assert flow.stationary
    assert not flow.weights().any()
    rare = two_tokens(correlation=0.0, frequencies=(1.0 - 1e-12, 1e-12))
    flow = FlowSystem(rare)
    flow.advance_to(1e10)
    assert np.abs(flow.margins() - [_orthogonal_margin(2e10), _orthogonal_margin(2e-2)]).max() < 1e-9
    flow.advance_to(1e-3)
    assert abs(flow.margins()[1] / 1e-15 - 1.0) < 1e-6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"form": "particle"}, "did you mean 'particles'"),
        ({"method": "rk"}, "unknown method"),
        ({"rtol": 0.0}, "rtol"),
        ({"rtol": float("nan")}, "rtol"),
        ({"initial": np.zeros((3, 3))}, r"\(2, 2\)"),
        ({"initial": np.full((2, 2), np.nan)}, "finite"),
        ({"checkpoint": (1.0, {"near": np.zeros(4)})}, "checkpoint"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(InputError, match=words):
        FlowSystem(two_tokens(), **options)


def test_bad_times_and_forms():
    flow = FlowSystem(two_tokens())
    for time in (-1.0, float("nan"), float("inf"), 1e301):
        with pytest.raises(InputError, match="time"):
            flow.advance_to(time)
    with pytest.raises(InputError, match="two classes"):
        FlowSystem(AssociativeMemory.random(3, 3, 4), form="margins")
    flow.advance_to(1e3)
    later = FlowSystem(two_tokens(), checkpoint=flow.checkpoint())
    with pytest.raises(InputError, match="before the checkpoint"):
        later.advance_to(1.0)
