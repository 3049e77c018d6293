"""Checks of a site's devices and wiring while the server runs: started by people, one at a time per site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

import structlog

from csms.clock import Clock
from csms.domain.check_report import CheckReport
from csms.errors import AlreadyRunning, CsmsError, NotFound
from csms.services.events import EventBus

log = structlog.get_logger()

KEPT_PER_SITE = 10

State = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class SiteCheckState:
    """done of total steps, and what is going on; the report when it is done; problem when it failed."""

    id: str
    site_id: str
    state: State
    switching: bool
    started_at: datetime
    done: int = 0
    total: int = 0
    doing: str = ""
    problem: str | None = None
    report: CheckReport | None = None


Tell = Callable[[int, int, str], None]


class Checker(Protocol):
    """Who can look at devices: the control loops. Raises NotFound and other CsmsErrors."""

    async def check(self, site_id: str, switching: bool, tell: Tell) -> CheckReport: ...


class SiteChecks:
    """Event "site.check" tells each step. `checker` is set when the control loops are there."""

    def __init__(self, clock: Clock, events: EventBus, new_id: Callable[[], str]) -> None:
        self._clock, self._events, self._new_id = clock, events, new_id
        self.checker: Checker | None = None
        self._states: dict[str, SiteCheckState] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, site_id: str, switching: bool) -> SiteCheckState:
        """Raises AlreadyRunning, NotFound: nobody controls the site."""
        running = self.latest(site_id)
        if running is not None and running.state == "running":
            raise AlreadyRunning(f"a check of site {site_id!r} ({running.id})")
        if self.checker is None:
            raise NotFound("a controller of site", site_id)
        state = SiteCheckState(self._new_id(), site_id, "running", switching, self._clock.now())
        self._states[state.id] = state
        self._forget_old(site_id)
        self._tasks[state.id] = asyncio.create_task(self._run(state, self.checker), name=f"check {site_id}")
        return state

    def get(self, site_id: str, id: str) -> SiteCheckState:
        """Raises NotFound."""
        state = self._states.get(id)
        if state is None or state.site_id != site_id:
            raise NotFound("check", id)
        return state

    def latest(self, site_id: str) -> SiteCheckState | None:
        return next((s for s in reversed(self._states.values()) if s.site_id == site_id), None)

    async def end(self, site_id: str, id: str) -> None:
        """Break it off and wait until its relays are as before. Raises NotFound."""
        self.get(site_id, id)
        if (task := self._tasks.get(id)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        for state in list(self._states.values()):
            await self.end(state.site_id, state.id)

    async def _run(self, state: SiteCheckState, checker: Checker) -> None:
        def tell(done: int, total: int, doing: str) -> None:
            self._keep(replace(self._states[state.id], done=done, total=total, doing=doing))

        try:
            report = await checker.check(state.site_id, state.switching, tell)
        except asyncio.CancelledError:
            self._keep(replace(self._states[state.id], state="stopped", doing="", problem="broken off"))
            raise
        except CsmsError as error:
            self._keep(replace(self._states[state.id], state="failed", doing="", problem=str(error)))
        except Exception:  # supervisor: who waits for the check is told, the log says all
            log.exception("site check failed", site=state.site_id)
            problem = "failed; the server's log says why"
            self._keep(replace(self._states[state.id], state="failed", doing="", problem=problem))
        else:
            last = self._states[state.id]
            self._keep(replace(last, state="done", done=last.total, doing="", report=report))
        finally:
            self._tasks.pop(state.id, None)

    def _keep(self, state: SiteCheckState) -> None:
        self._states[state.id] = state
        self._events.publish(
            "site.check",
            self._clock.now(),
            site_id=state.site_id,
            check=state.id,
            state=state.state,
            done=state.done,
            total=state.total,
            doing=state.doing,
        )

    def _forget_old(self, site_id: str) -> None:
        ended = [s.id for s in self._states.values() if s.site_id == site_id and s.state != "running"]
        for id in ended[: max(0, len(ended) + 1 - KEPT_PER_SITE)]:
            del self._states[id]
