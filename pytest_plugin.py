"""The pytest plugin of the package: options, a marker, and violated bounds as a person would want to read them.

It is loaded in every pytest run where traindyn is installed, so it imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("traindyn", "claims checked by traindyn")
    group.addoption(
        "--traindyn-budget", choices=("fast", "full"), default="fast",
        help="how far each claim is searched: a fraction of a second (fast, the default) or much longer (full)",
    )  # fmt: skip
    group.addoption("--traindyn-seed", type=int, default=0, help="seed of the search of each claim (default 0)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "traindyn_claim(id, form): checks a claim (made by parametrize_with_claims)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        for value in parameters.values():
            take = getattr(value, "traindyn_defaults", None)
            if take is not None:
                take(config.getoption("--traindyn-budget"), config.getoption("--traindyn-seed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    text = getattr(call.excinfo.value, "traindyn_report", None) if call.excinfo is not None else None
    if text is not None:
        report.longrepr = f"{text}\n  this test: pytest {item.nodeid!r}{_options(item)}"
    return report


def _options(item: pytest.Item) -> str:
    given = {
        "--traindyn-budget": item.config.getoption("--traindyn-budget"),
        "--traindyn-seed": item.config.getoption("--traindyn-seed"),
    }
    return "".join(f" {name}={value}" for name, value in given.items() if value not in ("fast", 0))
