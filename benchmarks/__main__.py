"""Measure what the design aims at:

    python -m benchmarks [allocation] [value] [ocpp] [connections] [crash] [setpoints] [bus]

Without a name, all of them, about ten minutes on two cores. A missed target is shown in the table and
is no failure; the exit code is 1 only if something could not be measured.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from time import monotonic

from benchmarks import (
    allocation,
    bus,
    ocpp_connections,
    ocpp_crash,
    ocpp_throughput,
    setpoints,
    tuning,
    value,
)
from benchmarks.figures import Figure, show


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("part", nargs="*", help="default: all")
    options.add_argument("--quick", action="store_true", help="of value: the workplace and one house")
    options.add_argument("--turns", type=int, default=ocpp_throughput.TURNS, help="of ocpp")
    options.add_argument("--stations", type=int, default=ocpp_connections.STATIONS, help="of connections")
    options.add_argument("--kills", type=int, default=ocpp_crash.KILLS, help="of crash")
    options.add_argument("--problems", type=int, default=allocation.PROBLEMS, help="of allocation, random")
    given = options.parse_args()
    parts: dict[str, Callable[[], list[Figure]]] = {
        "allocation": lambda: allocation.run(given.problems),
        "value": lambda: value.run(given.quick),
        "ocpp": lambda: ocpp_throughput.run(given.turns),
        "connections": lambda: ocpp_connections.run(given.stations),
        "crash": lambda: ocpp_crash.run(given.kills),
        "setpoints": setpoints.run,
        "bus": bus.run,
    }
    on_request = {"tuning": tuning.run}
    if unknown := [name for name in given.part if name not in {**parts, **on_request}]:
        options.error(f"there is no part {unknown[0]!r}: {', '.join([*parts, *on_request])} expected")
    figures: list[Figure] = []
    failed = False
    for name in given.part or parts:
        print(f"--- {name}")
        began_s = monotonic()
        try:
            figures += {**parts, **on_request}[name]()
        except Exception:  # supervisor: the other parts are measured all the same
            traceback.print_exc()
            figures.append(Figure(f"{name} could not be measured", "", "", False))
            failed = True
        print(f"{monotonic() - began_s:.0f} s\n", flush=True)
    show(figures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
