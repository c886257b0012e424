"""Old folders of compiled code: removed when unused for a month, never while a process has them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from traindyn.kernels import old_code

pytest.importorskip("fcntl")
DAY = 86400


def folder(base: Path, digit: str, days: float, marked: bool = True) -> Path:
    made = base / f"kernels-{digit * 16}"
    made.mkdir()
    (made / "code.nbc").write_bytes(b"code")
    if marked:
        (made / "in-use").touch()
        os.utime(made / "in-use", (time.time() - days * DAY,) * 2)
    os.utime(made, (time.time() - days * DAY,) * 2)
    return made


HOLD = """
import sys
from pathlib import Path
from traindyn.kernels.old_code import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_only_old_unused_folders_of_ours_go(tmp_path: Path) -> None:
    old, recent = folder(tmp_path, "a", 31), folder(tmp_path, "b", 29)
    unmarked, mine = folder(tmp_path, "c", 40, marked=False), folder(tmp_path, "d", 400)
    foreign = tmp_path / "kernels-of-another"
    foreign.mkdir()
    os.utime(foreign, (0, 0))
    (tmp_path / ("kernels-" + "e" * 16)).symlink_to(foreign)
    assert old_code.remove_unused(tmp_path, keep=mine) == [old, unmarked]
    assert sorted(path.name[:9] for path in tmp_path.iterdir()) == ["kernels-b", "kernels-d", "kernels-e", "kernels-o"]
    assert recent.exists()


def test_a_folder_that_another_process_uses_stays(tmp_path: Path) -> None:
    used = folder(tmp_path, "a", 90)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert time.time() - (used / "in-use").stat().st_mtime < DAY  # its date was renewed
        os.utime(used / "in-use", (0, 0))
        assert old_code.remove_unused(tmp_path, keep=tmp_path) == []
        assert (used / "code.nbc").exists()
    finally:
        process.communicate("")
    assert old_code.remove_unused(tmp_path, keep=tmp_path) == [used]


def test_who_comes_while_a_folder_goes_gets_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is renamed after its mark was opened: a lock on the lost file would protect nothing."""
    going = folder(tmp_path, "a", 0)
    real, locks = old_code.fcntl.flock, []

    def slow(mark: object, how: int) -> None:
        if not locks:
            going.rename(tmp_path / "removed")
        locks.append(how)
        real(mark, how)

    monkeypatch.setattr(old_code.fcntl, "flock", slow)
    old_code.hold(going)
    assert len(locks) == 2
    assert (going / "in-use").exists()
    held = old_code._held.pop()
    assert os.path.samestat(os.fstat(held.fileno()), (going / "in-use").stat())
    held.close()


def test_a_new_folder_sweeps_its_siblings(tmp_path: Path) -> None:
    folder(tmp_path, "a", 31)
    code = "from traindyn.kernels.compile import cache_folder; print(cache_folder())"
    environment = {**os.environ, "TRAINDYN_NUMBA_CACHE": str(tmp_path)}
    names = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert [path.name for path in tmp_path.iterdir()] == [Path(done.stdout.strip()).name]
        names.append(done.stdout)
    assert names[0] == names[1]
