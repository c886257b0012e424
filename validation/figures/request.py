"""How a figure is asked for: which version and size, where its sweeps are kept, and who runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import FileError, InputError, TraindynError

if TYPE_CHECKING:
    from ...dynamics import Cube


@dataclass(frozen=True)
class Request:
    """What the `compute` of a figure is given; `Request()` is the full size, in memory, on all cores.

    Attributes
    ----------
    as_published : the published version of a paper's figure, with the conventions that the definition names
    quick : the small size of an experiment
    store : prefix of the files of its sweeps, ``<store>.<name>.db``; None keeps them in memory
    executor : any ``concurrent.futures.Executor`` for its sweeps; None uses this process with all its cores
    progress : whether bars are shown
    rng : seed of everything that is drawn

    >>> from traindyn.dynamics import AssociativeMemory, GradientDescent, Recipe
    >>> recipe = Recipe(AssociativeMemory.two_tokens, GradientDescent)
    >>> cube = Request().sweep("rates", recipe, grid={"learning_rate": [1.0, 10.0]}, measure="peak_step", steps=9)
    >>> cube.values
    array([0., 5.])
    """

    as_published: bool = False
    quick: bool = False
    store: Path | None = None
    executor: Executor | None = None
    progress: bool = False
    rng: int = 0
    _stores: dict[str, Path] = field(default_factory=dict, init=False, repr=False, compare=False)

    def sweep(
        self,
        name: str,
        build: Callable[..., tuple[Any, Any]],
        *,
        grid: Mapping[str, Iterable[Any]],
        measure: Any,
        steps: int | None = None,
        **more: Any,
    ) -> Cube:
        """Run `traindyn.sweep` with this request's store, executor, seed and bar.

        Parameters
        ----------
        name : what the sweep is called within its figure, such as "grid"; no two sweeps of a figure share one
        build, grid, measure, steps, **more : as in `traindyn.sweep`

        Returns
        -------
        Cube
            Complete: no cell is missing and none failed.

        Raises
        ------
        InputError, FileError : as `traindyn.sweep`.
        KeyboardInterrupt : the sweep was interrupted; with a store, what is done is kept.
        TraindynError : cells failed; the message holds the first of them.
        """
        from ...dynamics import sweep

        path = self.file(name)
        options: dict[str, Any] = {"executor": self.executor, "progress": self.progress, "rng": self.rng, "store": path}
        if path is not None:
            self._stores[name] = path
        try:
            cube: Cube = sweep(build, grid, measure, steps=steps, **(options | more))
        except FileError as error:
            raise FileError(
                f"{error}; the file is a part of a figure that is not finished: draw that again to go on, or remove it"
            ) from error
        if cube.missing:
            raise KeyboardInterrupt
        if cube.errors:
            where, first = next(iter(cube.errors.items()))
            raise TraindynError(
                f"{len(cube.errors)} of {cube.size} cells of the sweep {name!r} failed; "
                f"the first, {cube.cell(*where)}: {first}"
            )
        return cube

    def file(self, name: str) -> Path | None:
        """Return where the sweep of this name is kept, or None for memory.

        >>> print(Request(store=Path("pictures/spikes")).file("grid"))
        pictures/spikes.grid.db
        """
        if not name or not name.replace("_", "").replace("-", "").isalnum():
            raise InputError("the name of a sweep must be made of letters, digits, - and _", repr(name))
        return None if self.store is None else Path(f"{os.fspath(self.store)}.{name}.db")

    def kept(self) -> list[Path]:
        """Return the files of this request's sweeps that exist: the stores, and what lies beside them."""
        endings = ("", ".lock", "-journal", "-wal", "-shm")
        paths = [path.with_name(path.name + ending) for path in self._stores.values() for ending in endings]
        return [path for path in paths if path.exists()]

    def bar(self, total: int, title: str) -> Any:
        """Return a progress bar for a loop that is no sweep: ``with request.bar(n, "solving") as bar: bar.update(1)``.

        >>> with Request().bar(2, "solving") as bar:
        ...     for _ in range(2):
        ...         _ = bar.update(1)
        """
        from tqdm.auto import tqdm

        return tqdm(total=total, desc=title, disable=not self.progress, dynamic_ncols=True, leave=False)
