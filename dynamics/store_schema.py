"""Tables and views of a store, as SQL that every SQLite since 3.8.2 runs.

The values of a row are packed: little-endian float64. The view `cells` unpacks them with nothing but SQLite's own
`hex`, `substr` and `instr`: the sixteen hexadecimal digits of a value give its sign, its exponent, whose power of two
is looked up in the table `power`, and its 53-bit mantissa. Their product is exact. NaN is NULL, as always in SQLite.
"""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .status import Status
from .store_rows import PAGE_BYTES, cells_in_a_row

APPLICATION = 0x54445357  # "TDSW", where `file` and SQLite look for it
FORMAT = 1

_TABLES = (
    "CREATE TABLE header(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE axis(number INTEGER PRIMARY KEY, name TEXT, first INTEGER, length INTEGER)",
    "CREATE TABLE axis_value(number INTEGER PRIMARY KEY, value)",
    "CREATE TABLE status(code INTEGER PRIMARY KEY, name TEXT, meaning TEXT)",
    "CREATE TABLE power(exponent INTEGER PRIMARY KEY, one INTEGER, scale REAL)",
    "CREATE TABLE nth(n INTEGER PRIMARY KEY)",
    "CREATE TABLE session(id INTEGER PRIMARY KEY, host TEXT, pid INTEGER, started REAL, updated REAL, ended REAL, "
    "rows INTEGER, cells INTEGER, seconds REAL, counts TEXT, marks TEXT, environment TEXT, checksum BLOB)",
    "CREATE TABLE chunk(first INTEGER PRIMARY KEY, session INTEGER, count INTEGER, seconds REAL, checksum BLOB, "
    "status BLOB, measured BLOB, each BLOB)",
    "CREATE TABLE error(cell INTEGER PRIMARY KEY, text TEXT)",
)

_COMPARED = 10_000  # rows of a table at a time


