"""Command line: one minute's allocation as JSON; stored minutes decided again.

python -m optimizer allocate < problem.json > answer.json
python -m optimizer replay decisions.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from optimizer.allocation import allocate
from optimizer.model import ApplianceDecision, ConnectorDecision, Decision
from optimizer.problem import ProblemError, allocation_json, parse_problem
from optimizer.replay import MinuteError, read_minutes, replay

DIFFERENT = 1
BAD_INPUT = 2
DESCRIPTION = """\
Choose, exactly, which relays close and how many amperes each charging station may take in one minute.

allocate reads a problem (JSON) from standard input and writes the answer (JSON) to standard output:
the choice of each load that maximises
    min(P, S) - draw_penalty * max(P - S, 0) - costs,   P = power of the loads, S = max(available_w, 0)
while on each phase of each circuit the currents of its loads and of all circuits below stay within
headroom_a. Bad input: exit code 2 and one line on standard error that names the field.

problem:
  {"available_w": 5200, "draw_penalty": 20,
   "circuits": [{"id": "main", "parent": null, "headroom_a": [40.0, 38.5, 41.0]}],
   "loads": [
     {"id": "boiler", "circuit": "main",
      "options": [{"id": "off", "power_w": 0, "current_a": [0, 0, 0], "cost_w": 0},
                  {"id": "on", "power_w": 1000, "current_a": [4.35, 0, 0], "cost_w": 150}]},
     {"id": "cp1/1", "circuit": "main",
      "modulation": {"min_a": 6, "max_a": 16, "step_a": 1, "phases": ["L1", "L2", "L3"],
                     "voltage_v": 230, "on_cost_w": 1000, "off_cost_w": 0}}]}
answer:
  {"feasible": true, "choices": {"boiler": "on", "cp1/1": 6}, "power_w": 5140, "utility_w": 3990,
   "method": "budget"}

replay reads minutes that a server has stored (the answer of GET /api/v1/sites/{site}/decisions; "-" =
standard input), decides each again from its inputs and compares. Exit code 0: all as stored, 1: some
differ, 2: bad input. --reasons prints what every load got and why.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.command == "replay":
            return _replay(options.file, options.reasons)
        print(json.dumps(allocation_json(allocate(parse_problem(json.loads(sys.stdin.buffer.read()))))))
        return 0
    except (ProblemError, MinuteError, OSError) as error:
        return _refuse(str(error))
    except (ValueError, RecursionError) as error:
        return _refuse(f"input: not JSON: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m optimizer",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("allocate", help="one minute's exact choice, JSON on standard input and output")
    again = commands.add_parser("replay", help="decide stored minutes again and compare")
    again.add_argument("file", help="stored minutes as JSON, - for standard input")
    again.add_argument("--reasons", action="store_true", help="print what every load got and why")
    return parser


def _replay(file: str, with_reasons: bool) -> int:
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    different = 0
    minutes = read_minutes(text)
    for minute in minutes:
        replayed = replay(minute)
        different += bool(replayed.differences)
        if replayed.differences or with_reasons:
            print(f"{replayed.decision.at.isoformat()} {'differs' if replayed.differences else 'as stored'}")
        if with_reasons:
            _print_reasons(replayed.decision)
        for difference in replayed.differences:
            print(f"  {difference}")
    print(f"minutes: {len(minutes)}, {len(minutes) - different} decided as stored, {different} differ")
    return DIFFERENT if different else 0


def _print_reasons(decision: Decision) -> None:
    loads: list[ApplianceDecision | ConnectorDecision] = [*decision.appliances, *decision.connectors]
    for load in loads:
        print(f"  {load.id}: {load.power_w:g} W, {load.reason.text}")


def _refuse(text: str) -> int:
    print(" ".join(text.split()), file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
