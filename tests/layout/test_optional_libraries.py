"""Without an optional library everything else works, and what needs it says which line installs it."""

from __future__ import annotations

import pytest

BLOCK = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {blocked!r} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import traindyn as td
memory = td.AssociativeMemory.two_tokens(correlation=0.5, frequencies=(0.75, 0.25))
"""
ALL = ("matplotlib", "jinja2", "hypothesis", "pytest", "xarray", "zarr", "pandas")
NEEDS = [
    ("matplotlib", "report", "td.figure('traindyn.overview', out='.')"),
    ("jinja2", "report", "td.verify(('cabannes2024.theorem2.*',), html='verify.html', progress=False)"),
    ("matplotlib", "report", "td.verify(('cabannes2024.theorem2.*',), html='verify.html', progress=False)"),
    ("hypothesis", "check", "import traindyn.validation.strategies"),
    ("pytest", "check", "td.validation.parametrize_with_claims('*')"),
    ("xarray", "data", "td.simulate(memory, td.GradientDescent(learning_rate=1.0), steps=3).to_xarray()"),
]


@pytest.mark.parametrize(
    ("library", "extra", "call"), NEEDS, ids=[f"{library}: {call[:30]}" for library, _, call in NEEDS]
)
def test_a_missing_library_is_named_with_its_cure(library: str, extra: str, call: str, run_python) -> None:
    program = (
        BLOCK.format(blocked=(library,))
        + f"""
from traindyn.errors import MissingLibraryError
try:
    {call}
except MissingLibraryError as error:
    print(error)
    import os
    print(sorted(os.listdir()))
"""
    )
    done = run_python(program)
    message, *left = done.stdout.splitlines() or [done.stderr]
    assert f"needs {library}" in message
    assert f"pip install 'traindyn[{extra}]'" in message
    assert left == ["[]"]  # said before the work: no file was begun


def test_the_core_needs_none_of_them(run_python) -> None:
    program = (
        BLOCK.format(blocked=ALL)
        + """
run = td.simulate(memory, td.GradientDescent(learning_rate=1.0), steps=3)
print(len(run["loss"]))
verdict = td.check("cabannes2024.theorem2.descent_margin", form="printed")
print(verdict.outcome.value)
report = td.verify(("cabannes2024.theorem2.descent_margin",), json="verdicts.json", progress=False)
print(report.exit_status)
"""
    )
    done = run_python(program)
    assert done.stdout.split() == ["4", "violated", "0"], done.stderr
