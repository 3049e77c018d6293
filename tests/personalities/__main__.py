"""Run every character through its story and print the table: python -m tests.personalities [NAME …]"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from time import monotonic

from simulation.personalities import stations, vehicles
from tests.personalities.story import Row, play


def main() -> int:
    catalogue = [*stations(), *vehicles()]
    names = sys.argv[1:] or catalogue
    if unknown := [name for name in names if name not in catalogue]:
        print(
            f"there is no character {unknown[0]!r}: one of {', '.join(catalogue)} expected", file=sys.stderr
        )
        return 2
    began_s = monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(play(names, Path(folder)))
    print(
        "| character | kWh of | recorded | writes (refused) | response s | rung | follows | excess s | end |"
    )
    print("|---" * 9 + "|")
    for row in rows:
        print(line(row))
    print(f"\n{len(rows)} characters, {monotonic() - began_s:.0f} s", file=sys.stderr)
    return 0


def line(row: Row) -> str:
    response = "–" if row.response_s is None else f"{row.response_s[0]:.0f}, at most {row.response_s[1]:.0f}"
    energy = f"{row.delivered_wh / 1000:.1f} of {row.needed_wh / 1000:.1f}"
    end = "stranded" if row.is_stranded else "charged" if row.gets_its_energy else "partly"
    end += "" if row.is_left_free else ", not free again"
    end += f", odd limits {sorted(set(row.odd_limits))}" if row.odd_limits else ""
    follows = f"{'yes' if row.follows else 'no'} ({row.followed:.0%})"
    recorded = f"{row.recorded_wh / 1000:.1f}"
    cells = [row.name, energy, recorded, f"{row.writes} ({row.refused})", response, row.rung, follows]
    return "| " + " | ".join([*cells, f"{row.excess_s:.0f}", end]) + " |"


if __name__ == "__main__":
    sys.exit(main())
