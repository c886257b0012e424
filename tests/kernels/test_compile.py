"""The folder of the compiled code, the thread limits, and the house rules of compiled functions."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from traindyn.kernels import compile as compiling

HERE = Path(compiling.__file__).parent


def python(program, *arguments, **environment):
    ours = ("TRAINDYN_NUMBA_CACHE", "NUMBA_CACHE_DIR")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**clean, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


CALL = """
import json
from traindyn import kernels
from traindyn.kernels.compile import cache_folder
from traindyn.kernels.cpu import tokens
value = kernels.accuracy([[1.0, 0.0]], [0], [1.0])
folder = cache_folder()
print(json.dumps({"value": value, "folder": folder and str(folder),
                  "hits": sum(tokens.accuracy.stats.cache_hits.values()),
                  "files": sorted(p.name for p in folder.rglob("*.nb?")) if folder else []}))
"""


def test_code_is_found_again(tmp_path):
    first = python(CALL, TRAINDYN_NUMBA_CACHE=str(tmp_path))
    again = python(CALL, TRAINDYN_NUMBA_CACHE=str(tmp_path))
    assert first["folder"].startswith(str(tmp_path))
    assert first["folder"].endswith(compiling.source_digest())
    assert (first["hits"], again["hits"]) == (0, 1)
    assert again["files"] == first["files"] != []
    assert Path(first["folder"]).stat().st_mode & 0o077 == 0


def test_places_in_order(tmp_path):
    places = {name: tmp_path / name for name in ("ours", "numbas", "users")}
    environment = {"XDG_CACHE_HOME": str(places["users"])}
    assert python(CALL, **environment)["folder"].startswith(str(places["users"] / "traindyn"))
    environment["NUMBA_CACHE_DIR"] = str(places["numbas"])
    assert python(CALL, **environment)["folder"].startswith(str(places["numbas"] / "traindyn"))
    environment["TRAINDYN_NUMBA_CACHE"] = str(places["ours"])
    assert python(CALL, **environment)["folder"].startswith(str(places["ours"]))


def test_switched_off(tmp_path):
    found = python(CALL, TRAINDYN_NUMBA_CACHE="0", XDG_CACHE_HOME=str(tmp_path))
    assert found["folder"] is None
    assert found["value"] == 1.0
    assert not any(tmp_path.iterdir())


def test_nothing_writable(tmp_path):
    """A file where the folder should be stops even the superuser; the result is the same, without a cache."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = python(CALL, TRAINDYN_NUMBA_CACHE=str(blocked / "below"))
    assert (found["folder"], found["value"]) == (None, 1.0)


