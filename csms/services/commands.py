"""What the central system asks of a station: checked, sent, and what it changes remembered."""

from __future__ import annotations

from typing import Any

from csms.clock import Clock
from csms.domain.charge_point import Station
from csms.domain.ocpp_schemas import ACTIONS_TO_STATION, validate_request
from csms.errors import InvalidInput
from csms.services.charge_points import ChargePoints
from csms.storage import stations
from csms.storage.database import Database

CALL_TIMEOUT_S = 30.0
SECRET_KEYS = frozenset({"authorizationkey"})  # written, never shown


class Commands:
    def __init__(self, database: Database, charge_points: ChargePoints, clock: Clock) -> None:
        self._database, self._charge_points, self._clock = database, charge_points, clock

    async def send(
        self, identity: str, action: str, payload: dict[str, Any], timeout_s: float = CALL_TIMEOUT_S
    ) -> dict[str, Any]:
        """Send an OCPP 1.6 request (camelCase) and return the station's answer.

        The link has repaired it where it deviates from OCPP; what cannot be repaired is passed on as it is.

        Raises:
            NotFound: no such station.
            InvalidInput: not an action of the central system, or a field that its schema refuses.
            NotConnected, CallFailed, CallTimeout: no connection, refused with a CALLERROR, no answer in time.
        """
        station = self._charge_points.station(identity)
        if action not in ACTIONS_TO_STATION:
            raise InvalidInput("action", action, "one of " + ", ".join(sorted(ACTIONS_TO_STATION)))
        validate_request(action, payload)
        link = self._charge_points.link(identity)
        answer = await link.call(action, payload, timeout_s)
        self._charge_points.seen(identity, self._clock.now())
        if action == "GetConfiguration":
            await self._configuration_read(station, payload, answer)
        elif action == "ChangeConfiguration":
            await self._configuration_changed(station, payload, answer)
        elif action == "ClearChargingProfile" and answer.get("status") == "Accepted":
            self._charge_points.profiles_cleared(station.identity)
        return answer

    async def _configuration_read(
        self, station: Station, payload: dict[str, Any], answer: dict[str, Any]
    ) -> None:
        """Asked for all, the answer is all there is; asked for some, the rest stays as it was known."""
        read = [e for e in _listed(answer, "configurationKey") if isinstance(e, dict) and "key" in e]
        asked_for_some = bool(payload.get("key"))
        values = dict(station.configuration) if asked_for_some else {}
        read_only = set(station.read_only_keys) if asked_for_some else set()
        for key in _listed(answer, "unknownKey"):
            values.pop(str(key), None)
        for entry in read:
            key = str(entry["key"])
            values[key] = None if key.lower() in SECRET_KEYS else entry.get("value")
            (read_only.add if entry.get("readonly") else read_only.discard)(key)
        await self._save(station, values, read_only)

    async def _configuration_changed(
        self, station: Station, payload: dict[str, Any], answer: dict[str, Any]
    ) -> None:
        if answer.get("status") not in ("Accepted", "RebootRequired"):
            return
        key = payload["key"]
        value = None if key.lower() in SECRET_KEYS else payload["value"]
        await self._save(station, {**station.configuration, key: value}, station.read_only_keys)

    async def _save(self, station: Station, values: dict[str, str | None], read_only: set[str]) -> None:
        """The live record first: the answer to the next command builds on it, while this is being stored."""
        stored = {key: {"value": value, "readonly": key in read_only} for key, value in values.items()}
        self._charge_points.configured(station.identity, values, read_only)
        await self._database.write(lambda conn: stations.save_configuration(conn, station.identity, stored))


def _listed(answer: dict[str, Any], field: str) -> list[Any]:
    """What a station lists there; an answer that could not be repaired may have anything."""
    listed = answer.get(field)
    return listed if isinstance(listed, list) else []
