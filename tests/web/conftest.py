from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Playwright, sync_playwright
from served_page import ServedPage

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
