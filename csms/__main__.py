"""The command line. Each command imports what it needs only when it runs, so that `csms --help` is quick."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from csms.errors import CsmsError, InvalidInput
from csms.settings import Settings, load_settings

cli = typer.Typer(
    help="Helianthus: charging stations and relay appliances follow the sun. "
    "Settings come from the environment (CSMS_…) or a .env file: see `csms settings`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
site_cli = typer.Typer(help="The site's description: check a file, bring it into the database, write it out.")
device_cli = typer.Typer(help="Try a meter or relay module without the server.")
token_cli = typer.Typer(help="Tokens for the API.")
user_cli = typer.Typer(help="People who may log in to the page.")
db_cli = typer.Typer(help="The database: bring it up to date, back it up, restore it.")
for name, part in (
    ("site", site_cli),
    ("device", device_cli),
    ("token", token_cli),
    ("user", user_cli),
    ("db", db_cli),
):
    cli.add_typer(part, name=name, no_args_is_help=True)

Role = Literal["admin", "operator", "viewer"]
out = Console(markup=False)  # names and values of people may hold brackets: they are no markup
err = Console(stderr=True, highlight=False, markup=False)


def main() -> None:
    """Run a command; a fault that can be told in one line is, with exit code 1."""
    try:
        cli()
    except CsmsError as error:
        _say_fault(str(error))
        sys.exit(1)


def _say_fault(text: str) -> None:
    err.print(Text("csms:", style="red"), text, soft_wrap=True)


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not on Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


def _take_device_files() -> None:
    from csms.site_file import take_device_files

    take_device_files(load_settings())


def _logging(settings: Settings) -> None:
    from csms.logs import set_up_logging

    set_up_logging(settings.log_level, settings.log_format)


@cli.command()
def serve() -> None:
    """Run the server: stations on port 9000, page, API and metrics on port 8080."""
    from csms.app import App

    settings = load_settings()
    _logging(settings)
    _run(App(settings).run())


@cli.command()
def demo(
    site: Annotated[Path | None, typer.Option(help="Site file with devices on this machine.")] = None,
    speed: Annotated[float, typer.Option(min=1, max=600, help="Simulated seconds per real second.")] = 20,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same weather, house and people.")
    ] = None,
) -> None:
    """Run the server with a simulated building: meters, relays, stations, cars and passing clouds."""
    from csms.demo import SEED, run_demo

    settings = load_settings()
    _logging(settings)
    _take_device_files()
    _run(run_demo(settings, site, speed, SEED if seed is None else seed))


@cli.command()
def settings() -> None:
    """Print the settings in force, secrets hidden."""
    table = Table("variable", "value", "meaning", box=None)
    effective = load_settings()
    for name, field in Settings.model_fields.items():
        value = getattr(effective, name)
        if name == "database_url" and value is None:
            value = effective.effective_database_url()  # a file: no secret in it
        table.add_row(f"CSMS_{name.upper()}", "" if value is None else str(value), field.description or "")
    out.print(table)


@cli.command()
def simulate(
    site: Annotated[Path, typer.Argument(help="Site file.")],
    series: Annotated[Path, typer.Option(help="CSV of minutes: timestamp_utc, pv_w, load_w.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for result.json, minutes.csv, report.html.")],
    sessions: Annotated[Path | None, typer.Option(help="CSV of charging sessions.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Own column name: pv_w=NAME. Repeatable.")] = None,
    station: Annotated[
        list[str] | None, typer.Option(help="Station of the sessions to one of the site: A=CP1, or auto.")
    ] = None,
    pv_scale: Annotated[float, typer.Option(help="Multiply the photovoltaic power.")] = 1.0,
    start: Annotated[str | None, typer.Option("--from", help="First minute; UTC without an offset.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End, not included.")] = None,
    compare: Annotated[str, typer.Option(help="Other controllers, by comma: rule, evcc, bound.")] = "",
    daily_kwh: Annotated[
        list[str] | None, typer.Option(help="Energy an appliance takes a day: boiler=6. Repeatable.")
    ] = None,
    daily_h: Annotated[
        list[str] | None, typer.Option(help="Hours an appliance runs a day: pump=4. Repeatable.")
    ] = None,
    load_shedding: Annotated[
        str | None, typer.Option(help="The grid operator sheds load daily: 17:00-18:30, local time.")
    ] = None,
) -> None:
    """What would this controller have done with your own measurements?"""
    from rich.progress import Progress

    from csms.site_file import read_site_file
    from simulation.replay import ReplayOptions, number_pairs, pairs, run, station_pairs

    _take_device_files()
    with Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("simulating")
        result = run(
            ReplayOptions(
                site=read_site_file(site),
                series=series,
                out=out_dir,
                sessions=sessions,
                columns=pairs("--column", column or []),
                stations=station_pairs(station or []),
                pv_scale=pv_scale,
                start=_moment("--from", start),
                end=_moment("--to", end),
                compare=[name.strip() for name in compare.split(",") if name.strip()],
                daily_kwh=number_pairs("--daily-kwh", daily_kwh or []),
                daily_h=number_pairs("--daily-h", daily_h or []),
                load_shedding=load_shedding,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        )
    for note in result.notes:
        err.print(f"note: {note}", soft_wrap=True)
    for sentence in result.sentences:
        out.print(sentence, soft_wrap=True)
    out.print(f"Report: {result.report_path}", soft_wrap=True)


def _moment(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            option, text, "a date or time such as 2024-06-01 or 2024-06-01T06:00+02:00"
        ) from None


@cli.command()
def doctor(
    site: Annotated[Path, typer.Argument(help="Site file.")],
    yes: Annotated[bool, typer.Option("--yes", help="Switch loads without asking.")] = False,
    no_switching: Annotated[
        bool, typer.Option("--no-switching", help="Only read: the wiring stays unchecked.")
    ] = False,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the record.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Check machine, devices and wiring, and write the commissioning record. Exit code 2 = faults found.

    Loads are switched on and off and looked for on the grid meter: its direction, its phases, and which
    relay drives which load. Every relay is left as it was, also after Ctrl-C.
    """
    from csms.clock import SystemClock
    from csms.doctor import ask_before_switching
    from csms.doctor import doctor as examine
    from csms.site_file import read_site_file

    settings = load_settings()
    _logging(settings)
    config = read_site_file(site)
    switching = not no_switching
    if switching and not yes:
        if not sys.stdin.isatty():
            raise InvalidInput("--yes", None, "--yes or --no-switching where nobody can be asked")
        switching = ask_before_switching(config, out, typer.confirm)
    faults = 0

    async def run() -> None:
        nonlocal faults
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel_this_task())
        faults = await examine(
            config, settings, SystemClock(), out, switching=switching, folder=out_dir, as_json=as_json
        )

    try:
        _run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say_fault("broken off; what had been switched was brought back")
        raise typer.Exit(130) from None
    if faults:
        raise typer.Exit(2)


