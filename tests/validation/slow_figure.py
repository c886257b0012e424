"""A figure of twelve slow cells, for the tests that kill it: `python slow_figure.py FOLDER SECONDS LOG`."""

import sys
import time
from pathlib import Path

import traindyn as td
from traindyn.validation.figures import Definition, Finding, Numbers, catalogue, style

NAME, RATES = "test.slow", [0.5 * (k + 1) for k in range(12)]
SECONDS, LOG = 0.0, Path()


def build(learning_rate):
    return td.AssociativeMemory.two_tokens(0.95, (0.75, 0.25)), td.GradientDescent(learning_rate)


def measured(run):
    with LOG.open("a") as log:
        log.write(f"{run['loss'][1]:.17g}\n")
    time.sleep(SECONDS)
    return float(run["loss"].max())


def compute(request):
    first = request.sweep("first", build, grid={"learning_rate": RATES[:2]}, measure="peak_loss", steps=9)
    cube = request.sweep("grid", build, grid={"learning_rate": RATES}, measure=measured, steps=9, threads=1)
    peak = float(cube.values.max())
    finding = Finding("The peak is above log 2", peak, peak, peak, "exact in 12 cells", "supported")
    arrays = {"peak": cube.values, "first": first.values}
    return Numbers(arrays, {"rates": RATES}, findings=(finding,))


def draw(numbers, as_published):
    figure = style.canvas(2.0, 1.5)
    figure.subplots().plot(RATES, numbers["peak"])
    return figure


DEFINITION = Definition(NAME, "twelve cells", 1.0, compute, draw, published=False)


def main(folder, seconds, log):
    global SECONDS, LOG
    SECONDS, LOG = float(seconds), Path(log)
    catalogue._all = lambda: {NAME: DEFINITION}
    from traindyn.__main__ import main as traindyn

    return traindyn(["figure", NAME, "--out", folder])


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
