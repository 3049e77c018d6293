"""Run every character through its story and print the tables of docs/stations.md:

python -m tests.personalities [NAME …]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from time import monotonic

import structlog

from simulation.personalities import stations, vehicles
from tests.personalities.coping import COPING
from tests.personalities.story import Row, play

HEAD = (
    "what it does",
    "how Helianthus copes",
    "kWh of",
    "writes (refused)",
    "s to follow",
    "way",
    "follows",
    "end",
)
ERROR = 40


def main() -> int:
    names = sys.argv[1:] or [*stations(), *vehicles()]
    if unknown := [name for name in names if name not in COPING]:
        print(f"there is no character {unknown[0]!r}: one of {', '.join(COPING)} expected", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(ERROR))
    began_s = monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = {row.name: row for row in asyncio.run(play(names, Path(folder)))}
    for title, catalogue in (("station", stations()), ("vehicle", vehicles())):
        told = {name: rows[name] for name in catalogue if name in rows}
        if told:
            print(f"\n| {title} | {' | '.join(HEAD)} |\n{'|---' * (len(HEAD) + 1)}|")
        for name, row in told.items():
            print(f"| {name} | {catalogue[name].does} | {COPING[name]} | {' | '.join(_figures(row))} |")
    print(f"\n{len(rows)} characters, {monotonic() - began_s:.0f} s", file=sys.stderr)
    return 0


def _figures(row: Row) -> list[str]:
    response = "–" if row.response_s is None else f"{row.response_s[0]:.0f}, at most {row.response_s[1]:.0f}"
    energy = f"{row.delivered_wh / 1000:.1f} of {row.needed_wh / 1000:.1f}"
    energy += "" if row.is_recorded_right else f" ({row.recorded_wh / 1000:.1f} recorded)"
    follows = "yes" if row.follows else f"no ({row.followed:.0%})"
    return [energy, f"{row.writes} ({row.refused})", response, row.rung, follows, _end(row)]


def _end(row: Row) -> str:
    end = "stranded" if row.is_stranded else "charged" if row.gets_its_energy else "in part"
    end += "" if row.is_left_free else ", not free again"
    end += f", fuse exceeded for {row.excess_s:.0f} s" if row.excess_s else ""
    return end + (f", odd limits {sorted(set(row.odd_limits))}" if row.odd_limits else "")


if __name__ == "__main__":
    sys.exit(main())
