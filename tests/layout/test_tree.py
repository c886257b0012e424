"""The tree itself: the package list, names, sizes, one copy, one version."""

from __future__ import annotations

import configparser
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import traindyn

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(traindyn.__file__).parent
FOUR = ("kernels", "analytics", "dynamics", "validation")
# files of more than 400 lines, each with the reason why no seam was found in it
LONG: dict[str, str] = {}


def test_setup_cfg_lists_every_package_of_the_tree() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = settings["options"]["packages"].split()
    found = {"traindyn"} | {".".join(["traindyn", *path.parent.relative_to(PACKAGE).parts])
                            for package in FOUR for path in (PACKAGE / package).rglob("__init__.py")}  # fmt: skip
    assert sorted(listed) == sorted(found)
    assert len(listed) == len(set(listed))


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for package in FOUR for path in (PACKAGE / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_folder_of_a_package_with_data_ships_it() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    shipped = {name: patterns.split() for name, patterns in settings["options.package_data"].items()}
    for package in FOUR:
        for path in (PACKAGE / package).rglob("*"):
            if path.is_file() and path.suffix not in {".py", ".pyc", ".nbi", ".nbc"}:
                home = ".".join(["traindyn", *path.parent.relative_to(PACKAGE).parts])
                assert any(path.match(pattern) for pattern in shipped.get(home, [])), f"{path} is not in setup.cfg"


def test_files_have_names_of_their_own() -> None:
    nameless = {"util", "utils", "helper", "helpers", "common", "misc"}
    places = [PACKAGE / package for package in FOUR] + [ROOT / "tests"]
    assert [path for place in places for path in place.rglob("*.py") if path.stem in nameless] == []


def test_root_modules_do_not_shadow_the_standard_library() -> None:
    assert [path.stem for path in PACKAGE.glob("*.py") if path.stem in sys.stdlib_module_names] == []


def test_files_are_short() -> None:
    places = [*PACKAGE.glob("*.py"), *(path for package in FOUR for path in (PACKAGE / package).rglob("*.py"))]
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in places
    }
    long = {name for name, lines in lengths.items() if lines > 400}
    assert long - set(LONG) == set(), "find the seam, or give the reason in LONG"
    assert set(LONG) - long == set(), "no longer long: take it out of LONG"


def test_one_version() -> None:
    assert version("traindyn") == traindyn.__version__


def test_the_package_is_imported_once(pytestconfig: pytest.Config) -> None:
    homes: dict[str, str] = {}
    roots = (PACKAGE.resolve(), ROOT)
    ours = [root / name for root in roots for name in ("__init__.py", *FOUR)]
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "nowhere").resolve()
        if any(path.is_relative_to(place) for place in ours):
            assert name.split(".")[0] == "traindyn", f"{path} was imported a second time, as {name}"
            assert homes.setdefault(str(path), name) in (name, "traindyn.__main__")
    assert homes
    assert (pytestconfig.rootpath / "tests").is_dir()


@pytest.mark.parametrize("name", FOUR)
def test_a_package_is_reached_by_its_full_name_only(name: str, run_python, tmp_path: Path) -> None:
    done = run_python(f"import {name}", cwd=tmp_path)
    assert "ModuleNotFoundError" in done.stderr
