"""Signing in to the page: a plain form, a signed session cookie, and patience with wrong passwords."""

from __future__ import annotations

import html
from collections import deque
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from nicegui import app as page_app

from csms.services.bundle import Services
from csms.web.elements import SUNFLOWER_SVG
from csms.web.theme import CSS

FAILURES_ALLOWED = 5
FAILURES_FORGOTTEN_AFTER = timedelta(minutes=1)
ADDRESSES_REMEMBERED = 10_000


class FailedLogins:
    """Wrong passwords by address: after five within a minute the address has to wait."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[datetime]] = {}

    def too_many(self, address: str, now: datetime) -> bool:
        recent = self._failures.get(address)
        while recent and now - recent[0] > FAILURES_FORGOTTEN_AFTER:
            recent.popleft()
        return recent is not None and len(recent) >= FAILURES_ALLOWED

    def add(self, address: str, now: datetime) -> None:
        if len(self._failures) >= ADDRESSES_REMEMBERED:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(address, deque(maxlen=FAILURES_ALLOWED)).append(now)

    def take_back(self, address: str) -> None:
        """The last one was no failure."""
        if recent := self._failures.get(address):
            recent.pop()


def safe_target(wanted: str | None) -> str:
    """Only a path on this server: "//elsewhere" or "/\\elsewhere" would leave it."""
    if wanted and wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable():
        return wanted
    return "/"


async def session_role(services: Services, session: dict[str, Any]) -> str | None:
    """viewer, operator or admin, as of now; None = has to sign in. Without login everybody may do all."""
    if not services.login_required:
        return "admin"
    name, mark = session.get("user"), session.get("password_mark")
    return await services.accounts.user_role(name, mark) if name and mark else None


def mount_login(services: Services) -> None:
    failed = FailedLogins()

    @page_app.get("/login", include_in_schema=False)
    async def show_form(request: Request) -> Response:
        hint = ""
        if not await services.accounts.has_users():
            hint = "There is no user yet. Create the first one on the server: csms user add"
        return _form(request.query_params.get("next"), hint)

    @page_app.post("/login", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        fields = await request.form()
        name, password, target = (str(fields.get(key, "")) for key in ("name", "password", "next"))
        address = request.client.host if request.client else "unknown"
        now = services.clock.now()
        if failed.too_many(address, now):
            return _form(target, "Too many wrong passwords. Please wait a minute.", 429)
        failed.add(address, now)  # until it turns out to be right: guesses may come all at once
        if await services.accounts.check_user(name, password) is None:
            return _form(target, "This name and password do not match.", 401)
        failed.take_back(address)
        request.session["user"] = name.strip()
        request.session["password_mark"] = await services.accounts.password_mark(name.strip())
        return RedirectResponse(safe_target(target), status_code=303)

    @page_app.post("/logout", include_in_schema=False)
    async def sign_out(request: Request) -> Response:
        request.session.clear()
        return RedirectResponse("/login", status_code=303)


def _form(target: str | None, hint: str = "", status: int = 200) -> HTMLResponse:
    return bare_page(
        f"""<form method="post" action="/login" class="card">
<input type="hidden" name="next" value="{html.escape(safe_target(target))}">
<label>Name<input name="name" autocomplete="username" autocapitalize="none" required autofocus></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<p class="login-hint" role="alert">{html.escape(hint)}</p>
<button class="action">Sign in</button></form>""",
        status,
    )


def bare_page(content: str, status: int) -> HTMLResponse:
    """A page that names no site and no station: who sees it may not have signed in."""
    return HTMLResponse(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Helianthus</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/favicon.ico"><style>{CSS}</style></head><body class="login">
<main><div class="login-flower">{SUNFLOWER_SVG}</div><h1>Helianthus</h1>
{content}</main></body></html>""",
        status,
    )
