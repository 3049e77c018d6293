"""`csms doctor`: this machine, then every device and the wiring of a site; and a record to keep."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bar
from rich.table import Column, Table
from rich.text import Text

from csms.clock import Clock
from csms.doctor_at_server import NotAsked, any_certificate, check_at_server, own_url
from csms.domain.check_report import WORDS, CheckReport, findings_to_read, report_to_dict, report_to_html
from csms.domain.site import SiteConfig
from csms.domain.wiring import Finding
from csms.errors import CsmsError, StartupError
from csms.settings import Settings
from csms.site_check import Progress, SiteCheck, switched_loads
from csms.site_devices import SiteDevices
from csms.storage.database import Database
from drivers.device import DeviceConfigError

COLOURS = {"fault": "red", "warning": "yellow", "inconclusive": "magenta", "note": "blue", "ok": "green"}
LITTLE_DISK_MB, NO_DISK_MB = 2000, 200
NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)

Confirm = Callable[[str], bool]


class DoctorRefused(CsmsError):
    pass


async def check_site(
    config: SiteConfig,
    settings: Settings,
    clock: Clock,
    *,
    switching: bool,
    progress: Callable[[Progress], None],
) -> CheckReport:
    """Machine, devices and wiring; where a server runs, that does the check.

    Raises DoctorRefused: the site file names a device that cannot be; CheckRefused: the server says no.
    """
    started_at = clock.now()
    serving = await asyncio.to_thread(is_serving, settings)
    findings = await check_machine(settings, clock.now(), serving)
    if serving:
        try:
            findings += await check_at_server(config, settings, switching, progress)
        except NotAsked as reason:
            findings.append(reason.finding)
            switching = False
    else:
        try:
            devices = SiteDevices(config, clock.now, clock.sleep)
        except DeviceConfigError as error:
            raise DoctorRefused(str(error)) from None
        try:
            check = SiteCheck(config, devices, clock.now, clock.sleep, progress)
            findings += await check.run(switching)
        finally:
            await devices.stop()
    return CheckReport(
        config=config,
        started_at=started_at,
        ended_at=clock.now(),
        version=version("helianthus"),
        switched=switching,
        findings=tuple(findings),
    )


# --- this machine ---


async def check_machine(settings: Settings, now: datetime, serving: bool) -> list[Finding]:
    """serving: a server of ours runs here."""
    return [
        _clock(now),
        await _database(settings),
        *(_port(name, port, serving) for name, port in _ports(settings)),
        _disk(settings.data_dir),
    ]


def _clock(now: datetime) -> Finding:
    if now < NOT_BEFORE:
        text = f"the clock says {now:%Y-%m-%d}: it was never set"
        return Finding("machine", "clock", "fault", text, "Set up time synchronisation (NTP)")
    told = _is_synchronised()
    if told is False:
        text = f"{now:%Y-%m-%d %H:%M} UTC, but not synchronised"
        advice = "Set up time synchronisation (NTP): timers and stations follow this clock"
        return Finding("machine", "clock", "warning", text, advice)
    said = "synchronised" if told else "compare it with yours"
    return Finding("machine", "clock", "ok" if told else "note", f"{now:%Y-%m-%d %H:%M} UTC, {said}")


def _is_synchronised() -> bool | None:
    """As the kernel's time daemon leaves it on disk; None = this system does not tell."""
    if not Path("/run/systemd/timesync").exists():
        return None
    return Path("/run/systemd/timesync/synchronized").exists()


async def _database(settings: Settings) -> Finding:
    database = Database(settings.effective_database_url())
    file = settings.data_dir / "csms.db"
    if settings.database_url is None and not file.exists():
        return Finding("machine", "database", "note", f"{file} does not exist yet: the first start makes it")
    try:
        await database.start()
        await database.check()
    except StartupError as error:
        return Finding("machine", "database", "fault", str(error), "csms db upgrade, or restore a backup")
    except Exception as error:  # whatever a driver raises: the doctor tells it and goes on
        return Finding("machine", "database", "fault", f"{type(error).__name__}: {error}", "Restore a backup")
    finally:
        with contextlib.suppress(Exception):
            await database.stop()
    return Finding("machine", "database", "ok", "opens, and its tables are up to date")


