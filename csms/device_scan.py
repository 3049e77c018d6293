"""`csms device scan`: what answers at the addresses a person names, as rows and as a piece of a site file."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from csms.errors import InvalidInput
from drivers.device import Framing
from drivers.identify import Identified, identify
from drivers.modbus_bus import ModbusBus, NoConnection

MOST_ADDRESSES = 256
HOSTS_AT_ONCE = 16
CONNECT_S, ANSWER_S, HTTP_S = 1.0, 0.4, 2.0
USUAL_PORTS: tuple[tuple[int, Framing], ...] = ((502, "tcp"), (1502, "tcp"), (4196, "rtu_over_tcp"))
USUAL_UNITS = (*range(1, 17), 71, 126, 200, 240, 247)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """One device. port, framing, unit: None of a device on HTTP."""

    host: str
    port: int | None
    framing: Framing | None
    unit: int | None
    what: Identified


def addresses(text: str) -> list[str]:
    """A host, or all hosts of a network such as 192.0.2.0/28. Raises InvalidInput."""
    if "/" not in text:
        return [text]
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidInput("HOST", text, "a host, or a network such as 192.0.2.0/28") from None
    if network.num_addresses > MOST_ADDRESSES:
        raise InvalidInput("HOST", text, f"a network of at most {MOST_ADDRESSES} addresses")
    return [str(address) for address in network.hosts()] or [str(network.network_address)]


def units(text: str | None) -> tuple[int, ...]:
    """Read "1-10,71". None: the usual ones. Raises InvalidInput."""
    if text is None:
        return USUAL_UNITS
    chosen: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            span = range(int(first), int(last or first) + 1)
        except ValueError:
            span = range(0)
        if not span or span[0] < 1 or span[-1] > 247:
            raise InvalidInput("--units", text, "numbers from 1 to 247 such as 1-10,71")
        chosen += span
    return tuple(dict.fromkeys(chosen))


async def scan(
    hosts: Sequence[str],
    ports: Sequence[tuple[int, Framing]],
    unit_ids: Sequence[int],
    tell: Tell,
    http_port: int = 80,
) -> list[Found]:
    """Everything that answers, in the order of the hosts. Only reads, one at a time on each converter."""
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def one(host: str) -> list[Found]:
        async with gate:
            tell(host)
            shelly = await _shelly(host, http_port)
            found = [Found(host, None, None, None, shelly)] if shelly else []
            for port, framing in ports:
                found += [device async for device in _units(host, port, framing, unit_ids, tell)]
            return found

    return [device for found in await asyncio.gather(*map(one, hosts)) for device in found]


async def _units(
    host: str, port: int, framing: Framing, unit_ids: Sequence[int], tell: Tell
) -> AsyncIterator[Found]:
    if not await _listens(host, port):
        return
    bus = ModbusBus(
        host, port, framing, now=lambda: datetime.now(UTC), sleep=asyncio.sleep, timeout_s=ANSWER_S
    )
    try:
        for unit in unit_ids:
            tell(f"{host}:{port} unit {unit}")
            try:
                what = await identify(bus, unit)
            except NoConnection:
                return  # the converter hung up: others need it, or it speaks no Modbus
            if what is not None:
                yield Found(host, port, framing, unit, what)
    finally:
        await bus.stop()


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def _shelly(host: str, port: int) -> Identified | None:
    """`/shelly` needs no login in any generation."""
    if not await _listens(host, port):
        return None
    told = await asyncio.to_thread(_get_json, f"http://{host}:{port}/shelly")
    if told is None or not {"mac"} <= told.keys():
        return None
    return shelly_identity(told)


def shelly_identity(told: dict[str, Any]) -> Identified | None:
    """told: the answer to `/shelly`. Generation 1 says `type`, all later ones `gen`, `model` and `app`."""
    name = told.get("app") or told.get("type") or told.get("model")
    if not name:
        return None
    is_meter = "EM" in str(name).upper()
    locked = ", needs its password" if told.get("auth") or told.get("auth_en") else ""
    detail = f"generation {told.get('gen', 1)}, {told['mac']}{locked}"
    return Identified("meter" if is_meter else "relay_module", "shelly", "", f"Shelly {name}", "sure", detail)


def _get_json(url: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(url, timeout=HTTP_S) as answer:
            told = json.loads(answer.read(10_000))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def snippet(found: Sequence[Found]) -> str:
    """A piece of a site file. Roles are a guess: the first meter is the grid's."""
    blocks = []
    roles = iter(["grid", "pv"])
    for number, device in enumerate(found, 1):
        if device.what.kind != "unknown":
            role = next(roles, "load") if device.what.kind == "meter" else None
            blocks.append("\n".join(_entry(device, number, role)))
    return "\n\n".join(blocks)


def _entry(device: Found, number: int, role: str | None) -> Iterator[str]:
    what = device.what
    yield f"[[{what.kind}]]"
    yield f'id = "{"meter" if role else "io"}{number}"'
    if role:
        yield f'role = "{role}"                      # grid | pv | battery | load | zone: correct it'
    yield f'driver = "{what.driver}"'
    if what.model or what.also:
        choice = f"   # {'or' if what.model else 'one of'} {', '.join(what.also)}" if what.also else ""
        yield f'model = "{what.model}"{choice}'
    yield f'host = "{device.host}"'
    if device.port is not None:
        yield f"port = {device.port}"
        yield f'framing = "{device.framing}"'
        yield f"unit = {device.unit}"


def chosen_ports(port: int | None, framing: Framing | None) -> list[tuple[int, Framing]]:
    """The usual ports, or one; without a framing both are tried on a port that is not usual."""
    usual = dict(USUAL_PORTS)
    if port is None:
        return [(p, f) for p, f in USUAL_PORTS if framing in (None, f)]
    if framing is not None or port in usual:
        return [(port, framing or usual[port])]
    return [(port, "tcp"), (port, "rtu_over_tcp")]


def found_to_dict(device: Found) -> dict[str, Any]:
    place = {"host": device.host, "port": device.port, "framing": device.framing, "unit": device.unit}
    return place | asdict(device.what)
