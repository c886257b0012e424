"""Full disks, read-only folders, files that vanish, programs that hold the file, and one coordinator only."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traindyn.dynamics import store as store_module
from traindyn.dynamics import store_connection, store_lock
from traindyn.dynamics.store import Store
from traindyn.errors import FileError

CELLS = 20_000
VALUES = np.random.default_rng(5).standard_normal((CELLS, 3))
HEADER = {"steps": 3}
STATUS = np.zeros(CELLS, np.int8)


def opened(path: Path, **others: Any) -> Store:
    return Store.open(path, HEADER, CELLS, ("a", "b", "c"), **others)


def fill(store: Store, first: int, stop: int) -> bool:
    return store.write(first, VALUES[first:stop], STATUS[first:stop])


PRELUDE = """
import os, resource, sys
import numpy as np
from traindyn.dynamics.store import Store
from traindyn.errors import FileError
CELLS = 20_000
VALUES = np.random.default_rng(5).standard_normal((CELLS, 3))
STATUS = np.zeros(CELLS, np.int8)
path = sys.argv[1]
def opened(**others):
    return Store.open(path, {"steps": 3}, CELLS, ("a", "b", "c"), **others)
def fill(store, first, stop):
    return store.write(first, VALUES[first:stop], STATUS[first:stop])
"""


def elsewhere(path: Path, code: str, **others: Any) -> str:
    """Run code in a process of its own and return what it prints."""
    run = subprocess.run([sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(path)], capture_output=True,
                         text=True, timeout=120, **others)  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def whole(path: Path, done: int) -> None:
    with Store.load(path) as stored:
        values, _, found, _ = stored.read()
    assert found[:done].all()
    assert not found[done:].any()
    assert values[:done].tobytes() == VALUES[:done].tobytes()


@pytest.mark.parametrize("wal", [False, True])
def test_a_file_that_may_not_grow_loses_nothing(tmp_path: Path, wal: bool) -> None:
    """A limit on file sizes is a full disk to SQLite; it is lifted in the same process, and in another one."""
    printed = elsewhere(tmp_path / "x.db", f"""
        store = opened(wal={wal})
        fill(store, 0, 3000); store.flush()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 100_000, hard))
        for _ in range(2):
            try:
                fill(store, 3000, 12000) if not _ else None
                store.flush()
            except FileError as error:
                print(error)
        print(Store.summary(path).done, store.read()[2].sum())
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.flush()
        print(Store.summary(path).done)
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 100_000, hard))
        try:
            with store:
                fill(store, 12000, 20000)
        except FileError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with opened(wal={wal}) as store:
            fill(store, 12000, 12001); store.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        print("all was safe: no error that the end of the session cannot be noted")
        """).splitlines()  # fmt: skip
    kept = r"3000 of 20000 cells are safe in the file, 9000 more were not written"
    assert printed[0] == printed[1]
    assert kept in printed[0]
    assert "make room and run the sweep again" in printed[0]
    assert printed[2:4] == ["3000 12000", "12000"]
    assert "12000 of 20000 cells are safe in the file, 8000 more were not written" in printed[4]
    assert "all was safe" in printed[5]
    whole(tmp_path / "x.db", 12001)
    with opened(tmp_path / "x.db", wal=wal) as store:
        assert store.missing() == [(12001, 20000)]
        fill(store, 12001, 20000)
    whole(tmp_path / "x.db", CELLS)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not permitted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_loses_nothing(tiny_disk: Path) -> None:
    path, ballast = tiny_disk / "x.db", tiny_disk / "ballast"

    def run() -> None:
        with opened(path) as store:
            for first in range(0, CELLS, 500):
                fill(store, first, first + 500)
                store.flush()

    with pytest.raises(FileError, match=r"(full|I/O error).*make room.* cells are safe in the file"):
        run()
    done = Store.summary(path).done
    assert 5000 < done < CELLS
    ballast.write_bytes(b"\0" * (os.statvfs(tiny_disk).f_bavail * 4096))
    with pytest.raises(FileError, match="make room"), opened(path) as store:  # not even room for a journal
        fill(store, done, done + 500)
    whole(path, done)
    assert Store.summary(path).done == done
    ballast.unlink()
    with opened(path) as store:
        assert store.missing() == [(done, CELLS)]


def test_a_disk_that_is_full_from_the_start_makes_no_store(tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(b"\0" * (os.statvfs(tiny_disk).f_bavail * 4096 - 20_000))
    with pytest.raises(FileError, match=r"x\.db.*(make room|full)"):
        opened(tiny_disk / "x.db")
    assert {item.name for item in tiny_disk.iterdir()} <= {"ballast", "x.db.lock"}


def as_somebody(path: Path, code: str) -> str:
    """Run code as a user to whom permissions apply."""
    if os.geteuid() == 0:
        code = "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" + textwrap.dedent(code)
    return elsewhere(path, code)


TRY = """
try:
    opened().close()
