"""A person at the page: sees it live, switches modes, on a phone and on a laptop, without the internet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from served_page import BOILER, CAR, METER, PASSWORD, ServedPage

pytestmark = pytest.mark.xdist_group("page")

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
Visit = Callable[..., Page]


@pytest.fixture
def visit(served: ServedPage, browser: Browser) -> Iterator[Visit]:
    """visit(path, role, viewport) signs in and opens a page; at the end nothing may have gone wrong there."""
    faults: list[str] = []
    contexts: list[BrowserContext] = []
    served.run(served.services.sites.set_appliance_mode("boiler", "solar_only"))
    served.run(served.services.sites.set_connector_mode("CP1", 1, "solar_only"))
    served.publish()

    def open_page(path: str = "/", role: str = "operator", viewport: dict[str, int] | None = None) -> Page:
        contexts.append(browser.new_context(viewport=viewport or LAPTOP, reduced_motion="reduce"))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: None if _is_local(r.url, served.address) else faults.append(r.url))
        page.goto(f"{served.address}{path}")
        page.get_by_label("Name").fill(role)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{served.address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def _is_local(url: str, address: str) -> bool:
    return url.startswith((address, address.replace("http", "ws"), "data:"))


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
    served.services.frames.add(
        "NEW-7", served.clock.at, "in", "BootNotification", "1", '[2,"1","BootNotification",{}]', None
    )
    station = visit("/stations", role="admin").locator('[data-station="NEW-7"]')
    expect(station).to_contain_text("Pending, not connected")
    station.get_by_text("Last messages").click()
    expect(station.locator(".messages li")).to_contain_text('[2,"1","BootNotification",{}]')
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
