"""One minute's allocation problem and its answer: frozen records, and their JSON form.

The records trust their builder; `parse_problem` checks everything that comes from outside.
Source: docs, contract "python -m optimizer allocate".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optimizer.electrical import current_levels
from optimizer.model import PhaseTriple

PHASES = ("L1", "L2", "L3")
LARGEST_LOAD_NUMBER = 1e7
LARGEST_SITE_NUMBER = 1e12
LARGEST_LEVEL_COUNT = 10_000
SMALLEST_STEP_A = 1e-9
LONGEST_QUOTE = 40


class ProblemError(ValueError):
    """The input is not a problem. field: where, e.g. "loads[1].modulation.step_a"."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


@dataclass(frozen=True, slots=True)
class CircuitHeadroom:
    """A fuse. headroom_a [A]: what the loads of the problem may draw on each phase, here and below."""

    id: str
    parent: str | None
    headroom_a: PhaseTriple


@dataclass(frozen=True, slots=True)
class Option:
    """One thing a switched load can do. cost_w: what choosing it must be worth [W]."""

    id: str
    power_w: float
    current_a: PhaseTriple
    cost_w: float = 0.0


@dataclass(frozen=True, slots=True)
class SwitchedLoad:
    """Exactly one option is chosen; a load with a single option is locked."""

    id: str
    circuit: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class ModulatedLoad:
    """Draws 0 or min_a, min_a + step_a, … up to max_a on each of its phases (indices 0..2).

    on_cost_w counts at any current above 0, off_cost_w at 0; None: may not be switched off.
    """

    id: str
    circuit: str
    min_a: float
    max_a: float
    step_a: float
    phases: tuple[int, ...]
    voltage_v: float
    on_cost_w: float
    off_cost_w: float | None


@dataclass(frozen=True, slots=True)
class AllocationProblem:
    """available_w: the surplus if every listed load were off; may be negative.

    draw_penalty: W of sun that 1 W drawn beyond the surplus must be worth.
    """

    available_w: float
    draw_penalty: float
    circuits: tuple[CircuitHeadroom, ...]
    loads: tuple[SwitchedLoad | ModulatedLoad, ...]


@dataclass(frozen=True, slots=True)
class Allocation:
    """choices: load id -> option id, or current in A (0 = off). method: the path that found it.

    feasible: False if no choice satisfies the circuits; the answer then exceeds them least.
    """

    feasible: bool
    choices: dict[str, str | float]
    power_w: float
    utility_w: float
    method: str


def parse_problem(data: Any) -> AllocationProblem:
    """Read the JSON form.

    Raises:
        ProblemError: names the first field that is missing, malformed or contradictory.
    """
    root = _object(data, "input")
    circuits = tuple(
        _parse_circuit(item, f"circuits[{i}]") for i, item in enumerate(_list(root, "circuits", ""))
    )
    _check_circuits(circuits)
    known = {c.id for c in circuits}
    loads = tuple(_parse_load(item, f"loads[{i}]", known) for i, item in enumerate(_list(root, "loads", "")))
    _check_unique((load.id for load in loads), "loads[{}].id")
    return AllocationProblem(
        available_w=_number(root, "available_w", "", limit=LARGEST_SITE_NUMBER),
        draw_penalty=_number(root, "draw_penalty", "", at_least=0),
        circuits=circuits,
        loads=loads,
    )


def allocation_json(allocation: Allocation) -> dict[str, Any]:
    """The contract's answer; whole amperes and watts are written as integers."""
    return {
        "feasible": allocation.feasible,
        "choices": {k: v if isinstance(v, str) else _plain(v) for k, v in allocation.choices.items()},
        "power_w": _plain(allocation.power_w),
        "utility_w": _plain(allocation.utility_w),
        "method": allocation.method,
    }


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _parse_circuit(data: Any, path: str) -> CircuitHeadroom:
    circuit = _object(data, path)
    parent = circuit.get("parent")
    if parent is not None and not isinstance(parent, str):
        raise ProblemError(f"{path}.parent", "a circuit's id or null expected")
    headroom_a = _triple(circuit, "headroom_a", path, limit=LARGEST_SITE_NUMBER)
    return CircuitHeadroom(_text(circuit, "id", path), parent, headroom_a)


def _check_circuits(circuits: tuple[CircuitHeadroom, ...]) -> None:
    _check_unique((c.id for c in circuits), "circuits[{}].id")
    parents = {c.id: c.parent for c in circuits}
    for i, circuit in enumerate(circuits):
        seen: set[str] = set()
        above: str | None = circuit.id
        while above is not None:
            if above in seen:
                raise ProblemError(f"circuits[{i}].parent", f"{circuit.parent!r} makes a cycle of parents")
            seen.add(above)
            above = parents[above]
            if above is not None and above not in parents:
                raise ProblemError(f"circuits[{i}].parent", f"circuit {above!r} does not exist")


