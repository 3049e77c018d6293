"""Everything the API and the pages may call, in one record: built once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from csms.clock import Clock
from csms.services.accounts import Accounts
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
from csms.services.security_profiles import SecurityProfiles
from csms.services.setpoints import Setpoints
from csms.services.site_checks import SiteChecks
from csms.services.sites import Sites
from csms.services.station_jobs import StationJobs
from csms.services.station_passwords import StationPasswords
from csms.services.transaction_closing import TransactionClosing
from csms.storage.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """login_required: the web page asks for a user and password. The API always asks for a token.

    public_url: how stations reach the web server; None = as whoever asks does.
    """

    database: Database
    charge_points: ChargePoints
    commands: Commands
    passwords: StationPasswords
    certificates: Certificates
    security_profiles: SecurityProfiles
    sites: Sites
    live: LiveSites
    reporting: Reporting
    closing: TransactionClosing
    accounts: Accounts
    events: EventBus
    frames: FrameLog
    files: Files
    jobs: StationJobs
    reservations: Reservations
    local_lists: LocalLists
    profiles: ChargingProfiles
    limits: LimitLadder
    setpoints: Setpoints
    security_events: SecurityEvents
    checks: SiteChecks
    clock: Clock
    login_required: bool
    version: str
    public_url: str | None = None
