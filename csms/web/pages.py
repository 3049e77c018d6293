"""The pages: `/` and `/site/{id}`, `/stations`, `/stations/{identity}` and its `/messages`, `/sessions`,
`/badges`, `/login`."""

from __future__ import annotations

import html
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from nicegui import app as page_app
from nicegui import ui

from csms.errors import CsmsError, NotFound
from csms.services.bundle import Services
from csms.web.badges import Badges
from csms.web.elements import SUNFLOWER_SVG, Tag
from csms.web.headers import SecurityHeaders
from csms.web.login import bare_page, mount_login, session_role
from csms.web.messages import MessagesPage
from csms.web.page_files import mount_page_files
from csms.web.past_sessions import PastSessions, asked
from csms.web.site_page import SitePage
from csms.web.station_page import StationPage
from csms.web.station_part import StationVisitor, Visitor
from csms.web.stations import StationsPage, first_timezone, timezone_of
from csms.web.theme import CSS
from csms.web.today import Days
from csms.web.wording import sentence

OPERATORS = ("operator", "admin")
SESSION_COOKIE = {"same_site": "lax", "max_age": 14 * 24 * 3600}


def mount_pages(app: FastAPI, services: Services, storage_secret: str, secure_cookie: bool = False) -> None:
    """Add the pages to the API's application. NiceGUI serves one application per process: call it once.

    storage_secret: signs the session cookie. secure_cookie: browsers send it over https only.
    """
    app.add_middleware(SecurityHeaders)
    days = Days(services.reporting)
    ui.add_head_html(f"<style>{CSS}</style>", shared=True)
    mount_login(services)
    mount_page_files(services)

    @page_app.exception_handler(404)
    async def nothing_there(request: Request, error: Exception) -> Response:
        where = html.escape(request.url.path[:200])
        return bare_page(f'<p>There is nothing at {where}.</p><p><a href="/">To the first page</a></p>', 404)

    @ui.page("/", title="Helianthus")
    async def first_site(request: Request) -> Response | None:
        sites = services.sites.all()
        return await _site_page(services, days, request, sites[0].site.id if sites else None)

    @ui.page("/site/{site_id}", title="Helianthus")
    async def one_site(request: Request, site_id: str) -> Response | None:
        return await _site_page(services, days, request, site_id)

    @ui.page("/stations", title="Stations · Helianthus")
    async def stations(request: Request) -> Response | None:
        return await _stations_page(services, request)

    @ui.page("/stations/{identity}", title="Station · Helianthus")
    async def station(request: Request, identity: str) -> Response | None:
        return await _station_page(services, request, identity)

    @ui.page("/stations/{identity}/messages", title="Messages · Helianthus")
    async def messages(request: Request, identity: str) -> Response | None:
        return await _messages_page(services, request, identity)

    @ui.page("/sessions", title="Sessions · Helianthus")
    async def sessions(request: Request) -> Response | None:
        return await _sessions_page(services, request)

    @ui.page("/badges", title="Badges · Helianthus")
    async def badges(request: Request) -> Response | None:
        return await _badges_page(services, request)

    ui.run_with(
        app,
        title="Helianthus",
        favicon=SUNFLOWER_SVG,
        dark=None,
        tailwind=False,
        language="en-US",
        storage_secret=storage_secret,
        session_middleware_kwargs={**SESSION_COOKIE, "https_only": secure_cookie},
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )


