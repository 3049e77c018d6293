"""Who pays for the electricity looks up who charged when, how much, and how it ended."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from served_page import PHONE, ServedPage, Visit

from csms.domain.id_tag import IdTag
from tests.messages.operated_station import Station

pytestmark = pytest.mark.xdist_group("page")

FIRST = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
EACH_WH = 2500
COUNT = 120
STOPS = (
    ("EVDisconnected", "Unplugged"),
    ("PowerLoss", "Power failure"),
    (None, "By the driver"),
    ("DeAuthorized", "Badge not accepted"),
)


@pytest.fixture(scope="module")
def garage(served: ServedPage) -> Iterator[Station]:
    """In GARAGE 120 sessions of 2.5 kWh have ended, one each 8 hours; in the last one Berta charges now."""
    station = served.arrives("GARAGE")
    served.run(served.services.accounts.save_id_tag(IdTag("ANNA-7"), "Anna Muster"))
    for number in range(COUNT):
        served.run(_session(station, number))
    start = {"connectorId": 2, "idTag": "BERTA", "meterStart": 0, "timestamp": _time(FIRST + HOURS * COUNT)}
    served.run(station.say("StartTransaction", start))
    yield station
    served.run(station.leave())
    served.run(served.services.accounts.remove_id_tag("ANNA-7"))


HOURS = timedelta(hours=8)


async def _session(station: Station, number: int) -> None:
    began, register_wh = FIRST + HOURS * number, EACH_WH * number
    who = "ANNA-7" if number % 3 == 0 else "GUEST-9"
    start = {"connectorId": 1, "idTag": who, "meterStart": register_wh, "timestamp": _time(began)}
    id = (await station.say("StartTransaction", start))["transactionId"]
    stop: dict[str, Any] = {"transactionId": id, "meterStop": register_wh + EACH_WH}
    stop["timestamp"] = _time(began + timedelta(hours=2, minutes=5))
    if reason := STOPS[number % len(STOPS)][0]:
        stop["reason"] = reason
    await station.say("StopTransaction", stop)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def lines(page: Page) -> Locator:
    return page.locator(".records tbody tr")


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("HELIANTHUS_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_the_sessions_of_a_badge_in_a_month_are_found_and_summed_up(
    visit: Visit, served: ServedPage, garage: Station
) -> None:
    """Every third one is Anna's; in April, 30 days of three, that is one a day."""
    page = visit("/stations")
    page.get_by_role("link", name="Sessions").click()
    keep(page, "sessions")
    page.get_by_label("Station").select_option("GARAGE")
    page.get_by_label("Badge").fill("anna-7")
    page.get_by_label("From").fill("2026-04-01")
    page.get_by_label("Until").fill("2026-04-30")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("group", name="Totals")).to_contain_text("75.0kWh30 sessions")
    expect(lines(page)).to_have_count(30)
    expect(lines(page).first).to_have_text(
        "30 Apr 2026 06:00GARAGE / 1ANNA-7 Anna Muster2.50 kWh2 h 05Badge not accepted"
    )
    expect(page.get_by_label("Badge")).to_have_value("anna-7")
    keep(page, "sessions-found")


@pytest.mark.parametrize(
    ("asked", "timezone", "began"),
    [
        ("station=GARAGE", "UTC", ["30 Apr 2026 22:00", "30 Apr 2026 14:00", "30 Apr 2026 06:00"]),
        ("badge=GUEST-9", "Europe/Zurich", ["30 Apr 2026 16:00", "30 Apr 2026 00:00"]),
    ],
)
def test_a_day_is_one_by_the_clock_on_the_wall(
    visit: Visit, served: ServedPage, garage: Station, asked: str, timezone: str, began: list[str]
) -> None:
    """The clock is the station's, or without a station that of the first site."""
    page = visit(f"/sessions?{asked}&from=2026-04-30&until=2026-04-30")
    expect(page.get_by_text(f"Times of {timezone}")).to_be_visible()
    expect(page.locator(".records td:first-child")).to_have_text(began)


