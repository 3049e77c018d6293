"""What a station must not lose: start, stop and meter values, in order, over reconnects and restarts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from csms.clock import Clock
from simulation.outlet import Transaction
from simulation.station_configuration import Configuration
from simulation.station_link import CallRefused, LinkDown, NoAnswer, StationLink


@dataclass(slots=True)
class TransactionMessage:
    """Kept until the central system has taken it. attempts: CALLERRORs and silences so far."""

    action: str
    payload: dict[str, Any]
    transaction: Transaction | None
    attempts: int = 0

    def to_send(self) -> dict[str, Any]:
        """The transaction's id is filled in late: offline it is not known yet.

        -1: the start was never answered. Source: OCPP 1.6 errata v4.0.
        """
        if self.transaction is None or self.action == "StartTransaction":
            return self.payload
        return self.payload | {"transactionId": -1 if self.transaction.id is None else self.transaction.id}


class TransactionQueue:
    def __init__(
        self, link: StationLink, clock: Clock, configuration: Configuration, registered: asyncio.Event
    ) -> None:
        self._link, self._clock, self._configuration, self._registered = (
            link,
            clock,
            configuration,
            registered,
        )
        self._messages: deque[TransactionMessage] = deque()
        self._has_some = asyncio.Event()
        self.is_empty = asyncio.Event()
        self.is_empty.set()

    @property
    def unsent(self) -> list[TransactionMessage]:
        return list(self._messages)

    def put(self, action: str, payload: dict[str, Any], transaction: Transaction | None) -> None:
        self._messages.append(TransactionMessage(action, payload, transaction))
        self.is_empty.clear()
        self._has_some.set()

    async def run(self, take_answer: Callable[[TransactionMessage, dict[str, Any]], None]) -> None:
        """Deliver until cancelled. A refused message is repeated a few times, then dropped."""
        while True:
            await self._has_some.wait()
            await self._registered.wait()
            message = self._messages[0]
            try:
                answer = await self._link.call(message.action, message.to_send())
            except LinkDown:
                continue
            except (CallRefused, NoAnswer):
                message.attempts += 1
                if message.attempts < self._configuration.number("TransactionMessageAttempts"):
                    pause_s = self._configuration.number("TransactionMessageRetryInterval")
                    await self._clock.sleep(pause_s * message.attempts)
                    continue
            else:
                take_answer(message, answer)
            self._messages.popleft()
            if not self._messages:
                self._has_some.clear()
                self.is_empty.set()


def timestamp(at: datetime, zone: str = "Z") -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}{zone}"
