"""Id tags as a table for spreadsheets (CSV): written, and read again with its faults named by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from csms.domain.csv_table import FORMULA, csv_lines
from csms.domain.id_tag import IdTag
from csms.domain.normalise import parse_time
from csms.errors import InvalidInput

COLUMNS = (
    "id_tag",
    "name",
    "parent_id_tag",
    "blocked",
    "expires_at",
    "max_transactions",
    "charge_points",
    "min_a",
)
SEPARATOR = "|"  # between the identities of one cell
LONGEST_NAME = 200
LOWEST_MIN_A, HIGHEST_MIN_A = 6.0, 80.0
_FLAGS = {"": False, "false": False, "no": False, "0": False, "true": True, "yes": True, "1": True}


def write_table(rows: Iterable[Mapping[str, Any]]) -> str:
    return csv_lines([COLUMNS, *([_joined(row[column]) for column in COLUMNS] for row in rows)])


def _joined(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return SEPARATOR.join(value) or SEPARATOR  # an empty list is not the same as none: nowhere
    return value


def read_table(text: str) -> list[tuple[IdTag, str | None]]:
    """Id tags with their names. Columns come in any order and may be missing: then as for a new tag;
    a semicolon may stand for the comma, as in many spreadsheets.

    Raises:
        InvalidInput: naming line and column.
    """
    first = text.lstrip("\ufeff").partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        lines = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InvalidInput("body", text[:50], f"a CSV table ({error})") from None
    columns = [cell.strip().lower() for cell in lines[0]] if lines else []
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise InvalidInput("line 1", unknown[0], f"columns out of {', '.join(COLUMNS)}")
    if "id_tag" not in columns:
        raise InvalidInput("line 1", ",".join(columns), "a column id_tag")
    tags, seen = [], set()
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        tag, name = _read_line(number, columns, cells)
        if tag.id_tag.lower() in seen:
            raise InvalidInput(f"line {number}, id_tag", tag.id_tag, "each id tag once")
        seen.add(tag.id_tag.lower())
        tags.append((tag, name))
    return tags


def _read_line(number: int, columns: Sequence[str], cells: Sequence[str]) -> tuple[IdTag, str | None]:
    if len(cells) > len(columns):
        raise InvalidInput(f"line {number}", ",".join(cells), f"{len(columns)} columns")
    told = dict.fromkeys(columns, "")
    told |= {column: _plain(cell) for column, cell in zip(columns, cells, strict=False)}
    return read_tag(told, f"line {number}, ")


def read_tag(told: Mapping[str, str], where: str = "") -> tuple[IdTag, str | None]:
    """An id tag and its name from the cells of a line; one that is missing or empty is as for a new tag.

    where: put before the column's name in an error. Raises InvalidInput.
    """

    def refused(column: str, expected: str) -> InvalidInput:
        return InvalidInput(f"{where}{column}", told[column], expected)

    id_tag, parent, name = told["id_tag"], told.get("parent_id_tag") or None, told.get("name") or None
    if not 1 <= len(id_tag) <= 20:
        raise refused("id_tag", "1 to 20 characters")
    if parent is not None and len(parent) > 20:
        raise refused("parent_id_tag", "1 to 20 characters")
    if name is not None and len(name) > LONGEST_NAME:
        raise refused("name", f"up to {LONGEST_NAME} characters")
    blocked = _FLAGS.get(told.get("blocked", "").lower())
    if blocked is None:
        raise refused("blocked", "true or false")
    expires_at = parse_time(told["expires_at"]) if told.get("expires_at") else None
    if told.get("expires_at") and expires_at is None:
        raise refused("expires_at", "a time, e.g. 2026-06-01T00:00:00Z")
    limit = told.get("max_transactions") or None
    if limit is not None and not (limit.isascii() and limit.isdigit()):
        raise refused("max_transactions", "a whole number")
    min_a = told.get("min_a") or None
    if min_a is not None and not _is_current(min_a):
        raise refused("min_a", f"{LOWEST_MIN_A:g} to {HIGHEST_MIN_A:g} A")
    places = told.get("charge_points") or None
    tag = IdTag(
        id_tag,
        parent,
        blocked,
        expires_at,
        int(limit) if limit else None,
        tuple(p.strip() for p in places.split(SEPARATOR) if p.strip()) if places else None,
        float(min_a) if min_a else None,
    )
    return tag, name


def _is_current(text: str) -> bool:
    try:
        return LOWEST_MIN_A <= float(text) <= HIGHEST_MIN_A
    except ValueError:
        return False


def _plain(cell: str) -> str:
    """Without the quote that `write_table` has put in front of what looks like a formula."""
    is_quoted = len(cell) > 1 and cell[0] == "'" and cell[1] in FORMULA
    return (cell[1:] if is_quoted else cell).strip()
