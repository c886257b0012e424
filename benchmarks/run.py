"""Run the benchmarks and print their tables: `python benchmarks/run.py [NAME ...]`.

Writes out/benchmarks.json. Takes a few minutes on two cores; nothing here is a test.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

NAMES = ("startup", "descent", "flow")


def main() -> int:
    """Run the named benchmarks, or all."""
    # a BLAS held back by its environment would make every comparison meaningless; it is read when NumPy loads
    held = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if os.environ.pop(name, None)]
    if held:
        os.execv(sys.executable, [sys.executable, *sys.argv])
    from timing import machine, table, write_json

    chosen = sys.argv[1:] or NAMES
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; known: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n")
    everything = []
    for name in chosen:
        rows = importlib.import_module(name).rows()
        everything += rows
        print(f"## {name}\n\n{table(rows)}\n", flush=True)
    write_json(everything, Path("out/benchmarks.json"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
