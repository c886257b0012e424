"""The command line: `traindyn verify | sweep | figure | claims | figures | info | cite`, also as `python -m traindyn`.

Every command imports what it needs when it runs, so that `--help` and a wrong call answer at once. Exit status: 0 when
every outcome is the expected one, 1 when one is not, 2 on a wrong call, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from traindyn import __version__
from traindyn.errors import InputError, TraindynError, unknown_name

Command = Callable[[argparse.Namespace], int]
PATTERN_HELP = "claim ids, or patterns with * and ?, such as 'cabannes2024.theorem2.*'; all claims when left out"


class _Parser(argparse.ArgumentParser):
    """Argparse, with a wrong call answered by one line that names the nearest right one."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _verify(given: argparse.Namespace) -> int:
    import traindyn as td

    report = td.verify(
        tuple(given.patterns), budget=given.budget, json=given.json, html=given.html, seed=given.seed, jobs=given.jobs,
        progress=not given.quiet,
    )  # fmt: skip
    print(report.table())
    for path in (given.json, given.html):
        if path:
            print(f"wrote {path}")
    return int(report.exit_status)


def _sweep(given: argparse.Namespace) -> int:
    import traindyn as td
    from traindyn.dynamics.cube_export import check_output, write
    from traindyn.dynamics.sweep_file import read_sweep

    if (given.file is None) == (given.status is None):
        raise InputError("a sweep needs a file, or --status and a store", None, "traindyn sweep FILE.toml")
    if given.status is not None:
        from traindyn.dynamics.store import Store

        print(Store.summary(given.status))
        return 0
    arguments = read_sweep(given.file)
    if given.out:
        check_output(given.out)
    with _workers(given.jobs) as executor:
        answer = td.sweep(
            **arguments, store=given.store, executor=executor, dry_run=given.dry_run,
            progress=not given.quiet and sys.stderr.isatty(),
        )  # fmt: skip
    print(answer)
    if given.dry_run:
        return 0
    if given.out:
        write(answer, given.out)
        print(f"wrote {given.out}")
    if answer.missing:
        print("traindyn: interrupted", file=sys.stderr)
        return 130
    return 1 if answer.errors else 0


def _workers(jobs: int | None) -> contextlib.AbstractContextManager[Any]:
    if jobs is None:
        return contextlib.nullcontext()
    if jobs < 1:
        raise InputError("jobs must be an integer >= 1", jobs)
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # a fork of a process with threads may hang
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _claims(given: argparse.Namespace) -> int:
    import traindyn as td

    found = [claim for pattern in given.patterns or ["*"] for claim in td.claims(pattern)]
    rows = {(claim.id, claim.form): (str(claim.expected.value), claim.title) for claim in found}
    width = max((len(name) for name, _ in rows), default=0)
    for (name, form), (expected, title) in rows.items():
        print(f"{name:{width}}  {form:9}  {expected:14}  {title}".rstrip())
    return 0


def _figures(given: argparse.Namespace) -> int:
    import traindyn as td
    from traindyn.validation.figures.listing import listing

    print(listing(td.figures()))
    return 0


def _figure(given: argparse.Namespace) -> int:
    import traindyn as td
    from traindyn.validation.figures.listing import told

    with _workers(given.jobs) as executor:
        drawn = td.figure(
            given.name, out=given.out, as_published=given.as_published, quick=given.quick, executor=executor,
            progress=not given.quiet and sys.stderr.isatty(), rng=given.seed,
        )  # fmt: skip
    if drawn.findings:
        print(f"{told(drawn.findings)}\n")
    for path in drawn.paths:
        print(f"wrote {path}")
    return 0


def _cite(given: argparse.Namespace) -> int:
    import traindyn as td

    print(td.cite(given.id))
    return 0


CORE = ("numpy", "scipy", "numba", "llvmlite", "mpmath", "tqdm", "threadpoolctl")
OPTIONAL = {
    "matplotlib": "report",
    "jinja2": "report",
    "hypothesis": "check",
    "pytest": "check",
    "xarray": "data",
    "zarr": "data",
    "pandas": "data",
    "distributed": "cluster",
    "dask": "cluster",
    "mpi4py": "mpi",
    "torch": "bench",
    "jax": "bench",
}


