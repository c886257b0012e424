"""The progress bar of a sweep: cells done, and the time left by what each part of the grid took so far."""

from __future__ import annotations

from types import TracebackType
from typing import Any


class Bar:
    """A bar over the cells, or nothing."""

    def __init__(self, wanted: bool, total: int, done: int) -> None:
        self._bar: Any = None
        if wanted:
            from tqdm.auto import tqdm

            layout = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} cells [{elapsed}{postfix}]"
            self._bar = tqdm(total=total, initial=done, bar_format=layout, dynamic_ncols=True)

    def add(self, cells: int) -> None:
        """Count cells that are done."""
        if self._bar is not None:
            self._bar.update(cells)

    def tell(self, seconds_left: float | None) -> None:
        """Show the time left."""
        if self._bar is not None and seconds_left is not None:
            self._bar.set_postfix_str(f"{self._bar.format_interval(round(seconds_left))} left", refresh=False)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
