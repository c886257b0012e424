"""What every test run needs: the root as a plain directory, hypothesis profiles, kernels compiled once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # the tests of the other packages do without
    pass
else:
    # the first example of a test may compile a kernel: no deadline, and slowness is not a failure
    shared = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("deterministic", derandomize=True, database=None, max_examples=60, **shared)
    settings.register_profile("random", max_examples=300, **shared)
    settings.load_profile(os.environ.get("TRAINDYN_HYPOTHESIS", "deterministic"))


class _RootIsAPlainDirectory:
    """Collect the repository root as a directory.

    The root holds `__init__.py` (it is the package), so pytest would take it for a package named after the
    clone's folder and import it a second time under that name.
    """

    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_RootIsAPlainDirectory(), "root-is-a-plain-directory")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # in the background of a script; the processes that tests interrupt would inherit it, and never end
        signal.signal(signal.SIGINT, signal.default_int_handler)
    fans_out = bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")
    if fans_out and not config.option.collectonly:
        # workers that compile the same kernels at the same time would waste the cores and race for the cache
        subprocess.run([sys.executable, "-P", "-m", "traindyn", "info", "--warm"], check=False, capture_output=True)
