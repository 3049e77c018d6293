from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, sync_playwright
from served_page import LAPTOP, PASSWORD, ServedPage, Visit

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    page = ServedPage(tmp_path_factory.mktemp("page"))
    page.start()
    yield page
    page.stop()


# While it runs, no other test of the process can use asyncio: so not for the whole session.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    missing = None if shutil.which(CHROMIUM) else f"the page tests need {CHROMIUM} (apt install chromium)"
    if missing is None:
        try:
            running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        except Error as error:
            missing = f"{CHROMIUM} does not start: {error.message}"
        else:
            yield running
            running.close()
            return
    if os.environ.get("HELIANTHUS_REQUIRE_ALL"):
        pytest.fail(missing)
    pytest.skip(missing)


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
