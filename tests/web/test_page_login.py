"""Signing in and out, over plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from served_page import PASSWORD, ServedPage
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.storage.tables import users

pytestmark = pytest.mark.xdist_group("page")


@pytest.fixture
def visitor(served: ServedPage) -> Iterator[httpx.Client]:
    served.publish()
    with httpx.Client(base_url=served.address, trust_env=False, timeout=60) as client:
        yield client
    served.clock.at += timedelta(minutes=2)  # wrong passwords are forgotten


def sign_in(visitor: httpx.Client, name: str, password: str = PASSWORD, target: str = "/") -> httpx.Response:
    return visitor.post("/login", data={"name": name, "password": password, "next": target})


@pytest.mark.parametrize("path", ["/", "/site/home", "/stations"])
def test_strangers_are_led_to_the_login(visitor: httpx.Client, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next={path}"
    assert 'name="password"' in visitor.get(answer.headers["location"]).text


def test_after_signing_in_the_wanted_page_is_shown(visitor: httpx.Client) -> None:
    answer = sign_in(visitor, "viewer", target="/site/home")
    assert (answer.status_code, answer.headers["location"]) == (303, "/site/home")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "Sonnenweg 4" in visitor.get("/site/home").text
    assert visitor.post("/logout").headers["location"] == "/login"
    assert visitor.get("/site/home").status_code == 303


def test_a_user_who_was_removed_is_out_at_the_next_page(visitor: httpx.Client, served: ServedPage) -> None:
    async def remove(conn: AsyncConnection) -> None:
        await conn.execute(delete(users).where(users.c.name == "guest"))

    served.run(served.services.accounts.add_user("guest", PASSWORD, "viewer"))
    sign_in(visitor, "guest")
    assert visitor.get("/").status_code == 200
    served.run(served.services.database.write(remove))
    assert [visitor.get(path).status_code for path in ("/", "/stations")] == [303, 303]


def test_a_wrong_password_is_told_and_leads_nowhere(visitor: httpx.Client) -> None:
    answer = sign_in(visitor, "viewer", "sunflower-2025")
    assert answer.status_code == 401
    assert "do not match" in answer.text
    assert visitor.get("/").status_code == 303


def test_guessing_is_slowed_down(visitor: httpx.Client, served: ServedPage) -> None:
    assert [sign_in(visitor, "admin", f"guess-{n}").status_code for n in range(6)] == [401] * 5 + [429]
    assert sign_in(visitor, "admin").status_code == 429
    served.clock.at += timedelta(seconds=61)
    assert sign_in(visitor, "admin").status_code == 303


def test_guesses_that_come_all_at_once_are_slowed_down_too(visitor: httpx.Client) -> None:
    """Eight at the same moment were all answered before the first failure was counted."""
    with ThreadPoolExecutor(8) as guessers:
        answers = list(guessers.map(lambda n: sign_in(visitor, "admin", f"guess-{n}").status_code, range(8)))
    assert sorted(answers) == [401] * 5 + [429] * 3


def test_a_new_password_ends_the_sessions_of_the_old_one(visitor: httpx.Client, served: ServedPage) -> None:
    """Somebody else knew the password: a new one must put him out, not only keep him from coming again."""
    served.run(served.services.accounts.add_user("shared", PASSWORD, "operator"))
    sign_in(visitor, "shared")
    assert visitor.get("/").status_code == 200
    served.run(served.services.accounts.add_user("shared", "moonflower-2026", "operator"))
    assert visitor.get("/").status_code == 303
    sign_in(visitor, "shared", "moonflower-2026")
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize("path", ["/login", "/", "/nothing-here", "/api/v1/sites", "/healthz"])
def test_no_other_page_may_hold_ours_in_a_frame(visitor: httpx.Client, path: str) -> None:
    """A button that switches a boiler, laid invisibly under somebody else's."""
    headers = visitor.get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_the_target_is_shown_as_text_only(visitor: httpx.Client) -> None:
    page = visitor.get("/login", params={"next": '/"><script>alert(1)</script>'}).text
    assert "<script>" not in page


def test_a_forged_session_is_no_session(visitor: httpx.Client) -> None:
    visitor.cookies.set(
        "session", "eyJyb2xlIjoiYWRtaW4ifQ==.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb", domain="127.0.0.1"
    )
    assert visitor.get("/").status_code == 303


def test_an_unknown_site_is_not_found(visitor: httpx.Client) -> None:
    sign_in(visitor, "viewer")
    answer = visitor.get("/site/nowhere")
    assert answer.status_code == 404
    assert "does not exist" in answer.text


def test_a_path_that_leads_nowhere_tells_a_stranger_nothing(visitor: httpx.Client) -> None:
    answer = visitor.get("/nowhere<b>")
    assert answer.status_code == 404
    assert "There is nothing at /nowhere&lt;b&gt;." in answer.text
    assert "Sonnenweg 4" not in answer.text


def test_the_api_beside_the_page_still_answers_with_problems(visitor: httpx.Client) -> None:
    for path, status in (("/api/v1/sites", 401), ("/api/v1/nothing", 404)):
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    wrong = visitor.delete("/api/v1/sites/home/live")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert visitor.get("/healthz").json()["status"] == "ok"
