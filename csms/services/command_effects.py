"""What a command to a station changes here: hooks before it is sent and after its outcome is known.

A service registers an effect for each action that it keeps records of (`Commands.on`). Whoever sends the
command, by a button, a program or the raw OCPP path, the same records follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from csms.domain.charge_point import Station
from csms.errors import CsmsError, InvalidInput
from csms.services.charge_points import ChargePoints
from csms.storage import stations
from csms.storage.database import Database

log = structlog.get_logger()

Payload = dict[str, Any]
SECRET_KEYS = frozenset({"authorizationkey"})  # written, never shown
# Up to here is kept what a station tells of its configuration; OCPP has keys of 50 characters, values of 500.
KEYS_KEPT, LONGEST_KEY, LONGEST_VALUE = 1000, 255, 2000
MORE_KEYS = "GetConfiguration answer, configurationKey: more than are kept"


@dataclass(slots=True)
class Command:
    """A request on its way to a station.

    payload: camelCase, checked. row_id: the row that stands for it, made by the sender or by `before`.
    origin: what of ours sent it, e.g. "setpoints"; "" = a person or a program through the API.
    notes: what `before` hands on.
    """

    identity: str
    action: str
    payload: Payload
    row_id: int | None = None
    origin: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


class CommandEffect:
    """One that keeps records of an action overrides what it needs; each method does nothing by itself.

    What `before` records must stand for "outcome unknown": if the process ends, nothing more is told.
    """

    async def before(self, command: Command) -> None:
        """The station is connected and the request is about to go out. What this raises stops it."""

    async def answered(self, command: Command, answer: Payload) -> None:
        """The station's answer, repaired where it deviated. It may still have anything in any field."""

    async def failed(self, command: Command, error: CsmsError) -> None:
        """CallFailed: the station refused with a CALLERROR. CallTimeout, NotConnected: outcome unknown."""


async def tell_answered(effects: Iterable[CommandEffect], command: Command, answer: Payload) -> None:
    """An effect that fails takes away neither the answer nor the other effects."""
    for effect in effects:
        try:
            await effect.answered(command, answer)
        except Exception:  # supervisor: what one cannot record must not hide the answer
            log.exception("answer not recorded", charge_point=command.identity, action=command.action)


async def tell_failed(effects: Iterable[CommandEffect], command: Command, error: CsmsError) -> None:
    for effect in effects:
        try:
            await effect.failed(command, error)
        except Exception:  # supervisor: likewise
            log.exception("failure not recorded", charge_point=command.identity, action=command.action)


class _Configuration(CommandEffect):
    def __init__(self, database: Database, charge_points: ChargePoints) -> None:
        self._database, self._charge_points = database, charge_points

    async def save(self, station: Station, values: dict[str, str | None], read_only: set[str]) -> None:
        """The live record first: the answer to the next command builds on it, while this is being stored."""
        read_only &= values.keys()
        stored = {key: {"value": value, "readonly": key in read_only} for key, value in values.items()}
        self._charge_points.configured(station.identity, values, read_only)
        await self._database.write(lambda conn: stations.save_configuration(conn, station.identity, stored))


class ConfigurationRead(_Configuration):
    async def answered(self, command: Command, answer: Payload) -> None:
        """Asked for all, the answer is all there is; asked for some, the rest stays as it was known."""
        station = self._charge_points.station(command.identity)
        read = [e for e in _listed(answer, "configurationKey") if isinstance(e, dict) and "key" in e]
        asked_for_some = bool(command.payload.get("key"))
        values = dict(station.configuration) if asked_for_some else {}
        read_only = set(station.read_only_keys) if asked_for_some else set()
        for key in _listed(answer, "unknownKey"):
            values.pop(str(key), None)
        left_out = set()
        for entry in read:
            key, value = str(entry["key"])[:LONGEST_KEY], entry.get("value")
            if key not in values and len(values) >= KEYS_KEPT:
                left_out.add(MORE_KEYS)
                continue
            is_told = value is not None and key.lower() not in SECRET_KEYS
            values[key] = str(value)[:LONGEST_VALUE] if is_told else None
            (read_only.add if entry.get("readonly") else read_only.discard)(key)
        self._charge_points.mended(station.identity, [*left_out])
        await self.save(station, values, read_only)


class ConfigurationChanged(_Configuration):
    async def answered(self, command: Command, answer: Payload) -> None:
        if answer.get("status") not in ("Accepted", "RebootRequired"):
            return
        station = self._charge_points.station(command.identity)
        key = command.payload["key"]
        key = next((known for known in station.configuration if known.casefold() == key.casefold()), key)
        value = None if key.lower() in SECRET_KEYS else command.payload["value"]
        await self.save(station, {**station.configuration, key: value}, station.read_only_keys)


class Triggered(CommandEffect):
    """A station that is not accepted yet may say what it was asked for."""

    def __init__(self, charge_points: ChargePoints) -> None:
        self._charge_points = charge_points

    async def before(self, command: Command) -> None:
        self._charge_points.triggered(command.identity, str(command.payload["requestedMessage"]))


class StartsOrStops(CommandEffect):
    """A station that is not accepted must not be told to start or stop. [OCPP 1.6, 4.2]"""

    def __init__(self, charge_points: ChargePoints) -> None:
        self._charge_points = charge_points

    async def before(self, command: Command) -> None:
        registration = self._charge_points.station(command.identity).registration
        if registration != "Accepted":
            raise InvalidInput("action", command.action, f"an accepted station (it is {registration})")


def standard_effects(database: Database, charge_points: ChargePoints) -> list[tuple[str, CommandEffect]]:
    """What needs no service of its own."""
    return [
        ("GetConfiguration", ConfigurationRead(database, charge_points)),
        ("ChangeConfiguration", ConfigurationChanged(database, charge_points)),
        ("TriggerMessage", Triggered(charge_points)),
        ("ExtendedTriggerMessage", Triggered(charge_points)),
        ("RemoteStartTransaction", StartsOrStops(charge_points)),
        ("RemoteStopTransaction", StartsOrStops(charge_points)),
    ]


def _listed(answer: Payload, field: str) -> list[Any]:
    """What a station lists there; an answer that could not be repaired may have anything."""
    listed = answer.get(field)
    return listed if isinstance(listed, list) else []
