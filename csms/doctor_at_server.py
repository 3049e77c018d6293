"""`csms doctor` beside a running server: that holds the devices' lines, so it is asked to do the check.

Who may read the server's data folder may ask: a token is made there for the time of the check.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp

from csms.domain.site import SiteConfig
from csms.domain.wiring import Finding
from csms.errors import CsmsError, NotFound
from csms.records import opened
from csms.settings import Settings
from csms.site_check import Progress

LOOK_AGAIN_S = 0.5
WITHIN_S = 60.0
TOKEN_NAME = "csms doctor"
UNCHECKED = "not asked: a server runs on this machine and holds their lines"


class CheckRefused(CsmsError):
    pass


class NotAsked(Exception):
    """The server that runs here is not known to control this site. finding: why, and what to do."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def own_url(settings: Settings) -> str:
    """Where a server with these settings has its page and API, seen from this machine."""
    scheme = "https" if settings.web_tls_cert else "http"
    host = "127.0.0.1" if settings.web_host in ("0.0.0.0", "::") else settings.web_host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.web_port}"


def any_certificate() -> ssl.SSLContext:
    """Our server's certificate is for its name, not for this address."""
    own = ssl.create_default_context()
    own.check_hostname, own.verify_mode = False, ssl.CERT_NONE
    return own


async def check_at_server(
    config: SiteConfig, settings: Settings, switching: bool, tell: Callable[[Progress], None]
) -> list[Finding]:
    """What the server found. Raises NotAsked; CheckRefused: it does not check this site now."""
    file = settings.data_dir / "csms.db"
    if settings.database_url is None and not file.exists():
        raise NotAsked(_elsewhere(f"{file} does not exist"))
    async with opened(settings) as records:
        try:
            stored = records.sites.get(config.site.id)
        except NotFound:
            raise NotAsked(_unknown(config.site.id)) from None
        token = await records.accounts.create_token(TOKEN_NAME, "operator")
        try:
            found = await _asked(config.site.id, settings, token, switching, tell)
        finally:
            await asyncio.shield(records.accounts.remove_token(token))
    return found if stored == config else [_another_description(), *found]


async def _asked(
    site_id: str, settings: Settings, token: str, switching: bool, tell: Callable[[Progress], None]
) -> list[Finding]:
    url = f"{own_url(settings)}/api/v1/sites/{site_id}/check"
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"},
        connector=aiohttp.TCPConnector(ssl=any_certificate()),
        timeout=aiohttp.ClientTimeout(total=WITHIN_S),
    ) as session:
        try:
            async with session.post(url, json={"switching": switching}) as begun:
                if begun.status == 401:
                    raise NotAsked(_elsewhere(f"it does not know a token of {settings.data_dir}"))
                state = await _answer(begun)
            return _findings(await _followed(session, f"{url}/{state['id']}", tell))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CheckRefused(f"the running server: {error or 'no answer in time'}") from None


async def _followed(
    session: aiohttp.ClientSession, url: str, tell: Callable[[Progress], None]
) -> dict[str, Any]:
    """Until it ends; broken off here, it is broken off there."""
    try:
        while True:
            async with session.get(url) as told:
                state = await _answer(told)
            if state["state"] != "running":
                return state
            tell(Progress(state["done"], state["total"], state["doing"]))
            await asyncio.sleep(LOOK_AGAIN_S)
    except asyncio.CancelledError:
        async with session.delete(url):  # answers when every relay is as before
            raise


async def _answer(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Raises CheckRefused."""
    body: dict[str, Any] = await response.json(content_type=None)
    if response.status >= 400:
        raise CheckRefused(f"the running server: {body.get('detail') or response.status}")
    return body


def _findings(state: dict[str, Any]) -> list[Finding]:
    if state["report"] is None:
        raise CheckRefused(f"the running server: the check was {state['state']}: {state['problem']}")
    return [Finding(**finding) for finding in state["report"]["findings"]]


def _elsewhere(why: str) -> Finding:
    advice = "Set CSMS_DATA_DIR (CSMS_DATABASE_URL) as the server has it, use its page, or stop it first"
    return Finding("devices", "answers", "inconclusive", f"{UNCHECKED}, and {why}", advice)


def _unknown(site_id: str) -> Finding:
    text = f"{UNCHECKED}, and it has no site {site_id!r}"
    return Finding("devices", "answers", "inconclusive", text, "csms site apply FILE, and start it again")


def _another_description() -> Finding:
    text = "the running server has another description of this site: that one was checked"
    return Finding("site", "description", "warning", text, "csms site apply FILE, and start the server again")
