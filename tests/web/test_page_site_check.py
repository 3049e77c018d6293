"""A person starts the check of devices and wiring on the page and reads what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect
from served_page import PASSWORD, SITE, ServedPage

from csms.domain.check_report import CheckReport
from csms.domain.snapshot import LineSnapshot, LineUnitSnapshot
from csms.services.site_checks import SiteCheckState, Tell
from csms.site_check import SiteCheck
from csms.site_devices import SiteDevices
from csms.web.devices import line_in_words
from csms.web.site_check import state_in_words
from tests.services_on_file import NOON

pytestmark = pytest.mark.xdist_group("page")

UNIT = LineUnitSnapshot(7, 2.0, 0.04, 900, 3, False)
LINE = LineSnapshot("192.0.2.11:4196", True, 5.21, 0.0, 0.342, 900, 3, 0, (UNIT,))


class Cabinet:
    """Looks at the devices of the described site, none of which answers."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def check(self, site_id: str, switching: bool, tell: Tell) -> CheckReport:
        devices = SiteDevices(SITE, lambda: NOON, asyncio.sleep)
        try:
            check = SiteCheck(
                SITE, devices, lambda: NOON, asyncio.sleep, lambda p: tell(p.done, p.total, p.doing)
            )
            findings = await check.run(False)
            await self.may_end.wait()
        finally:
            await devices.stop()
        return CheckReport(SITE, NOON, NOON, "1.2.3", False, tuple(findings))


@pytest.fixture
def cabinet(served: ServedPage) -> Iterator[Cabinet]:
    served.services.checks.checker = cabinet = Cabinet()
    served.publish(lines=(LINE,))
    yield cabinet
    served.run(served.services.checks.stop())


def visit(browser: Browser, served: ServedPage, role: str) -> Page:
    page = browser.new_context().new_page()
    page.goto(served.address)
    page.get_by_label("Name").fill(role)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Modbus lines")).to_contain_text("34% busy")
    return page


def test_an_operator_starts_the_check_follows_it_and_reads_the_faults(
    browser: Browser, served: ServedPage, cabinet: Cabinet
) -> None:
    page, watcher = visit(browser, served, "operator"), visit(browser, served, "viewer")
    expect(watcher.get_by_role("button", name="Check devices and wiring")).to_be_hidden()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.get_by_role("button", name="Check devices and wiring").click()
    expect(watcher.get_by_label("Progress of the check")).to_be_visible()
    expect(watcher.get_by_role("button", name="Break off")).to_be_hidden()
    expect(page.get_by_role("button", name="Break off")).to_be_visible()
    assert "switched on and off" in asked[0]
    served.run(release(cabinet))
    expect(watcher.get_by_label("What the check found")).to_contain_text(
        "FAULT, relay module io1: r:4196: no connection"
    )
    expect(page.get_by_role("button", name="Save the record")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the record").click()
    assert saved.value.suggested_filename.startswith("commissioning-home-")
    for one in (page, watcher):
        one.context.close()


async def release(cabinet: Cabinet) -> None:
    cabinet.may_end.set()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (LINE, "192.0.2.11:4196: 34% busy, 5.2 questions a second, last answers up to 2 s old"),
        (replace(LINE, connected=False), "192.0.2.11:4196: no connection"),
        (
            replace(LINE, errors_per_min=2.2, units=(replace(UNIT, is_absent=True),)),
            "192.0.2.11:4196: 34% busy, 5.2 questions a second, 2 errors a minute; unit 7 absent",
        ),
        (
            replace(LINE, unasked_bytes=40),
            "192.0.2.11:4196: 34% busy, 5.2 questions a second, last answers up to 2 s old; "
            "another master speaks on it",
        ),
    ],
)
def test_a_line_in_words(line: LineSnapshot, words: str) -> None:
    assert line_in_words(line) == words


RUNNING = SiteCheckState("1a", "home", "running", True, NOON, 2, 9, "switching Boiler")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, ""),
        (replace(RUNNING, total=0), "Starting …"),
        (RUNNING, "Step 3 of 9: switching Boiler …"),
        (
            replace(RUNNING, state="stopped", problem="broken off"),
            "The check of 14:00 was broken off.",
        ),
    ],
)
def test_a_check_in_words(state: SiteCheckState | None, words: str) -> None:
    assert state_in_words(state, "Europe/Zurich") == words
