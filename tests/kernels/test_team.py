"""Teams of threads: every member runs and meets the others, nobody waits for ever, forks and threads of the caller."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from traindyn.errors import InputError
from traindyn.kernels.compile import compiled, thread_count
from traindyn.kernels.cpu.synchrony import abort, barrier, first_ticket, next_ticket
from traindyn.kernels.team import limited_threads, run_team, team_size


@compiled()
def rounds(sync, member, members, count, seen, total):
    """Let member r % members write round r, and all read it: a barrier that lets anybody through early is seen."""
    for number in range(count):
        if member == number % members:
            total[0] = number
        if not barrier(sync, members):
            return -1
        if total[0] != number:
            seen[member] -= 1_000_000
        seen[member] += 1
        if not barrier(sync, members):
            return -1
    return members


def counted(threads: int, count: int = 500) -> tuple[int, np.ndarray]:
    seen, total = np.zeros(8, np.int64), np.zeros(1, np.int64)
    return run_team(rounds, threads, count, seen, total), seen


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_every_member_passes_every_barrier_with_the_others(threads: int) -> None:
    members, seen = counted(threads)
    assert members == threads
    assert seen.tolist() == [500] * threads + [0] * (8 - threads)


@compiled()
def shared_work(sync, member, members, taken):
    for _ in range(2):
        while True:
            ticket = next_ticket(sync)
            if ticket >= taken.size:
                break
            taken[ticket] += 1
        if not barrier(sync, members):
            return False
        if member == 0:
            first_ticket(sync)
        if not barrier(sync, members):
            return False
    return True


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_each_ticket_is_given_once(threads: int) -> None:
    taken = np.zeros(20_000, np.int64)
    assert run_team(shared_work, threads, taken)
    assert (taken == 2).all()


@compiled()
def failing(sync, member, members, who, state):
    if member == who:
        raise ValueError("no")
    while barrier(sync, members):
        state[member] += 1
    state[member] = -1
    return 0


@pytest.mark.parametrize("who", [0, 1, 2])
def test_an_exception_of_one_member_frees_the_others(who: int) -> None:
    state = np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="no"):
        run_team(failing, 3, who, state)
    assert state.tolist() == [0 if member == who else -1 for member in range(3)]
    assert counted(3)[0] == 3


@compiled()
def giving_up(sync, member, members):
    if member == 1:
        abort(sync)
        return 0
    turns = 0
    while barrier(sync, members):
        turns += 1
    return turns


def test_compiled_code_can_abort() -> None:
    assert run_team(giving_up, 3) == 0


def test_a_call_from_inside_a_member_runs_alone() -> None:
    found = []

    def outer(sync, member, members):
        found.append((members, team_size(10.0), counted(4)[0]))

    run_team(outer, 2)
    assert found == [(2, 1, 1)] * 2


def test_threads_of_the_caller_share_the_team() -> None:
    """Teams at the same time: each is right, and together they have no more members than the process has threads."""
    most, now, lock = [0], [0], threading.Lock()

    def member_of(sync, member, members, results):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        results.append((members, counted(4)[0]))
        with lock:
            now[0] -= 1

    def work(number: int) -> list[tuple[int, int]]:
        results: list[tuple[int, int]] = []
        run_team(member_of, 4, results)
        return results

    callers = 6
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        for results in pool.map(work, range(60)):
            assert {inner for _, inner in results} == {1}
            assert len(results) == results[0][0] <= 4
    # every caller is at work itself; beyond those no more than the first one could take
    assert most[0] <= max(4, thread_count()) + callers - 1
    assert counted(4)[0] == 4


def _in_a_child(results) -> None:
    results.put(counted(3)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_threads() -> None:
    assert counted(3)[0] == 3
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_in_a_child, args=(results,))
    child.start()
    child.join(60.0)
    assert child.exitcode == 0
    assert results.get() == 3
    assert counted(3)[0] == 3


def test_interrupting_the_wait_frees_everybody() -> None:
    """Ctrl-C while another member is still at work is raised, after that member was freed."""
    program = """
        import os, signal, sys, threading, time
        import numpy as np
        from traindyn.kernels.compile import compiled
        from traindyn.kernels.cpu.synchrony import barrier
        from traindyn.kernels.team import run_team

        @compiled()
        def waiting(sync, members, state):
            while barrier(sync, members):  # the other one never comes
                state[1] += 1
            state[0] = 1

        def member_of(sync, member, members, state):
            if member == 1:
                waiting(sync, members, state)

        state = np.zeros(2, np.int64)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            run_team(member_of, 2, state)
        except KeyboardInterrupt:
            print("interrupted", state.tolist())
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["interrupted", "[1,", "0]"], done.stderr


def test_team_sizes() -> None:
    assert team_size(0.0) == team_size(1e-5) == 1
    assert team_size(10.0) == thread_count()
    with limited_threads(1):
        assert team_size(10.0) == 1
        with limited_threads(3):
            assert team_size(10.0) == 3
            assert team_size(2.5e-4) == 2
        assert team_size(10.0) == 1
        others: list[int] = []
        thread = threading.Thread(target=lambda: others.append(team_size(10.0)))
        thread.start()
        thread.join()
    assert others == [thread_count()] == [team_size(10.0)]
    with pytest.raises(InputError, match="at least 1"), limited_threads(0):
        pass
