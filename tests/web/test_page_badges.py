"""An owner decides at the page whose badge may charge, and lets in a stranger who stands at the station."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from served_page import PASSWORD, PHONE, ServedPage, Visit

from csms.domain.id_tag import IdTag
from csms.errors import NotFound
from tests.messages.operated_station import Station

pytestmark = pytest.mark.xdist_group("page")

ANNA = IdTag("ANNA-7", "FAMILY", False, datetime(2026, 6, 30, 22, 0, 30, tzinfo=UTC), 2, ("DOOR",), 8.0)
NOWHERE = IdTag("OLD-1", charge_points=())


@pytest.fixture
def badges(served: ServedPage) -> Iterator[None]:
    accounts = served.services.accounts
    served.run(accounts.save_id_tag(ANNA, "Anna Muster"))
    served.run(accounts.save_id_tag(NOWHERE))
    yield
    for row in served.run(accounts.id_tags()):
        served.run(accounts.remove_id_tag(row["id_tag"]))


@pytest.fixture(scope="module")
def door(served: ServedPage) -> Iterator[Station]:
    station = served.arrives("DOOR")
    yield station
    served.run(station.leave())


def line(page: Page, id_tag: str) -> Locator:
    return page.get_by_label("Badges", exact=True).locator(".entry").filter(has_text=id_tag)


def stored(served: ServedPage, id_tag: str) -> dict[str, object]:
    return served.run(served.services.accounts.id_tag(id_tag))


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("HELIANTHUS_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_badge_is_added_blocked_and_removed(visit: Visit, served: ServedPage, badges: None) -> None:
    page = visit("/badges", role="admin")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_text("Add a badge …").click()
    form = page.get_by_role("form", name="Add a badge")
    form.get_by_label("Badge", exact=True).fill("anna-7")
    form.get_by_role("button", name="Add").click()
    expect(page.get_by_text("one that is not stored yet")).to_be_visible()
    form.get_by_label("Badge", exact=True).fill("BERTA")
    form.get_by_label("Name").fill("Berta")
    form.get_by_role("button", name="Add").click()
    expect(line(page, "BERTA")).to_contain_text("BERTA · BertaMay chargeeverywhere")

    line(page, "BERTA").get_by_text("Change …").click()
    form = page.get_by_role("form", name="Change BERTA")
    form.get_by_label("It may charge").select_option("true")
    form.get_by_role("button", name="Save").click()
    expect(line(page, "BERTA")).to_contain_text("Blocked")
    assert stored(served, "BERTA")["blocked"] is True
    line(page, "BERTA").get_by_role("button", name="Remove").click()
    expect(line(page, "BERTA")).to_have_count(0)
    with pytest.raises(NotFound):
        stored(served, "BERTA")


@pytest.mark.parametrize("id_tag", ["ANNA-7", "OLD-1"])
def test_what_is_not_touched_in_the_form_stays(
    visit: Visit, served: ServedPage, badges: None, id_tag: str
) -> None:
    """Also to the second, and where it is valid nowhere."""
    before = stored(served, id_tag)
    page = visit("/badges", role="admin")
    line(page, id_tag).get_by_text("Change …").click()
    form = page.get_by_role("form", name=f"Change {id_tag}")
    form.get_by_label("Name").fill("Somebody")
    form.get_by_role("button", name="Save").click()
    expect(line(page, id_tag)).to_contain_text(f"{id_tag} · Somebody")
    assert stored(served, id_tag) == {**before, "name": "Somebody"}


def test_what_each_badge_may_and_when_it_charged_is_told(
    visit: Visit, served: ServedPage, badges: None, door: Station
) -> None:
    for start_wh, began, ended in (
        (0, "2026-05-31T08", "2026-05-31T09"),
        (4000, "2026-06-01T08", "2026-06-01T09"),
    ):
        start = {"connectorId": 1, "idTag": "anna-7", "meterStart": start_wh, "timestamp": f"{began}:00:00Z"}
        id = served.run(door.say("StartTransaction", start))["transactionId"]
        stop = {"transactionId": id, "meterStop": start_wh + 4000, "timestamp": f"{ended}:00:00Z"}
        served.run(door.say("StopTransaction", stop))
    served.run(served.services.accounts.save_id_tag(IdTag("FAMILY", blocked=True)))
    page = visit("/badges")
    expect(line(page, "ANNA-7")).to_contain_text(
        "ANNA-7 · Anna MusterBlockedonly at DOOR · group FAMILY · 2 at once · needs 8 A · until 1 Jul 00:00"
        " · last at DOOR, today 10:00 · 4.00 kWh this month"
    )
    expect(line(page, "OLD-1")).to_contain_text("OLD-1Nowhereat no station")
    page.get_by_label("Find a badge").fill("muster")
    page.get_by_label("Find a badge").press("Enter")
    expect(page.get_by_label("Badges", exact=True).locator(".entry")).to_have_count(1)
    line(page, "ANNA-7").get_by_role("link", name="Sessions").click()
    expect(page.locator(".records tbody tr").first).to_contain_text("1 Jun 2026 10:00")


def test_a_badge_just_refused_is_let_in_with_one_click(
    visit: Visit, served: ServedPage, badges: None, door: Station
) -> None:
    page = visit("/badges", role="admin")
    answer = served.run(door.say("Authorize", {"idTag": "NEW-CAR"}))
    assert answer["idTagInfo"]["status"] == "Invalid"
    refused = page.get_by_label("Refused badges").locator(".entry").filter(has_text="NEW-CAR")
    expect(refused).to_contain_text("it is not stored here")
    keep(page, "badges")
    refused.get_by_role("button", name="Add it").click()
    expect(line(page, "NEW-CAR")).to_contain_text("May charge")
    expect(refused).to_have_count(0)
    answer = served.run(door.say("Authorize", {"idTag": "NEW-CAR"}))
    assert answer["idTagInfo"]["status"] == "Accepted"


def test_a_stored_badge_that_is_refused_is_told_why(
    visit: Visit, served: ServedPage, badges: None, door: Station
) -> None:
    served.run(served.services.accounts.save_id_tag(IdTag("THIEF", blocked=True)))
    start = {"connectorId": 1, "idTag": "thief", "meterStart": 0, "timestamp": "2026-06-01T11:00:00Z"}
    id = served.run(door.say("StartTransaction", start))["transactionId"]
    stop = {"transactionId": id, "meterStop": 0, "timestamp": "2026-06-01T11:01:00Z"}
    served.run(door.say("StopTransaction", stop))
    page = visit("/badges", role="admin")
    refused = page.get_by_label("Refused badges").locator(".entry").filter(has_text="thief")
    expect(refused).to_contain_text("it is blocked")
    expect(refused.get_by_role("button")).to_have_count(0)


def test_a_table_is_saved_changed_and_taken_in_again(
    visit: Visit, served: ServedPage, badges: None, tmp_path: Path
) -> None:
    page = visit("/badges", role="admin")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as a table").click()
    table = saved.value.path().read_text()
    changed = tmp_path / "badges.csv"
    changed.write_text(table + "CARL,Carl\n")
    page.get_by_text("Take in a table …").click()
    page.get_by_label("Add or replace the badges of a table").set_input_files(changed)
    expect(page.get_by_text("The badges of badges.csv are stored")).to_be_visible()
    expect(line(page, "CARL")).to_be_visible()
    assert stored(served, "ANNA-7")["charge_points"] == ["DOOR"]


def test_a_table_with_a_fault_changes_nothing(served: ServedPage, badges: None) -> None:
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        client.post("/login", data={"name": "admin", "password": PASSWORD})
        answer = client.put("/badges.csv", content="id_tag,blocked\nDORA,no\nEMIL,perhaps\n")
        assert (answer.status_code, "line 3, blocked" in answer.json()["detail"]) == (422, True)
        assert client.put("/badges.csv", content=b"id_tag\n\xff\n").status_code == 422
    with pytest.raises(NotFound):
        stored(served, "DORA")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_administrators_change_badges(visit: Visit, served: ServedPage, badges: None, role: str) -> None:
    page = visit("/badges", role=role)
    expect(line(page, "ANNA-7")).to_be_visible()
    expect(page.locator(".panel button, .panel form, .panel input[type=file]")).to_have_count(0)
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        assert client.get("/badges.csv").status_code == 403
        client.post("/login", data={"name": role, "password": PASSWORD})
        assert "ANNA-7" in client.get("/badges.csv").text
        assert client.put("/badges.csv", content="id_tag\nMINE\n").status_code == 403
    with pytest.raises(NotFound):
        stored(served, "MINE")


def test_the_badges_fit_a_phone(visit: Visit, served: ServedPage, badges: None) -> None:
    page = visit("/badges", role="admin", viewport=PHONE)
    expect(line(page, "ANNA-7")).to_be_visible()
    page.get_by_text("Add a badge …").click()
    line(page, "ANNA-7").get_by_text("Change …").click()
    expect(page.get_by_role("form", name="Change ANNA-7")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    keep(page, "badges-phone")