def _cancel_this_task() -> Callable[[], object]:
    task = asyncio.current_task()
    assert task is not None
    return task.cancel


# --- site ---


@site_cli.command("check")
def site_check(file: Annotated[Path, typer.Argument(help="Site file.")]) -> None:
    """Say everything that is wrong with a site file; nothing is changed."""
    from csms.domain.site import safe_currents
    from csms.site_file import read_site_file
    from drivers.catalogue import failsafe

    _take_device_files()
    site = read_site_file(file)
    out.print(
        f"{file}: site {site.site.id!r}, {len(site.meter)} meters, {len(site.relay_module)} relay modules, "
        f"{len(site.appliance)} appliances, {len(site.charge_point)} charge points",
        soft_wrap=True,
    )
    if not any(meter.role == "grid" for meter in site.meter):
        out.print("There is no grid meter: nothing can follow the sun, only timers and modes by hand work.")
    for module in site.relay_module:
        has_relays = module.relay_count() != 0
        if has_relays and failsafe(module.driver, module.model) not in ("pulse", "watchdog"):
            out.print(f"{module.id}: its relays stay as they are while the central system is silent")
    for (point, connector), amps in safe_currents(site).items():
        out.print(f"{point}/{connector}: {amps:g} A while the central system is silent")


@site_cli.command("apply")
def site_apply(file: Annotated[Path, typer.Argument(help="Site file.")]) -> None:
    """Bring a site file into the database. A running server takes it up when it starts again."""
    from csms.site_file import read_site_file

    _take_device_files()
    site = read_site_file(file)

    async def apply() -> None:
        async with _opened() as records:
            await records.sites.apply(site)
        out.print(f"site {site.site.id!r} applied; a running server takes it up when it starts again")

    _run(apply())


@site_cli.command("export")
def site_export(
    site_id: Annotated[str | None, typer.Argument(help="Needed if there are several.")] = None,
) -> None:
    """Write a site of the database as a site file to standard output."""
    from csms.site_file import write_site

    async def export() -> None:
        async with _opened() as records:
            known = [site.site.id for site in records.sites.all()]
            if not known:
                raise CsmsError("no site is described yet: csms site apply FILE")
            if site_id is None and len(known) != 1:
                raise InvalidInput("SITE_ID", site_id, f"one of {known}")
            print(write_site(records.sites.get(site_id or known[0])), end="")

    _run(export())


