"""Today's sums and the day's chart, also on the days with 23 and 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from csms.services.reporting import Reporting
from csms.storage.database import Database
from csms.web.today import Days, chart_options, local_midnight, sun_today
from tests.empty_database import migrated

ZURICH = "Europe/Zurich"


def test_sums_of_a_sunny_hour_and_a_dark_one() -> None:
    sunny = {"pv_w": -6000.0, "grid_w": -1500.0, "controlled_w": 4000.0}
    dark = {"pv_w": 0.0, "grid_w": 500.0, "controlled_w": 0.0}
    sums = sun_today([sunny] * 60 + [dark] * 60, 60)
    assert (sums.produced_wh, sums.used_wh, sums.exported_wh) == pytest.approx((6000, 4500, 1500))
    assert (sums.imported_wh, sums.loads_wh) == pytest.approx((500, 4000))
    assert (sums.used_share, sums.own_share) == pytest.approx((0.75, 0.9))


def test_a_night_has_no_shares_and_a_gap_counts_for_nothing() -> None:
    assert sun_today([], 60).used_share is None
    assert sun_today([{"pv_w": -600.0, "grid_w": None, "controlled_w": None}], 60).produced_wh == 0


@pytest.mark.parametrize(
    ("now", "hours", "midnight"),
    [
        (datetime(2026, 6, 1, 12, tzinfo=UTC), 24, datetime(2026, 5, 31, 22, tzinfo=UTC)),
        (datetime(2026, 3, 29, 12, tzinfo=UTC), 23, datetime(2026, 3, 28, 23, tzinfo=UTC)),
        (datetime(2026, 10, 25, 12, tzinfo=UTC), 25, datetime(2026, 10, 24, 22, tzinfo=UTC)),
    ],
)
async def test_the_day_is_the_sites_own(
    tmp_path: Path, now: datetime, hours: int, midnight: datetime
) -> None:
    database = Database(migrated(f"sqlite+aiosqlite:///{tmp_path / 'csms.db'}"))
    await database.start()
    reporting = Reporting(database)
    powers = {"pv_w": -3000.0, "grid_w": -1000.0, "house_w": 500.0, "controlled_w": 1500.0, "loads_w": {}}
    for minute in range(60):
        await reporting.record_minute("home", now - timedelta(minutes=60 - minute), powers, {}, {}, {})
    day = await Days(reporting).today("home", ZURICH, now)
    await database.stop()

    assert local_midnight(now, ZURICH) == midnight
    assert len(day.slots) == hours * 12
    assert day.sun.produced_wh == pytest.approx(3000)
    options = chart_options(day, ZURICH)
    sun = next(series for series in options["series"] if series["name"] == "Sun")
    shown = [(options["xAxis"]["data"][n], kw) for n, kw in enumerate(sun["data"]) if kw is not None]
    local_hour = (now - timedelta(hours=1)).astimezone(local_midnight(now, ZURICH).tzinfo)
    assert shown[0] == (f"{local_hour:%H:%M}", 3.0)
    assert len(shown) == 12
