"""Trajectory files: whole, checked, and refused with a reason when they are not what they should be."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from traindyn.dynamics import AssociativeMemory, GradientDescent, Trajectory, simulate, trajectory_file
from traindyn.errors import FileError, InputError

MEMORY = AssociativeMemory.two_tokens()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "run.npz"
    simulate(MEMORY, GradientDescent(10.0), steps=35, estimate_error=True).save(place)
    return place


def test_round_trip(path: Path) -> None:
    run, loaded = simulate(MEMORY, GradientDescent(10.0), steps=35), Trajectory.load(path)
    for name in run:
        np.testing.assert_array_equal(loaded[name], run[name])
        assert not loaded[name].flags.writeable
    np.testing.assert_array_equal(loaded.final, run.final)
    assert loaded.status is run.status
    assert loaded.provenance == run.provenance
    assert loaded.error["margin"].shape == (36, 2)
    assert "AssociativeMemory(2 tokens" in repr(loaded)


def test_numpy_reads_the_file_without_pickles(path: Path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        assert archive["column.loss"].shape == (36,)


def test_writing_replaces_and_leaves_nothing_behind(path: Path) -> None:
    simulate(MEMORY, GradientDescent(1.0), steps=3).save(path)
    assert Trajectory.load(path).step[-1] == 3
    assert [item.name for item in path.parent.iterdir()] == ["run.npz"]


def test_any_flipped_byte_is_found(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    places = {0, 1, 40, len(content) - 1, len(content) - 64, len(content) - 70, *rng.integers(0, len(content), 80)}
    for place in places:
        broken = bytearray(content)
        broken[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "broken.npz").write_bytes(bytes(broken))
        with pytest.raises(FileError):
            Trajectory.load(tmp_path / "broken.npz")


def test_any_truncation_is_found(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 80, len(content) - 1):
        (tmp_path / "short.npz").write_bytes(content[:length])
        with pytest.raises(FileError, match=r"truncated|not a trajectory|damaged"):
            Trajectory.load(tmp_path / "short.npz")


def test_foreign_files_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", loss=np.zeros(3))
    with pytest.raises(FileError, match="another program's npz"):
        Trajectory.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("loss,0.5\n")
    with pytest.raises(FileError, match="not an npz file"):
        Trajectory.load(tmp_path / "text.npz")
    with pytest.raises(FileError, match="No such file"):
        Trajectory.load(tmp_path / "absent.npz")


def test_later_versions_are_told(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    later = tmp_path / "later.npz"
    with monkeypatch.context() as patch:
        patch.setattr(trajectory_file, "VERSION", 2)
        simulate(MEMORY, GradientDescent(10.0), steps=3).save(later)
    with pytest.raises(FileError, match="format version 2, this traindyn reads up to 1"):
        Trajectory.load(later)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    run = simulate(MEMORY, GradientDescent(10.0), steps=3)
    with pytest.raises(FileError, match=r"cannot write .*No such file"):
        run.save(tmp_path / "absent" / "run.npz")


def test_errors_of_a_loaded_run(tmp_path: Path) -> None:
    run = simulate(MEMORY, GradientDescent(10.0), steps=3)
    run.save(tmp_path / "run.npz")
    with pytest.raises(InputError, match="estimate_error=True"):
        Trajectory.load(tmp_path / "run.npz").error  # noqa: B018


def test_the_header_is_plain(path: Path) -> None:
    with zipfile.ZipFile(path) as archive, archive.open("header.npy") as member:
        header = json.loads(np.lib.format.read_array(member).tobytes())
    assert header["format"] == "traindyn.trajectory"
    assert header["facts"]["rule_name"] == "GradientDescent(learning_rate=10.0, momentum=0.0)"
