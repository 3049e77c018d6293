"""Minutes, decisions and transactions read back."""

from __future__ import annotations

from asyncio import gather
from datetime import datetime, timedelta
from typing import Any

import pytest
from central_backend import NOON, Backend, later, start, stop

from csms.services.reporting import Reporting


async def record(reporting: Reporting, minute: int, grid_w: float | None, **loads_w: float) -> None:
    powers = {
        "grid_w": grid_w,
        "pv_w": -1000.0 * minute,
        "battery_w": None,
        "house_w": 500.0,
        "controlled_w": sum(loads_w.values()),
        "loads_w": loads_w,
    }
    outcome = {"surplus_w": -(grid_w or 0), "available_w": 1.0, "method": "exact", "n": minute}
    await reporting.record_minute(
        "home", later(minutes=minute), powers, {"grid": grid_w}, outcome, {"n": minute}
    )


async def test_history_is_means_of_the_minutes_that_were_measured(backend: Backend) -> None:
    for minute, grid_w in enumerate([100.0, 300.0, None, 500.0, 700.0]):
        await record(backend.reporting, minute, grid_w, boiler=1000.0 * (minute % 2))
    await record(backend.reporting, 7, 900.0, pump=50.0)
    steps = await backend.reporting.history("home", NOON, later(minutes=8), 180)
    assert [(step["at"], step["grid_w"], step["pv_w"]) for step in steps] == [
        (NOON, 200.0, -1000.0),
        (later(minutes=3), 600.0, -3500.0),
        (later(minutes=6), 900.0, -7000.0),
    ]
    assert steps[0]["loads_w"] == {"boiler": pytest.approx(1000 / 3)}
    assert steps[2]["loads_w"] == {"pump": 50.0}
    assert steps[0]["battery_w"] is None
    assert await backend.reporting.history("home", later(minutes=8), later(minutes=60), 60) == []
    assert await backend.reporting.history("cabin", NOON, later(minutes=60), 60) == []


@pytest.mark.parametrize("step_s", [60, 900, 1800, 3600, 86_400])
async def test_steps_read_from_quarters_or_hours_equal_the_means_of_the_minutes(
    backend: Backend, step_s: int
) -> None:
    """The last quarter has begun only, one minute is missing and one recorded twice."""
    minutes = {minute: float(minute**2 % 971) for minute in range(200) if minute != 37}
    await gather(*(record(backend.reporting, m, grid_w, boiler=grid_w / 2) for m, grid_w in minutes.items()))
    await record(backend.reporting, 5, 4000.0, boiler=2000.0)
    minutes[5] = 4000.0
    steps = await backend.reporting.history("home", NOON, later(days=1), step_s)
    expected: dict[int, list[float]] = {}
    for minute, grid_w in minutes.items():
        expected.setdefault(minute * 60 // step_s, []).append(grid_w)
    assert [step["at"] for step in steps] == [NOON + timedelta(seconds=n * step_s) for n in expected]
    for step, known in zip(steps, expected.values(), strict=True):
        mean = sum(known) / len(known)
        assert step["grid_w"] == pytest.approx(mean)
        assert step["loads_w"] == {"boiler": pytest.approx(mean / 2)}


async def test_steps_begin_where_the_period_begins(backend: Backend) -> None:
    for minute in range(10):
        await record(backend.reporting, minute, float(minute))
    steps = await backend.reporting.history("home", later(minutes=1), later(minutes=9), 240)
    assert [(step["at"], step["grid_w"]) for step in steps] == [
        (later(minutes=1), 2.5),
        (later(minutes=5), 6.5),
    ]


@pytest.mark.parametrize(
    ("begin", "step_s", "first"),
    [
        (later(minutes=17), 900, later(minutes=15)),
        (later(minutes=17), 3600, NOON),
        (later(minutes=15), 3600, later(minutes=15)),
        (later(minutes=17), 60, later(minutes=17)),
    ],
)
async def test_long_steps_begin_at_a_whole_quarter_or_hour(
    backend: Backend, begin: datetime, step_s: int, first: datetime
) -> None:
    await gather(*(record(backend.reporting, minute, 100.0) for minute in range(90)))
    steps = await backend.reporting.history("home", begin, later(minutes=80), step_s)
    assert steps[0]["at"] == first
    assert {step["grid_w"] for step in steps} == {100.0}


async def test_decisions_are_read_newest_first_and_memory_survives_a_restart(backend: Backend) -> None:
    assert await backend.reporting.load_memory("home") is None
    for minute in range(5):
        await record(backend.reporting, minute, 100.0 * minute)
    await backend.restart()
    newest = await backend.reporting.decisions("home", later(minutes=1), later(minutes=4), 2)
    assert [(row["at"], row["outcome"]["n"]) for row in newest] == [
        (later(minutes=3), 3),
        (later(minutes=2), 2),
    ]
    assert newest[0]["inputs"] == {"grid": 300.0}
    assert newest[0]["surplus_w"] == -300.0
    assert await backend.reporting.load_memory("home") == (later(minutes=4), {"n": 4})


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"limit": 2}, [5, 4]),
        ({"limit": 2, "before_id": 4}, [3, 2]),
        ({"identity": "CP2"}, [4, 2]),
        ({"connector_id": 2}, [5]),
        ({"id_tag": "berta"}, [4, 2]),
        ({"start": later(hours=2)}, [5, 4, 3]),
        ({"end": later(hours=2)}, [2, 1]),
        ({"open_only": True}, [5, 4]),
    ],
)
async def test_transactions_are_found(backend: Backend, filters: dict[str, Any], found: list[int]) -> None:
    for n, (identity, tag, connector_id) in enumerate(
        [("CP1", "Anna", 1), ("CP2", "Berta", 1), ("CP1", "Anna", 1), ("CP2", "Berta", 1), ("CP1", "Carl", 2)]
    ):
        at = later(hours=n)
        begun = await backend.say(
            "StartTransaction", start(at, 1000 * n, tag, connector_id), at, identity=identity
        )
        if n < 3:
            await backend.say(
                "StopTransaction",
                stop(begun["transactionId"], at + timedelta(minutes=30), 1000 * n + 250),
                identity=identity,
            )
    rows = await backend.reporting.transactions(**filters)
    assert [row["id"] for row in rows] == found
    assert all(row["energy_kwh"] == (0.25 if row["id"] <= 3 else 0) for row in rows)


async def test_a_load_is_found_whatever_its_name_and_however_late_it_came(backend: Backend) -> None:
    loads = [{"RDAM 123/1": 1000.0}] * 10 + [{"boiler.2": 500.0, "RDAM 123/1": 0.0}] * 60
    await gather(*(record(backend.reporting, minute, 0.0, **of) for minute, of in enumerate(loads)))
    steps = await backend.reporting.history("home", later(minutes=5), later(minutes=70), 300)
    assert steps[0]["loads_w"] == {"RDAM 123/1": 1000.0}
    assert steps[-1]["loads_w"] == {"RDAM 123/1": 0.0, "boiler.2": 500.0}
    by_hours = await backend.reporting.history("home", NOON, later(minutes=70), 3600)
    assert [set(step["loads_w"]) for step in by_hours] == [{"RDAM 123/1", "boiler.2"}] * 2
