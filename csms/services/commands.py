"""What the central system asks of a station: checked, sent, and what it changes remembered."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from csms.clock import Clock
from csms.domain.conformity import MAX_INTEGER
from csms.domain.ocpp_schemas import ACTIONS_TO_STATION, validate_request
from csms.errors import CallFailed, CallTimeout, InvalidInput, NotConnected
from csms.services.charge_points import ChargePoints
from csms.services.command_effects import (
    SECRET_KEYS,
    Command,
    CommandEffect,
    standard_effects,
    tell_answered,
    tell_failed,
)
from csms.storage.database import Database

__all__ = ["CALL_TIMEOUT_S", "SECRET_KEYS", "Commands"]

CALL_TIMEOUT_S = 30.0


class Commands:
    """What a command changes is recorded by the effects registered for its action, in that order."""

    def __init__(self, database: Database, charge_points: ChargePoints, clock: Clock) -> None:
        self._charge_points, self._clock = charge_points, clock
        self._effects: defaultdict[str, list[CommandEffect]] = defaultdict(list)
        for action, effect in standard_effects(database, charge_points):
            self.on(action, effect)

    def on(self, action: str, effect: CommandEffect) -> None:
        self._effects[action].append(effect)

    async def send(
        self,
        identity: str,
        action: str,
        payload: dict[str, Any],
        timeout_s: float = CALL_TIMEOUT_S,
        *,
        row_id: int | None = None,
        origin: str = "",
    ) -> dict[str, Any]:
        """Send an OCPP 1.6 request (camelCase) and return the station's answer.

        The link has repaired it where it deviates from OCPP; what cannot be repaired is passed on as it is.
        row_id, origin: see Command.

        Raises:
            NotFound: no such station.
            InvalidInput: not an action of the central system, or a field that its schema or effect refuses.
            NotConnected, CallFailed, CallTimeout: no connection, refused with a CALLERROR, no answer in time.
        """
        station = self._charge_points.station(identity)
        if action not in ACTIONS_TO_STATION:
            raise InvalidInput("action", action, "one of " + ", ".join(sorted(ACTIONS_TO_STATION)))
        validate_request(action, payload)
        _check_integers(payload)
        link = self._charge_points.link(identity)
        command = Command(station.identity, action, payload, row_id, origin)
        effects = self._effects[action]
        for effect in effects:
            await effect.before(command)
        try:
            answer = await link.call(action, command.payload, timeout_s)
        except (CallFailed, CallTimeout, NotConnected) as error:
            await asyncio.shield(tell_failed(effects, command, error))
            raise
        self._charge_points.seen(identity, self._clock.now())
        # Recorded also if whoever asked has gone meanwhile: the station has done it.
        await asyncio.shield(tell_answered(effects, command, answer))
        return answer


def _check_integers(value: Any, field: str = "") -> None:
    """Raises InvalidInput: OCPP's integers have 32 bits, which its schemas do not say."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_integers(item, f"{field}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for item in value:
            _check_integers(item, field)
    elif type(value) is int and abs(value) > MAX_INTEGER:
        raise InvalidInput(field, value, f"at most {MAX_INTEGER}")