except FileError as error:
    print(error)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach: those above `tmp_path` are private."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def test_places_that_cannot_be_written_are_told_before_any_work(public_folder: Path) -> None:
    path = public_folder / "x.db"
    public_folder.chmod(0o555)
    assert "the folder" in as_somebody(path, TRY)
    assert list(public_folder.iterdir()) == []
    public_folder.chmod(0o755)
    with opened(path) as store:
        fill(store, 0, 10)
    path.chmod(0o444)
    path.with_name("x.db.lock").chmod(0o444)
    assert "cannot write" in as_somebody(path, TRY)
    assert "permission denied" in as_somebody(path, TRY)
    looked = as_somebody(path, "with Store.load(path) as s: print(s.read()[2].sum(), Store.summary(path).done)")
    assert looked.strip() == "10 10"
    path.chmod(0o666)
    public_folder.chmod(0o777)
    assert "x.db.lock: Permission denied" in as_somebody(path, TRY)
    path.chmod(0)
    unreadable = "try: Store.load(path)\nexcept FileError as error: print(error)"
    assert "cannot read" in as_somebody(path, unreadable)
    with pytest.raises(FileError, match="its folder does not exist; create"):
        opened(public_folder / "absent" / "x.db")


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    path.with_name("copy").write_bytes(path.read_bytes())
    os.replace(path.with_name("copy"), path)


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


@pytest.mark.parametrize("happens", [deleted, replaced, moved])
def test_a_file_that_vanishes_is_told_at_the_next_commit(tmp_path: Path, happens: Callable[[Path], None]) -> None:
    path = tmp_path / "x.db"
    store = opened(path)
    fill(store, 0, 10)
    store.flush()
    happens(path)
    fill(store, 10, 20)
    with pytest.raises(FileError, match="has gone: it was deleted, moved or replaced"):
        store.flush()
    with pytest.raises(FileError, match="has gone"):
        store.close()
    if path.exists() or happens is moved:
        whole(path if path.exists() else path.with_name("elsewhere.db"), 10)


def test_a_reader_that_stays_delays_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(store_module, "_PATIENCE_WRITE", 0.01)
    monkeypatch.setattr(store_module, "_PATIENCE_FLUSH", 0.3)
    path = tmp_path / "x.db"
    with opened(path) as store:
        assert fill(store, 0, 10)
        browser = sqlite3.connect(path, isolation_level=None)
        browser.execute("BEGIN")
        browser.execute("SELECT * FROM header").fetchone()
        assert not fill(store, 10, 20)  # postponed
        with pytest.raises(FileError, match=r"another program keeps it locked; close .* 10 of 20000 cells are safe"):
            store.flush()
        time.sleep(0.3)
        with pytest.raises(FileError, match="another program keeps it locked"):
            fill(store, 20, 30)  # for too long
        browser.execute("COMMIT")
        browser.close()
        assert fill(store, 30, 40)
    whole(path, 40)


def test_with_a_log_a_reader_that_stays_delays_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with opened(path, wal=True) as store:
        browser = sqlite3.connect(path, isolation_level=None)
        browser.execute("BEGIN")
        assert browser.execute("SELECT count(*) FROM cells").fetchone() == (0,)
        fill(store, 0, 10)
        store.flush()
        assert Store.summary(path).done == 10
        assert browser.execute("SELECT count(*) FROM cells").fetchone() == (0,)
        browser.close()
    with opened(path) as store:  # back to a rollback journal
        fill(store, 10, 20)
        store.flush()
        assert not path.with_name("x.db-wal").exists()
    whole(path, 20)


def test_a_log_is_refused_on_network_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_connection.file_system(Path("/proc/self")) == "proc"
    monkeypatch.setattr(store_connection, "file_system", lambda place: "nfs4")
    with pytest.raises(FileError, match=r"wal=True needs memory shared .* \(nfs4\)"):
        opened(tmp_path / "x.db", wal=True)
    assert list(tmp_path.iterdir()) == []
    opened(tmp_path / "x.db").close()


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
