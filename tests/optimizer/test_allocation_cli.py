"""`python -m optimizer`: what scripts in other languages see."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from optimizer.__main__ import main

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
    """In a process of its own, as scripts do."""
    command = [sys.executable, "-m", "optimizer", *(arguments or ("allocate",))]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


Allocate = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def allocate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Allocate:
    """What that process does, in this one: its exit code, what it prints, and what it prints as an error."""

    def allocate(text: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return (main(["allocate"]), *capsys.readouterr())

    return allocate


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


def test_a_refusal_is_an_exit_code_and_a_line() -> None:
    result = run(changed("loads.0.circuit", "cellar"))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("loads[0].circuit: ")
    assert result.stderr.count("\n") == 1


def test_a_fraction_of_an_ampere_is_written_as_such(allocate: Allocate) -> None:
    _, answer, _ = allocate(changed("loads.1.modulation.step_a", 0.1))
    assert json.loads(answer)["choices"] == {"boiler": "off", "cp1/1": 7.5}


def test_locked_loads_over_the_fuse_are_an_answer_not_an_error(allocate: Allocate) -> None:
    locked = changed("loads.0.options", [{"id": "on", "power_w": 9999, "current_a": [43.5, 0, 0]}])
    code, answer, _ = allocate(locked)
    assert code == 0
    assert json.loads(answer)["feasible"] is False
    assert json.loads(answer)["choices"] == {"boiler": "on", "cp1/1": 0}


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
def test_bad_input_names_the_field(allocate: Allocate, path: str, value: Any, field: str) -> None:
    code, answer, line = allocate(changed(path, value))
    assert (code, answer) == (2, "")
    assert line.startswith(f"{field}: ")
    assert line.count("\n") == 1


@pytest.mark.parametrize("step_a", [1e-12, 1e-300])
def test_a_step_too_small_to_count_is_refused_even_where_there_is_none(
    allocate: Allocate, step_a: float
) -> None:
    data = json.loads(changed("loads.1.modulation.step_a", step_a))
    data["loads"][1]["modulation"] |= {"min_a": 6, "max_a": 6}
    code, answer, line = allocate(json.dumps(data))
    assert (code, answer) == (2, "")
    assert line.startswith("loads[1].modulation.step_a: at least 1e-09 ")


def test_a_load_that_may_neither_run_nor_be_off_is_refused(allocate: Allocate) -> None:
    """0.1 nA are no current."""
    data = json.loads(changed("loads.1.modulation.off_cost_w", None))
    data["loads"][1]["modulation"] |= {"min_a": 1e-10, "max_a": 1e-10}
    code, answer, line = allocate(json.dumps(data))
    assert (code, answer) == (2, "")
    assert line.startswith("loads[1].modulation.max_a: ")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\u2603"])
def test_what_is_no_problem_at_all_is_refused_in_one_line(allocate: Allocate, text: str) -> None:
    code, answer, line = allocate(text)
    assert (code, answer) == (2, "")
    assert line.startswith("input: ")
    assert line.count("\n") == 1


@pytest.mark.parametrize("key", ["available_w", "draw_penalty", "circuits", "loads"])
def test_a_missing_field_is_named(allocate: Allocate, key: str) -> None:
    data = {k: v for k, v in CONTRACT.items() if k != key}
    assert allocate(json.dumps(data)) == (2, "", f"{key}: missing\n")


def test_help_explains_the_command() -> None:
    result = run("", "--help")
    assert result.returncode == 0
    assert "headroom_a" in result.stdout
    assert "exit code 2" in result.stdout
