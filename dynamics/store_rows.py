"""Packed rows of a store: a contiguous range of cells each, with a checksum over everything in the row.

One row holds as many cells as fit into one page of the file, so that SQLite reads a cell without following overflow
pages, and so that a damaged page costs few cells.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import FileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE_BYTES = 8192
# what a leaf page can hold of one record, less the row's small columns
_ROOM = PAGE_BYTES - 35 - 77
NOT_DONE = -1
# bytes of packed rows that are read, and written, at a time: locks are held shortly
PIECE_BYTES = 8 << 20
_FACTS = struct.Struct("<qqqd?")
_PLACE = struct.Struct("<qq")

# (first, session, count, seconds, checksum, status, measured, seconds of each cell or None)
Row: TypeAlias = "tuple[int, int, int, float, bytes, bytes, bytes, bytes | None]"


def cells_in_a_row(numbers: int) -> int:
    """Return how many cells one row takes at most, of `numbers` float64 and one status byte each.

    >>> cells_in_a_row(1), cells_in_a_row(3), cells_in_a_row(2000)
    (897, 323, 1)
    """
    return max(1, _ROOM // (8 * numbers + 1))


@dataclass
class Cells:
    """The cells of a grid in flat order: values (n, k), status (n,) and seconds (n,); NaN and -1 where not done."""

    values: NDArray[np.float64]
    status: NDArray[np.int8]
    seconds: NDArray[np.float64]
    errors: dict[int, str]

    @classmethod
    def none_done(cls, cells: int, measures: int) -> Cells:
        """Return `cells` cells that are not done."""
        return cls(
            np.full((cells, measures), np.nan), np.full(cells, NOT_DONE, np.int8), np.full(cells, np.nan), {}
        )  # fmt: skip

    @property
    def done(self) -> NDArray[np.bool_]:
        """Return which cells are done, (n,)."""
        return np.not_equal(self.status, NOT_DONE)

    def take(self, row: Row) -> None:
        """Unpack a row into its place."""
        first, _, count, seconds, _, status, measured, each = row
        place = slice(first, first + count)
        self.values[place] = np.frombuffer(measured, "<f8").reshape(count, -1)
        self.status[place] = np.frombuffer(status, np.int8)
        self.seconds[place] = seconds / count if each is None else np.frombuffer(each, "<f8")


def packed(
    first: int, values: NDArray[np.float64], status: NDArray[np.int8], seconds: float | NDArray[np.float64],
    errors: Mapping[int, str], *, session: int, seal: bytes,
) -> Iterator[Row]:  # fmt: skip
    """Yield the rows of a contiguous range of cells that begins at flat index `first`."""
    total, measures = values.shape
    size = cells_in_a_row(measures + isinstance(seconds, np.ndarray))
    broken = sorted(errors.items())
    for start in range(0, total, size):
        stop = min(start + size, total)
        if isinstance(seconds, np.ndarray):
            each = seconds[start:stop].astype("<f8").tobytes()
            spent = float(seconds[start:stop].sum())
        else:
            each, spent = None, seconds * ((stop - start) / total)
        inside = [(cell, text) for cell, text in broken if first + start <= cell < first + stop] if broken else []
        columns = (status[start:stop].astype(np.int8).tobytes(), values[start:stop].astype("<f8").tobytes(), each)
        mark = checksum(seal, first + start, session, stop - start, spent, columns, inside)
        yield (first + start, session, stop - start, spent, mark, *columns)


def checksum(
    seal: bytes, first: int, session: int, count: int, seconds: float, columns: tuple[bytes, bytes, bytes | None],
    errors: Sequence[tuple[int, str]],
) -> bytes:  # fmt: skip
    """Return the checksum of a row: of every byte in it, of the texts of its errors, and of the sweep it belongs to."""
    status, measured, each = columns
    mark = hashlib.blake2b(_FACTS.pack(first, session, count, seconds, each is not None), digest_size=16, key=seal)
    mark.update(status)
    mark.update(measured)
    if each is not None:
        mark.update(each)
    for cell, text in errors:
        content = text.encode()
        mark.update(_PLACE.pack(cell, len(content)))
        mark.update(content)
    return mark.digest()


def checked(
    row: Sequence[Any], errors: Sequence[tuple[int, str]], *, cells: int, measures: int, seal: bytes, start: int,
    place: str,
) -> Row:  # fmt: skip
    """Return the row if it is whole, inside the grid and begins at `start` or later; else raise FileError."""
    first, session, count, seconds, mark, status, measured, each = row
    kinds = tuple(type(item) for item in (first, session, count, seconds, mark, status, measured))
    if kinds != (int, int, int, float, bytes, bytes, bytes) or not isinstance(each, bytes | None):
        raise FileError(f"{place} is damaged: the row of cell {first!r} holds other types than were written; {CURE}")
    if count < 1 or first < start or first + count > cells:
        raise FileError(f"{place} is damaged: cells {first} to {first + count - 1} overlap others or lie outside "
                        f"of the {cells} of the grid; {CURE}")  # fmt: skip
    sizes = len(status), len(measured), count if each is None else len(each) // 8
    if sizes != (count, 8 * count * measures, count) or mark != checksum(
        seal, first, session, count, seconds, (status, measured, each), errors
    ):
        raise FileError(f"{place} is damaged: the checksum of cells {first} to {first + count - 1} does not match; "
                        f"{CURE}")  # fmt: skip
    return first, session, count, seconds, mark, status, measured, each


CURE = "nothing was changed; take another copy, or move this one away and compute the sweep again"