# --- devices ---


Host = Annotated[
    str, typer.Argument(help="Address of the device, its converter or broker; with --site its id there.")
]
Driver = Annotated[str | None, typer.Option(help="As in the site file: modbus (default), shelly, mqtt …")]
Model = Annotated[str | None, typer.Option(help="Key of the model, e.g. eastron_sdm630.")]
Port = Annotated[int | None, typer.Option(help="Default: the model's or driver's usual port.")]
Unit = Annotated[int | None, typer.Option(help="Modbus unit; default: the model's. Of a Shelly its channel.")]
Framing = Annotated[Literal["tcp", "rtu_over_tcp"] | None, typer.Option(help="Default: the model's first.")]
User = Annotated[str | None, typer.Option(help="Where a login is needed.")]
Password = Annotated[
    str | None, typer.Option(help="Where it is: env:DEVICE_NAME, or file:NAME in /run/secrets.")
]
Tls = Annotated[bool | None, typer.Option("--tls", help="https, or MQTT over TLS.")]
DeviceTopic = Annotated[str | None, typer.Option("--topic", help="Of a Tasmota or Zigbee device.")]
Relays = Annotated[int | None, typer.Option(help="How many a Tasmota or Zigbee device has; default 1.")]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A further line of its entry in the site file, e.g. 'invert = true'. Repeatable."
    ),
]
OfSite = Annotated[Path | None, typer.Option("--site", help="Site file that describes the device.")]


