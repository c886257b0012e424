"""Descent shared by several threads, in tiles, by rows of a batch and over long vocabularies: the same results."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import (
    Adam,
    AssociativeMemory,
    GradientDescent,
    GradientNoise,
    StochasticGradientDescent,
    StochasticGradientFlow,
    at,
    descent_work,
    every,
    memory_system,
    memory_weights,
    simulate,
    when,
)
from traindyn.dynamics.forms import state_bytes
from traindyn.dynamics.slicing import Slices
from traindyn.dynamics.status import Status
from traindyn.kernels.cpu.descent_arguments import Sizes

RULES = {
    "descent": GradientDescent(2.0),
    "momentum": GradientDescent(0.5, momentum=0.9),
    "few drawn": StochasticGradientDescent(1.0, 7),
    "many drawn": StochasticGradientDescent(1.0, 200),
    "noise": StochasticGradientFlow(0.3, 0.25),
    "gradient noise": StochasticGradientFlow(GradientNoise(2, 0.5), 0.25),
    "adam": Adam(0.05),
}
# more classes than tokens and fewer; redundant and not; several tiles of tokens and blocks of rows
PROBLEMS = {
    "wide": AssociativeMemory.random(130, 150, 140, "gaussian", "zipf", rng=0, output_embedding="gaussian"),
    "narrow": AssociativeMemory.random(200, 30, 70, "gaussian", "zipf", rng=1, output_embedding="gaussian"),
}


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets every step be shared by so many threads."""

    def share(threads: int) -> None:
        monkeypatch.setattr(memory_system, "thread_count", lambda: threads)
        monkeypatch.setattr(memory_system, "step_is_shared", lambda *_: True)
        monkeypatch.setattr(memory_system, "team_size", lambda _: threads)

    return share


def bits(memory: AssociativeMemory, rule: Any, form: str, **options: Any) -> list[bytes]:
    options = {"steps": 9, "save": every(4), "observe": ("loss", "margin"), "rng": 3, **options}
    run = simulate(memory, rule, form=form, **options)
    return [run.final.tobytes(), *(run[name].tobytes() for name in run)]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("rule", RULES)
def test_the_number_of_threads_changes_no_bit(rule: str, problem: str, team: Any) -> None:
    forms = ("weights",) if rule == "adam" else ("weights", "half", "particles")
    for dtype in ("float64", "float32"):
        for form in forms:
            found = []
            for threads in (1, 2, 3, 4):
                team(threads)
                found.append(bits(PROBLEMS[problem], RULES[rule], form, dtype=dtype))
            assert found[1:] == found[:1] * 3


MANY_SHORT_STEPS = """
import numpy as np
from traindyn.dynamics import Adam, AssociativeMemory, GradientDescent, at, memory_system, simulate

memory = AssociativeMemory.random(100, 100, 120, "gaussian", "zipf", rng=0)
narrow = AssociativeMemory.random(100, 20, 64, "gaussian", "zipf", rng=0)
memory_system.step_is_shared = lambda *_: True
runs = [(memory, form, GradientDescent(1.0)) for form in ("particles", "half", "weights")]
runs += [(narrow, form, GradientDescent(1.0)) for form in ("particles", "weights")] + [(narrow, "weights", Adam(0.01))]
for problem, form, rule in runs:
    ends = []
    for threads in (1, 2, 3):
        memory_system.thread_count = lambda: threads
        memory_system.team_size = lambda _: threads
        ends.append(simulate(problem, rule, form=form, steps=150, save=at([])).final.tobytes())
    assert ends[1:] == ends[:1] * 2, form
"""