def _info(given: argparse.Namespace) -> int:
    import platform
    import time

    from traindyn.kernels.compile import cache_folder, thread_count
    from traindyn.kernels.vector_width import vector_bits
    from traindyn.validation.provenance import processor

    rows = [
        ("traindyn", f"{__version__} in {os.path.dirname(os.path.abspath(__file__))}"),
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        ("processor", processor()),
        ("vectors", f"{(bits := vector_bits())} bits: {bits // 64} numbers of float64, {bits // 32} of float32"),
        ("threads", f"{thread_count()}, the most that share a call"),
        ("compiled code", str(cache_folder() or "not kept: no folder can be written")),
    ]
    rows += [(name, _installed(name) or "missing") for name in CORE]
    for name, extra in OPTIONAL.items():
        rows.append((name, _installed(name) or f"not installed; pip install 'traindyn[{extra}]'"))
    if given.warm:
        start = time.perf_counter()
        count = _warm()
        rows.append(("warmed", f"{count} calls in {time.perf_counter() - start:.1f} s"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")
    return 0


def _installed(library: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _warm() -> int:
    """Call every kernel and every compiled loop once on a tiny problem; return the number of calls."""
    import numpy as np

    import traindyn as td
    from traindyn.kernels import OPERATIONS

    memory = td.AssociativeMemory.two_tokens(correlation=0.5, frequencies=(0.75, 0.25))
    known = {
        "inputs": memory.inputs, "outputs": memory.outputs, "targets": memory.targets,
        "frequencies": memory.frequencies, "input_gram": memory.input_gram, "output_gram": memory.output_gram,
        "weights": np.eye(2), "direction": np.eye(2), "scores": np.eye(2),
    }  # fmt: skip
    calls = 0
    for operation in OPERATIONS.values():
        getattr(td.kernels, operation.name)(*(known.get(argument, 1.0) for argument in operation.arguments))
        calls += 1
    rules = [
        td.GradientDescent(1.0), td.GradientDescent(1.0, momentum=0.9), td.StochasticGradientDescent(1.0, batch_size=2),
        td.StochasticGradientFlow(noise=0.1, dt=0.1), td.Adam(0.1), td.AdamW(0.1), td.GradientFlow(),
    ]  # fmt: skip
    tiny = td.AssociativeMemory.random(3, 3, 3, embedding="orthonormal")
    wide = td.AssociativeMemory.random(20, 18, 30)  # larger than what has loops of its own
    for problem in (memory, tiny, wide):
        for rule in rules:
            flow = isinstance(rule, td.GradientFlow)
            for form in (None, "weights", "half", "particles", "margins"):
                with contextlib.suppress(InputError):  # not every rule and problem has every form
                    td.simulate(problem, rule, form=form, **({"time": 1.0} if flow else {"steps": 2}))
                    calls += 1
    td.simulate(tiny, rules[0], steps=2, observe=tuple(tiny.observables))
    td.simulate(wide, rules[0], steps=2, observe=("sharpness",))
    rates = {"learning_rate": [1.0, 2.0]}
    builds = (td.Recipe(td.AssociativeMemory.two_tokens, td.GradientDescent),
              lambda learning_rate: (tiny, td.GradientDescent(learning_rate)))  # fmt: skip
    for build in builds:
        for measure in ("steps_to_accuracy", ("steps_to_accuracy", "peak_loss")):
            td.sweep(build, rates, measure, steps=2)
            calls += 1
    return calls + 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    >>> parser().parse_args(["verify", "cabannes2024.theorem2.*", "--budget", "full"]).budget
    'full'
    """
    top = _Parser(
        prog="traindyn",
        description="Solve, simulate and check the training dynamics of small models.",
        epilog="Each command has its own --help with examples; `traindyn verify` is the main job.",
    )
    top.add_argument("--version", action="version", version=f"traindyn {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", dest="command", parser_class=_Parser)

    def add(name: str, run: Command, does: str, examples: str) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        one.set_defaults(run=run)
        return one

    verify = add(
        "verify", _verify, "check the claims against simulations and print one row a claim",
        "  traindyn verify\n"
        "  traindyn verify 'cabannes2024.theorem2.*' --budget full\n"
        "  traindyn verify --html verify.html --json verify.json\n\n"
        "exit status: 0 every outcome is the expected one, 1 one is not, 2 a wrong call, 130 interrupted",
    )  # fmt: skip
    verify.add_argument("patterns", nargs="*", metavar="PATTERN", help=PATTERN_HELP)
    verify.add_argument("--json", metavar="FILE", help="write the verdicts as a JSON list")
    verify.add_argument("--html", metavar="FILE", help="write a self-contained report (needs the extra `report`)")
    verify.add_argument("--budget", choices=("fast", "full"), default="fast", help="seconds, or minutes of search")
    verify.add_argument("--seed", type=int, default=0, help="seed of the random draws (default 0)")
    verify.add_argument("--jobs", type=int, metavar="N", help="worker processes (default: one a core)")
    verify.add_argument("--quiet", action="store_true", help="no progress bar")

    sweep = add(
        "sweep", _sweep, "run a grid of simulations, with a store that survives kills",
        "  traindyn sweep figure3.toml --dry-run\n"
        "  traindyn sweep figure3.toml --store figure3.db --out figure3.nc\n"
        "  traindyn sweep --status figure3.db\n\n"
        "a sweep that was stopped goes on when the same line is run again\n"
        "exit status: 0 all cells ran, 1 some failed, 2 a wrong call, 130 interrupted",
    )  # fmt: skip
    sweep.add_argument("file", nargs="?", metavar="FILE.toml", help="problem, rule, grid and measures")
    sweep.add_argument("--store", metavar="FILE.db", help="keep what is done, and go on from it")
    sweep.add_argument("--status", metavar="FILE.db", help="show how far a store is, also while it is written")
    sweep.add_argument("--jobs", type=int, metavar="N", help="worker processes (default: threads of this one)")
    sweep.add_argument("--out", metavar="FILE", help="write the cube as .csv, or .nc or .zarr (extra `data`)")
    sweep.add_argument("--dry-run", action="store_true", help="time a sample, and say what the whole would take")
    sweep.add_argument("--quiet", action="store_true", help="no progress bar")

    claims = add(
        "claims", _claims, "list the claims: id, form, expected outcome, title",
        "  traindyn claims\n  traindyn claims '*.theorem4.*'",
    )  # fmt: skip
    claims.add_argument("patterns", nargs="*", metavar="PATTERN", help=PATTERN_HELP)

    figure = add(
        "figure", _figure, "draw a figure or run an experiment: pictures, data, findings",
        "  traindyn figure cabannes2024.fig2 --out pictures\n"
        "  traindyn figure cabannes2024.fig2 --as-published\n"
        "  traindyn figure cabannes2024.review.spike_map --quick\n\n"
        "a figure that was stopped goes on when the same line is run again\n"
        "exit status: 0 it is drawn, 2 a wrong call, 130 interrupted",
    )  # fmt: skip
    figure.add_argument("name", metavar="NAME", help="one of `traindyn figures`")
    figure.add_argument("--out", metavar="DIR", default=".", help="folder for the files (default: here)")
    figure.add_argument("--as-published", action="store_true", help="keep the paper's own conventions, slips included")
    figure.add_argument("--quick", action="store_true", help="the small size of an experiment")
    figure.add_argument("--jobs", type=int, metavar="N", help="worker processes (default: threads of this one)")
    figure.add_argument("--seed", type=int, default=0, help="seed of the random draws (default 0)")
    figure.add_argument("--quiet", action="store_true", help="no progress bar")

    add("figures", _figures, "list figures and experiments: name, cost, versions, title", "  traindyn figures")

    info = add(
        "info", _info, "show versions, processor, threads, cache folder and optional libraries",
        "  traindyn info\n  traindyn info --warm",
    )  # fmt: skip
    info.add_argument("--warm", action="store_true", help="compile every kernel now, so that later runs start at once")

    cite = add(
        "cite", _cite, "print the BibTeX entry of the paper behind a claim",
        "  traindyn cite cabannes2024.theorem2.descent_margin\n  traindyn cite cabannes2024",
    )  # fmt: skip
    cite.add_argument("id", metavar="ID", help="a claim's id, or a paper's")
    top.set_defaults(commands=tuple(commands.choices))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    >>> main(["verfy"])  # the line goes to stderr
    2
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    top = parser()
    try:
        if words and not words[0].startswith("-") and words[0] not in top.get_default("commands"):
            raise unknown_name("command", words[0], top.get_default("commands"))
        given = top.parse_args(words)
        if given.command is None:
            top.print_help()
            return 2
        return _run(given)
    except TraindynError as error:
        print(f"traindyn: {error}", file=sys.stderr)
        return 2


def _run(given: argparse.Namespace) -> int:
    try:
        run: Command = given.run
        status = run(given)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stopped:
        print(f"traindyn: {stopped or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `traindyn claims | head`: the reader has left, which is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