def _parse_load(data: Any, path: str, circuits: set[str]) -> SwitchedLoad | ModulatedLoad:
    load = _object(data, path)
    id, circuit = _text(load, "id", path), _text(load, "circuit", path)
    if circuit not in circuits:
        raise ProblemError(f"{path}.circuit", f"circuit {circuit!r} does not exist")
    if ("options" in load) == ("modulation" in load):
        raise ProblemError(path, "either options or modulation expected")
    if "modulation" in load:
        return _parse_modulation(load["modulation"], f"{path}.modulation", id, circuit)
    items = _list(load, "options", path)
    if not items:
        raise ProblemError(f"{path}.options", "at least one option expected")
    options = tuple(_parse_option(item, f"{path}.options[{i}]") for i, item in enumerate(items))
    _check_unique((o.id for o in options), path + ".options[{}].id")
    return SwitchedLoad(id, circuit, options)


def _parse_option(data: Any, path: str) -> Option:
    option = _object(data, path)
    return Option(
        id=_text(option, "id", path),
        power_w=_number(option, "power_w", path),
        current_a=_triple(option, "current_a", path),
        cost_w=_number(option, "cost_w", path) if "cost_w" in option else 0.0,
    )


def _parse_modulation(data: Any, path: str, id: str, circuit: str) -> ModulatedLoad:
    modulation = _object(data, path)
    min_a = _number(modulation, "min_a", path, at_least=0)
    max_a = _number(modulation, "max_a", path, at_least=min_a)
    step_a = _number(modulation, "step_a", path)
    if step_a < SMALLEST_STEP_A or (max_a - min_a) / step_a > LARGEST_LEVEL_COUNT:
        raise ProblemError(
            f"{path}.step_a",
            f"at least {SMALLEST_STEP_A:g} and at most {LARGEST_LEVEL_COUNT} steps expected, not {step_a:g}",
        )
    off_cost_w = None
    if modulation.get("off_cost_w", 0) is not None:
        off_cost_w = _number(modulation, "off_cost_w", path) if "off_cost_w" in modulation else 0.0
    if off_cost_w is None and not current_levels(min_a, max_a, step_a):
        raise ProblemError(f"{path}.max_a", "a current above 0 expected where off_cost_w is null")
    voltage_v = _number(modulation, "voltage_v", path)
    if voltage_v <= 0:
        raise ProblemError(f"{path}.voltage_v", f"above 0 expected, not {voltage_v:g}")
    on_cost_w = _number(modulation, "on_cost_w", path) if "on_cost_w" in modulation else 0.0
    phases = _phases(modulation, path)
    return ModulatedLoad(id, circuit, min_a, max_a, step_a, phases, voltage_v, on_cost_w, off_cost_w)


def _phases(modulation: dict[str, Any], path: str) -> tuple[int, ...]:
    names = _list(modulation, "phases", path)
    if not names or any(n not in PHASES for n in names) or len(set(names)) != len(names):
        raise ProblemError(f"{path}.phases", 'different phases out of "L1", "L2", "L3" expected')
    return tuple(PHASES.index(n) for n in names)


def _check_unique(ids: Iterator[str], path: str) -> None:
    seen: set[str] = set()
    for i, id in enumerate(ids):
        if id in seen:
            raise ProblemError(path.format(i), f"{id!r} is used twice")
        seen.add(id)


def _object(data: Any, path: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ProblemError(path, "an object expected")
    return data


def _field(parent: dict[str, Any], key: str, path: str) -> tuple[Any, str]:
    field = f"{path}.{key}" if path else key
    if key not in parent:
        raise ProblemError(field, "missing")
    return parent[key], field


def _list(parent: dict[str, Any], key: str, path: str) -> list[Any]:
    value, field = _field(parent, key, path)
    if not isinstance(value, list):
        raise ProblemError(field, "a list expected")
    return value


def _text(parent: dict[str, Any], key: str, path: str) -> str:
    value, field = _field(parent, key, path)
    if not isinstance(value, str) or not value:
        raise ProblemError(field, "a non-empty text expected")
    return value


def _number(
    parent: dict[str, Any],
    key: str,
    path: str,
    *,
    at_least: float = -math.inf,
    limit: float = LARGEST_LOAD_NUMBER,
) -> float:
    value, field = _field(parent, key, path)
    return _checked_number(value, field, at_least, limit)


def _triple(parent: dict[str, Any], key: str, path: str, limit: float = LARGEST_LOAD_NUMBER) -> PhaseTriple:
    value, field = _field(parent, key, path)
    if not isinstance(value, list) or len(value) != 3:
        raise ProblemError(field, "three numbers (L1, L2, L3) expected")
    l1, l2, l3 = (_checked_number(v, f"{field}[{i}]", -math.inf, limit) for i, v in enumerate(value))
    return (l1, l2, l3)


def _checked_number(value: Any, field: str, at_least: float, limit: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProblemError(field, f"a number expected, not {_shortened(value)}")
    if value != value or abs(value) > limit:
        raise ProblemError(field, f"a finite number up to {limit:g} expected, not {_shortened(value)}")
    if value < at_least:
        raise ProblemError(field, f"at least {at_least:g} expected, not {value:g}")
    return float(value)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"
