"""The command line: `traindyn verify | figure | claims | figures | info | cite`, also as `python -m traindyn`.

Every command imports what it needs when it runs, so that `--help` and a wrong call answer at once. Exit status: 0 when every
outcome is the expected one, 1 when one is not, 2 on a wrong call, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from traindyn import __version__
from traindyn.errors import TraindynError, unknown_name

Command = Callable[[argparse.Namespace], int]
PATTERN_HELP = "claim ids, or patterns with * and ?, such as 'cabannes2024.theorem2.*'; all claims when left out"


class _Parser(argparse.ArgumentParser):
    """Argparse, with a wrong call answered by one line that names the nearest right one."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _verify(given: argparse.Namespace) -> int:
    from traindyn import validation

    report = validation.verify(
        tuple(given.patterns), budget=given.budget, json=given.json, html=given.html, seed=given.seed, jobs=given.jobs,
        progress=not given.quiet,
    )  # fmt: skip
    print(report.table())
    for path in (given.json, given.html):
        if path:
            print(f"wrote {path}")
    return int(report.exit_status)


def _claims(given: argparse.Namespace) -> int:
    from traindyn import validation

    found = [claim for pattern in given.patterns or ["*"] for claim in validation.claims(pattern)]
    rows = {(claim.id, claim.form): (str(claim.expected.value), claim.title) for claim in found}
    width = max((len(name) for name, _ in rows), default=0)
    for (name, form), (expected, title) in rows.items():
        print(f"{name:{width}}  {form:9}  {expected:14}  {title}".rstrip())
    return 0


def _figures(given: argparse.Namespace) -> int:
    from traindyn import validation

    for name in validation.figures():
        print(name)
    return 0


def _figure(given: argparse.Namespace) -> int:
    from traindyn import validation

    written = validation.figure(given.name, out=given.out, as_published=given.as_published)
    for path in written if isinstance(written, (list, tuple)) else [written]:
        print(f"wrote {path}")
    return 0


def _cite(given: argparse.Namespace) -> int:
    from traindyn import validation

    print(validation.cite(given.id))
    return 0


OPTIONAL = {
    "matplotlib": "report",
    "jinja2": "report",
    "hypothesis": "check",
    "pytest": "check",
    "xarray": "data",
    "zarr": "data",
}
CORE = ("numpy", "scipy", "numba", "llvmlite", "mpmath", "tqdm", "threadpoolctl")


def _installed(library: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _info(given: argparse.Namespace) -> int:
    import platform
    import time

    from traindyn import kernels

    rows = [
        ("traindyn", f"{__version__}, {os.path.dirname(os.path.abspath(__file__))}"),
        ("python", f"{platform.python_version()}, {platform.platform()}"),
        ("processor", f"{_processor()}, {_processor_count()} cores usable"),
        *((name, _installed(name) or "missing") for name in CORE),
        *((name, _installed(name) or f"not installed: pip install 'traindyn[{extra}]'")
          for name, extra in OPTIONAL.items()),
        *kernels.describe().items(),
    ]  # fmt: skip
    if given.warm:
        start = time.perf_counter()
        compiled = kernels.warm()
        rows.append(("warmed", f"{compiled} compiled functions in {time.perf_counter() - start:.1f} s"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")
    return 0


def _processor_count() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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

    def add(name: str, run: Command, help: str, examples: str) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name, help=help, description=f"{help[0].upper()}{help[1:]}.", epilog=f"examples:\n{examples}",
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
    verify.add_argument("--budget", choices=("fast", "full"), default="fast", help="how long to search: seconds or minutes")
    verify.add_argument("--seed", type=int, default=0, help="seed of the random draws (default 0)")
    verify.add_argument("--jobs", type=int, metavar="N", help="worker processes (default: one a core)")
    verify.add_argument("--quiet", action="store_true", help="no progress bar")

    claims = add(
        "claims", _claims, "list the claims: id, form, expected outcome, title",
        "  traindyn claims\n  traindyn claims '*.theorem4.*'",
    )  # fmt: skip
    claims.add_argument("patterns", nargs="*", metavar="PATTERN", help=PATTERN_HELP)

    figure = add(
        "figure", _figure, "draw a figure: picture, its data, and where they come from",
        "  traindyn figure cabannes2024.fig3 --out figures\n  traindyn figure cabannes2024.fig3 --as-published",
    )  # fmt: skip
    figure.add_argument("name", metavar="NAME", help="one of `traindyn figures`")
    figure.add_argument("--out", metavar="DIR", default=".", help="folder for the files (default: here)")
    figure.add_argument("--as-published", action="store_true", help="keep the paper's own conventions, slips included")

    add("figures", _figures, "list the figures that can be drawn", "  traindyn figures")

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
    except KeyboardInterrupt:
        print("traindyn: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `traindyn claims | head`: the reader has left, which is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