def _ports(settings: Settings) -> Iterator[tuple[str, int]]:
    yield "stations", settings.ocpp_port
    yield "page and API", settings.web_port


def _port(name: str, port: int, serving: bool) -> Finding:
    check = f"port {port}"
    if _is_free(port):
        return Finding("machine", check, "ok", f"free for {name}")
    if serving:
        return Finding("machine", check, "ok", f"held by a running server, for {name}")
    advice = "End it, or choose another with CSMS_OCPP_PORT or CSMS_WEB_PORT"
    return Finding("machine", check, "fault", f"another program holds the port for {name}", advice)


def _is_free(port: int) -> bool:
    if port == 0:
        return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def is_serving(settings: Settings) -> bool:
    """Whether a server of ours answers at the web port of this machine."""
    if settings.web_port == 0:
        return False
    url = f"{own_url(settings)}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=2, context=any_certificate()) as answer:
            return {"status", "version"} <= set(json.load(answer))
    except (OSError, ValueError, urllib.error.URLError, TypeError):
        return False


def _disk(folder: Path) -> Finding:
    existing = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    text = f"{free_mb / 1000:.1f} GB free at {folder}"
    if free_mb < NO_DISK_MB:
        return Finding("machine", "disk", "fault", text, "Make room: the database cannot be written soon")
    if free_mb < LITTLE_DISK_MB:
        return Finding("machine", "disk", "warning", text, "Make room, or keep frames for fewer days")
    return Finding("machine", "disk", "ok", text)


# --- on the terminal ---


async def doctor(
    config: SiteConfig,
    settings: Settings,
    clock: Clock,
    out: Console,
    *,
    switching: bool,
    folder: Path,
    as_json: bool = False,
) -> int:
    """Check, print, write the record; the number of faults."""
    _make_folder(folder)  # before anything is switched, not after it
    with Bar(console=out, disable=as_json or not out.is_terminal, transient=True) as bar:
        task = bar.add_task("checking", total=None)

        def show(progress: Progress) -> None:
            bar.update(
                task, completed=progress.done, total=progress.total, description=escape(progress.doing)
            )

        report = await check_site(config, settings, clock, switching=switching, progress=show)
    files = write_report(report, folder)
    if as_json:
        out.print_json(data=report_to_dict(report))
    else:
        print_report(report, out)
        out.print(f"Record: {', '.join(map(str, files))}", soft_wrap=True)
    return report.faults


def ask_before_switching(config: SiteConfig, out: Console, confirm: Confirm) -> bool:
    """Name what will be switched on and off, and ask."""
    loads = list(switched_loads(config))
    if not (loads or config.charge_point):
        return False
    if loads:
        out.print("These loads are switched on and off for some seconds, two to four times each:")
    for load in loads:
        out.print(f"  {load.contact}: {load.name}, {load.power_w:.0f} W", highlight=False)
    if config.charge_point:
        out.print("Where a server runs, cars that charge are held back for some seconds as often.")
    out.print("Nobody may work on them or depend on them now. Afterwards everything is as before.")
    return confirm("Start?")


def print_report(report: CheckReport, out: Console) -> None:
    table = Table(
        "result", Column("what", max_width=22), "check", Column("found", overflow="fold"), "to do", box=None
    )
    for finding in findings_to_read(report.findings):
        word = Text(WORDS[finding.status], style=COLOURS[finding.status])
        table.add_row(word, finding.subject, finding.check, finding.text, finding.advice)
    out.print(table)
    out.print(f"{report.config.site.name}: {report.summary}", highlight=False)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DoctorRefused(f"the record cannot be written: {error}") from None


def write_report(report: CheckReport, folder: Path) -> list[Path]:
    """JSON for programs, HTML to print and sign. Raises DoctorRefused if they cannot be written."""
    stem = f"commissioning-{report.config.site.id}-{report.started_at:%Y%m%d-%H%M%S}"
    contents = {
        f"{stem}.json": json.dumps(report_to_dict(report), indent=2, ensure_ascii=False) + "\n",
        f"{stem}.html": report_to_html(report),
    }
    try:
        for name, content in contents.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise DoctorRefused(f"the record cannot be written: {error}") from None
    return [folder / name for name in contents]
