"""Results do not depend on the number of BLAS threads: two processes, with one thread and with two, compare bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

# beside each rule and form, in sizes for which OpenBLAS shares the work; prints a digest of the bytes of all results
PREAMBLE = """
    import hashlib
    import numpy as np
    from traindyn.dynamics import (
        Adam, AdamW, AssociativeMemory, GradientDescent, GradientFlow, GradientNoise, StochasticGradientDescent,
        StochasticGradientFlow, simulate,
    )

    def show(name, *arrays):
        state = hashlib.sha256()
        for array in arrays:
            state.update(np.ascontiguousarray(array).tobytes())
        print(name, state.hexdigest()[:16])

    def every_form(memory, rules, forms, names, **options):
        initial = np.random.default_rng(0).standard_normal((memory.dim, memory.dim))
        for rule in rules:
            for form in forms:
                for start in (None, initial):
                    run = simulate(memory, rule, form=form, observe=names, initial=start, **options)
                    show(f"{rule} {form} {start is None}", run.final, *(run[name] for name in names))

    NAMES = ("loss", "margin", "scores", "weights", "gradient", "weight_norm")
    NOISY = [
        StochasticGradientDescent(1.0, 7), StochasticGradientFlow(0.1, 0.01),
        StochasticGradientFlow(GradientNoise(4, 0.5), 0.01),
    ]
"""
CASES = {
    "many": """
    memory = AssociativeMemory.random(300, 200, 100, rng=0)
    show("memory", memory.inputs, memory.outputs, memory.input_gram, memory.output_gram)
    every_form(memory, [GradientDescent(1.0, momentum=0.5), *NOISY], ("weights", "particles"), NAMES, steps=4)
    every_form(memory, [Adam(0.01), AdamW(0.01)], ("weights",), NAMES, steps=4)
    few = AssociativeMemory.random(90, 100, 110, "orthonormal", rng=0)
    every_form(few, [GradientDescent(1.0), NOISY[1]], ("weights", "particles"), NAMES, steps=4)
    """,
    "two classes": """
    memory = AssociativeMemory.random(700, 2, 300, rng=1)
    every_form(memory, [GradientDescent(1.0), *NOISY], ("margins", "particles", "weights"), NAMES, steps=4)
    every_form(memory, [GradientDescent(1.0)], ("margins",), ("sharpness",), steps=1)
    """,
    "flow": """
    every_form(AssociativeMemory.random(100, 30, 60, rng=0), [GradientFlow(1e-6)], (None,), NAMES, time=0.3)
    memory = AssociativeMemory.random(60, 40, 200, rng=0)
    every_form(memory, [GradientFlow(1e-4)], ("weights", "particles"), NAMES, time=0.3)
    memory = AssociativeMemory.random(150, 2, 200, rng=0)
    every_form(memory, [GradientFlow(1e-4)], ("weights", "margins"), NAMES, time=0.3)
    """,
}


def printed(case: str, threads: int) -> str:
    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
    script = textwrap.dedent(PREAMBLE) + textwrap.dedent(CASES[case])
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES)
def test_one_thread_and_two_give_the_same_bytes(case: str) -> None:
    one, two = printed(case, 1), printed(case, 2)
    assert len(one.splitlines()) > 2
    assert one == two
