"""The table of public names: every name is found, none is listed twice, none is hidden by a module."""

import subprocess
import sys
from collections import Counter

import pytest

from traindyn import analytics


@pytest.mark.parametrize("name", sorted(analytics.__all__))
def test_every_listed_name_is_found(name):
    assert getattr(analytics, name) is getattr(analytics, name)


def test_no_name_is_listed_twice_or_hidden_by_a_module():
    names = [name for names in analytics._HOME.values() for name in names]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert set(names) & set(analytics._HOME) == set()


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = analytics.no_such_name


def test_importing_the_package_loads_no_scientific_library():
    code = "import sys, traindyn.analytics; print([m for m in ('scipy', 'numba', 'mpmath') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
