"""Charging stations as they are right now: live records, and what a connector is doing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from csms.domain.following import Following
from csms.domain.station_clock import ClockOffset

Registration = Literal["Accepted", "Pending", "Rejected"]
PhaseTriple = tuple[float, float, float]

TAKING_A = 1.0
TAKING_W = 100.0
READING_TRUSTED_FOR = timedelta(minutes=3)
COUNTED_S, COARSE_COUNT_S, CLEAR_GROWTH_WH = 60, 300, 20
REFUSAL_SHOWN_FOR = timedelta(minutes=2)
ENDED_BY_PAUSE = "StopTransaction.reason: ended by a pause"
ENDS_WITHIN = timedelta(seconds=30)
FREE_AFTER = timedelta(seconds=60)  # a start, or a stop, may be on its way for as long
SAME_SAMPLE = timedelta(seconds=2)  # some stations spread one sample over several messages
QUIRK_KINDS = 100
CONNECTORS_KEPT = 256  # no station has so many, but one may make up their numbers
LONGEST_QUIRK = 255
UNKNOWN_REGISTER_WH = -1
SMALLEST_FALL_WH = 1000
LARGEST_FIRST_RISE_WH = 200_000
"""More than that above the told start cannot have been charged when a register is read first: some stations
tell the start of the session's counter and then the register of the meter's whole life."""

# conformance_mode: nothing is sent unasked. assume_subprotocol: it may offer none.
OPTIONS = ("conformance_mode", "assume_subprotocol")

_SESSION_STATUSES = ("Charging", "SuspendedEV", "SuspendedEVSE")
_STATES_WITHOUT_SESSION = {"Preparing": "plugged", "Finishing": "finished", "Faulted": "faulted"}


_MEASURED = ("power_w", "current_a", "energy_wh", "soc_percent", "offered_a")


@dataclass(slots=True)
class OpenTransaction:
    """energy_wh: what the register has grown by since the start; it never falls.

    meter_start_wh: UNKNOWN_REGISTER_WH until a register is read, if the station did not tell it.
    counted_before_wh: what had been charged when the register began anew.
    min_a: what the vehicle that comes with the tag needs; None = whatever the connector's minimum is.
    is_refused: the tag was not accepted; the station stops the transaction or gives it nothing.
    usual_phases: how many phases the vehicle that comes with the tag was seen to use, None = not known.
    is_read: its register was, since the start.
    """

    id: int
    id_tag: str
    started_at: datetime
    meter_start_wh: float
    energy_wh: float = 0.0
    counted_before_wh: float | None = None
    min_a: float | None = None
    is_refused: bool = False
    usual_phases: int | None = None
    is_read: bool = False

    def register_read(self, register_wh: float) -> None:
        is_first, self.is_read = not self.is_read, True
        told_another = is_first and register_wh - self.meter_start_wh > LARGEST_FIRST_RISE_WH
        if self.meter_start_wh == UNKNOWN_REGISTER_WH or told_another:
            self.meter_start_wh = register_wh
        if self.counted_before_wh is None and has_begun_anew(self.meter_start_wh, register_wh):
            self.counted_before_wh = self.energy_wh
        if self.counted_before_wh is None:
            charged_wh = register_wh - self.meter_start_wh
        else:
            charged_wh = self.counted_before_wh + register_wh
        self.energy_wh = max(self.energy_wh, charged_wh)


def has_begun_anew(meter_start_wh: float, register_wh: float) -> bool:
    """Does the register count from zero although it did not at the start?

    Meters are replaced and reset, and some stations tell the energy of the session where the register
    belongs. Rounding and a unit that changes make a register smaller, too, but not by so much.
    """
    return 0 <= register_wh < meter_start_wh / 2 and meter_start_wh - register_wh > SMALLEST_FALL_WH


@dataclass(frozen=True, slots=True)
class ConnectorReading:
    """Measured by the station at `at`. None = it did not say. energy_wh: the meter's register.

    offered_a: what the station says it offers [A per phase]; some go on saying what they offered before.
    """

    at: datetime
    power_w: float | None = None
    current_a: PhaseTriple | None = None
    energy_wh: float | None = None
    soc_percent: float | None = None
    offered_a: float | None = None

    def is_taking(self) -> bool | None:
        """Does power flow into the vehicle? None = neither current nor power was measured."""
        if self.current_a is None and self.power_w is None:
            return None
        most_a = max(map(abs, self.current_a)) if self.current_a is not None else 0.0
        return most_a >= TAKING_A or (self.power_w or 0.0) >= TAKING_W

    def completed_by(self, other: ConnectorReading) -> ConnectorReading:
        """This reading, with what it leaves out taken from `other`."""
        left_out = [name for name in _MEASURED if getattr(self, name) is None]
        told = {name: value for name in left_out if (value := getattr(other, name)) is not None}
        return replace(self, **told) if told else self

    def after(self, last: ConnectorReading) -> ConnectorReading:
        """This reading, with what still holds of the `last` one. Its time is that of the power or current."""
        gap = abs(self.at - last.at)
        if self.is_taking() is None and last.is_taking() is not None and gap <= READING_TRUSTED_FOR:
            return replace(self.completed_by(last), at=last.at)
        return self.completed_by(last) if gap <= SAME_SAMPLE else self


@dataclass(frozen=True, slots=True)
class CountedSince:
    """A register [Wh] and when it was read. power_w: what it told last."""

    at: datetime
    energy_wh: float
    power_w: float | None = None


def with_power(
    reading: ConnectorReading, since: CountedSince | None, last: ConnectorReading | None
) -> tuple[ConnectorReading, CountedSince | None]:
    """A station that tells neither power nor current: its register's growth tells the power, over a minute at
    least, and over several where it counts coarsely or hardly grows."""
    if reading.is_taking() is not None:
        return reading, None
    was_told = since is None and last is not None and last.is_taking() is not None
    if was_told and last is not None and abs(reading.at - last.at) <= READING_TRUSTED_FOR:
        return reading, None
    if reading.energy_wh is None:
        return reading, since
    here = CountedSince(reading.at, reading.energy_wh)
    if since is None or reading.energy_wh < since.energy_wh or reading.at < since.at:
        return reading, here
    grown_wh, passed_s = reading.energy_wh - since.energy_wh, (reading.at - since.at).total_seconds()
    if passed_s >= COARSE_COUNT_S or (passed_s >= COUNTED_S and grown_wh >= CLEAR_GROWTH_WH):
        power_w = grown_wh * 3600 / passed_s
        return replace(reading, power_w=power_w), replace(here, power_w=power_w)
    if since.power_w is None:
        return reading, since
    return replace(reading, power_w=since.power_w), since


@dataclass(slots=True)
class LiveConnector:
    """status, error_code: as last reported; None = never. status_at: when that arrived.

    offered_a: the limit the station last accepted. [A per phase] setpoint_problem: why it was not written.
    following: whether what is measured keeps to it, within the running transaction. overruled: which profile
    of an operator had to make way for a fuse in it. refused_at: when the badge of who is there was refused.
    starting: how its start without a badge goes, in words for people. counted: of a station that tells
    nothing but its register, what it read some time ago. unbooked_since: current flows without a transaction.
    """

    status: str | None = None
    error_code: str = "NoError"
    status_at: datetime | None = None
    transaction: OpenTransaction | None = None
    reading: ConnectorReading | None = None
    offered_a: float | None = None
    offered_at: datetime | None = None
    setpoint_problem: str | None = None
    following: Following = field(default_factory=Following)
    overruled: str | None = None
    refused_at: datetime | None = None
    starting: str | None = None
    counted: CountedSince | None = None
    unbooked_since: datetime | None = None

    def state(self, now: datetime, connected: bool = True) -> str:
        """One of offline, free, plugged, ready, charging, finished, faulted, refused.

        What is measured counts more than the reported status, which may lag or be missing; a reading
        too old to be trusted, or older than the status, does not.
        """
        if not connected:
            return "offline"
        if self.status == "Faulted":
            return "faulted"
        is_taking = self._is_taking(now)
        if is_taking:
            return "charging"
        if self._is_refused(now):
            return "refused"
        over = self.status in ("Finishing", "Available")  # with a transaction open: its stop is on the way
        if (self.transaction is not None and not over) or self.status in _SESSION_STATUSES:
            return "charging" if self.status == "Charging" and is_taking is None else "ready"
        return _STATES_WITHOUT_SESSION.get(self.status or "", "free")

    def _is_refused(self, now: datetime) -> bool:
        """Nothing flows, and the badge was refused: to its transaction, or just now before there was one."""
        if self.transaction is not None:
            return self.transaction.is_refused and self.status not in ("Finishing", "Available")
        is_recent = self.refused_at is not None and now - self.refused_at <= REFUSAL_SHOWN_FOR
        return self.status == "Preparing" and is_recent

    def _is_taking(self, now: datetime) -> bool | None:
        reading = self.trusted_reading(now)
        return None if reading is None else reading.is_taking()

    def trusted_reading(self, now: datetime) -> ConnectorReading | None:
        """The last reading, unless it tells what was: too old, or older than a status that differs."""
        reading = self.reading
        if reading is None or abs(now - reading.at) > READING_TRUSTED_FOR:
            return None
        is_older = self.status_at is not None and reading.at < self.status_at
        if is_older and not (self.status == "Charging" and reading.is_taking()):
            return None
        return reading

    @property
    def has_vehicle(self) -> bool:
        """By its status, whatever it is charged with."""
        return self.status in ("Preparing", *_SESSION_STATUSES)

    def takes_unbooked(self, now: datetime) -> bool:
        """Is it measured to take current although no transaction runs?"""
        return self.transaction is None and self._is_taking(now) is True

    def is_ended_by_pause(self, reason: str | None, now: datetime) -> bool:
        """Did the station end this transaction, for nobody's sake, just after it was offered nothing?"""
        if reason != "Other" or self.offered_a != 0 or self.offered_at is None:
            return False
        return timedelta(0) <= now - self.offered_at <= ENDS_WITHIN

    def forget_limit(self) -> None:
        """Nobody is limited there any more; only the station's habits are kept."""
        self.offered_a = self.offered_at = self.overruled = None
        self.following = self.following.for_next_transaction()

    def take_reading(self, reading: ConnectorReading, now: datetime) -> bool:
        """Keep the newest reading. False: it is older than the one we have (a replayed past).

        A reading from the future, by a clock that was wrong, does not bar those that follow it.
        """
        reading, self.counted = with_power(reading, self.counted, self.reading)
        last = self.reading
        if last is not None and last.at <= now + READING_TRUSTED_FOR:
            if reading.at < last.at - SAME_SAMPLE:
                return False
            reading = reading.after(last)
        self.reading = reading
        if self.transaction is not None and reading.energy_wh is not None:
            self.transaction.register_read(reading.energy_wh)
        if self.transaction is not None or reading.is_taking() is False:
            self.unbooked_since = None
        elif reading.is_taking():
            self.unbooked_since = (
                self.unbooked_since or now
            )  # by our clock: the station's may be set meanwhile
        return True


