"""A person at the page: sees it live, switches modes, on a phone and on a laptop, without the internet."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import expect
from served_page import BOILER, CAR, METER, PASSWORD, PHONE, ServedPage, Visit

from csms.domain.profile_ladder import FIRST
from csms.domain.snapshot import DeviceSnapshot, NeedSnapshot
from tests.services_on_file import NOON

pytestmark = pytest.mark.xdist_group("page")

HOT_BY_SIX = NeedSnapshot("4.2 of 6 kWh until 18:00", NOON, "kWh", 6, 4.2, 0, False)
READY_BY_SEVEN = NeedSnapshot("7.3 of 20 kWh until 07:00", NOON, "kWh", 20, 7.34, 0, True)


def test_the_page_shows_what_is_decided_and_changes_with_it(visit: Visit, served: ServedPage) -> None:
    page = visit()
    expect(page).to_have_title("Sonnenweg 4 · Helianthus")
    expect(page.locator('[data-value="sun"]')).to_have_text("7.42")
    expect(page.locator(".headline")).to_have_text("The sun covers everything, 0.64 kW is left over.")
    garage = page.locator('[data-load="CP1/1"]')
    expect(garage).to_contain_text("Charging with 6 A of sun")
    expect(garage).to_contain_text("6.0 · 6.0 · 6.0 A")
    expect(garage).to_contain_text("7.34 kWh")
    expect(garage).to_contain_text("04A2B91C")

    waiting = replace(
        BOILER, state="waiting", power_w=0.0, reason="waiting: 200 W surplus, needs 1000 W", steps_on=()
    )
    served.publish(pv_w=-2110.0, grid_w=1500.0, controlled_w=3000.0, loads=(waiting, CAR))
    expect(page.locator('[data-value="sun"]')).to_have_text("2.11")
    expect(page.locator('[data-value="grid"]')).to_have_text("1.50")
    expect(page.locator(".node-grid .caption")).to_have_text("From grid")
    expect(page.locator('[data-load="boiler"] .reason')).to_have_text("Waiting: 200 W surplus, needs 1000 W")


def test_today_is_summed_up_and_drawn(visit: Visit) -> None:
    page = visit()
    expect(page.locator('[data-figure="sun"]')).to_have_text(re.compile(r"^\d+\.\d+$"))
    expect(page.locator('[data-figure="leaf"]')).to_have_text(re.compile(r"^\d+$"))
    expect(page.locator(".chart svg")).to_contain_text("15:00")
    expect(page.locator(".chart svg")).to_contain_text("Loads")


def test_switching_a_mode_reaches_the_service(visit: Visit, served: ServedPage) -> None:
    page = visit()
    boiler = page.locator('[data-load="boiler"]')
    boiler.get_by_role("button", name="Off", exact=True).click()
    expect(boiler.locator('[data-mode="off"]')).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("Boiler: Off, with the next decision")).to_be_visible()
    assert served.mode("boiler") == ("off", None)


def test_a_mode_set_elsewhere_shows_up(visit: Visit, served: ServedPage) -> None:
    page = visit()
    expect(page.locator('[data-load="boiler"] [data-mode="solar_only"]')).to_have_class(re.compile("chosen"))
    served.run(served.services.sites.set_appliance_mode("boiler", "on"))
    expect(page.locator('[data-load="boiler"] [data-mode="on"]')).to_have_class(re.compile("chosen"))


def test_steps_by_hand(visit: Visit, served: ServedPage) -> None:
    page = visit()
    boiler = page.locator('[data-load="boiler"]')
    boiler.locator('[data-step="3"]').click(force=True)
    boiler.get_by_role("button", name="By hand").click()
    expect(boiler.locator('[data-mode="manual"]')).to_have_class(re.compile("chosen"))
    assert served.mode("boiler") == (
        "manual",
        ["1", "2"],
    )  # as it was: nothing jumps, the early click did nothing
    boiler.locator('[data-step="1"]').click()
    expect(boiler.locator('[data-step="1"]')).to_have_attribute("aria-pressed", "false")
    boiler.locator('[data-step="3"]').click()
    expect(boiler.locator('[data-step="3"]')).to_have_attribute("aria-pressed", "true")
    assert served.mode("boiler") == ("manual", ["2", "3"])


def test_a_current_by_hand(visit: Visit, served: ServedPage) -> None:
    page = visit()
    garage = page.locator('[data-load="CP1/1"]')
    expect(garage.locator(".current")).to_be_hidden()
    garage.get_by_role("button", name="By hand").click()
    garage.get_by_role("button", name="more").click()
    expect(garage.locator(".current-value")).to_have_text("7 A")
    assert served.mode("CP1/1") == ("manual", 7.0)
    for _ in range(2):
        garage.get_by_role("button", name="less").click()
    expect(garage.locator(".current-value")).to_have_text("0 A")
    assert served.mode("CP1/1") == ("manual", 0.0)


def test_a_driver_wants_the_car_ready_by_seven(visit: Visit, served: ServedPage) -> None:
    page = visit()
    garage = page.locator('[data-load="CP1/1"]')
    garage.get_by_text("Ready by a time").click()
    garage.get_by_label("Leaves at").fill("07:00")
    garage.get_by_label("Needs, in kWh").fill("20")
    garage.get_by_role("button", name="Set").click()
    expect(page.get_by_text("Garage: 20 kWh by 07:00, until unplugged")).to_be_visible()
    wish = served.services.sites.wishes.of("home", "CP1/1")
    assert (wish.departs_at, wish.requested_wh) == (datetime(2026, 6, 2, 5, tzinfo=UTC), 20_000)
    served.publish(loads=(replace(BOILER, need=HOT_BY_SIX), replace(CAR, need=READY_BY_SEVEN)))
    expect(garage.locator(".need")).to_have_text("7.3 of 20 kWh until 07:00")
    expect(page.locator('[data-load="boiler"] .need')).to_have_text("4.2 of 6 kWh until 18:00")
    if folder := os.environ.get("HELIANTHUS_SHOTS"):
        page.screenshot(path=f"{folder}/target.png", full_page=True)
    garage.get_by_role("button", name="Clear").click()
    expect(garage.locator(".target summary")).to_have_text("Ready by a time …")
    assert served.services.sites.wishes.of("home", "CP1/1").is_empty()


def test_a_driver_in_a_hurry_charges_at_full_until_unplugged(visit: Visit, served: ServedPage) -> None:
    page = visit()
    garage = page.locator('[data-load="CP1/1"]')
    garage.get_by_text("Ready by a time").click()
    hurry = garage.get_by_role("button", name="Full until unplugged")
    hurry.click()
    expect(hurry).to_have_attribute("aria-pressed", "true")
    expect(garage.locator('[data-mode="full"]')).to_have_attribute("aria-pressed", "true")
    assert served.mode("CP1/1") == ("full", None)
    hurry.click()
    expect(hurry).to_have_attribute("aria-pressed", "false")
    assert served.mode("CP1/1") == ("solar_only", None)


def test_a_viewer_sees_but_does_not_switch(visit: Visit, served: ServedPage) -> None:
    page = visit(role="viewer")
    off = page.locator('[data-load="boiler"] [data-mode="off"]')
    expect(off).to_have_attribute("aria-disabled", "true")
    off.click(force=True)
    served.publish(pv_w=-1230.0)
    expect(page.locator('[data-value="sun"]')).to_have_text("1.23")
    assert served.mode("boiler") == ("solar_only", None)


def test_a_broken_device_is_told_at_the_top(visit: Visit, served: ServedPage) -> None:
    page = visit()
    expect(page.locator('[data-device="grid"]')).to_contain_text("Grid meter")
    expect(page.locator(".attention")).to_be_hidden()
    served.publish(devices=(replace(METER, ok=False, age_s=250.0, problem="no answer from 192.0.2.10"),))
    alarm = page.locator(".attention")
    expect(alarm).to_contain_text("Meter Grid meter: no answer from 192.0.2.10 (last good answer: 4 min ago)")
    served.publish()
    expect(alarm).to_be_hidden()


def test_relays_without_fail_safe_are_marked(visit: Visit, served: ServedPage) -> None:
    module = DeviceSnapshot("io1", "relay_module", "Plant room", True, 2.0, failsafe="none")
    served.publish(devices=(METER, module))
    page = visit()
    expect(page.locator('[data-device="io1"]')).to_contain_text("no fail-safe")
    expect(page.locator('[data-device="grid"]')).not_to_contain_text("no fail-safe")


def test_a_load_that_is_added_gets_its_card(visit: Visit, served: ServedPage) -> None:
    page = visit()
    expect(page.locator("[data-load]")).to_have_count(2)
    served.publish(
        loads=(BOILER, CAR, replace(BOILER, id="pool", name="<b>Pool</b> & pump", kind="pool_pump"))
    )
    expect(page.locator('[data-load="pool"] h3')).to_have_text("<b>Pool</b> & pump")


@pytest.mark.parametrize("path", ["/", "/stations"])
def test_a_phone_needs_no_sideways_scrolling(visit: Visit, served: ServedPage, path: str) -> None:
    served.publish(
        loads=(BOILER, replace(CAR, name="Parking space of the family in the attic flat, left hand side"))
    )
    served.run(
        served.services.charge_points.admit("A-VERY-LONG-IDENTITY-OF-A-STATION-WITHOUT-ANY-SPACE-0123456789")
    )
    page = visit(path, viewport=PHONE)
    expect(page.locator(".card").first).to_be_visible()
    widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
    assert max(widths) == PHONE["width"]
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_pending_station_is_accepted(visit: Visit, served: ServedPage) -> None:
    served.run(served.services.charge_points.admit("NEW-7"))
    station = visit("/stations", role="admin").locator('[data-station="NEW-7"]')
    expect(station).to_contain_text("Pending, not connected")
    station.get_by_role("button", name="Accept this station").click()
    expect(station).to_contain_text("Not connected")
    expect(station.get_by_role("button", name="Accept this station")).to_be_hidden()
    assert served.services.charge_points.station("NEW-7").registration == "Accepted"


def test_a_pending_station_is_refused_and_can_be_accepted_later(visit: Visit, served: ServedPage) -> None:
    served.run(served.services.charge_points.admit("NEW-9"))
    station = visit("/stations", role="admin").locator('[data-station="NEW-9"]')
    station.get_by_role("button", name="Refuse it").click()
    expect(station).to_contain_text("Rejected, not connected")
    expect(station.get_by_role("button", name="Refuse it")).to_be_hidden()
    station.get_by_role("button", name="Accept this station").click()
    expect(station).to_contain_text("Not connected")


def test_only_an_administrator_accepts_stations(visit: Visit, served: ServedPage) -> None:
    served.run(served.services.charge_points.admit("NEW-8"))
    station = visit("/stations", role="operator").locator('[data-station="NEW-8"]')
    expect(station.get_by_role("button", name="Accept this station")).to_be_disabled()


# --- what stations say, and what is odd about it ---

PADDED = "MeterValues.meterValue.sampledValue.value: padded"
METER_VALUES = (
    '[2,"7","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-06-01T11:59:50Z",'
    '"sampledValue":[{"value":" 1400.0","measurand":"Power.Active.Import","unit":"W"}]}]}]'
)


@pytest.fixture(scope="module")
def talkative(served: ServedPage) -> str:
    """CP1 has connected, sent meter values for an hour, and something that was refused."""
    served.run(served.services.charge_points.admit("CP1"))
    add, at = served.services.frames.add, served.clock.at
    begin = at - timedelta(hours=1)
    add("CP1", begin, "log", None, None, "connected from 192.0.2.7", None)
    add(
        "CP1",
        begin,
        "in",
        "BootNotification",
        "1",
        '[2,"1","BootNotification",{"chargePointModel":"M"}]',
        None,
    )
    for minute in range(60):
        moment = begin + timedelta(minutes=minute)
        add("CP1", moment, "in", "MeterValues", "7", METER_VALUES, f"mended: {PADDED.partition('.')[2]}")
        add("CP1", moment, "out", "MeterValues", "7", '[3,"7",{}]', None)
    for direction in ("in", "out"):
        text = f'[{2 if direction == "in" else 4},"8","NotifyReport"]'
        add(
            "CP1",
            at,
            direction,
            "NotifyReport",
            "8",
            text,
            "NotImplemented: NotifyReport is not handled here",
        )
    served.run(_count(served, [PADDED] * 1204 + ["frame: NotImplemented: NotifyReport"]))
    return "CP1"


async def _count(served: ServedPage, kinds: list[str]) -> None:
    served.services.charge_points.mended("CP1", kinds)


def test_deviations_are_told_calmly(visit: Visit, talkative: str) -> None:
    station = visit("/stations").locator(f'[data-station="{talkative}"]')
    station.get_by_text("Deviations from OCPP: 1,205").click()
    kinds = station.locator(".deviations li")
    expect(kinds.first).to_have_text("MeterValues: value padded with blanks1,204 times, last today 14:00")
    expect(kinds.nth(1)).to_have_text("NotifyReport refused: NotImplementedonce, last today 14:00")


def test_the_messages_of_a_station_are_searched(visit: Visit, talkative: str) -> None:
    page = visit("/stations")
    page.locator(f'[data-station="{talkative}"]').get_by_role("link", name="Messages").click()
    lines = page.locator(".log-line")
    expect(lines).to_have_count(50)
    expect(lines.first).to_contain_text("NotImplemented: NotifyReport is not handled here")
    page.get_by_role("button", name="Older").click()
    expect(lines).to_have_count(100)
    page.get_by_role("button", name="Older").click()
    expect(lines).to_have_count(124)
    expect(lines.last).to_contain_text("connected from 192.0.2.7")
    expect(page.get_by_role("button", name="Older")).to_be_hidden()

    page.get_by_label("Action").select_option("BootNotification")
    expect(lines).to_have_count(1)
    page.get_by_label("Action").select_option("All messages")
    page.get_by_label("Only refused or repaired").check()
    expect(lines.nth(2)).to_contain_text("mended: meterValue.sampledValue.value: padded")
    page.get_by_label("Find a text").fill("notifyreport")
    page.get_by_label("Find a text").press("Enter")
    expect(lines).to_have_count(2)
    page.get_by_label("Find a text").fill("no such thing")
    page.get_by_label("Find a text").press("Enter")
    expect(page.get_by_text("Nothing like this is in the log.")).to_be_visible()


def test_two_filters_changed_at_once_show_what_both_ask_for(visit: Visit, talkative: str) -> None:
    page = visit(f"/stations/{talkative}/messages")
    expect(page.locator(".log-line")).to_have_count(50)
    page.evaluate(
        """() => {
            const action = document.querySelector('[aria-label="Action"]')
            action.value = "MeterValues"
            action.dispatchEvent(new Event("change"))
            document.querySelector('input[type="checkbox"]').click()
        }"""
    )
    expect(page.locator(".log-line .log-note")).to_have_count(50)
    expect(page.locator(".log-line")).to_have_count(50)


def test_a_frame_is_unfolded(visit: Visit, talkative: str) -> None:
    page = visit(f"/stations/{talkative}/messages")
    page.get_by_label("Action").select_option("MeterValues")
    line = page.locator(".log-line", has_text="Power.Active.Import").first
    expect(line.locator("pre")).to_be_hidden()
    line.locator("summary").click()
    expect(line.locator("pre")).to_contain_text('"value": " 1400.0"')


def test_the_messages_fit_a_phone(visit: Visit, talkative: str) -> None:
    page = visit(f"/stations/{talkative}/messages", viewport=PHONE)
    expect(page.locator(".log-line").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_viewer_does_not_read_messages(visit: Visit, talkative: str) -> None:
    page = visit("/stations", role="viewer")
    station = page.locator(f'[data-station="{talkative}"]')
    expect(station).to_be_visible()
    expect(station.get_by_role("link", name="Messages")).to_have_count(0)


def test_messages_are_not_shown_to_a_viewer_who_knows_the_address(served: ServedPage, talkative: str) -> None:
    with httpx.Client(base_url=served.address, follow_redirects=True, trust_env=False) as client:
        client.post("/login", data={"name": "viewer", "password": PASSWORD, "next": "/stations"})
        answer = client.get(f"/stations/{talkative}/messages")
    assert answer.status_code == 403
    assert "Power.Active.Import" not in answer.text


def test_how_a_station_takes_limits_is_shown_and_forgotten(visit: Visit, served: ServedPage) -> None:
    """An installer has enabled external limits at the station, and has it tried anew."""

    async def is_deaf() -> None:
        await served.services.charge_points.admit("DEAF-1")
        await served.services.charge_points.accept("DEAF-1")
        served.services.limits.fails("DEAF-1", FIRST, "ignored", "takes 16 A")

    served.run(is_deaf())
    station = visit("/stations", role="operator").locator('[data-station="DEAF-1"]')
    station.get_by_text("Limits: not written yet").click()
    expect(station).to_contain_text(f"Ignored: {FIRST.key}")
    station.get_by_role("button", name="Forget and try anew").click()
    expect(station.get_by_text("Limits: not written yet")).to_be_hidden()
    assert served.services.limits.status("DEAF-1").failed == {}
