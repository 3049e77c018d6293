"""`python -m optimizer`: what scripts in other languages see."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import pytest

CONTRACT: dict[str, Any] = {
    "available_w": 5200,
    "draw_penalty": 20,
    "circuits": [
        {"id": "main", "parent": None, "headroom_a": [40.0, 38.5, 41.0]},
        {"id": "garage", "parent": "main", "headroom_a": [63, 63, 63]},
    ],
    "loads": [
        {
            "id": "boiler",
            "circuit": "main",
            "options": [
                {"id": "off", "power_w": 0, "current_a": [0, 0, 0], "cost_w": 0},
                {"id": "on", "power_w": 1000, "current_a": [4.35, 0, 0], "cost_w": 150},
            ],
        },
        {
            "id": "cp1/1",
            "circuit": "garage",
            "modulation": {
                "min_a": 6,
                "max_a": 16,
                "step_a": 1,
                "phases": ["L1", "L2", "L3"],
                "voltage_v": 230,
                "on_cost_w": 1000,
                "off_cost_w": 0,
            },
        },
    ],
}


def run(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "optimizer", *(arguments or ("allocate",))]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def changed(path: str, value: Any) -> str:
    """The contract's example with one field replaced."""
    data = copy.deepcopy(CONTRACT)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    target: Any = data
    for key in parents:
        target = target[key]
    target[last] = value
    return json.dumps(data)


def test_the_contracts_example() -> None:
    result = run(json.dumps(CONTRACT))
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer.pop("method")
    assert answer == {
        "feasible": True,
        "choices": {"boiler": "on", "cp1/1": 6},
        "power_w": 5140,
        "utility_w": 3990,
    }
    assert '"cp1/1": 6,' in result.stdout or '"cp1/1": 6}' in result.stdout


def test_a_fraction_of_an_ampere_is_written_as_such() -> None:
    answer = json.loads(run(changed("loads.1.modulation.step_a", 0.1)).stdout)
    assert answer["choices"] == {"boiler": "off", "cp1/1": 7.5}


def test_locked_loads_over_the_fuse_are_an_answer_not_an_error() -> None:
    locked = changed("loads.0.options", [{"id": "on", "power_w": 9999, "current_a": [43.5, 0, 0]}])
    result = run(locked)
    assert result.returncode == 0
    assert json.loads(result.stdout)["feasible"] is False
    assert json.loads(result.stdout)["choices"] == {"boiler": "on", "cp1/1": 0}


BAD_INPUTS = {
    "unknown circuit": ("loads.0.circuit", "cellar", "loads[0].circuit"),
    "unknown parent": ("circuits.1.parent", "roof", "circuits[1].parent"),
    "cycle of parents": ("circuits.0.parent", "garage", "circuits[0].parent"),
    "NaN": ("available_w", float("nan"), "available_w"),
    "infinite headroom": ("circuits.0.headroom_a.1", float("inf"), "circuits[0].headroom_a[1]"),
    "a number beyond floats": ("available_w", 10**400, "available_w"),
    "text for a number": ("loads.0.options.1.power_w", "1000", "loads[0].options[1].power_w"),
    "true for a number": ("loads.0.options.1.cost_w", True, "loads[0].options[1].cost_w"),
    "negative step": ("loads.1.modulation.step_a", -1, "loads[1].modulation.step_a"),
    "no step": ("loads.1.modulation.step_a", 0, "loads[1].modulation.step_a"),
    "a million steps": ("loads.1.modulation.step_a", 1e-5, "loads[1].modulation.step_a"),
    "maximum below minimum": ("loads.1.modulation.max_a", 5, "loads[1].modulation.max_a"),
    "negative minimum": ("loads.1.modulation.min_a", -6, "loads[1].modulation.min_a"),
    "no voltage": ("loads.1.modulation.voltage_v", 0, "loads[1].modulation.voltage_v"),
    "a fourth phase": ("loads.1.modulation.phases", ["L4"], "loads[1].modulation.phases"),
    "a phase that is no text": ("loads.1.modulation.phases", [["L1"]], "loads[1].modulation.phases"),
    "a phase twice": ("loads.1.modulation.phases", ["L1", "L1"], "loads[1].modulation.phases"),
    "negative penalty": ("draw_penalty", -1, "draw_penalty"),
    "two loads of one id": ("loads.1.id", "boiler", "loads[1].id"),
    "two options of one id": ("loads.0.options.1.id", "off", "loads[0].options[1].id"),
    "two circuits of one id": ("circuits.1.id", "main", "circuits[1].id"),
    "two phases of headroom": ("circuits.0.headroom_a", [40, 40], "circuits[0].headroom_a"),
    "no options": ("loads.0.options", [], "loads[0].options"),
    "options and modulation": ("loads.0.modulation", {}, "loads[0]"),
    "a list for an object": ("loads.1.modulation", [], "loads[1].modulation"),
    "an id that is no text": ("loads.0.id", 7, "loads[0].id"),
    "loads that are no list": ("loads", {}, "loads"),
    "a parent that is no text": ("circuits.1.parent", 3, "circuits[1].parent"),
}


@pytest.mark.parametrize(("path", "value", "field"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_input_names_the_field(path: str, value: Any, field: str) -> None:
    result = run(changed(path, value))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{field}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("step_a", [1e-12, 1e-300])
def test_a_step_too_small_to_count_is_refused_even_where_there_is_none(step_a: float) -> None:
    data = json.loads(changed("loads.1.modulation.step_a", step_a))
    data["loads"][1]["modulation"] |= {"min_a": 6, "max_a": 6}
    result = run(json.dumps(data))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("loads[1].modulation.step_a: at least 1e-09 ")


def test_a_load_that_may_neither_run_nor_be_off_is_refused() -> None:
    """0.1 nA are no current."""
    data = json.loads(changed("loads.1.modulation.off_cost_w", None))
    data["loads"][1]["modulation"] |= {"min_a": 1e-10, "max_a": 1e-10}
    result = run(json.dumps(data))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("loads[1].modulation.max_a: ")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\u2603"])
def test_what_is_no_problem_at_all_is_refused_in_one_line(text: str) -> None:
    result = run(text)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("input: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("key", ["available_w", "draw_penalty", "circuits", "loads"])
def test_a_missing_field_is_named(key: str) -> None:
    data = {k: v for k, v in CONTRACT.items() if k != key}
    assert run(json.dumps(data)).stderr == f"{key}: missing\n"


def test_help_explains_the_command() -> None:
    result = run("", "--help")
    assert result.returncode == 0
    assert "headroom_a" in result.stdout
    assert "exit code 2" in result.stdout