def test_all_are_leafed_through_newest_first(visit: Visit, served: ServedPage, garage: Station) -> None:
    page = visit("/sessions?station=GARAGE")
    expect(page.get_by_role("group", name="Totals")).to_contain_text("121 sessions · 1 still running")
    expect(lines(page).first).to_contain_text("BERTA")
    expect(lines(page).first).to_contain_text("Still running")
    for number, (_, words) in enumerate(reversed(STOPS), 1):
        expect(lines(page).nth(number)).to_contain_text(words)
    seen = page.locator(".records td:first-child").evaluate_all("cells => cells.map(one => one.title)")
    for _ in range(2):
        page.get_by_role("link", name="Older").click()
        expect(page.locator(".records td:first-child").first).not_to_have_attribute("title", seen[-50])
        seen += page.locator(".records td:first-child").evaluate_all("cells => cells.map(one => one.title)")
    assert len(set(seen)) == len(seen) == COUNT + 1
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect(lines(page).first).to_contain_text("BERTA")


def test_a_session_whose_station_is_lost_is_told_as_such(visit: Visit, served: ServedPage) -> None:
    station = served.arrives("CELLAR")
    start = {"connectorId": 1, "idTag": "CARL", "meterStart": 0, "timestamp": "2026-06-01T09:00:00Z"}
    id = served.run(station.say("StartTransaction", start))["transactionId"]
    served.leaves(station)
    served.run(served.services.closing.close(id, "station swapped", "anna", False))
    page = visit("/sessions?station=CELLAR&ended=lost")
    expect(lines(page)).to_have_count(1)
    expect(lines(page).first).to_contain_text("Lostclosed by anna: station swapped")
    expect(page.get_by_role("group", name="Totals")).to_contain_text("1 session · 1 lost")
    page.get_by_label("Which").select_option("running")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("There is no such session.")).to_be_visible()


def test_what_is_found_is_saved_as_a_table(visit: Visit, served: ServedPage, garage: Station) -> None:
    page = visit("/sessions?station=GARAGE&badge=ANNA-7")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as a table").click()
    assert saved.value.suggested_filename == "sessions.csv"
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text())))
    assert [row["id_tag"] for row in rows] == ["ANNA-7"] * (COUNT // 3)
    assert {float(row["energy_wh"]) for row in rows} == {EACH_WH}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("station=NOBODY", "NOBODY"),
        ("from=yesterday", "a day, such as 2026-06-01"),
        ("from=2026-05-02&until=2026-05-01", "2026-05-02 or later"),
        ("before=-1", "the number of a session"),
        ("ended=well", "one of running, lost"),
    ],
)
def test_a_wrong_address_is_told_what_is_wrong(
    served: ServedPage, signed_in: httpx.Client, asked: str, told: str
) -> None:
    for path in ("/sessions", "/sessions.csv"):
        answer = signed_in.get(f"{path}?{asked}")
        assert answer.status_code in (404, 422)
        assert told in answer.text


@pytest.fixture
def signed_in(served: ServedPage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        client.post("/login", data={"name": "operator", "password": "sunflower-2026"})
        yield client


def test_a_viewer_does_not_learn_who_charged(visit: Visit, served: ServedPage, garage: Station) -> None:
    page = visit("/stations", role="viewer")
    expect(page.get_by_role("link", name="Badges")).to_be_visible()
    expect(page.get_by_role("link", name="Sessions")).to_have_count(0)
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}  # type: ignore[typeddict-item]
    with httpx.Client(base_url=served.address, trust_env=False, cookies=cookies) as client:
        for path in ("/sessions", "/sessions.csv"):
            answer = client.get(path)
            assert answer.status_code == 403
            assert "GARAGE" not in answer.text
    assert httpx.get(f"{served.address}/sessions.csv", trust_env=False).status_code == 403


def test_who_signs_in_finds_what_was_asked_for(visit: Visit, served: ServedPage, garage: Station) -> None:
    page = visit("/sessions?station=GARAGE&badge=BERTA")
    expect(page).to_have_url(re.compile("badge=BERTA"))
    expect(lines(page)).to_have_count(1)


def test_sessions_fit_a_phone_and_paper(visit: Visit, served: ServedPage, garage: Station) -> None:
    page = visit("/sessions?station=GARAGE", viewport=PHONE)
    expect(lines(page)).to_have_count(50)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    keep(page, "sessions-phone")
    page.emulate_media(media="print")
    for hidden in (".top", ".filters", ".pager"):
        expect(page.locator(hidden)).to_be_hidden()
    page.set_viewport_size({"width": 718, "height": 1000})  # a sheet of A4
    expect(page.locator(".records thead")).to_be_visible()
    keep(page, "sessions-paper")
