"""One coordinator only: locks, forks, kills, and what a killed one leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from traindyn.dynamics import store_lock
from traindyn.dynamics.store import Store
from traindyn.errors import FileError

sys.path.insert(0, str(Path(__file__).parent))
from store_places import CELLS, PRELUDE, TRY, elsewhere, fill, opened, whole


def test_a_second_coordinator_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    (tmp_path / "link.db").symlink_to(path)
    for name in ("x.db", "link.db"):
        with opened(path) as store:
            told = elsewhere(tmp_path / name, TRY)
            assert f"is being written by process {os.getpid()} on {os.uname().nodename} since 20" in told
            assert f"end it (kill {os.getpid()} on" in told
            assert "traindyn sweep --status" in told
            with pytest.raises(FileError, match="is open in this process already"):
                opened(tmp_path / name)
            Store.summary(tmp_path / name)  # looking does not release the lock
            Store.load(tmp_path / name).close()
            assert "is being written by" in elsewhere(path, TRY)
            fill(store, store.missing()[0][0], store.missing()[0][0] + 5)
        assert elsewhere(path, TRY) == ""
    whole(path, 10)


def test_a_lock_file_that_is_deleted_while_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the file and locking it another process may delete it: that lock would be on no name."""
    path, lockf, calls = tmp_path / "x.db", store_lock.fcntl.lockf, []

    def late(descriptor: int, how: int) -> None:
        if not calls:
            path.with_name("x.db.lock").unlink()
        calls.append(descriptor)
        lockf(descriptor, how)

    monkeypatch.setattr(store_lock.fcntl, "lockf", late)
    with opened(path):
        assert len(calls) == 2
        assert "is being written by" in elsewhere(path, TRY)


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    code = PRELUDE + "store = opened(); fill(store, 0, 10); store.flush(); print('ready', flush=True); sys.stdin.read()"
    first = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdout is not None
    assert first.stdin is not None
    assert first.stdout.readline() == b"ready\n"
    summary = Store.summary(path)
    assert summary.alive
    assert summary.holder is not None
    assert summary.holder.pid == first.pid
    with pytest.raises(FileError, match=f"written by process {first.pid} on"):
        opened(path)
    first.kill()
    first.wait()
    first.stdin.close()
    first.stdout.close()
    assert not Store.summary(path).alive
    assert "killed" in str(Store.summary(path))
    with opened(path) as store:
        assert store.missing() == [(10, CELLS)]


def test_a_child_forked_from_the_coordinator_neither_writes_nor_unlocks(tmp_path: Path) -> None:
    printed = elsewhere(tmp_path / "x.db", """
        from traindyn.dynamics import store as module
        module.COMMIT_SECONDS = 1000.0
        store = opened()
        fill(store, 0, 10)
        child = os.fork()
        if child == 0:
            for use in (lambda: fill(store, 10, 20), store.flush, opened):
                try:
                    use()
                except FileError as error:
                    print(error, flush=True)
            store.close()
            del store, use
            sys.exit()
        os.waitpid(child, 0)
        summary = Store.summary(path)
        print(summary.done, summary.sessions[0].ended)
        import subprocess
        second = "import sys; from traindyn.dynamics.store import Store; Store.open(sys.argv[1], {}, 3, ('a',))"
        run = subprocess.run([sys.executable, "-c", second, path], capture_output=True, text=True)
        print(run.stderr.splitlines()[-1])
        fill(store, 10, 20)
        store.close()
        """).splitlines()  # fmt: skip
    assert len(printed) == 5
    assert "by process" in printed[0]
    assert "forked from it; let workers return their results" in printed[0]
    assert "forked from it" in printed[1]
    assert "is being written by process" in printed[2]
    assert printed[3] == "0 None"  # nothing was written by the child, and no end noted
    assert "is being written by process" in printed[4]
    whole(tmp_path / "x.db", 20)


def test_a_coordinator_past_the_lock_stops_the_first(tmp_path: Path) -> None:
    """Where the lock file was deleted, or locks are not honoured, the newest session alone may write."""
    path = tmp_path / "x.db"
    store = opened(path)
    fill(store, 0, 10)
    store.flush()
    path.with_name("x.db.lock").unlink()
    with opened(path) as second:
        fill(second, 10, 30)
    fill(store, 10, 20)
    with pytest.raises(FileError, match="was taken over by another coordinator"):
        store.flush()
    with pytest.raises(FileError, match="taken over"):
        store.close()
    whole(path, 30)


def test_ten_coordinators_at_once_leave_one(tmp_path: Path) -> None:
    path, start = tmp_path / "x.db", tmp_path / "start"
    code = PRELUDE + textwrap.dedent("""
        import time
        print("ready", flush=True)
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.0001)
        try:
            store = opened()
        except FileError as error:
            print(error)
        else:
            print("first")
            fill(store, 0, 10)
            time.sleep(0.5)
            store.close()
        """)
    runs = [
        subprocess.Popen([sys.executable, "-c", code, path, start], stdout=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    for run in runs:
        assert run.stdout is not None
        run.stdout.readline()
    start.touch()
    told = [run.communicate()[0] for run in runs]
    assert sorted(text == "first\n" for text in told) == [False] * 9 + [True], told
    assert all("is being written by" in text for text in told if text != "first\n"), told
    whole(path, 10)


def test_what_a_killed_creation_left_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.with_name(".x.db.new").write_bytes(b"SQLite format 3\0 half")
    path.with_name("x.db.lock").write_text("{")
    with opened(path) as store:
        fill(store, 0, 10)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["x.db", "x.db.lock"]
    assert json.loads((tmp_path / "x.db.lock").read_text())["pid"] == os.getpid()


def test_a_transaction_that_was_killed_is_rolled_back_by_readers(tmp_path: Path) -> None:
    """The journal of a commit cut short lies beside the file: whoever opens it first restores the pages."""
    path = tmp_path / "x.db"
    elsewhere(path, """
        store = opened()
        fill(store, 0, 3000); store.flush()
        run = store._connection
        run.execute("PRAGMA cache_size = 1"); run.execute("PRAGMA cache_spill = ON")
        run.execute("BEGIN IMMEDIATE")
        run.execute("UPDATE chunk SET measured = zeroblob(length(measured)), status = x'00', checksum = NULL")
        assert os.path.exists(path + "-journal")
        os._exit(0)
        """)  # fmt: skip
    assert path.with_name("x.db-journal").stat().st_size > 0
    assert Store.summary(path).done == 3000
    whole(path, 3000)
    with opened(path) as store:
        assert store.missing() == [(3000, CELLS)]
