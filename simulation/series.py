"""A person's own measurements: CSV tables with equal steps, checked value by value.

Every fault is one `InvalidInput` that names file, line and column, the value and what was expected.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from csms.errors import InvalidInput

SERIES_COLUMNS = ("timestamp_utc", "pv_w", "load_w")
PHASE_COLUMNS = ("load_l1_w", "load_l2_w", "load_l3_w")
LONGEST_STEP_S = 60.0
STANDBY_SHARE = 0.02  # a meter at night shows the inverter's own consumption, not a wrong sign


@dataclass(frozen=True, slots=True)
class Series:
    """What is not controlled, in equal steps. pv_w >= 0 is produced, load_w >= 0 consumed.

    load_phases_w: the same load on (L1, L2, L3), adding up to load_w. notes: what was put right, for people.
    """

    start_at: datetime
    step_s: float
    pv_w: list[float]
    load_w: list[float]
    load_phases_w: tuple[list[float], list[float], list[float]]
    notes: tuple[str, ...] = ()

    @property
    def end_at(self) -> datetime:
        return self.start_at + timedelta(seconds=self.step_s * len(self.pv_w))

    def cut(self, parts: int) -> Series:
        """Each step in so many equal ones with the same means."""
        if parts == 1:
            return self
        l1_w, l2_w, l3_w = (_repeated(column, parts) for column in self.load_phases_w)
        return replace(
            self,
            step_s=self.step_s / parts,
            pv_w=_repeated(self.pv_w, parts),
            load_w=_repeated(self.load_w, parts),
            load_phases_w=(l1_w, l2_w, l3_w),
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, by the contract's column names."""

    table: Table
    line: int
    cells: list[str]

    def has(self, column: str) -> bool:
        return bool(self.text(column)) if column in self.table.position else False

    def text(self, column: str) -> str:
        at = self.table.position[column]
        return self.cells[at].strip() if at < len(self.cells) else ""

    def number(self, column: str, expected: str = "a number") -> float:
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.fault(column, text, expected)
        return value

    def time(self, column: str) -> datetime:
        text = self.text(column)
        try:
            return as_utc(datetime.fromisoformat(text))
        except ValueError:
            raise self.fault(column, text, "a time such as 2016-06-01T12:00:00Z") from None

    def fault(self, column: str, value: object, expected: str) -> InvalidInput:
        name = self.table.columns.get(column, column)
        return InvalidInput(f"{self.table.path.name} line {self.line}, column {name}", value, expected)


