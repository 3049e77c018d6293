"""What a benchmark found, beside what was aimed at: a row of the table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """met: None = there is no target."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None


def at_least(what: str, value: float, target: float, unit: str = "", digits: int = 1) -> Figure:
    return _compared(what, value, target, unit, digits, "≥", value >= target)


def at_most(what: str, value: float, target: float, unit: str = "", digits: int = 1) -> Figure:
    return _compared(what, value, target, unit, digits, "≤", value <= target)


def exactly(what: str, value: int, target: int = 0) -> Figure:
    return Figure(what, str(value), str(target), value == target)


def show(figures: Sequence[Figure]) -> None:
    table = Table("what", "measured", "target", "met", box=None)
    for figure in figures:
        met = {True: "yes", False: "NO", None: ""}[figure.met]
        table.add_row(figure.what, figure.measured, figure.target, met)
    Console(width=130, highlight=False).print(table)


def _compared(what: str, value: float, target: float, unit: str, digits: int, sign: str, met: bool) -> Figure:
    return Figure(what, f"{value:.{digits}f}{unit}", f"{sign} {target:g}{unit}", met)