def test_falls_back_to_a_private_temporary_folder(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = python(CALL, XDG_CACHE_HOME=str(blocked / "below"), TMPDIR=str(tmp_path))
    assert found["folder"].startswith(str(tmp_path / "traindyn-"))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
def test_a_folder_open_to_others_is_passed_over(tmp_path):
    open_folder = tmp_path / f"kernels-{compiling.source_digest()}"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    assert python(CALL, TRAINDYN_NUMBA_CACHE=str(tmp_path))["folder"] is None


EDIT = """
import importlib.util, json, sys
from pathlib import Path
package = Path(sys.argv[1])
where = {"submodule_search_locations": [str(package)]}
spec = importlib.util.spec_from_file_location("house", package / "__init__.py", **where)
module = importlib.util.module_from_spec(spec)
sys.modules["house"] = module
spec.loader.exec_module(module)
from house.kernels.compile import cache_folder
from house.kernels.cpu import tokens
import numpy as np
print(json.dumps([cache_folder().name, float(tokens.margins(np.array([[3.0, 1.0]]), np.array([0]))[0])]))
"""


def test_an_edit_of_a_called_function_is_seen(tmp_path):
    """numba itself looks at the caller's file only, and would return the old value."""
    package = tmp_path / "house"
    shutil.copytree(HERE, package / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text("")
    shutil.copy(HERE.parent / "errors.py", package)
    before = python(EDIT, package, TRAINDYN_NUMBA_CACHE=str(tmp_path / "cache"))
    rows = package / "kernels" / "cpu" / "rows.py"
    right = "np.float64(scores_row[target]) - np.float64(_largest_wrong(scores_row, target))"
    edited = rows.read_text().replace(f"return {right}", f"return 2.0 * ({right})")
    assert edited != rows.read_text()
    rows.write_text(edited)
    after = python(EDIT, package, TRAINDYN_NUMBA_CACHE=str(tmp_path / "cache"))
    assert (before[1], after[1]) == (2.0, 4.0)
    assert before[0] != after[0]


def test_the_caller_s_own_functions_keep_their_cache_folder(tmp_path):
    program = """
import json, numba, sys
numba.config.CACHE_DIR = sys.argv[1]
from traindyn import kernels
kernels.accuracy([[1.0, 0.0]], [0], [1.0])
print(json.dumps(numba.config.CACHE_DIR))
"""
    assert python(program, tmp_path / "mine", TRAINDYN_NUMBA_CACHE=str(tmp_path / "ours")) == str(tmp_path / "mine")
    assert any((tmp_path / "ours").rglob("*.nbi"))


def test_import_loads_no_numba():
    program = """
import json, sys
import traindyn.kernels
import traindyn.kernels.reference
from traindyn.kernels import softmax_gradient, OPERATIONS
print(json.dumps([name for name in ("numba", "scipy", "threadpoolctl", "cupy") if name in sys.modules]))
"""
    assert python(program) == []


def test_where_nothing_is_compiled_the_way_out_is_told():
    program = """
import json
from traindyn import kernels
from traindyn.errors import InputError
try:
    kernels.accuracy([[1.0, 0.0]], [0], [1.0])
except InputError as error:
    print(json.dumps(str(error)))
"""
    told = python(program, NUMBA_DISABLE_JIT="1")
    assert "where NUMBA_DISABLE_JIT is set nothing is compiled" in told
    assert "traindyn.kernels.reference" in told


def test_threads_from_the_usual_variables(monkeypatch):
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    assert 1 <= compiling.thread_count() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert compiling.thread_count() == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    assert compiling.thread_count() == 5
    monkeypatch.setenv("NUMBA_NUM_THREADS", "zero")
    assert compiling.thread_count() == 3


def test_blas_threads_are_limited_and_restored():
    import threadpoolctl

    def threads():
        return [lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]

    with compiling.single_threaded_blas:
        pass  # the libraries are loaded now
    before = threads()
    with pytest.raises(ZeroDivisionError), compiling.single_threaded_blas:  # noqa: PT012
        assert set(threads()) == {1}
        with compiling.single_threaded_blas:
            assert set(threads()) == {1}
        assert set(threads()) == {1}
        raise ZeroDivisionError
    assert threads() == before


def test_large_spectra_run_on_one_blas_thread(memory, monkeypatch):
    from traindyn import kernels
    from traindyn.kernels.cpu import eigenvalue

    entered = []

    class Recorder:
        def __enter__(self):
            entered.append(True)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(eigenvalue, "single_threaded_blas", Recorder())
    for dim, calls in ((2, 0), (9, 1)):
        kernels.hessian_spectrum(*memory(3, 3, dim))
        assert len(entered) == calls


def sources():
    return sorted(HERE.rglob("*.py"))


def test_compiled_code_holds_no_assert():
    """pytest rewrites the asserts of an installed plugin's package, and numba cannot compile the result."""
    for path in sources():
        assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)], path


def test_numba_options_stand_in_one_file():
    """Only compile.py compiles; the vector layer imports what numba's types and instructions are made of."""
    for path in sources():
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [f"{node.module}.{a.name}" for a in node.names]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
            )
        ]
        theirs = [name for name in names if name.split(".")[0] == "numba"]
        if path.name == "vector_width.py":
            assert set(theirs) == {"numba", "numba.core.codegen.get_host_cpu_features"}
        elif path.name != "compile.py":
            parts = ("numba.types", "numba.core.", "numba.extending.", "numba.cpython.unsafe.")
            assert not [name for name in theirs if not name.startswith(parts)], path
            assert not [name for name in theirs if name.endswith(("jit", "overload", "prange"))], path


def test_processes_take_turns_to_save_and_a_full_disk_stops_nothing(tmp_path):
    """Without the lock the second process would not wait; without the guard the failed save would raise."""
    fcntl = pytest.importorskip("fcntl")
    saved = []

    class Cache:
        def load_overload(self, signature, target):
            return None

        def save_overload(self, signature, data):
            with open(tmp_path / "lock", "a") as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            saved.append(signature)
            raise OSError(28, "No space left on device")

    class Dispatcher:
        _cache = Cache()

    dispatcher = compiling._kept(Dispatcher(), tmp_path)
    dispatcher._cache.save_overload("signature", None)
    assert saved == ["signature"]
    with open(tmp_path / "lock", "a") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go after the failure
