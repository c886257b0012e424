"""Every numba option of the package, the folder of the compiled code, and the thread limits.

The decisions, each with its reason:

* ``fastmath`` is off: it lets the compiler assume that no NaN or infinity occurs and reorder sums, and then a
  run that diverges can no longer be told from one that converges, nor be repeated bit for bit elsewhere.
* ``error_model="numpy"``: a division by zero gives an infinity, as in the reference twins, and costs no branch.
* ``nogil``: a thread of the caller goes on (progress bars, Ctrl-C) while compiled code runs.
* The cache folder is named by a digest of this file and of all in ``cpu/``, because numba looks at the time stamp
  of a function's own file only and would go on running old code after an edit of a function that it calls.
  It lies outside the package, so that uninstalling leaves nothing behind and a read-only installation works.
  Folders of older sources go when nobody has used them for 30 days (`old_code`).

Environment: ``TRAINDYN_NUMBA_CACHE`` names the cache folder (``0`` switches the cache off), else
``NUMBA_CACHE_DIR`` is used, else the user's cache folder. ``NUMBA_NUM_THREADS`` or ``OMP_NUM_THREADS`` set
the number of threads.

This module imports numba only when a function is decorated.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from .old_code import hold, remove_unused
from .vector_width import vector_bits

try:
    import fcntl
except ImportError:  # Windows: no lock, so do not compile in two processes at once
    fcntl = None  # type: ignore[assignment]

CACHE_VARIABLE = "TRAINDYN_NUMBA_CACHE"

_HERE = Path(__file__).resolve()
_SOURCES = _HERE.parent / "cpu"
_Function = TypeVar("_Function", bound=Callable[..., Any])
_decorating = threading.Lock()


def compiled(inline: bool = False, internal: bool = False) -> Callable[[_Function], _Function]:
    """Return the decorator that compiles a function on its first call for each kind of arguments.

    Arguments: `inline` copies the body into compiled callers, for functions of a few lines that run once a row; an
    `internal` function can be called from compiled code only, and takes less time to compile. Only functions in
    ``cpu/`` are kept on disk: the digest covers no other.

    Cost: 0.2 to 3 s at the first call of a function, a few ms when its code is found on disk.

    >>> @compiled()
    ... def double(x):
    ...     return 2.0 * x
    >>> double(21)
    42.0
    """

    def decorate(function: _Function) -> _Function:
        import numba

        options: dict[str, Any] = {"error_model": "numpy", "fastmath": False, "nogil": True}
        options["no_cfunc_wrapper"] = True  # for calls from C, of which there are none
        if inline:
            options["inline"] = "always"
        if internal:
            options["no_cpython_wrapper"] = True
        folder = cache_folder() if _is_ours(function) else None
        if folder is None:
            return numba.njit(**options)(function)  # type: ignore[no-any-return]
        # numba reads the folder while it decorates; put back at once, it stays unchanged for the caller's functions
        with _decorating:
            before = numba.config.CACHE_DIR
            numba.config.CACHE_DIR = str(folder)
            try:
                return _kept(numba.njit(cache=True, **options)(function), folder)  # type: ignore[no-any-return]
            finally:
                numba.config.CACHE_DIR = before

    return decorate


def chosen_by_types(function: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Return the decorator of what picks the body of `function` where a caller is compiled, by its arguments' types.

    The body goes into the caller and is compiled with the caller's options.
    """
    from numba.extending import overload

    return overload(function, inline="always")  # type: ignore[no-any-return]


