"""A store of random numbers, and code that works on it in another process: for the tests of stores."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from traindyn.dynamics.store import Store

CELLS = 20_000
VALUES = np.random.default_rng(5).standard_normal((CELLS, 3))
HEADER = {"steps": 3}
STATUS = np.zeros(CELLS, np.int8)


def opened(path: Path, **others: Any) -> Store:
    return Store.open(path, HEADER, CELLS, ("a", "b", "c"), **others)


def fill(store: Store, first: int, stop: int) -> bool:
    return store.write(first, VALUES[first:stop], STATUS[first:stop])


PRELUDE = """
import os, resource, sys
import numpy as np
from traindyn.dynamics.store import Store
from traindyn.errors import FileError
CELLS = 20_000
VALUES = np.random.default_rng(5).standard_normal((CELLS, 3))
STATUS = np.zeros(CELLS, np.int8)
path = sys.argv[1]
def opened(**others):
    return Store.open(path, {"steps": 3}, CELLS, ("a", "b", "c"), **others)
def fill(store, first, stop):
    return store.write(first, VALUES[first:stop], STATUS[first:stop])
"""


def elsewhere(path: Path, code: str, **others: Any) -> str:
    """Run code in a process of its own and return what it prints."""
    run = subprocess.run([sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(path)], capture_output=True,
                         text=True, timeout=120, **others)  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def whole(path: Path, done: int) -> None:
    with Store.load(path) as stored:
        values, _, found, _ = stored.read()
    assert found[:done].all()
    assert not found[done:].any()
    assert values[:done].tobytes() == VALUES[:done].tobytes()


TRY = """
try:
    opened().close()
except FileError as error:
    print(error)
"""
