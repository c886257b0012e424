"""The report of a verification: text for the terminal, JSON, and one self-contained HTML file.

`table` needs the core only; `render` needs matplotlib and jinja2 (the extra `report`), imported when it is called.
"""

from __future__ import annotations

from .page import render, require_libraries
from .table import table

__all__ = ["render", "require_libraries", "table"]
