"""The examples of every docstring run, under the modules' real names."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import traindyn

PACKAGE = Path(traindyn.__file__).parent
FOUR = ("kernels", "analytics", "dynamics", "validation")


def names() -> list[str]:
    # the declared packages and the root's own modules only: in an editable install tests/ and docs/ lie beside them
    paths = [*PACKAGE.glob("*.py"), *(path for package in FOUR for path in (PACKAGE / package).rglob("*.py"))]
    dotted = (".".join(["traindyn", *path.relative_to(PACKAGE).with_suffix("").parts]) for path in paths)
    return sorted(name.removesuffix(".__init__") for name in dotted)


@pytest.mark.parametrize("name", names())
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # examples may write files
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = finder.find(module, name)
    known = {example.name for example in examples}
    for key, value in vars(module).items():  # a compiled function hides its docstring from the finder
        function = getattr(value, "py_func", None)
        if function is not None and function.__module__ == name and f"{name}.{key}" not in known:
            examples += finder.find(function, f"{name}.{key}", module=module, globs=dict(vars(module)))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    printed: list[str] = []
    for example in examples:
        runner.run(example, out=printed.append)
    assert runner.failures == 0, "".join(printed)
