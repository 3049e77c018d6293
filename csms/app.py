"""The composition root: builds every part, starts them in order, stops them in reverse.

Only the command line imports this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
import uvicorn

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

from csms.api.application import create_api
from csms.clock import Clock, SystemClock
from csms.control_loop import ControlLoops
from csms.errors import StartupError
from csms.ocpp.server import OcppServer
from csms.ocpp.tls import StationTls
from csms.records import prepare_database
from csms.services.accounts import Accounts
from csms.services.bundle import Services
from csms.services.certificates import Certificates
from csms.services.charge_points import ChargePoints
from csms.services.charging_profiles import ChargingProfiles
from csms.services.commands import Commands
from csms.services.events import EventBus
from csms.services.files import MB, Files
from csms.services.frame_log import FrameLog
from csms.services.free_starts import FreeStarts, is_start_tag
from csms.services.fuse_stops import FuseStops
from csms.services.limit_ladder import LimitLadder
from csms.services.live import LiveSites
from csms.services.local_lists import LocalLists
from csms.services.provisioning import Provisioning
from csms.services.quirk_records import QuirkRecords
from csms.services.reporting import Reporting
from csms.services.reservations import Reservations
from csms.services.retention import Retention
from csms.services.security_events import SecurityEvents
from csms.services.security_profiles import Listeners, SecurityProfiles
from csms.services.setpoints import Setpoints
from csms.services.site_checks import SiteChecks
from csms.services.sites import Sites
from csms.services.stale_readings import StaleReadings
from csms.services.station_jobs import StationJobs
from csms.services.station_messages import StationMessages
from csms.services.station_passwords import StationPasswords
from csms.services.stuck_connectors import StuckConnectors
from csms.services.tag_phases import TagPhases
from csms.services.transaction_closing import TransactionClosing
from csms.services.unplugging import Unplugging
from csms.services.wake_up import WakeUp
from csms.settings import Settings
from csms.site_file import faults_of, read_site_file, take_device_files
from csms.storage.database import Database
from csms.web.pages import mount_pages

log = structlog.get_logger()


class App:
    """The whole server on one clock. `start` raises StartupError with one clear line."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        take_device_files(settings)
        self.settings = settings
        self.clock = clock or SystemClock()
        self.database = Database(settings.effective_database_url())
        self.events = EventBus()
        self.charge_points = ChargePoints(
            self.database,
            self.clock,
            self.events,
            settings.unknown_charge_points,
            settings.conformance_mode,
        )
        self.commands = Commands(self.database, self.charge_points, self.clock)
        self.sites = Sites(self.database, self.clock, self.events)
        self.live = LiveSites(self.events)
        self.reporting = Reporting(self.database)
        self.accounts = Accounts(self.database, self.clock, self.events)
        self.frame_log = FrameLog(self.database)
        self.closing = TransactionClosing(self.database, self.charge_points, self.frame_log, self.clock)
        self.quirk_records = QuirkRecords(self.database, self.charge_points)
        self._build_ocpp_services()
        self.retention = Retention(self.database, self.clock, self.files, settings.frames_kept_days)
        self._build_security()
        self.messages = StationMessages(
            self.database,
            self.charge_points,
            self.clock,
            unknown_tags=None if settings.unknown_id_tags == "auto" else settings.unknown_id_tags,
            handlers={"SignCertificate": self.certificates.sign_certificate},
            is_start_tag=partial(is_start_tag, self.sites, self.charge_points),
        )
        self._build_control()
        self.ocpp = self._ocpp_server()
        self.web = WebServer(self)
        self._stops: list[Callable[[], Awaitable[None]]] = []

    def _build_control(self) -> None:
        self.limits = LimitLadder(self.database, self.charge_points, self.clock)
        self.setpoints = Setpoints(self.charge_points, self.commands, self.profiles, self.limits, self.clock)
        self.provisioning = Provisioning(
            self.charge_points, self.commands, self.setpoints, self.sites, self.events, self.clock
        )
        self.stale_readings = StaleReadings(self.charge_points, self.commands, self.events, self.clock)
        self.wake_up = WakeUp(self.charge_points, self.commands, self.events, self.clock)
        self.stuck_connectors = StuckConnectors(self.charge_points, self.commands, self.clock)
        self.fuse_stops = FuseStops(self.database, self.charge_points, self.commands, self.events)
        self.free_starts = FreeStarts(
            self.database,
            self.sites,
            self.charge_points,
            self.commands,
            self.events,
            self.clock,
            self.wake_up.is_at_work,
        )
        stands_for_any = partial(is_start_tag, self.sites, self.charge_points)
        self.tag_phases = TagPhases(
            self.database, self.charge_points, self.events, self.clock, stands_for_any
        )
        self.unplugging = Unplugging(self.charge_points, self.sites, self.events, self.clock)
        self.checks = SiteChecks(self.clock, self.events, lambda: secrets.token_hex(8))
        self.control = ControlLoops(
            self.sites,
            self.charge_points,
            self.setpoints,
            self.reporting,
            self.live,
            self.clock,
            self.events,
        )

    def _ocpp_server(self) -> OcppServer:
        settings = self.settings
        return OcppServer(
            self.charge_points,
            self.messages,
            self.clock,
            settings.ocpp_host,
            settings.ocpp_port,
            frame_log=self.frame_log,
            ssl_context=self.station_tls.context if self.station_tls is not None else None,
            tls_port=settings.ocpp_tls_port,
            gate=self.security_profiles,
            supported=self.messages.actions,
        )

    def _build_ocpp_services(self) -> None:
        """What keeps records of the OCPP profiles beyond Core."""
        database, stations, commands, clock = self.database, self.charge_points, self.commands, self.clock
        settings = self.settings
        self.files = Files(settings.data_dir, settings.files_limit_mb * MB, settings.upload_limit_mb * MB)
        self.jobs = StationJobs(database, stations, commands, self.files, clock)
        self.reservations = Reservations(database, stations, commands, clock)
        self.local_lists = LocalLists(database, stations, commands, self.events, clock)
        self.profiles = ChargingProfiles(database, stations, commands, self.events, clock)
        self.security_events = SecurityEvents(database, stations)

    def _build_security(self) -> None:
        settings = self.settings
        self.passwords = StationPasswords(
            self.database, self.charge_points, self.commands, self.accounts, self.clock
        )
        self.certificates = Certificates(
            self.database, self.charge_points, self.commands, self.clock, settings.cpo_name
        )
        self.station_tls = _station_tls(settings, self.certificates)
        self.security_profiles = SecurityProfiles(
            self.database,
            self.charge_points,
            self.commands,
            self.passwords,
            self.certificates,
            Listeners(
                plain=not settings.has_ocpp_tls or settings.ocpp_tls_port is not None,
                tls=settings.has_ocpp_tls,
            ),
        )

    def services(self) -> Services:
        """What API and pages may call."""
        return Services(
            database=self.database,
            charge_points=self.charge_points,
            commands=self.commands,
            passwords=self.passwords,
            certificates=self.certificates,
            security_profiles=self.security_profiles,
            sites=self.sites,
            live=self.live,
            reporting=self.reporting,
            closing=self.closing,
            accounts=self.accounts,
            events=self.events,
            frames=self.frame_log,
            files=self.files,
            jobs=self.jobs,
            reservations=self.reservations,
            local_lists=self.local_lists,
            profiles=self.profiles,
            limits=self.limits,
            setpoints=self.setpoints,
            security_events=self.security_events,
            checks=self.checks,
            clock=self.clock,
            login_required=self.settings.web_login == "required",
            version=version("helianthus"),
            public_url=self.settings.public_url,
        )

    async def start(self, *, control: bool = True, web: bool = True) -> None:
        """Without `control` a test decides minute by minute itself; without `web` it needs no page."""
        try:
            await prepare_database(self.settings)
            await self._started(self.database.start, self.database.stop)
            await self._started(self.sites.start)
            await self._load_site_file()
            await self._started(self.charge_points.start)
            await self._started(self.quirk_records.start, self.quirk_records.stop)
            await self._started(self.profiles.start, self.profiles.stop)
            await self._started(self.limits.start)
            self._stops.append(self.setpoints.stop)
            await self._started(self.jobs.start, self.jobs.stop)
            await self._started(self.reservations.start, self.reservations.stop)
            await self._started(self.local_lists.start, self.local_lists.stop)
            await self._started(self.frame_log.start, self.frame_log.stop)
            await self._started(self.retention.start, self.retention.stop)
            await self._started(self.provisioning.start, self.provisioning.stop)
            await self._started(self.stale_readings.start, self.stale_readings.stop)
            await self._started(self.wake_up.start, self.wake_up.stop)
            await self._started(self.fuse_stops.start, self.fuse_stops.stop)
            await self._started(self.stuck_connectors.start, self.stuck_connectors.stop)
            await self._started(self.free_starts.start, self.free_starts.stop)
            await self._started(self.tag_phases.start, self.tag_phases.stop)
            await self._started(self.unplugging.start, self.unplugging.stop)
            await self._started(self.passwords.start)
            await self._started(self.certificates.start, self.certificates.stop)
            if self.station_tls is not None:
                await self._started(self.station_tls.start)
            await self._started(self.ocpp.start, self.ocpp.stop)
            if control:
                await self._started(self.control.start, self.control.stop)
                self.checks.checker = self.control
                self._stops.append(self.checks.stop)
            if web:
                await self._started(self.web.start, self.web.stop)
        except BaseException:
            await self.stop()
            raise

    async def _started(
        self, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        await start()
        if stop is not None:
            self._stops.append(stop)

    async def stop(self) -> None:
        while self._stops:
            await self._stops.pop()()

    async def run(self) -> None:
        """Start, serve until SIGINT or SIGTERM, stop."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        _allow_open_files()
        await self.start()
        _spare_the_collector()
        log.info("ready", page=self.web.url, stations=f"port {self.ocpp.port}", sites=len(self.sites.all()))
        await stopping.wait()
        log.info("stopping")
        await self.stop()

    async def _load_site_file(self) -> None:
        """The file describes a site that the database has not, or has in a way that is not taken any more."""
        if (path := self.settings.site_file) is not None:
            site = read_site_file(path)
            if any(known.site.id == site.site.id for known in self.sites.all()):
                log.info(
                    "site file not applied: the database has this site", site=site.site.id, file=str(path)
                )
            else:
                await self.sites.apply(site)
        if self.sites.unfit:
            raise StartupError("\n".join(self._unfit_words()))

    def _unfit_words(self) -> Iterator[str]:
        for id, error in self.sites.unfit.items():
            yield from (f"stored site {id}: {fault}" for fault in faults_of(error))
            yield f"stored site {id}: to replace it, name a corrected file of this site in CSMS_SITE_FILE"


def _spare_the_collector() -> None:
    """What was built by now stays for good, and messages leave few cycles behind: looking through all
    of it after every 700 objects would cost a tenth of the time. What outlives the first looks, as stations
    do, is looked through now and then, lest what they leave grows without end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _allow_open_files() -> None:
    """Each station is an open file: as many as the system lets us have, not the 1024 usual at first."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _station_tls(settings: Settings, certificates: Certificates) -> StationTls | None:
    if not settings.has_ocpp_tls:
        return None
    pairs = (
        (settings.ocpp_tls_cert, settings.ocpp_tls_key),
        (settings.ocpp_tls_ecdsa_cert, settings.ocpp_tls_ecdsa_key),
    )
    files = [(chain, key) for chain, key in pairs if chain is not None and key is not None]
    names = [name.strip() for name in (settings.ocpp_tls_hostname or "").split(",") if name.strip()]
    return StationTls(certificates, files, names, settings.data_dir / "tls", settings.ocpp_client_ca)


class _Uvicorn(uvicorn.Server):
    """Signals are ours: the web server stops in its turn, not before the rest."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """Page, API and metrics on one port, bound first so that a port in use is told plainly."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._server: _Uvicorn | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        scheme = "https" if self._app.settings.web_tls_cert else "http"
        host = self._app.settings.web_host
        return f"{scheme}://{'localhost' if host in ('0.0.0.0', '::') else host}:{self.port}/"

    async def start(self) -> None:
        app, settings = self._app, self._app.settings
        _check_certificate(settings.web_tls_cert, settings.web_tls_key)
        listener = _bind(settings.web_host, settings.web_port)
        self.port = listener.getsockname()[1]
        services = app.services()
        api = create_api(services)
        mount_pages(
            api,
            services,
            storage_secret=await app.accounts.signing_key("page"),
            secure_cookie=settings.web_tls_cert is not None,
        )
        config = uvicorn.Config(
            api,
            log_config=None,
            access_log=False,
            ssl_certfile=settings.web_tls_cert,
            ssl_keyfile=settings.web_tls_key,
            timeout_graceful_shutdown=2,
        )
        self._server = _Uvicorn(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="web server")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({listening, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not self._server.started:
            listening.cancel()
            raise StartupError("web server did not start: its reason is in the log")

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task


def _check_certificate(chain: Path | None, key: Path | None) -> None:
    """The web server would tell of a wrong one by a stack trace. Raises StartupError."""
    if chain is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
    except OSError as error:
        raise StartupError(f"CSMS_WEB_TLS_CERT {chain} with CSMS_WEB_TLS_KEY {key}: {error}") from None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartupError(f"web address {host}:{port} cannot be used: {error.strerror}") from None
    listener.set_inheritable(True)
    return listener