def _kept(dispatcher: Any, folder: Path) -> Any:
    """Let one process at a time write compiled code to the folder, and let what is read tell what it needs.

    Two processes that save different signatures of a function at once would choose the same file name, and the code
    of one could later be run for the other. And numba forgets what loaded code wants to have been loaded before it
    (`cpu.compiled_once`), which the code that it is then copied into wants as well.
    """
    cache = getattr(dispatcher, "_cache", None)
    if cache is None:
        return dispatcher
    load, save = cache.load_overload, cache.save_overload

    def complete(signature: Any, target: Any) -> Any:
        data = load(signature, target)
        if data is not None:
            data.library._reload_init.update(data.reload_init)
        return data

    cache.load_overload = complete
    if fcntl is None:
        return dispatcher

    def locked(signature: Any, data: Any) -> None:
        # code that cannot be kept (a full disk) is compiled already, and runs
        with contextlib.suppress(OSError), open(folder / "lock", "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, also by the end of the process
            save(signature, data)

    cache.save_overload = locked
    return dispatcher


@functools.cache
def source_digest() -> str:
    """Return the first 16 hexadecimal digits of a SHA-256 over what the compiled code depends on.

    That is the sources, and the width of the vectors (numba itself keeps the code of different CPUs apart).

    >>> len(source_digest())
    16
    """
    digest = hashlib.sha256()
    # compiled code remembers the name of its module: a second copy imported under another name keeps its own folder
    digest.update(f"{__name__} {vector_bits()}".encode() + b"\0")
    for path in [_HERE, *sorted(_SOURCES.rglob("*.py"))]:
        digest.update(path.relative_to(_HERE.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path | None:
    """Return the folder that keeps the compiled code, made if need be; None where there is none to be had.

    Places, first to last: ``TRAINDYN_NUMBA_CACHE``, ``NUMBA_CACHE_DIR``, the user's cache folder, a private folder
    among the temporary files. A folder that another user could write to is passed over, for code is run from it.
    """
    if os.environ.get(CACHE_VARIABLE) == "0":
        return None
    for base in _candidates():
        folder = base / f"kernels-{source_digest()}"
        is_new = not folder.exists()
        if _usable(folder):
            hold(folder)
            if is_new:
                remove_unused(base, keep=folder)
            return folder
    return None


def _candidates() -> Iterator[Path]:
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        yield Path(chosen).expanduser()
        return
    numba = sys.modules.get("numba")
    shared = numba.config.CACHE_DIR if numba is not None else os.environ.get("NUMBA_CACHE_DIR")
    if shared:
        yield Path(shared) / "traindyn"
        return
    with contextlib.suppress(RuntimeError):  # no home folder
        yield _user_cache() / "traindyn"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    yield Path(tempfile.gettempdir()) / f"traindyn-{user}"


def _user_cache() -> Path:
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0" * 4096)
        state = folder.stat()
    except OSError:
        return False
    return not hasattr(os, "getuid") or (state.st_uid == os.getuid() and not state.st_mode & 0o022)


def _is_ours(function: Callable[..., Any]) -> bool:
    return Path(function.__code__.co_filename).resolve().is_relative_to(_SOURCES)


def thread_count() -> int:
    """Return how many threads may share a call: the usual variables, else the cores of this process.

    >>> thread_count() >= 1
    True
    """
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(variable, "").split(",")[0].strip()
        if value.isdigit() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _SingleThreadedBlas(contextlib.ContextDecorator):
    """Holds the BLAS libraries at one thread while at least one caller is inside; then restores them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[tuple[Any, int]] = []

    @functools.cached_property
    def _libraries(self) -> list[Any]:
        import scipy.linalg  # noqa: F401  (np.dot in compiled code is SciPy's BLAS: loaded, it can be found)
        import threadpoolctl

        return list(threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers)

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                threads = [(library, library.num_threads) for library in self._libraries]
                self._before = [(library, count) for library, count in threads if count not in (None, 1)]
                for library, _ in self._before:
                    library.set_num_threads(1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for library, count in self._before:
                    library.set_num_threads(count)


single_threaded_blas = _SingleThreadedBlas()
"""``with single_threaded_blas:`` around what multiplies or factors large matrices by BLAS or LAPACK.

The bits of such a result depend on how many threads share it, and the waiting threads of two libraries can slow each
other down a hundredfold. Compiled loops use products of their own. Nesting and threads are allowed; entering costs a
few microseconds, so a call whose matrices are tiny goes without.
"""
