"""Run the benchmarks and print their tables: `python benchmarks/run.py [--docs] [--threads 1,2] [NAME ...]`.

Every benchmark runs in a process of its own for each number of threads (by default 1, pinned to a core, and all cores),
because the libraries fix theirs when they load. Writes out/benchmarks.json; with --docs also the tables of
docs/benchmarks.md and docs/how-it-grows.md. Takes a quarter of an hour on two cores; nothing here is a test.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# name -> whether it is run with one thread only
NAMES = {
    "startup": True,
    "tiny": True,
    "batch": False,
    "descent": False,
    "two_tokens": False,
    "curvature": False,
    "sweep": False,
    "flow": True,
    "products": True,
    "growth": False,
}
DOCS = Path(__file__).resolve().parent.parent / "docs"
TABLES = re.compile(r"(<!-- tables -->\n).*?(<!-- end of tables -->)", re.DOTALL)
# a BLAS held back by its environment would make every comparison meaningless
HELD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main() -> int:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(description="Time traindyn against its peers and against the machine's limits.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"benchmarks to run, of {', '.join(NAMES)}; else all")
    parser.add_argument("--docs", action="store_true", help="write the tables to the docs too")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", default=",".join(map(str, sorted({1, cores}))), help="numbers of threads, as 1,2")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)  # the child's result file
    given = parser.parse_args()
    for name in given.names:
        if name not in NAMES:
            parser.error(f"unknown benchmark {name!r}; known: {', '.join(NAMES)}")
    counts = [int(count) for count in given.threads.split(",")]
    if given.inside:
        return _inside(given.names[0], counts[0], given.inside)
    return _all(given.names or list(NAMES), counts, given.docs)


def _all(names: list[str], counts: list[int], docs: bool) -> int:
    from targets import targets_table
    from timing import Row, machine, read_json, table, write_json

    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    print(facts, end="\n\n")
    everything: list[Row] = []
    shown, grown = ([f"Measured on: {facts}."] for _ in range(2))
    failed = []
    for name in names:
        rows: list[Row] = []
        start = time.perf_counter()
        for threads in counts[:1] if NAMES[name] else counts:
            with tempfile.TemporaryDirectory() as folder:
                result = Path(folder) / "rows.json"
                if subprocess.run(_command(name, threads, result), env=_environment(threads), check=False).returncode:
                    failed.append(f"{name} with {threads} threads")
                    continue
                rows += read_json(result)
        order = list(dict.fromkeys(row.work for row in rows))
        rows.sort(key=lambda row: order.index(row.work))
        everything += rows
        part = f"### {name.replace('_', ' ').capitalize()}\n\n{table(rows)}"
        if name == "growth" and rows:
            part += "\n\n### A thousand cores\n\n" + importlib.import_module(name).extrapolated(rows)
        (grown if name == "growth" else shown).append(part)
        print(part, f"\n\n({time.perf_counter() - start:.0f} s)", end="\n\n", flush=True)
    judged = targets_table(everything)
    if judged:
        shown.insert(1, f"### Targets\n\n{judged}")
        print(shown[1], end="\n\n")
    write_json(everything, Path("out/benchmarks.json"))
    for one in failed:
        print(f"failed: {one}", file=sys.stderr)
    if docs and not failed:
        if set(names) != {"growth"}:
            _print_into(DOCS / "benchmarks.md", shown)
        if "growth" in names:
            _print_into(DOCS / "how-it-grows.md", grown)
    return 1 if failed else 0


def _print_into(page: Path, parts: list[str]) -> None:
    text = page.read_text(encoding="utf-8")
    tables = "\n\n".join(parts) + "\n"
    page.write_text(TABLES.sub(lambda found: found[1] + tables + found[2], text), encoding="utf-8")


def _command(name: str, threads: int, result: Path) -> list[str]:
    return [sys.executable, __file__, name, "--threads", str(threads), "--inside", str(result)]


def _environment(threads: int) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in HELD_BACK}
    environment |= dict.fromkeys(COUNTS, str(threads)) | {"JAX_ENABLE_X64": "1"}
    if threads == 1:
        single = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {single}".strip()
    return environment


def _inside(name: str, threads: int, result: Path) -> int:
    if threads == 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from timing import write_json

    write_json(importlib.import_module(name).rows(threads), result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
