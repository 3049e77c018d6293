"""Transactions as a table for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from csms.domain.csv_table import csv_lines

COLUMNS = (
    "id",
    "identity",
    "connector_id",
    "id_tag",
    "started_at",
    "stopped_at",
    "energy_wh",
    "meter_start_wh",
    "meter_stop_wh",
    "stop_reason",
    "close_note",
)
HEAD = csv_lines([COLUMNS])


def table_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Without the head."""
    return csv_lines([row[column] for column in COLUMNS] for row in rows)
