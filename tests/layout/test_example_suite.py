"""The example project in docs/examples/bound_suite is installed, found by its entry point, and passes its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "bound_suite"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, installed beside itself in `installed/`."""
    place = tmp_path_factory.mktemp("example") / "bound_suite"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    pip = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", "installed", "."], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run `python -P -m ...` in the project, with the example on the path."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    variables["PYTHONPATH"] = str(project / "installed")
    return subprocess.run(
        [sys.executable, "-P", "-m", *command],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_its_tests_pass(project: Path) -> None:
    done = run(project, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


def test_its_claims_are_known_to_the_command_line(project: Path) -> None:
    done = run(project, "traindyn", "verify", "silver.*", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every outcome is the expected one" in done.stdout


def test_a_violated_bound_reads_like_a_finding(project: Path) -> None:
    test = project / "tests" / "test_mistake.py"
    test.write_text(
        "import traindyn as td\n"
        "@td.validation.parametrize_with_claims('silver.section1.decrease')\n"
        "def test_mistake(check):\n"
        "    check(parameters={'curvature': 0.02, 'angle': 0.3, 'doublings': 4})\n",
        encoding="utf-8",
    )
    try:
        done = run(project, "pytest", "-q", "-p", "no:cacheprovider", "--traindyn-seed", "3", str(test))
    finally:
        test.unlink()
    assert done.returncode == 1
    shown = done.stdout
    assert "claim violated: silver.section1.decrease [printed] (wanted: holds)" in shown
    for part in ("says:", "where:", "by:", "exactly:", "reproduce:", "td.check('silver.section1", "this test: pytest"):
        assert part in shown, shown
    assert "--traindyn-seed=3" in shown
    assert "Traceback" not in shown
    assert "ClaimFailed" not in shown.split("short test summary")[0]
