"""What a user waits for before anything runs: imports, compilation, and the memory that they take."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from timing import Row

SIMULATE = (
    "import traindyn as td; m = td.AssociativeMemory.two_tokens();td.simulate(m, td.GradientDescent(1.0), steps=10)"
)
FLOW = "import traindyn as td; td.simulate(td.AssociativeMemory.two_tokens(), td.GradientFlow(), time=1e10)"
CHECK = "import traindyn as td; td.check('cabannes2024.theorem2.descent_margin', form='printed')"


def _run(code: str, cache: str) -> tuple[float, float]:
    """Return wall seconds and peak memory in MB of a fresh interpreter that runs the code."""
    tail = ";import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    environment = os.environ | {"TRAINDYN_NUMBA_CACHE": cache}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code + tail], env=environment, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024


def rows(threads: int) -> list[Row]:
    """Time fresh interpreters: the empty one, imports, first calls without and with compiled code on disk."""
    out = []
    with tempfile.TemporaryDirectory() as warm:
        empty = sorted(_run("pass", warm)[0] for _ in range(9))[4]
        for name, code in (("import traindyn", "import traindyn"), ("import numpy", "import numpy")):
            times = [_run(code, warm) for _ in range(9)]
            seconds = sorted(t - empty for t, _ in times)
            note = f"beyond an empty interpreter ({empty * 1e3:.0f} ms); peak {max(m for _, m in times):.0f} MB"
            out.append(Row("import", name, seconds[4], seconds[0], seconds[-1], 1.0, note=note))
        for name, code in (("simulate, 10 steps", SIMULATE), ("gradient flow to 1e10", FLOW), ("one check", CHECK)):
            with tempfile.TemporaryDirectory() as cold:
                seconds_cold, memory = _run(code, cold)
            note = f"peak {memory:.0f} MB"
            out.append(Row(f"first call: {name}", "nothing compiled", *[seconds_cold] * 3, 1.0, note=note))
            _run(code, warm)
            times = sorted(_run(code, warm) for _ in range(3))
            t = [seconds for seconds, _ in times]
            note = f"peak {times[1][1]:.0f} MB"
            out.append(Row(f"first call: {name}", "compiled code on disk", t[1], t[0], t[2], 1.0, note=note))
    return out
