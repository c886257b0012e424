"""The same bits at every width and on a CPU without fused products; code kept on disk; what an uncompiled call says."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import traindyn
from traindyn.errors import InputError
from traindyn.kernels.cpu import simd
from traindyn.kernels.vector_width import vector_bits

SCRIPT = Path(__file__).with_name("simd_cases.py")


def ran(code: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *code], env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )


@functools.cache
def digests(**environment: str) -> dict[str, object]:
    done = ran([str(SCRIPT)], **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("bits", ["512", "256", "128", "64"])
def test_results_have_the_same_bits_at_every_width(bits: str) -> None:
    found = digests(TRAINDYN_VECTOR_BITS=bits)
    assert found["lanes"] == [int(bits) // 64, int(bits) // 32]
    assert found["digests"] == digests(TRAINDYN_VECTOR_BITS="256")["digests"]


@pytest.mark.parametrize("limits", [{"NUMBA_CPU_NAME": "generic"}, {"NUMBA_ENABLE_AVX": "0"}])
def test_a_cpu_without_wide_vectors_gives_the_same_bits(limits: dict[str, str]) -> None:
    found = digests(TRAINDYN_VECTOR_BITS="", **limits)
    assert found["lanes"] == [2, 4]
    assert found["digests"] == digests(TRAINDYN_VECTOR_BITS="256")["digests"]


KERNEL = """
import numpy as np
from traindyn.kernels.compile import compiled
from traindyn.kernels.cpu.simd import exp, lanes, load, store

@compiled()
def exponentials(x, out):
    for i in range(0, x.size, lanes(x)):
        store(out, i, exp(load(x, i)))
"""
USE = """
import json
from pathlib import Path
import numpy as np
from traindyn.kernels.cpu.written_by_a_test import exponentials
x = np.linspace(-1.0, 1.0, 32)
out = np.empty_like(x)
exponentials(x, out)
assert np.abs(out - np.exp(x)).max() < 1e-15
stats = exponentials.stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


def test_compiled_vectors_are_kept_on_disk_apart_for_each_width(tmp_path: Path) -> None:
    """Numba code that was compiled for one width must not run where another is asked for."""
    copy = tmp_path / "traindyn"
    copy.mkdir()
    source = Path(traindyn.__file__).parent
    for name in ("__init__.py", "errors.py"):
        shutil.copy(source / name, copy / name)
    shutil.copytree(source / "kernels", copy / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "kernels" / "cpu" / "written_by_a_test.py").write_text(KERNEL, encoding="utf-8")
    environment = {"PYTHONPATH": str(tmp_path), "TRAINDYN_NUMBA_CACHE": str(tmp_path / "cache")}
    outcomes = []
    for bits in ("256", "256", "128", "128"):
        done = ran(["-c", USE], TRAINDYN_VECTOR_BITS=bits, **environment)
        assert done.returncode == 0, done.stderr
        outcomes.append(json.loads(done.stdout))
    assert outcomes == [[0, 1], [1, 0], [0, 1], [1, 0]]
    assert len(list((tmp_path / "cache").glob("kernels-*"))) == 2


def test_called_from_python_it_says_where_it_belongs() -> None:
    with pytest.raises(InputError, match=r"exp is an instruction of compiled code; .*traindyn\.kernels\.reference"):
        simd.exp(1.0)


def test_without_a_compiler_the_message_names_the_twins() -> None:
    code = (
        "import numpy as np\nfrom traindyn.kernels.compile import compiled\nfrom traindyn.kernels.cpu import simd\n"
        "@compiled()\ndef f(x):\n    return simd.sum_lanes(simd.load(x, 0))\nf(np.zeros(16))\n"
    )
    done = ran(["-c", code], NUMBA_DISABLE_JIT="1")
    assert done.returncode != 0
    assert "NUMBA_DISABLE_JIT" in done.stderr
    assert "traindyn.kernels.reference" in done.stderr


def test_unknown_widths_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("1024", "eight", "0", "-128"):
        monkeypatch.setenv("TRAINDYN_VECTOR_BITS", wrong)
        vector_bits.cache_clear()
        with pytest.raises(InputError, match="must be 512, 256, 128 or 64"):
            vector_bits()
    monkeypatch.undo()
    vector_bits.cache_clear()
    assert vector_bits() in (512, 256, 128, 64)
