"""The cost model of the forms of descent: measure steps of many sizes, fit, and compare the form chosen with the best.

    python benchmarks/fit_forms.py [--fit]

Prints what `traindyn.dynamics.forms.SECONDS` should hold on this machine (with --fit), the seconds of a barrier, and a
table: for each size the time of a step in each form, the form that the model picks, and its time over the best one's.
Exit status 1 where a choice is more than 10 % slower than the best form. Run on one core of a quiet machine.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy.optimize import nnls

from traindyn.dynamics import AssociativeMemory, GradientDescent
from traindyn.dynamics.forms import SECONDS, choose_form, is_redundant, seconds_per_step, work_of_step
from traindyn.dynamics.memory_system import memory_system
from traindyn.dynamics.recorder import Recorder
from traindyn.kernels.team import limited_threads

SIZES = [
    (5, 5, 10), (10, 20, 30), (20, 20, 20), (20, 60, 30), (30, 30, 64), (50, 50, 64), (60, 60, 100), (64, 200, 64),
    (100, 30, 120), (100, 100, 64), (100, 100, 128), (200, 20, 64), (200, 200, 150), (200, 400, 256), (300, 300, 400),
    (1000, 10, 64), (1000, 1000, 256),
]  # fmt: skip
ALLOWED = 1.1


def seconds_of_step(memory: AssociativeMemory, form: str) -> float:
    """Return the least seconds of a step over several slices, with nothing looked at."""
    system = memory_system(memory, GradientDescent(1e-3), form, None, "float64", None)
    assert system is not None
    recorder, rates = Recorder(np.array([2**60]), system.columns, 0, None), np.array([1e-3])
    steps = max(1, int(0.01 / seconds_per_step(form, memory.n_tokens, memory.n_classes, memory.dim)))
    least = float("inf")
    for _ in range(7):
        begun = time.perf_counter()
        system.advance(system.step + steps, rates, recorder)
        least = min(least, (time.perf_counter() - begun) / steps)
    return least


def fitted(rows: list[tuple[dict[str, int], float]]) -> dict[str, float]:
    """Return the seconds of each kind of work that fit the measured times best, in relative terms."""
    kinds = [kind for kind in SECONDS if any(kind in work for work, _ in rows)]
    scaled = np.array([[work.get(kind, 0) / seconds for kind in kinds] for work, seconds in rows])
    size = scaled.max(axis=0)
    solution, _ = nnls(scaled / size, np.ones(len(rows)))
    return dict(zip(kinds, (solution / size).tolist(), strict=True))


def main() -> int:
    """Measure, fit and print."""
    rows, worst = [], 1.0
    print(f"{'size':>18} {'us: particles':>14} {'half':>9} {'weights':>9}  chosen     ratio to the best")
    with limited_threads(1):
        for sizes in SIZES:
            memory = AssociativeMemory.random(*sizes, "gaussian", rng=0, output_embedding="gaussian")
            times = {}
            for form in ("particles", "half", "weights"):
                if form != "weights" and (is_redundant(*sizes) if form == "particles" else sizes[0] > sizes[2]):
                    continue  # goes by way of the weights
                times[form] = seconds_of_step(memory, form)
                rows.append((work_of_step(form, *sizes), times[form]))
            chosen = choose_form(memory, GradientDescent(1e-3), None)
            ratio = times[chosen] / min(times.values())
            worst = max(worst, ratio)
            names = ("particles", "half", "weights")
            shown = [f"{1e6 * times[name]:9.2f}" if name in times else "        -" for name in names]
            print(f"{sizes!s:>18} {shown[0]:>14} {shown[1]} {shown[2]}  {chosen:10} {ratio:.2f}", flush=True)
    if "--fit" in sys.argv:
        print("SECONDS =", {kind: float(f"{value:.2g}") for kind, value in fitted(rows).items()})
    print(f"the form chosen is at most {worst:.2f} times slower than the best")
    return 0 if worst <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