def create(connection: sqlite3.Connection, header: Mapping[str, str]) -> None:
    """Make the tables and the view of an empty store in an empty database, in autocommit mode."""
    settings = (f"page_size = {PAGE_BYTES}", f"application_id = {APPLICATION}", f"user_version = {FORMAT}")
    for pragma in (*settings, "cache_size = -65536"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    axes = axes_of(header)
    for statement in _schema(header, axes):
        connection.execute(statement)
    for table, rows in _fixed_rows(header, axes).items():
        width = next(connection.execute(f"SELECT count(*) FROM pragma_table_info('{table}')"))[0]
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", rows)
    connection.execute("COMMIT")


def changed(connection: sqlite3.Connection, header: Mapping[str, str]) -> str | None:
    """Return which of the parts that never change is not as a store of this header has it, None if all are."""
    new = sqlite3.connect(":memory:", isolation_level=None)
    axes = axes_of(header)
    for statement in _schema(header, axes):
        new.execute(statement)
    every = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    same = new.execute(every).fetchall() == connection.execute(every).fetchall()
    new.close()
    if not same:
        return "schema"
    for table, wanted in _fixed_rows(header, axes).items():
        found, rest = connection.execute(f"SELECT * FROM {table} ORDER BY 1"), iter(wanted)
        while there := found.fetchmany(_COMPARED):
            if there != list(itertools.islice(rest, _COMPARED)):
                return table
        if next(rest, None) is not None:
            return table
    return None


def _schema(header: Mapping[str, str], axes: Mapping[str, Sequence[Any]]) -> list[str]:
    return [*_TABLES, _view(axes, json.loads(header["measures"]))]


def _fixed_rows(
    header: Mapping[str, str], axes: Mapping[str, Sequence[Any]]
) -> dict[str, Iterable[tuple[Any, ...]]]:
    """Return the rows of the tables that never change, in the order of their first column."""
    measures = json.loads(header["measures"])
    starts = _starts(axes)
    return {
        "header": sorted(header.items()),
        "axis": [(i, name, starts[i], len(values)) for i, (name, values) in enumerate(axes.items())],
        "axis_value": enumerate(_plain(value) for values in axes.values() for value in values),
        "status": [(code, one.name, one.value) for code, one in enumerate(Status)],
        "power": _powers(),
        "nth": [(i,) for i in range(cells_in_a_row(len(measures)))],
    }


def axes_of(header: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the axes of the grid, {name: values}, if they span the cells in C order; else one axis less: none."""
    grid = json.loads(header.get("item.grid", "null"))
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        return {}
    return grid if math.prod(len(values) for values in grid.values()) == int(header["n_cells"]) else {}


def _starts(axes: Mapping[str, Sequence[Any]]) -> list[int]:
    return [0, *itertools.accumulate(len(values) for values in axes.values())]


def _plain(value: Any) -> Any:
    """Return a value as SQLite has it; what it does not have as JSON."""
    if type(value) is float:  # nearly always, and there may be millions
        return value
    kept = isinstance(value, (float, str)) or (isinstance(value, int) and -(2**63) <= value < 2**63)
    return value if kept else json.dumps(value)


def _powers() -> Iterable[tuple[int, int, float | None]]:
    """Yield (biased exponent, implicit bit, power of two of the mantissa's last bit); infinities and NaN have none."""
    yield 0, 0, 2.0**-1074
    for exponent in range(1, 2047):
        yield exponent, 2**52, math.ldexp(1.0, exponent - 1075)
    yield 2047, 0, None


def _view(axes: Mapping[str, Sequence[Any]], measures: Sequence[str]) -> str:
    """Return the SQL of the view with one row a cell."""
    width = len(measures)
    columns = _names(["cell", "status", "seconds", "error"], [*axes, *measures])
    outer, stride = ["cell"], math.prod(len(values) for values in axes.values())
    for first, values, name in zip(_starts(axes), axes.values(), columns, strict=False):
        stride //= len(values)
        place = f"{first} + cell / {stride} % {len(values)}"
        outer.append(f"(SELECT value FROM axis_value WHERE number = {place}) AS {name}")
    outer += [f"{_real(f'h{j}')} AS {name}" for j, name in enumerate(columns[len(axes) :])]
    outer += [
        f"(SELECT name FROM status WHERE code = 16 * {_digit('s', 1)} + {_digit('s', 2)}) AS status",
        f"CASE WHEN h IS NULL THEN seconds ELSE {_real('h')} END AS seconds",
        "(SELECT text FROM error WHERE error.cell = unpacked.cell) AS error",
    ]
    inner = ["first + n AS cell", "hex(substr(status, 1 + n, 1)) AS s", "seconds / count AS seconds",
             "CASE WHEN each IS NOT NULL THEN hex(substr(each, 1 + 8 * n, 8)) END AS h"]  # fmt: skip
    inner += [f"hex(substr(measured, 1 + 8 * ({width} * n + {j}), 8)) AS h{j}" for j in range(width)]
    # LIMIT keeps SQLite from merging the two queries, which would take every digit from the packed row anew
    return (
        f"CREATE VIEW cells AS SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} "
        "FROM chunk CROSS JOIN nth WHERE n < count LIMIT -1) AS unpacked"
    )


def _names(taken: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return quoted column names, distinct also where only the case differs: SQLite would not tell them apart."""
    seen, names = set(taken), []
    for name in wanted:
        free, number = name, 1
        while free.lower() in seen:
            number += 1
            free = f"{name}_{number}"
        seen.add(free.lower())
        names.append('"' + free.replace('"', '""') + '"')
    return names


def _digit(text: str, place: int) -> str:
    return f"instr('123456789ABCDEF', substr({text}, {place}, 1))"


def _real(text: str) -> str:
    """Return SQL for the float64 whose eight little-endian bytes are sixteen hexadecimal digits in `text`."""
    mantissa = [f"{16 ** (2 * byte + 1)} * {_digit(text, 2 * byte + 1)}" for byte in range(6)]
    mantissa += [f"{16 ** (2 * byte)} * {_digit(text, 2 * byte + 2)}" for byte in range(7)]
    exponent = f"({_digit(text, 15)} & 7) * 256 + {_digit(text, 16)} * 16 + {_digit(text, 13)}"
    sign = f"CASE WHEN substr({text}, 15, 1) < '8' THEN 1 ELSE -1 END"
    return (
        f"CASE {text} WHEN '000000000000F07F' THEN 9e999 WHEN '000000000000F0FF' THEN -9e999 ELSE "
        f"(SELECT (one + {' + '.join(mantissa)}) * ({sign} * scale) FROM power WHERE exponent = {exponent}) END"
    )
