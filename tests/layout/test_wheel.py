"""What is shipped: the declared packages with their data, and nothing else of the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import files
from pathlib import Path

import traindyn

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(traindyn.__file__).parent
FOUR = ("kernels", "analytics", "dynamics", "validation")
SOURCE = (ROOT / "__init__.py").exists()  # False where the tests run against an installed wheel, away from the clone
UNSHIPPED = shutil.ignore_patterns(
    ".git", ".venv*", ".tc", "build", "dist", "out", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)


def names_of_wheel(place: Path) -> tuple[set[str], set[str]]:
    """Build sdist and wheel from a copy of the clone; return the names in each (of the wheel: below traindyn/)."""
    clone = place / "clone"
    shutil.copytree(ROOT, clone, ignore=UNSHIPPED)
    command = [sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", str(place / "dist"), str(clone)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (place / "dist").glob("*.whl")
    (archive,) = (place / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        shipped = {name.removeprefix("traindyn/") for name in opened.namelist() if ".dist-info/" not in name}
        entries = next(opened.read(name).decode() for name in opened.namelist() if name.endswith("entry_points.txt"))
    assert "traindyn = traindyn.__main__:main" in entries
    assert "[pytest11]\ntraindyn = traindyn.pytest_plugin" in entries
    with tarfile.open(archive) as packed:
        source = {name.split("/", 1)[1] for name in packed.getnames() if "/" in name}
    return shipped, source


def test_the_wheel_holds_the_declared_packages_and_nothing_else(tmp_path: Path) -> None:
    if SOURCE:  # one test builds the wheel, so that it is built once, however many workers there are
        shipped, source = names_of_wheel(tmp_path)
        for needed in (
            "tests/conftest.py",
            "Makefile",
            "MANIFEST.in",
            "docs/index.md",
            "setup.cfg",
            "LICENSE",
            "tools/wheel-test.sh",
        ):
            assert needed in source, f"the sdist lacks {needed}"
    else:
        shipped = {
            str(name).removeprefix("traindyn/") for name in files("traindyn") or [] if str(name).startswith("traindyn/")
        }
        shipped = {name for name in shipped if not name.endswith(".pyc")}
    expected = {path.name for path in PACKAGE.glob("*.py")} | {"py.typed"}
    for package in FOUR:
        expected |= {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / package).rglob("*")
                     if path.is_file() and path.suffix not in {".pyc", ".nbi", ".nbc"}}  # fmt: skip
    assert shipped == expected
    assert not {Path(name).name for name in shipped} & {"setup.py", "conftest.py", "noxfile.py"}
    assert {Path(name).suffix for name in shipped} <= {".py", ".typed", ".jinja", ".css"}