def _to_login(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/login?next={quote(request.url.path + query)}", status_code=303)


async def _site_page(
    services: Services, days: Days, request: Request, site_id: str | None
) -> Response | None:
    role = await session_role(services, request.session)
    if role is None:
        return _to_login(request)
    with _frame(services, request, role, site_id):
        if site_id is None:
            _nothing_here("No site is described yet.", "On the server: csms site apply FILE")
            return None
        try:
            site = services.sites.get(site_id)
        except NotFound as error:
            ui.status_code(404)
            _nothing_here(sentence(f"{error}."), "Choose another one above.")
            return None
        ui.page_title(f"{site.site.name} · Helianthus")
        SitePage(services, days, site, may_switch=role in OPERATORS)
    return None


async def _stations_page(services: Services, request: Request) -> Response | None:
    role = await session_role(services, request.session)
    if role is None:
        return _to_login(request)
    with _frame(services, request, role):
        StationsPage(services, may_accept=role == "admin", may_read=role in OPERATORS)
    return None


async def _station_page(services: Services, request: Request, identity: str) -> Response | None:
    role = await session_role(services, request.session)
    if role is None:
        return _to_login(request)
    with _frame(services, request, role):
        try:
            station = services.charge_points.station(identity)
        except NotFound as error:
            ui.status_code(404)
            _nothing_here(sentence(f"{error}."), "Choose one under Stations.")
            return None
        ui.page_title(f"{station.identity} · Helianthus")
        visitor = StationVisitor(
            services,
            timezone_of(services, station.identity),
            role,
            station.identity,
            str(request.session.get("user") or "the page"),
            services.public_url or str(request.base_url),
        )
        await StationPage(visitor).load()
    return None


async def _messages_page(services: Services, request: Request, identity: str) -> Response | None:
    role = await session_role(services, request.session)
    if role is None:
        return _to_login(request)
    with _frame(services, request, role):
        if _is_kept_from(role, "The messages of stations carry badges."):
            return None
        try:
            station = services.charge_points.station(identity)
        except NotFound as error:
            ui.status_code(404)
            _nothing_here(sentence(f"{error}."), "Choose one under Stations.")
            return None
        ui.page_title(f"{station.identity} · Messages · Helianthus")
        await MessagesPage(services, station.identity).load()
    return None


async def _sessions_page(services: Services, request: Request) -> Response | None:
    role = await session_role(services, request.session)
    if role is None:
        return _to_login(request)
    with _frame(services, request, role):
        if _is_kept_from(role, "Sessions tell who charged when."):
            return None
        try:
            wanted = asked(services, request.query_params)
        except CsmsError as fault:
            ui.status_code(404 if isinstance(fault, NotFound) else 422)
            _nothing_here(sentence(f"{fault}."), "Choose again under Sessions.")
            return None
        await PastSessions(services, wanted).load()
    return None


async def _badges_page(services: Services, request: Request) -> Response | None:
    role = await session_role(services, request.session)
    if role is None:
        return _to_login(request)
    with _frame(services, request, role):
        timezone = first_timezone(services)
        with Tag("div", classes="page-title"):
            Tag("h1", "Badges")
            Tag("p", f"Times of {timezone}", classes="quiet-line")
        await Badges("Who may charge", Visitor(services, timezone, role)).load()
    return None


def _is_kept_from(role: str, why: str) -> bool:
    """Tells those who are no operators that the page is not for them."""
    if role in OPERATORS:
        return False
    ui.status_code(403)
    _nothing_here(why, "They are shown to operators only.")
    return True


def _nothing_here(what: str, hint: str) -> None:
    with Tag("div", classes="empty"):
        Tag("p", what)
        Tag("p", hint, classes="quiet-line")


def _frame(services: Services, request: Request, role: str, site_id: str | None = None) -> Tag:
    """Head line with the sites; what follows goes into the returned element."""
    ui.colors(primary="#d48f00", positive="#4f8b38", negative="#b93a22")
    with Tag("header", classes="top"), Tag("div", classes="top-inner"):
        with Tag("a", classes="brand", href="/", aria_label="Helianthus"):
            ui.html(SUNFLOWER_SVG, sanitize=False, tag="span").classes("brand-flower")
            Tag("span", "Helianthus", classes="brand-name")
        with Tag("nav", aria_label="Pages"):
            for site in services.sites.all():
                current = "page" if site.site.id == site_id else None
                Tag("a", site.site.name, href=f"/site/{quote(site.site.id)}", aria_current=current)
            _page_link(request, "Stations", "/stations")
            if role in ("operator", "admin"):
                _page_link(request, "Sessions", "/sessions")
            _page_link(request, "Badges", "/badges")
        if services.login_required:
            with Tag("form", method="post", action="/logout"):
                Tag("button", "Sign out", classes="quiet-button", title=str(request.session.get("user", "")))
    return Tag("main", classes="page")


def _page_link(request: Request, name: str, path: str) -> None:
    Tag("a", name, href=path, aria_current="page" if path in request.url.path else None)
