"""The tables of claims in the theory pages are those of the registered claims."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "claims_table.py"


def test_tables_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("claims_table", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for paper, page in tool.PAGES.items():
        assert tool.refreshed(paper) == page.read_text(encoding="utf-8"), "run: python tools/claims_table.py"
        assert tool.table(paper).count("\n") > 100
