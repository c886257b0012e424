"""Full disks, read-only folders, files that vanish, programs that hold the file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from traindyn.dynamics import store as store_module
from traindyn.dynamics import store_connection
from traindyn.dynamics.store import Store
from traindyn.errors import FileError

sys.path.insert(0, str(Path(__file__).parent))
from store_places import CELLS, TRY, elsewhere, fill, opened, whole


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
