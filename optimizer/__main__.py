"""Command line: one minute's allocation as JSON.

python -m optimizer allocate < problem.json > answer.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from optimizer.allocation import allocate
from optimizer.problem import ProblemError, allocation_json, parse_problem

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
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m optimizer",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["allocate"])
    parser.parse_args(arguments)
    try:
        problem = parse_problem(json.loads(sys.stdin.buffer.read()))
    except ProblemError as error:
        return _refuse(str(error))
    except (ValueError, RecursionError) as error:
        return _refuse(f"input: not JSON: {error}")
    print(json.dumps(allocation_json(allocate(problem))))
    return 0


def _refuse(text: str) -> int:
    print(" ".join(text.split()), file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