@device_cli.command("scan")
def device_scan(
    host: Annotated[str, typer.Argument(help="Host, or a network such as 192.0.2.0/28.")],
    port: Annotated[int | None, typer.Option(help="Default: 502, 1502 and 4196.")] = None,
    framing: Framing = None,
    units: Annotated[str | None, typer.Option(help="Modbus units, e.g. 1-10,71.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Look for Modbus, SunSpec and Shelly devices and for relays on MQTT, and print a piece of a site file.

    It only reads, one question at a time on each converter. A server that polls the same converter
    must be stopped meanwhile.
    """
    from csms import device_scan as scanning

    _logging(load_settings())
    hosts, chosen = scanning.addresses(host), scanning.units(units)
    found: list[scanning.Found] = []

    async def run() -> None:
        with err.status("scanning") as status:
            found.extend(
                await scanning.scan(hosts, scanning.chosen_ports(port, framing), chosen, status.update)
            )

    _run(run())
    if as_json:
        out.print_json(data=[scanning.found_to_dict(device) for device in found])
        return
    if not found:
        out.print("Nothing answered. Check addresses, supply, and that nothing else holds the converter.")
        return
    table = Table("address", "unit", "what", "certainty", "tells", box=None)
    for device in found:
        place = device.host if device.port is None else f"{device.host}:{device.port} {device.framing or ''}"
        unit = "" if device.unit is None else str(device.unit)
        table.add_row(place, unit, device.what.name, device.what.certainty, device.what.detail)
    out.print(table)
    out.print(f"\n{scanning.snippet(found)}", highlight=False, soft_wrap=True)


@device_cli.command("read")
def device_read(
    host: Host,
    driver: Driver = None,
    model: Model = None,
    port: Port = None,
    unit: Unit = None,
    framing: Framing = None,
    user: User = None,
    password: Password = None,
    tls: Tls = None,
    topic: DeviceTopic = None,
    relays: Relays = None,
    keys: Keys = None,
    site: OfSite = None,
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="Seconds to listen to an MQTT meter.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print what it tells as JSON.")] = False,
) -> None:
    """Read a meter, or the relays and inputs of a module, once."""
    from csms.device_commands import read_device
    from csms.device_words import DeviceWords, described

    _logging(load_settings())
    _take_device_files()
    words = DeviceWords(
        host, driver, model, port, unit, framing, user, password, tls, topic, relays, tuple(keys or ()), site
    )
    _run(read_device(out, described(words), wait_s, as_json))


@device_cli.command("switch")
def device_switch(
    host: Host,
    relay: Annotated[int, typer.Argument(min=1, help="Number of the relay, from 1.")],
    state: Annotated[str, typer.Argument(help="on or off.")],
    driver: Driver = None,
    model: Model = None,
    port: Port = None,
    unit: Unit = None,
    framing: Framing = None,
    user: User = None,
    password: Password = None,
    tls: Tls = None,
    topic: DeviceTopic = None,
    relays: Relays = None,
    keys: Keys = None,
    site: OfSite = None,
) -> None:
    """Switch one relay, read it back and tell its fail-safe. What hangs on it is switched for real."""
    from csms.device_commands import switch_relay
    from csms.device_words import DeviceWords, described
    from csms.doctor import is_serving

    settings = load_settings()
    _logging(settings)
    _take_device_files()
    if is_serving(settings):
        err.print(
            "note: a server runs on this machine. If it commands this module, it switches back at its next "
            "decision, and a converter with a single connection refuses this command.",
            soft_wrap=True,
        )
    if state not in ("on", "off"):
        raise InvalidInput("STATE", state, "on or off")
    words = DeviceWords(
        host, driver, model, port, unit, framing, user, password, tls, topic, relays, tuple(keys or ()), site
    )
    (module,) = described(words, only="relay_module")
    _run(switch_relay(out, module, relay, state == "on"))


# --- access and database ---


@token_cli.command("create")
def token_create(
    role: Annotated[Role, typer.Option(help="admin, operator or viewer.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
) -> None:
    """Print a new API token. It is shown this once; only its hash is kept."""

    async def create() -> None:
        async with _opened() as records:
            print(await records.accounts.create_token(name, role))

    _run(create())


@token_cli.command("list")
def token_list() -> None:
    """Tell which tokens there are; a token itself is nowhere kept."""

    async def tell() -> None:
        async with _opened() as records:
            table = Table("id", "what it is for", "role", "made", "last used", box=None)
            for token in await records.accounts.tokens():
                made, used = _day(token["created_at"]), _day(token["last_used_at"])
                table.add_row(str(token["id"]), token["name"], token["role"], made, used)
        out.print(table)

    _run(tell())


@token_cli.command("remove")
def token_remove(token_id: Annotated[int, typer.Argument(help="As `csms token list` tells it.")]) -> None:
    """Take a token back. It opens nothing any more, at once."""

    async def remove() -> None:
        async with _opened() as records:
            await records.accounts.remove_token_of(token_id)
        out.print(f"token {token_id} is removed")

    _run(remove())


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"


@user_cli.command("list")
def user_list() -> None:
    """Tell who may log in to the page."""

    async def tell() -> None:
        async with _opened() as records:
            table = Table("name", "role", "added", box=None)
            for user in await records.accounts.users():
                table.add_row(user["name"], user["role"], _day(user["created_at"]))
        out.print(table)

    _run(tell())


@user_cli.command("remove")
def user_remove(name: Annotated[str, typer.Argument(help="Login name.")]) -> None:
    """Let a person in no more. Open pages end when they are loaded again."""

    async def remove() -> None:
        async with _opened() as records:
            await records.accounts.remove_user(name)
        out.print(f"user {name!r} is removed")

    _run(remove())


@user_cli.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="Login name.")],
    role: Annotated[Role, typer.Option(help="admin, operator or viewer.")] = "operator",
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="CSMS_NEW_PASSWORD")
    ] = "",
) -> None:
    """Add a person who may log in to the page, or give one a new password and role."""

    async def add() -> None:
        async with _opened() as records:
            await records.accounts.add_user(name, password, role)
        out.print(f"user {name!r} may log in as {role}")

    _run(add())


@db_cli.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's schema. Nothing is lost; back up first all the same."""
    from csms.storage.database import upgrade

    url = load_settings().effective_database_url()

    async def up() -> None:
        await upgrade(url)
        out.print("the database is up to date")

    _run(up())


@db_cli.command("backup")
def db_backup(file: Annotated[Path, typer.Argument(help="File to write; must not exist.")]) -> None:
    """Copy the embedded database while the server runs. PostgreSQL has pg_dump for this."""
    from csms.storage.backup import backup

    backup(load_settings().effective_database_url(), file)
    out.print(f"written: {file}")


@db_cli.command("restore")
def db_restore(file: Annotated[Path, typer.Argument(help="File written by `csms db backup`.")]) -> None:
    """Put a backup in place of the embedded database. The server must not be running."""
    from csms.storage.backup import restore

    kept = restore(file, load_settings().effective_database_url())
    out.print(f"restored from {file}" + (f"; the previous database is kept as {kept}" if kept else ""))


def _opened() -> Any:
    from csms.records import opened

    return opened(load_settings())


if __name__ == "__main__":
    main()
