"""Everything the API and the page call, on a real SQLite file and a clock that is set by hand."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from csms.services.accounts import Accounts
from csms.services.bundle import Services
from csms.services.certificates import Certificates
from csms.services.charge_points import ChargePoints
from csms.services.charging_profiles import ChargingProfiles
from csms.services.commands import Commands
from csms.services.events import EventBus
from csms.services.files import Files
from csms.services.frame_log import FrameLog
from csms.services.limit_ladder import LimitLadder
from csms.services.live import LiveSites
from csms.services.local_lists import LocalLists
from csms.services.reporting import Reporting
from csms.services.reservations import Reservations
from csms.services.security_events import SecurityEvents
from csms.services.security_profiles import Listeners, SecurityProfiles
from csms.services.setpoints import Setpoints
from csms.services.site_checks import SiteChecks
from csms.services.sites import Sites
from csms.services.station_jobs import StationJobs
from csms.services.station_passwords import StationPasswords
from csms.services.transaction_closing import TransactionClosing
from csms.storage.database import Database
from tests.empty_database import migrated

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


class SetClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def running_services(
    folder: Path, clock: SetClock, unknown: Literal["reject", "pending"] = "reject"
) -> AsyncIterator[Services]:
    url = migrated(f"sqlite+aiosqlite:///{folder / 'csms.db'}")
    database, events = Database(url), EventBus()
    charge_points = ChargePoints(database, clock, events, unknown)
    commands, files = Commands(database, charge_points, clock), Files(folder, 100_000, 10_000)
    accounts = Accounts(database, clock, events)
    passwords = StationPasswords(database, charge_points, commands, accounts, clock)
    certificates = Certificates(database, charge_points, commands, clock)
    profiles = ChargingProfiles(database, charge_points, commands, events, clock)
    limits, frames = LimitLadder(database, charge_points, clock), FrameLog(database)
    services = Services(
        database=database,
        charge_points=charge_points,
        commands=commands,
        passwords=passwords,
        certificates=certificates,
        security_profiles=SecurityProfiles(
            database, charge_points, commands, passwords, certificates, Listeners(tls=True)
        ),
        sites=Sites(database, clock, events),
        live=LiveSites(events),
        reporting=Reporting(database),
        closing=TransactionClosing(database, charge_points, frames, clock),
        accounts=accounts,
        events=events,
        frames=frames,
        files=files,
        jobs=StationJobs(database, charge_points, commands, files, clock),
        reservations=Reservations(database, charge_points, commands, clock),
        local_lists=LocalLists(database, charge_points, commands, events, clock),
        profiles=profiles,
        limits=limits,
        setpoints=Setpoints(charge_points, commands, profiles, limits, clock),
        security_events=SecurityEvents(database, charge_points),
        checks=SiteChecks(clock, events, lambda: secrets.token_hex(8)),
        clock=clock,
        login_required=True,
        version="1.2.3",
    )
    await database.start()
    await services.sites.start()
    await charge_points.start()
    await services.profiles.start()
    await services.limits.start()
    await services.local_lists.start()
    await passwords.start()
    await certificates.start()
    try:
        yield services
    finally:
        await services.local_lists.stop()
        await services.setpoints.stop()
        await services.profiles.stop()
        await services.frames.stop()
        await certificates.stop()
        await database.stop()
