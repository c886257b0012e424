"""Members of a team leave a processor that one of them has already, and stay free afterwards."""

from __future__ import annotations

import os

import pytest

from traindyn.kernels import placement

PROCESSOR = placement._processor

pytestmark = pytest.mark.skipif(PROCESSOR is None, reason="processors cannot be chosen on this system")


def test_a_member_leaves_a_taken_processor_and_may_come_back() -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("one processor only")
    here = min(allowed)
    os.sched_setaffinity(0, {here})  # now the thread is there
    os.sched_setaffinity(0, allowed)
    taken = allowed - {max(allowed)}
    try:
        placement.take_place(taken)
        assert taken == allowed  # it went to the only free processor, wherever it was
        assert os.sched_getaffinity(0) == allowed
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_one_who_moves_asks_for_the_free_processors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[int]] = []
    monkeypatch.setattr(placement, "_processor", lambda: 3 if not asked else 5)
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda _: {3, 4, 5})
    monkeypatch.setattr(placement.os, "sched_setaffinity", lambda _, which: asked.append(set(which)))
    taken = {3, 4}
    placement.take_place(taken)
    assert asked == [{5}, {3, 4, 5}]
    assert taken == {3, 4, 5}


@pytest.mark.parametrize("taken", [set(), {0}, {3, 4, 5}])
def test_nobody_moves_without_need_or_place(taken: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_processor", lambda: 3)
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda _: {3, 4, 5})

    def refused(_: int, which: set[int]) -> None:
        raise AssertionError(f"moved to {which}")

    monkeypatch.setattr(placement.os, "sched_setaffinity", refused)
    after = taken | {3}
    placement.take_place(taken)
    assert taken == after


def test_a_system_that_cannot_choose_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_processor", None)
    taken: set[int] = set()
    placement.take_place(taken)
    assert taken == set()
