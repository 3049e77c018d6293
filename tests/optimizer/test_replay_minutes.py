"""A minute that somebody asks about can be decided again on another machine, from what was stored."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from closed_loop import Car, House, connector, heater, site

from optimizer import PowerReading, Readings, decide
from optimizer.__main__ import main
from optimizer.memory import decision_to_dict, inputs_to_dict


def stored_day(minutes: int = 5) -> list[dict[str, Any]]:
    """Newest first, as the API answers."""
    house = House(site(heater("boiler"), connector()), {"CP1/1": Car()})
    stored = []
    for w in range(minutes):
        reading = PowerReading(house.controlled_w() - 1500.25 * w, house.grid_a(), house.now)
        inputs = (house.site, Readings(reading), house.demands(), house.memory, house.now)
        decision, _ = decide(*inputs)
        stored.insert(0, {"inputs": inputs_to_dict(*inputs), "outcome": decision_to_dict(decision)})
        house.minute(1500 * w)
    return stored


def written(tmp_path: Path, data: Any) -> str:
    file = tmp_path / "decisions.json"
    file.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return str(file)


def test_a_stored_day_is_decided_as_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", written(tmp_path, stored_day())]) == 0
    assert capsys.readouterr().out == "minutes: 5, 5 decided as stored, 0 differ\n"


@pytest.mark.parametrize("as_lines", [True, False])
def test_one_minute_or_one_on_each_line(
    tmp_path: Path, as_lines: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    day = stored_day(3)
    text = "\n".join(json.dumps(m) for m in day) if as_lines else json.dumps(day[0])
    assert main(["replay", written(tmp_path, text)]) == 0
    assert capsys.readouterr().out.startswith("minutes: 3," if as_lines else "minutes: 1,")


def test_what_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = stored_day()
    day[0]["outcome"]["connectors"][0]["limit_a"] = 31
    assert main(["replay", written(tmp_path, day)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(" differs")
    assert lines[1].startswith("  outcome.connectors[CP1/1].limit_a: stored 31, now ")
    assert lines[2] == "minutes: 5, 4 decided as stored, 1 differ"


def test_every_load_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(stored_day(1))))
    assert main(["replay", "--reasons", "-"]) == 0
    said = capsys.readouterr().out
    assert "  boiler: 0 W, " in said
    assert "  CP1/1: 0 W, " in said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "input: not JSON"),
        ([1], "[0].inputs: an object expected"),
        ([{"inputs": {}}], "[0].outcome: an object expected"),
        ([{"inputs": {"site": 3}, "outcome": {}}], "inputs: not what a minute was given"),
    ],
)
def test_what_is_no_stored_minute_is_refused_in_one_line(
    tmp_path: Path, data: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", written(tmp_path, data)]) == 2
    answer = capsys.readouterr()
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