def test_no_member_goes_ahead_in_many_short_steps() -> None:
    """A missing barrier shows as other bits, a crash or a wait without end: so in a process that is given a time."""
    subprocess.run([sys.executable, "-c", MANY_SHORT_STEPS], check=True, timeout=600)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_slices_change_no_bit(rule: str, length: int, team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices that end on saved steps, whose first phase is kept for the next one, and between them."""
    team(2)
    forms = ("weights",) if rule == "adam" else ("weights", "half", "particles")
    memory = PROBLEMS["wide"]
    for form in forms:
        whole = bits(memory, RULES[rule], form, save=at([0, 2, 3, 6, 9]))
        monkeypatch.setattr(Slices, "forced", length)
        assert bits(memory, RULES[rule], form, save=at([0, 2, 3, 6, 9])) == whole
        monkeypatch.setattr(Slices, "forced", None)


def test_a_stop_condition_ends_all_members(team: Any) -> None:
    memory = AssociativeMemory.random(100, 40, 120, rng=0)
    found = []
    for threads in (1, 3):
        team(threads)
        run = simulate(memory, GradientDescent(500.0), steps=200, stop=when("accuracy", ">=", 1.0), save=at([0]))
        assert str(run.status.name) == "THRESHOLD_REACHED"
        assert 0 < run.step[-1] < 200
        found.append((int(run.step[-1]), run.final.tobytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("form", ["weights", "half", "particles"])
def test_the_first_step_that_is_not_finite_is_found(form: str, team: Any) -> None:
    wide = PROBLEMS["wide"]
    memory = AssociativeMemory(40.0 * wide.inputs, 40.0 * wide.outputs, wide.targets, wide.frequencies)
    rule = GradientDescent(lambda step: 1e-3 if step < 5 else 1.7e308)
    found = []
    for threads in (1, 3):
        team(threads)
        run = simulate(memory, rule, steps=50, form=form, save=at([0]))
        assert run.status.name == "NOT_FINITE"
        found.append(run.message)
    saved = simulate(memory, rule, steps=50, form=form, save=every(1))
    assert found == 2 * [saved.message] == 2 * ["scores first not finite at step 6"]


def test_runs_in_threads_of_the_caller_are_the_same(team: Any) -> None:
    team(2)
    memory = PROBLEMS["narrow"]
    alone = bits(memory, RULES["few drawn"], "weights")
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: bits(memory, RULES["few drawn"], "weights"), range(12)):
            assert found == alone


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("form", ["weights", "half", "particles"])
def test_rows_of_a_batch_move_as_shares_of_all_tokens(form: str, problem: str, monkeypatch: Any) -> None:
    """Rows picked from a batch, repeated ones among them, against the residual of all tokens with weights c / B."""
    rule = StochasticGradientDescent(2.0, 60)
    options: dict[str, Any] = {"form": form, "steps": 12, "save": at([0, 12]), "rng": 5, "observe": ("loss", "scores")}
    picked = simulate(PROBLEMS[problem], rule, **options)
    monkeypatch.setattr(memory_system.MemorySystem, "_picks_rows", lambda *_: False)
    shares = simulate(PROBLEMS[problem], rule, **options)
    largest = np.abs(shares["scores"]).max()
    assert np.abs(picked["scores"] - shares["scores"]).max() < 1e-13 * largest
    np.testing.assert_allclose(picked["loss"], shares["loss"], rtol=1e-13)
    assert np.abs(picked.final - shares.final).max() < 1e-11 * np.abs(shares.final).max()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("columns", [1, 7, 16, 149])
def test_blocks_of_classes_give_the_same_motion(columns: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores in blocks of a few classes, with a target in any of them, against whole rows."""
    from traindyn.dynamics import memory_weights

    memory = PROBLEMS["wide"]
    initial = 3.0 * np.random.default_rng(2).standard_normal((memory.dim, memory.dim))
    options: dict[str, Any] = {"form": "weights", "steps": 6, "initial": initial, "dtype": dtype}
    options["observe"] = ("loss", "margin", "accuracy", "accuracy_first_index")
    whole = simulate(memory, GradientDescent(1.0), **options)
    monkeypatch.setattr(memory_weights, "sizes_of", lambda *_: Sizes(50, columns, 40))
    blocks = simulate(memory, GradientDescent(1.0), **options)
    unit = 1e-13 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(blocks["loss"], whole["loss"], rtol=unit)
    assert np.abs(blocks["margin"] - whole["margin"]).max() < unit * np.abs(whole["margin"]).max()
    assert np.abs(blocks.final - whole.final).max() < unit * np.abs(whole.final).max()
    for name in ("accuracy", "accuracy_first_index"):
        np.testing.assert_array_equal(blocks[name], whole[name])


@pytest.mark.parametrize("columns", [1, 2, 3, 9])
def test_ties_are_told_in_blocks(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At W = 0 all scores are equal: only the tokens whose target is the first class are right by the papers' rule."""
    from traindyn.dynamics import memory_weights

    memory = AssociativeMemory.random(9, 12, 4, rng=0)
    monkeypatch.setattr(memory_weights, "sizes_of", lambda *_: Sizes(5, columns, 4))
    run = simulate(memory, GradientDescent(1.0), steps=0, form="weights", observe=("accuracy", "accuracy_first_index"))
    assert run["accuracy"].tolist() == [0.0]
    expected = memory.frequencies[memory.targets == 0].sum()
    np.testing.assert_allclose(run["accuracy_first_index"], [expected], rtol=1e-14)


def test_a_well_learned_token_keeps_its_relative_precision() -> None:
    """Residuals and losses far below the rounding unit: margins of 50 to 700, against the sum of the exponentials."""
    margin = np.array([50.0, 300.0, 650.0, 700.0])
    memory = AssociativeMemory(np.eye(4), np.eye(4), range(4), [0.25] * 4)
    for form in ("weights", "half", "particles"):
        run = simulate(memory, GradientDescent(1.0), steps=1, form=form, initial=np.diag(margin), observe=("loss",))
        expected = 0.25 * np.log1p(3.0 * np.exp(-margin)).sum()
        np.testing.assert_allclose(run["loss"][0], expected, rtol=1e-13)


def test_a_long_vocabulary_takes_little_memory() -> None:
    """60000 scores a token, 200 tokens: all of them would be 96 MB, of which nothing may be kept."""
    memory = AssociativeMemory.random(200, 60_000, 8, "sphere", rng=0, output_embedding="sphere")
    simulate(memory, GradientDescent(10.0), steps=1, observe="loss", save=at([0]))
    tracemalloc.start()
    run = simulate(memory, GradientDescent(10.0), steps=3, observe="loss", save=at([0, 3]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert run.provenance["form"] == "weights"
    assert run["loss"][-1] < run["loss"][0]
    # the outputs thrice, transposed and packed, and 72 x 1024 scores a thread
    assert peak < 8 * 8 * 60_000 * 8 < 200 * 60_000 * 8
    assert peak < state_bytes("weights", 200, 60_000, 8)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("form", ["weights", "half", "particles"])
@pytest.mark.parametrize("rule", ["momentum", "few drawn"])
def test_the_stated_memory_covers_what_is_taken(rule: str, form: str, problem: str) -> None:
    memory = PROBLEMS[problem]
    options: dict[str, Any] = {"steps": 2, "form": form, "observe": "loss", "rng": 0}
    simulate(memory, RULES[rule], **options)  # compiled, and the Gram matrices made
    tracemalloc.start()
    simulate(memory, RULES[rule], **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    stated = state_bytes(form, memory.n_tokens, memory.n_classes, memory.dim)
    grams = 8 * (memory.n_tokens**2 + memory.n_classes**2)
    assert peak < stated + 1e5
    assert stated < 4 * (peak + grams) + 1e6


def test_the_cut_depends_on_the_problem_alone() -> None:
    assert descent_work.sizes_of(1000, 1000, 256, False) == Sizes(63, 1000, 64)
    assert descent_work.sizes_of(4096, 4096, 1024, False) == Sizes(207, 1024, 128)  # 20 tiles, 8 blocks
    for length in range(1, 400, 7):
        cut = descent_work.sizes_of(length, 3000, length, False)
        assert 1 <= cut.tile <= length
        assert 1 <= cut.height <= length
        assert cut.columns == 1024


@pytest.mark.parametrize("form", ["weights", "half", "particles"])
def test_a_run_that_records_nothing_ends_in_the_same_state(form: str) -> None:
    memory = PROBLEMS["wide"]
    for rule in (RULES["momentum"], RULES["few drawn"]):
        for save in (at([]), every(4)):
            seen, unseen = (
                simulate(memory, rule, steps=9, form=form, rng=1, save=save, observe=names)
                for names in (("loss",), ())
            )  # fmt: skip
            assert unseen.final.tobytes() == seen.final.tobytes()
            assert unseen.step.tolist() == seen.step.tolist()
            more = simulate(memory, rule, steps=14, form=form, save=save, observe=(), resume=unseen)
            whole = simulate(memory, rule, steps=14, form=form, rng=1, save=save, observe=())
            assert more.final.tobytes() == whole.final.tobytes()


@pytest.mark.parametrize("steps", [1, 6])
def test_a_run_that_records_nothing_tells_when_it_is_no_longer_finite(steps: int) -> None:
    far = AssociativeMemory(1e160 * PROBLEMS["wide"].inputs, 1e160 * PROBLEMS["wide"].outputs,
                            PROBLEMS["wide"].targets, PROBLEMS["wide"].frequencies)  # fmt: skip
    run = simulate(far, GradientDescent(1.0), steps=steps, form="weights", observe=(), save=at([]))
    assert run.status is Status.NOT_FINITE
    assert "not finite at step 1" in run.message


@pytest.mark.parametrize("rule", ["momentum", "many drawn", "adam"])
def test_packing_once_for_all_tiles_changes_no_bit(rule: str, team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = AssociativeMemory.random(290, 295, 280, "gaussian", "zipf", rng=0, output_embedding="gaussian")
    many = {"many drawn": StochasticGradientDescent(1.0, 145)}
    sizes = memory.n_tokens, memory.n_classes, memory.dim, 0, "float64"
    assert min(memory_weights.packed_numbers(*sizes)) > 0  # both W^T and D are large enough to be packed
    found = []
    for threads in (1, 2, 3):
        team(threads)
        found.append(bits(memory, (RULES | many)[rule], "weights", steps=4))
    monkeypatch.setattr(memory_weights, "packed_numbers", lambda *_: (0, 0))
    team(1)
    found.append(bits(memory, (RULES | many)[rule], "weights", steps=4))
    assert found[1:] == found[:1] * 3
