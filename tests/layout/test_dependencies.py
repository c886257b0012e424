"""Who may import whom: read from every import statement of the package, at any depth.

Imports under TYPE_CHECKING count as well: a package that needs another one's types to be understood depends on it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import traindyn

PACKAGE = Path(traindyn.__file__).parent
OURS = {
    "kernels": set(),
    "analytics": set(),
    "dynamics": {"kernels"},
    "validation": {"kernels", "analytics", "dynamics"},
}
FROM_ROOT = {"errors", "__version__"}
MODULE = re.compile(r"traindyn\.(" + "|".join(OURS) + r")(\.\w+)*")
THEIRS = {
    "kernels": {"numpy", "numba", "llvmlite", "scipy", "threadpoolctl"},
    "analytics": {"numpy", "scipy", "mpmath", "numba"},
    "dynamics": {"numpy", "scipy", "numba", "tqdm", "threadpoolctl", "xarray"},
    "validation": {
        "numpy",
        "scipy",
        "mpmath",
        "tqdm",
        "threadpoolctl",
        "matplotlib",
        "jinja2",
        "markupsafe",
        "hypothesis",
        "pytest",
    },
}
# imported inside the function that needs them, except in the one file that is for them
OPTIONAL = {
    "matplotlib", "jinja2", "hypothesis", "pytest", "xarray", "zarr", "pandas", "dask", "distributed", "mpi4py",
    "cloudpickle", "torch", "jax", "cupy",
}  # fmt: skip
AT_HOME = {"hypothesis": {"validation/strategies.py"}, "pytest": {"pytest_plugin.py"}}


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (PACKAGE / package).rglob("*.py"))


def ours_and_theirs(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield (kind, name, at module level) of everything that a file imports; kind is "ours" or "theirs"."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = {id(node) for scope in ast.walk(tree) if isinstance(scope, scopes) for node in ast.walk(scope)}
    for block in ast.walk(tree):
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test):
            inside |= {id(node) for node in ast.walk(block)}
    here = ("traindyn", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here[: len(here) - node.level + 1], *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            names = [node.value]  # importlib.import_module("traindyn....")
        for name in names:
            parts = name.split(".")
            if parts[0] == "traindyn":
                yield "ours", parts[1] if len(parts) > 1 else "", id(node) not in inside
            elif parts[0] not in sys.stdlib_module_names:
                yield "theirs", parts[0], id(node) not in inside


@pytest.mark.parametrize("package", sorted(OURS))
def test_packages_depend_in_one_direction(package: str) -> None:
    allowed = OURS[package] | {package} | FROM_ROOT
    wrong = [f"{path.relative_to(PACKAGE)} imports traindyn.{name}" for path in modules(package)
             for kind, name, _ in ours_and_theirs(path) if kind == "ours" and name not in allowed]  # fmt: skip
    assert not wrong


@pytest.mark.parametrize("package", sorted(THEIRS))
def test_packages_use_the_libraries_they_declare(package: str) -> None:
    allowed = THEIRS[package]
    wrong = [f"{path.relative_to(PACKAGE)} imports {name}" for path in modules(package)
             for kind, name, _ in ours_and_theirs(path) if kind == "theirs" and name not in allowed]  # fmt: skip
    assert not wrong


def test_optional_libraries_are_imported_where_they_are_used() -> None:
    wrong = [f"{path.relative_to(PACKAGE)} imports {name} at its top" for path in modules(*OURS)
             for kind, name, top in ours_and_theirs(path)
             if kind == "theirs" and top and name in OPTIONAL
             and path.relative_to(PACKAGE).as_posix() not in AT_HOME.get(name, set())]  # fmt: skip
    assert not wrong


def test_the_reader_of_imports_sees_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "kernels" / "cpu").mkdir(parents=True)
    path = tmp_path / "kernels" / "cpu" / "one.py"
    path.write_text(
        "from ...dynamics import a\nfrom ... import validation\nfrom ..cpu import b\n"
        "import traindyn.analytics\nimport numpy.linalg\n"
        "def f():\n    import matplotlib\n    importlib.import_module('traindyn.validation.check')\n",
        encoding="utf-8",
    )
    assert list(ours_and_theirs(path)) == [
        ("ours", "dynamics", True), ("ours", "validation", True), ("ours", "kernels", True),
        ("ours", "analytics", True), ("theirs", "numpy", True), ("theirs", "matplotlib", False),
        ("ours", "validation", False),
    ]  # fmt: skip
