"""`import traindyn` is light, the pytest plugin too, and every public name resolves to what it says."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import time
from types import ModuleType

import pytest

import traindyn

FOUR = ("kernels", "analytics", "dynamics", "validation")
HEAVY = ("numba", "scipy", "matplotlib", "hypothesis", "xarray", "pandas", "jinja2", "mpmath")
LOADED = f"import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"


def test_the_face_is_light(run_python) -> None:
    done = run_python(f"import traindyn; {LOADED}; print('numpy' in sys.modules)")
    assert done.stdout.split() == ["False"], done.stderr


@pytest.mark.parametrize("name", FOUR)
def test_the_packages_load_nothing_optional(name: str, run_python) -> None:
    done = run_python(f"import traindyn.{name}; {LOADED}")
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"matplotlib", "hypothesis", "xarray", "pandas", "jinja2"}


def test_the_plugin_and_the_command_line_are_light(run_python) -> None:
    done = run_python(f"import traindyn.pytest_plugin, traindyn.__main__; {LOADED}; print('numpy' in sys.modules)")
    assert done.stdout.split() == ["False"], done.stderr


def test_importing_takes_little_time(run_python) -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert run_python("import traindyn").returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3  # start of the interpreter included; the least of five, for the machine may be busy


def public() -> list[tuple[str, str]]:
    homes = {"traindyn": traindyn, **{f"traindyn.{name}": importlib.import_module(f"traindyn.{name}") for name in FOUR}}
    return [(home, name) for home, module in homes.items() for name in module.__all__]


@pytest.mark.parametrize(("home", "name"), public())
def test_public_names_resolve_and_are_documented(home: str, name: str) -> None:
    value = getattr(importlib.import_module(home), name)
    if isinstance(value, ModuleType):
        assert value.__doc__
        return
    if name.isupper():
        return
    shown = inspect.getdoc(getattr(value, "py_func", value))
    assert shown, f"{home}.{name} has no docstring"
    if inspect.isfunction(inspect.unwrap(getattr(value, "py_func", value))):
        assert ">>>" in shown, f"{home}.{name} shows no example"


def test_dir_lists_the_public_names() -> None:
    for name in FOUR:
        module = importlib.import_module(f"traindyn.{name}")
        assert set(module.__all__) <= set(dir(module))
    assert set(traindyn.__all__) <= set(dir(traindyn))


def test_a_module_never_shadows_a_function(run_python) -> None:
    """Importing a module `validation.check` first must not turn the function `validation.check` into it."""
    program = """
import importlib, pkgutil, types
import traindyn as td
wrong = []
for name in ("kernels", "analytics", "dynamics", "validation"):
    package = importlib.import_module(f"traindyn.{name}")
    functions = {n for n in package.__all__ if not isinstance(getattr(package, n), types.ModuleType)}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name in functions:
            wrong.append(f"{name}.{info.name}")
print(*wrong)
"""
    fresh = """
import importlib, sys
for place in sys.argv[1:]:
    importlib.import_module(f"traindyn.{place}")
import traindyn as td
for place in sys.argv[1:]:
    package, name = place.split(".")
    print(place, callable(getattr(getattr(td, package), name)))
"""
    clashes = run_python(program).stdout.split()
    if clashes:
        done = run_python(fresh, *clashes)
        assert "False" not in done.stdout, done.stdout + done.stderr


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'simulat'"):
        traindyn.simulat  # noqa: B018
    for info in pkgutil.iter_modules(traindyn.__path__):
        if info.name in FOUR:
            with pytest.raises(AttributeError):
                importlib.import_module(f"traindyn.{info.name}").no_such_name  # noqa: B018
