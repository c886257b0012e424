"""What a run returns: the saved rows, how it ended, what it was made with, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MissingLibraryError, unknown_name
from .provenance import environment
from .schedules import stable_digest
from .status import Status

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Restart:
    """All that a run needs to go on: `facts` are plain values (JSON), `arrays` the internal form of the state."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Mapping[str, "NDArray[Any]"]):
    """A run of `simulate`: ``run["loss"]`` is an array (n_saved, ...), one row a saved point.

    Attributes:
        step: (n_saved,) the saved steps; for a flow 0, 1, 2, ... number the saved times.
        time: (n_saved,) the sum of the learning rates, or the time of a flow.
        final: the weights at the end, W (d, d).
        status: how the run ended; ``message`` says more, such as where a value became infinite.
        provenance: versions, CPU, seed, problem digest, rule.
        error: name -> array, the run's own estimate of its error (see `error`).
        restart: what ``simulate(..., resume=run)`` goes on from.

    The arrays are read-only.

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, simulate
    >>> run = simulate(AssociativeMemory.two_tokens(), GradientDescent(learning_rate=10.0), steps=35)
    >>> sorted(run), run.step[-1], run.status.name
    (['accuracy', 'loss', 'margin'], np.int64(35), 'COMPLETED')
    """

    columns: Mapping[str, NDArray[Any]]
    step: NDArray[np.int64]
    time: NDArray[np.float64]
    final: NDArray[Any]
    status: Status
    message: str
    restart: Restart
    problem: Any = None
    rule: Any = None
    known_errors: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (*self.columns.values(), self.step, self.time, self.final):
            array.flags.writeable = False

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self.columns[name]
        except KeyError:
            raise unknown_name("observable of this run", name, self.columns) from None

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        lines = [
            f"Trajectory of {self._fact('problem_name')} under {self._fact('rule_name')}: {self.status.name.lower()}",
            f"  {self.step.size} saved points to step {self.step[-1]}, time {self.time[-1]:.6g}; "
            f"form {self._fact('form')}",
        ]
        for name, values in self.columns.items():
            shape = f" {values.shape}" if values.ndim > 1 else f" {values[0]:.6g} -> {values[-1]:.6g}"
            lines.append(f"  {name}{shape}")
        if self.message:
            lines.append(f"  {self.message}")
        return "\n".join(lines)

    @property
    def provenance(self) -> dict[str, Any]:
        """Version, CPU, seed, problem digest, rule and form of the run that began this trajectory."""
        made = self.restart.facts.get("environment") or environment()
        names = ("problem_name", "problem_digest", "rule_name", "rule_digest", "seed", "form", "dtype")
        return {**made, **{name: self._fact(name) for name in names}}

    def _fact(self, name: str) -> Any:
        """Return a fact of the run; names and digests are computed when they are first wanted."""
        facts = self.restart.facts
        if name in facts:
            return facts[name]
        thing = self.problem if name.startswith("problem") else self.rule
        return digest_of(thing) if name.endswith("digest") else repr(thing)

    @property
    def error(self) -> Mapping[str, NDArray[Any]]:
        """Estimated absolute errors of the loss, margins and scores that were saved: name -> (n_saved, ...).

        A discrete run is repeated in extended precision with the same random numbers and compared; a flow is compared
        with its integration to a tighter tolerance. Computed on first use, which costs a run in NumPy.

        Raises: InputError for a run loaded from a file without its estimate, or one under a rule or problem of
        your own.

        >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, simulate
        >>> run = simulate(AssociativeMemory.two_tokens(), GradientDescent(learning_rate=1.0), steps=100)
        >>> bool(run.error["margin"].max() < 1e-13)
        True
        """
        if not self.known_errors:
            if self.problem is None:
                raise InputError(
                    "the error of a run loaded from a file was not estimated before it was saved", None,
                    "simulate again, or pass estimate_error=True to the run that is saved",
                )  # fmt: skip
            from .error_estimate import estimate

            self.known_errors.update(estimate(self))
        return dict(self.known_errors)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run to an npz file, whole or not at all (a temporary file, then a rename).

        The file holds the rows, the final weights and what resuming needs; no pickles. It ends with a checksum.

        Raises: FileError.
        """
        from .trajectory_file import write

        write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trajectory:
        """Read a run that `save` wrote.

        Raises: FileError for a file that is foreign, truncated, changed or of a later version.
        """
        from .trajectory_file import read

        return read(path)

    def to_xarray(self) -> Any:
        """Return an ``xarray.Dataset`` with the saved points as first axis and step and time as coordinates.

        Raises: MissingLibraryError where xarray is not installed.
        """
        try:
            import xarray
        except ImportError:
            raise MissingLibraryError("xarray", "data", "to_xarray") from None
        axes = {"margin": ("token",), "scores": ("token", "class"), "margins": ("token", "class"),
                "probabilities": ("token", "class"), "weights": ("output", "input"),
                "gradient": ("output", "input")}  # fmt: skip
        variables = {}
        for name, values in self.columns.items():
            named = axes.get(name, ())
            if len(named) != values.ndim - 1:
                named = tuple(f"{name}_{axis}" for axis in range(values.ndim - 1))
            variables[name] = (("saved", *named), values)
        attributes = {key: str(value) for key, value in self.provenance.items()}
        return xarray.Dataset(
            variables,
            coords={"step": ("saved", self.step), "time": ("saved", self.time)},
            attrs={**attributes, "status": self.status.value},
        )


def digest_of(thing: Any) -> str:
    """Return the digest of a problem or rule: its own, or one of its type's name and plain attributes."""
    own = getattr(thing, "digest", None)
    return own if isinstance(own, str) else stable_digest(thing)
