"""What badges and the past mean for the minute's decision."""

from __future__ import annotations

from pathlib import Path

from running_site import RunningSite, car, running, site, station

from csms.domain.id_tag import IdTag
from csms.domain.normalise import normalise
from optimizer.model import ConnectorState

ONE_PHASE = station(phases=["L1"], safe_a=0)


async def test_a_vehicle_that_needs_ten_amperes_is_offered_ten_or_nothing(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        await home.app.accounts.save_id_tag(IdTag("ZOE", min_a=10))
        home.sun_w = 2000  # eight amperes: enough for most
        await home.arrive(vehicle=car(phases=1), id_tag="zoe")
        await home.minute(8)
        assert set(home.limits_seen["CP1"]) == {0}
        home.sun_w = 2450
        await home.minute(8)
        assert home.limits_seen["CP1"][-1] == 10


async def test_a_badge_does_not_ask_for_more_than_the_connector_gives(folder: Path) -> None:
    weak = station(phases=["L1"], safe_a=0, max_a=8)
    async with running(site(charge_points=[weak]), folder) as home:
        await home.app.accounts.save_id_tag(IdTag("ZOE", min_a=10))
        home.sun_w = 2450
        await home.arrive(vehicle=car(phases=1), id_tag="ZOE")
        await home.minute(8)
        assert home.limits_seen["CP1"][-1] == 8


async def told(home: RunningSite, action: str, payload: dict[str, object]) -> dict[str, object]:
    now = home.clock.now()
    return await home.app.messages.handle("CP1", action, normalise(action, payload, now)[0], now)


async def test_a_charge_of_yesterday_is_recorded_and_asks_for_nothing(folder: Path) -> None:
    async with running(site(charge_points=[ONE_PHASE]), folder) as home:
        home.sun_w = 5000
        yesterday = {"connectorId": 1, "idTag": "A", "meterStart": 100, "timestamp": "2026-06-20T10:00:00Z"}
        begun = await told(home, "StartTransaction", yesterday)
        await home.minute()
        demand = home.control._demands(home.clock.now()).connectors["CP1/1"]
        assert (demand.state, demand.session) == (ConnectorState.FREE, None)
        ended = {
            "transactionId": begun["transactionId"],
            "meterStop": 4100,
            "timestamp": "2026-06-20T12:00:00Z",
        }
        await told(home, "StopTransaction", ended)
        await home.minute()
        (row,) = await home.app.reporting.transactions()
        assert row["energy_wh"] == 4000