@dataclass(slots=True)
class Station:
    """A charging station. configuration: key -> value as last read, None = set but not told.

    quirks: how often which deviation from OCPP was repaired, ever. unsaved_quirks: of these, since they were
    last stored. quirks_at: when each was last met. options: set by an operator, see `OPTIONS`. clock: how
    far it is off. charges_freely: whatever is plugged in, without any transaction, as far as was seen.
    """

    identity: str
    registration: Registration
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    firmware_version: str | None = None
    connected: bool = False
    connected_at: datetime | None = None
    last_seen_at: datetime | None = None
    configuration: dict[str, str | None] = field(default_factory=dict)
    read_only_keys: set[str] = field(default_factory=set)
    quirks: Counter[str] = field(default_factory=Counter)
    unsaved_quirks: Counter[str] = field(default_factory=Counter)
    quirks_at: dict[str, datetime] = field(default_factory=dict)
    connectors: dict[int, LiveConnector] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    security_profile: int = 0
    clock: ClockOffset = field(default_factory=ClockOffset)
    charges_freely: bool = False

    @property
    def ends_at_zero(self) -> bool:
        """Was it seen to end transactions because of a limit of 0? Once may be chance."""
        return self.quirks[ENDED_BY_PAUSE] > 1

    def is_limited_at(self, connector_id: int) -> bool:
        """Is there somebody for whom a limit counts: a transaction, or a vehicle that needs none?"""
        live = self.connectors.get(connector_id)
        if live is None:
            return False
        return live.transaction is not None or (self.charges_freely and live.has_vehicle)

    def keeps(self, connector_id: int) -> bool:
        """Is there a record of this connector, or room for one?"""
        return connector_id in self.connectors or len(self.connectors) < CONNECTORS_KEPT

    def connector(self, connector_id: int) -> LiveConnector:
        """The connector's record, made when it is first heard of; beyond CONNECTORS_KEPT it is not kept."""
        if not self.keeps(connector_id):
            return LiveConnector()
        return self.connectors.setdefault(connector_id, LiveConnector())

    def connector_state(self, connector_id: int, now: datetime) -> str:
        return self.connectors.get(connector_id, LiveConnector()).state(now, self.connected)

    def count_quirks(self, kinds: Iterable[str], now: datetime) -> None:
        """Beyond QUIRK_KINDS the rest is counted as one, so that no station can fill our memory."""
        for kind in kinds:
            kind = kind[:LONGEST_QUIRK]
            if kind not in self.quirks and len(self.quirks) >= QUIRK_KINDS:
                kind = "other"
            self.quirks[kind] += 1
            self.unsaved_quirks[kind] += 1
            self.quirks_at[kind] = now