@dataclass(frozen=True, slots=True)
class Table:
    """A .csv or .csv.gz file whose columns may have other names: columns = {contract name: header}."""

    path: Path
    columns: Mapping[str, str]
    required: tuple[str, ...]
    position: dict[str, int] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        """Read line by line.

        Raises:
            InvalidInput: the file cannot be read, or a required or mapped column is missing.
        """
        try:
            with self._open() as stream:
                header = stream.readline()
                delimiter = ";" if header.count(";") > header.count(",") else ","
                self._find_columns(
                    [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
                )
                reader = csv.reader(stream, delimiter=delimiter)
                for cells in reader:
                    if cells:
                        yield Row(self, reader.line_num + 1, cells)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            raise InvalidInput(str(self.path), str(error), "a readable CSV file, plain or .gz") from None

    def _open(self) -> TextIO:
        if self.path.suffix == ".gz":
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")
        return self.path.open(encoding="utf-8-sig", newline="")

    def _find_columns(self, header: list[str]) -> None:
        for name in (*self.required, *self.columns):
            wanted = self.columns.get(name, name)
            if wanted not in header:
                raise InvalidInput(
                    f"{self.path.name} line 1, column {wanted}",
                    ", ".join(header),
                    f"a column {wanted} (another name can be given with --column {name}=NAME)",
                )
        for at, header_name in enumerate(header):
            self.position.setdefault(header_name, at)
        self.position.update({name: header.index(wanted) for name, wanted in self.columns.items()})


def as_utc(time: datetime) -> datetime:
    """Times without an offset are UTC, as the columns' names say."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def read_series(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    pv_scale: float = 1.0,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Series:
    """Read the part from `start` up to but without `end`. Lines outside it need only a readable time.

    Raises:
        InvalidInput: with file, line and column.
    """
    known = (*SERIES_COLUMNS, *PHASE_COLUMNS)
    mapped = {name: header for name, header in (columns or {}).items() if name in known}
    table = Table(path, mapped, SERIES_COLUMNS)
    first, last = as_utc(start) if start else None, as_utc(end) if end else None
    grid = _Grid()
    values: dict[str, list[float]] = {"pv_w": [], "load_w": []}
    lines: list[int] = []
    seen: list[datetime] = []
    for row in table.rows():
        at = row.time("timestamp_utc")
        seen = [seen[0] if seen else at, at]
        if (first and at < first) or (last and at >= last):
            continue
        if not lines:
            values |= {name: [] for name in _phase_columns(row)}
        grid.accept(row, at)
        lines.append(row.line)
        for name, column in values.items():
            column.append(row.number(name))
    if len(lines) < 2:
        raise _nothing_selected(path, first, last, seen)
    return _series(table, grid, values, lines, pv_scale)


class _Grid:
    """Checks that each time follows the last by the same step."""

    def __init__(self) -> None:
        self.start_at: datetime | None = None
        self.step: timedelta | None = None
        self._last: datetime | None = None

    def accept(self, row: Row, at: datetime) -> None:
        if self._last is None:
            self.start_at = at
        elif self.step is None:
            self.step = at - self._last
            if not 0 < self.step.total_seconds() <= LONGEST_STEP_S:
                expected = f"a time at most {LONGEST_STEP_S:g} s after {_iso(self._last)}"
                raise row.fault("timestamp_utc", _iso(at), expected)
        elif at - self._last != self.step:
            expected = f"{_iso(self._last + self.step)} (equal steps of {self.step.total_seconds():g} s)"
            raise row.fault("timestamp_utc", _iso(at), expected)
        self._last = at


def _phase_columns(row: Row) -> tuple[str, ...]:
    present = [name for name in PHASE_COLUMNS if name in row.table.position]
    if present and len(present) < 3:
        missing = next(name for name in PHASE_COLUMNS if name not in present)
        raise row.fault(
            missing, "no such column", "all three of load_l1_w, load_l2_w, load_l3_w or none of them"
        )
    return tuple(present)


def _series(
    table: Table, grid: _Grid, values: dict[str, list[float]], lines: list[int], pv_scale: float
) -> Series:
    assert grid.start_at is not None  # two lines have been accepted
    assert grid.step is not None
    notes = [note for name in values if (note := _clear_standby(table, name, values[name], lines))]
    load_w = values["load_w"]
    if "load_l1_w" in values:
        phases = _scaled_phases(load_w, *(values[name] for name in PHASE_COLUMNS))
    else:
        third = [load / 3 for load in load_w]
        phases = (third, third, third)
        notes.append("The house load has no columns per phase: it is spread evenly over L1, L2 and L3.")
    pv_w = [pv * pv_scale for pv in values["pv_w"]]
    return Series(grid.start_at, grid.step.total_seconds(), pv_w, load_w, phases, tuple(notes))


def _clear_standby(table: Table, name: str, column: list[float], lines: list[int]) -> str | None:
    """Set small negative values to 0; a larger one is a wrong sign."""
    floor = -STANDBY_SHARE * max(max(column), 0.0)
    negative = [i for i, value in enumerate(column) if value < 0]
    for i in negative:
        if column[i] < floor:
            raise Row(table, lines[i], []).fault(
                name, column[i], "0 or more (production and load are positive)"
            )
        column[i] = 0.0
    if not negative:
        return None
    return f"{len(negative)} slightly negative values of {table.columns.get(name, name)} were counted as 0."


def _scaled_phases(
    load_w: list[float], l1_w: list[float], l2_w: list[float], l3_w: list[float]
) -> tuple[list[float], list[float], list[float]]:
    """Phase columns are shares of load_w: rounding in the file must not break the balance."""
    shares = [
        (load / total if (total := a + b + c) > 0 else 0.0)
        for load, a, b, c in zip(load_w, l1_w, l2_w, l3_w, strict=True)
    ]
    lost = [load / 3 if share == 0.0 else 0.0 for load, share in zip(load_w, shares, strict=True)]
    l1, l2, l3 = (
        [value * share + rest for value, share, rest in zip(column, shares, lost, strict=True)]
        for column in (l1_w, l2_w, l3_w)
    )
    return l1, l2, l3


def _nothing_selected(
    path: Path, first: datetime | None, last: datetime | None, seen: list[datetime]
) -> InvalidInput:
    if not seen:
        return InvalidInput(path.name, "no lines", "at least two lines below the header")
    chosen = f"{_iso(first) if first else 'the first line'} to {_iso(last) if last else 'the last line'}"
    return InvalidInput(f"{path.name} --from/--to", chosen, f"a part of {_iso(seen[0])} to {_iso(seen[1])}")


def _repeated(values: list[float], times: int) -> list[float]:
    return [value for value in values for _ in range(times)]


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
