"""Run the benchmarks and print their tables: `python benchmarks/run.py [--docs] [NAME ...]`.

Writes out/benchmarks.json; with --docs also the tables of docs/benchmarks.md. Takes a minute or two on two cores;
nothing here is a test.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

NAMES = ("startup", "descent", "flow")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
TABLES = re.compile(r"(<!-- tables -->\n).*?(<!-- end of tables -->)", re.DOTALL)


def main() -> int:
    """Run the named benchmarks, or all."""
    # a BLAS held back by its environment would make every comparison meaningless; it is read when NumPy loads
    held = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if os.environ.pop(name, None)]
    if held:
        os.execv(sys.executable, [sys.executable, *sys.argv])
    from timing import machine, table, write_json

    given = sys.argv[1:]
    chosen = [name for name in given if name != "--docs"] or list(NAMES)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; known: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    print(facts, end="\n\n")
    everything, shown = [], [f"Measured on: {facts}."]
    for name in chosen:
        rows = importlib.import_module(name).rows()
        everything += rows
        shown.append(f"### {name.capitalize()}\n\n{table(rows)}")
        print(shown[-1], end="\n\n", flush=True)
    write_json(everything, Path("out/benchmarks.json"))
    if "--docs" in given:
        text = PAGE.read_text(encoding="utf-8")
        tables = "\n\n".join(shown) + "\n"
        PAGE.write_text(TABLES.sub(lambda found: found[1] + tables + found[2], text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
