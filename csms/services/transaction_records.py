"""How StartTransaction, MeterValues and StopTransaction become records, exactly once. [OCPP 1.6, 4.5-4.10]

Stations repeat, reorder and lose messages. Each function here runs inside one database job and returns
the answer with what changed for the live state; a repeated message gets the answer of the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.domain.charge_point import (
    LARGEST_FIRST_RISE_WH,
    UNKNOWN_REGISTER_WH,
    ConnectorReading,
    has_begun_anew,
)
from csms.domain.id_tag import UnknownTags, authorize, same_tag
from csms.domain.meter_value import is_covered, read_sampled_values, register_wh
from csms.domain.normalise import parse_time
from csms.domain.sample_kinds import Samples
from csms.domain.station_clock import CLOCK_NEVER_SET, is_historic, is_over
from csms.storage import access, reservations, stations, transactions
from csms.storage.database import JsonText
from csms.storage.transactions import Row

LARGEST_SESSION_WH = 2_000_000  # more has nobody charged: the stop tells another register than the start
SHORTEST_CUT_TAG = 8
IN_SESSION = ("Charging", "SuspendedEV", "SuspendedEVSE")


@dataclass(slots=True)
class Outcome:
    """started: transactions that run now. stopped: those that no longer do. quirks: kinds to be counted."""

    answer: dict[str, Any] = field(default_factory=dict)
    started: list[Row] = field(default_factory=list)
    stopped: list[Row] = field(default_factory=list)
    quirks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Element:
    """One MeterValue: when, what it reads, and the row to be stored (without its transaction)."""

    measured_at: datetime
    reading: ConnectorReading
    samples: Sequence[dict[str, Any]]
    row: Row


async def id_tag_info(
    conn: AsyncConnection,
    id_tag: str,
    now: datetime,
    unknown_tags: UnknownTags | None,
    identity: str | None = None,
    counts_open: bool = False,
) -> dict[str, Any]:
    """unknown_tags: None = accepted as long as no tag at all is stored. identity: where it is used.
    counts_open: may be ConcurrentTx."""
    tag = await access.id_tag(conn, id_tag)
    named = tag.parent_id_tag if tag is not None else None
    parent = await access.id_tag(conn, named) if named else None
    if tag is None and unknown_tags is None:
        unknown_tags = "reject" if await access.has_id_tags(conn) else "accept"
    is_limited = counts_open and tag is not None and tag.max_transactions is not None
    running = await transactions.count_open_with_tag(conn, id_tag) if is_limited else None
    return authorize(tag, now, unknown_tags or "reject", running, parent=parent, identity=identity)


# --- start ---


async def begin(
    conn: AsyncConnection,
    identity: str,
    payload: dict[str, Any],
    received_at: datetime,
    unknown_tags: UnknownTags | None,
    status: str | None,
) -> Outcome:
    """Whatever the tag, it is recorded and gets an id. `status`: what the connector last reported."""
    connector_id, id_tag = payload["connectorId"], payload["idTag"]
    started_at = _time(payload.get("timestamp"), received_at)
    meter_start_wh = register_wh(float(payload["meterStart"]))
    start = (identity, connector_id, id_tag, started_at, meter_start_wh)
    if (known := await _begun_before(conn, *start, received_at)) is not None:
        runs = known["stopped_at"] is None and not await _is_free_since(conn, known, status)
        return Outcome(_start_answer(known), started=[known] if runs else [])
    if meter_start_wh is None:
        last_wh = await transactions.last_register_wh(conn, identity, connector_id)
        meter_start_wh = UNKNOWN_REGISTER_WH if last_wh is None else last_wh

    historic = is_historic(started_at, received_at)
    outcome = Outcome()
    overtaken_by = await _close_left_open(conn, identity, connector_id, started_at, historic, outcome)
    info = await id_tag_info(conn, id_tag, received_at, unknown_tags, identity, counts_open=not historic)
    row: Row = {
        "identity": identity,
        "connector_id": connector_id,
        "id_tag": id_tag,
        "start_status": info["status"],
        "start_id_tag_info": info,
        "started_at": started_at,
        "meter_start_wh": meter_start_wh,
        "start_received_at": received_at,
        "reservation_id": payload.get("reservationId"),
    }
    row["id"] = await transactions.start(conn, **row)
    outcome.answer = _start_answer(row)
    await _use_reservation(conn, row)
    await _claim(conn, row, overtaken_by["started_at"] if overtaken_by else received_at)
    row = await transactions.by_id(conn, identity, row["id"]) or row
    if overtaken_by is not None:
        await transactions.close_as_lost(conn, row, overtaken_by["started_at"])
    elif not await _is_stopped_already(conn, row) and not await _is_free_since(conn, row, status):
        outcome.started.append(row)
    return outcome


async def _use_reservation(conn: AsyncConnection, row: Row) -> None:
    """The reservation that a start names; else one for its tag or group on this connector, or on any.

    Some stations name 0 or another number that was never given, where they mean none.
    """
    if row["reservation_id"] is not None:
        named = await reservations.newest(conn, row["identity"], row["reservation_id"])
        if named is not None:
            if named["status"] in (*reservations.STANDING, "Expired"):
                await _used(conn, named, row)
            return
    standing = await reservations.standing(conn, row["identity"])
    if row["start_status"] != "Accepted" or not standing:
        return
    tag = await access.id_tag(conn, row["id_tag"])
    group = tag.parent_id_tag if tag is not None else None
    historic = is_historic(row["started_at"], row["start_received_at"])
    at = row["started_at"] if historic else row["start_received_at"]
    fitting = []
    for reserved in standing:
        is_in_time = reserved["created_at"] <= at < reserved["expires_at"]
        if not is_in_time or reserved["connector_id"] not in (row["connector_id"], 0):
            continue
        is_own, parent = same_tag(reserved["id_tag"], row["id_tag"]), reserved["parent_id_tag"]
        if is_own or (group and parent and same_tag(parent, group)):
            fitting.append((reserved["connector_id"] == 0, not is_own, reserved["id"], reserved))
    if fitting:
        await _used(conn, min(fitting, key=lambda fit: fit[:3])[3], row)


async def _used(conn: AsyncConnection, reserved: Row, row: Row) -> None:
    await reservations.change(
        conn, reserved["id"], status="Used", transaction_id=row["id"], ended_at=row["start_received_at"]
    )


def _start_answer(row: Row) -> dict[str, Any]:
    return {"transactionId": row["id"], "idTagInfo": row["start_id_tag_info"]}


async def _begun_before(
    conn: AsyncConnection,
    identity: str,
    connector_id: int,
    id_tag: str,
    started_at: datetime,
    meter_start_wh: float | None,
    received_at: datetime,
) -> Row | None:
    """The transaction of the same start, if it was told before: by its time, else by what is still open."""
    start = (identity, connector_id, id_tag)
    known = await transactions.duplicate_start(conn, *start, started_at, meter_start_wh)
    if known is None and started_at == received_at:  # its time was missing
        return await transactions.duplicate_start(conn, *start, None, meter_start_wh)
    if known is None and meter_start_wh is not None and started_at > CLOCK_NEVER_SET:
        return await transactions.begun_before_clock_was_set(conn, *start, meter_start_wh, CLOCK_NEVER_SET)
    return known


async def _claim(conn: AsyncConnection, row: Row, end: datetime) -> None:
    """What the connector measured since the start belongs to the transaction, though it came first."""
    if row["started_at"] <= CLOCK_NEVER_SET:
        return
    if (read := await transactions.claim_meter_values(conn, row, end)) is not None:
        await transactions.raise_registers(conn, [(row["id"], *read)])


async def _close_left_open(
    conn: AsyncConnection,
    identity: str,
    connector_id: int,
    started_at: datetime,
    historic: bool,
    outcome: Outcome,
) -> Row | None:
    """A new start ends what ran before. Returns the transaction that is newer than the new one, if any:
    a start that comes late out of the station's queue."""
    newer: Row | None = None
    for row in await transactions.open_on_connector(conn, identity, connector_id):
        if historic and row["started_at"] > started_at:
            newer = newer or row
            continue
        await transactions.close_as_lost(conn, row, max(started_at, row["started_at"]))
        outcome.stopped.append(row)
    return newer


async def _is_stopped_already(conn: AsyncConnection, row: Row) -> bool:
    """Has its stop come before its start? Then it is applied."""
    for stop in await transactions.unmatched_stops_since(conn, row["identity"], row["started_at"]):
        payload = stop["payload"]
        meter_stop_wh = register_wh(payload["meterStop"])
        fits = stop["stopped_at"] > row["started_at"]  # not the end of what was there just before
        fits = fits and (meter_stop_wh is None or meter_stop_wh >= row["meter_start_wh"])
        if fits and await _may_stop(conn, payload.get("idTag"), row["id_tag"]):
            await _settle(conn, row, payload, stop["received_at"], stop["answer"].get("idTagInfo"))
            await transactions.match_stop(conn, stop["id"], row["id"])
            return True
    return False


async def _is_free_since(conn: AsyncConnection, row: Row, status: str | None) -> bool:
    """Is the connector free again, although the transaction's stop is still to come?"""
    if status != "Available":
        return False
    status_at = await stations.status_time(conn, row["identity"], row["connector_id"])
    return is_over(status, status_at, row["started_at"], row["start_received_at"])


# --- stop ---


async def end(
    conn: AsyncConnection,
    identity: str,
    payload: dict[str, Any],
    received_at: datetime,
    unknown_tags: UnknownTags | None,
) -> Outcome:
    """A stop cannot be refused. One that belongs to no transaction is kept and answered all the same."""
    row = await transactions.by_id(conn, identity, payload["transactionId"])
    key = _digest(_canonical(identity, payload))
    if row is None and (before := await transactions.unmatched_stop(conn, key)) is not None:
        return Outcome(before["answer"])
    if row is None:
        row = await _stopped_or_meant(conn, identity, payload, received_at)
    if row is not None and row["stop_received_at"] is not None:
        return Outcome(_stop_answer(row["stop_id_tag_info"]))
    info = await _stop_info(conn, payload.get("idTag"), received_at, unknown_tags)
    if row is not None:
        is_open = row["stopped_at"] is None
        await _settle(conn, row, payload, received_at, info)
        anew = has_begun_anew(row["meter_start_wh"], payload["meterStop"])
        return Outcome(
            _stop_answer(info),
            stopped=[{**row, "stop_reason": payload.get("reason") or "Local"}] if is_open else [],
            quirks=["StopTransaction.meterStop: began anew"] if anew else [],
        )
    await transactions.save_unmatched_stop(
        conn,
        identity=identity,
        stopped_at=_time(payload.get("timestamp"), received_at),
        payload=payload,
        answer=_stop_answer(info),
        received_at=received_at,
        dedup_key=key,
    )
    return Outcome(_stop_answer(info))


async def _stopped_or_meant(
    conn: AsyncConnection, identity: str, payload: dict[str, Any], received_at: datetime
) -> Row | None:
    """For a stop whose id is not known (−1: the station never learnt it): by time, register and tag."""
    stopped_at = _time(payload.get("timestamp"), received_at)
    meter_stop_wh = register_wh(payload["meterStop"])
    told_at = None if stopped_at == received_at and meter_stop_wh is not None else stopped_at
    before = await transactions.repeated_stop(conn, identity, told_at, meter_stop_wh, payload.get("idTag"))
    if before is not None:
        return before
    fitting = []
    for row in await transactions.stoppable(conn, identity, stopped_at, meter_stop_wh):
        follower = await transactions.successor(conn, row)
        was_running = follower is None or follower["started_at"] >= stopped_at
        if was_running and await _may_stop(conn, payload.get("idTag"), row["id_tag"]):
            fitting.append(row)

    def closeness(row: Row) -> tuple[bool, bool, float]:
        other_tag = not same_tag(payload.get("idTag") or "", row["id_tag"])
        missing_wh = (meter_stop_wh or 0.0) - transactions.best_register_wh(row)
        return row["stopped_at"] is not None, other_tag, missing_wh

    return min(fitting, key=closeness, default=None)


async def _may_stop(conn: AsyncConnection, stop_tag: str | None, start_tag: str) -> bool:
    """The same tag, no tag, one of the same group; or with bytes added or cut, as some stations do."""
    if not stop_tag or not start_tag or same_tag(stop_tag, start_tag):
        return True
    short, long = sorted((stop_tag.strip().lower(), start_tag.strip().lower()), key=len)
    if len(short) >= SHORTEST_CUT_TAG and long.startswith(short):
        return True
    one, other = await access.id_tag(conn, stop_tag), await access.id_tag(conn, start_tag)
    if one is None or other is None:
        return False
    return same_tag(one.parent_id_tag or one.id_tag, other.parent_id_tag or other.id_tag)


async def _stop_info(
    conn: AsyncConnection, id_tag: str | None, now: datetime, unknown_tags: UnknownTags | None
) -> dict[str, Any] | None:
    """idTagInfo is optional here: a tag we do not know is passed over, since the stop stands anyway."""
    if not id_tag:
        return None
    info = await id_tag_info(conn, id_tag, now, unknown_tags)
    return None if info["status"] == "Invalid" else info


def _stop_answer(info: dict[str, Any] | None) -> dict[str, Any]:
    return {"idTagInfo": info} if info else {}


async def _settle(
    conn: AsyncConnection,
    row: Row,
    payload: dict[str, Any],
    received_at: datetime,
    info: dict[str, Any] | None,
) -> None:
    told = payload.get("transactionData") or []
    data = elements(row["identity"], row["connector_id"], told, received_at)
    stopped_at = _time(payload.get("timestamp"), received_at)
    meter_stop_wh = register_wh(float(payload["meterStop"]))
    registers = _registers(row["id"], data)
    start_wh, is_read = row["meter_start_wh"], bool(registers) or row["last_register_wh"] is not None
    is_told = is_read or start_wh == UNKNOWN_REGISTER_WH
    if meter_stop_wh is not None and (is_told or meter_stop_wh - start_wh <= LARGEST_FIRST_RISE_WH):
        registers.append((row["id"], meter_stop_wh, stopped_at))
    await _claim(conn, row, stopped_at)
    await transactions.save_meter_values(conn, [{**e.row, "transaction_id": row["id"]} for e in data])
    await transactions.raise_registers(conn, registers)
    read = await transactions.by_id(conn, row["identity"], row["id"]) or row
    meter_stop_wh = await _stop_register_wh(conn, read, meter_stop_wh)
    await transactions.stop(
        conn,
        row["id"],
        stopped_at=stopped_at,
        meter_stop_wh=meter_stop_wh,
        stop_reason=payload.get("reason") or "Local",
        stop_id_tag=payload.get("idTag"),
        stop_id_tag_info=info,
        stop_received_at=received_at,
    )


async def _stop_register_wh(conn: AsyncConnection, row: Row, meter_stop_wh: float | None) -> float:
    """What the register would have been at the stop if it had gone on counting since the start."""
    start_wh, best_wh = row["meter_start_wh"], transactions.best_register_wh(row)
    if meter_stop_wh is None or meter_stop_wh - best_wh > LARGEST_SESSION_WH:
        return best_wh
    if not has_begun_anew(start_wh, meter_stop_wh):
        return meter_stop_wh
    fell = await transactions.has_register_below(conn, row["id"], start_wh)
    counts_session = best_wh > start_wh and not fell  # the start and the stop do, the samples do not
    return max(best_wh, start_wh + meter_stop_wh) if counts_session else best_wh + meter_stop_wh


# --- meter values ---


def elements(
    identity: str,
    connector_id: int,
    meter_values: list[dict[str, Any]],
    received_at: datetime,
) -> list[Element]:
    """Read each MeterValue element; one without sampled values is nothing."""
    return [
        _element(identity, connector_id, element, received_at)
        for element in meter_values
        if element.get("sampledValue")
    ]


def _element(
    identity: str,
    connector_id: int,
    element: dict[str, Any],
    received_at: datetime,
) -> Element:
    samples = element["sampledValue"]
    others: JsonText | list[Any] | None
    if isinstance(samples, Samples):
        measured_at, reading, context = samples.at, samples.reading(), samples.kinds.context
        not_held, key = samples.not_held(), orjson.dumps((measured_at, identity, connector_id))
        others = JsonText(not_held) if not_held is not None else None
        digest = _digest_by_time(measured_at, b"%s,%s]" % (key[:-1], samples.canonical()))
    else:
        measured_at = _time(element.get("timestamp"), received_at)
        reading = read_sampled_values(samples, measured_at)
        others = [sample for sample in samples if not is_covered(sample)] or None
        context = next((s["context"] for s in samples if s.get("context")), None)
        digest = _digest_by_time(measured_at, _canonical(measured_at, identity, connector_id, samples))
    amps = reading.current_a or (None, None, None)
    row = {
        "identity": identity,
        "connector_id": connector_id,
        "transaction_id": None,
        "measured_at": measured_at,
        "received_at": received_at,
        "power_w": reading.power_w,
        "current_l1_a": amps[0],
        "current_l2_a": amps[1],
        "current_l3_a": amps[2],
        "energy_wh": reading.energy_wh,
        "soc_percent": reading.soc_percent,
        "context": context,
        "other": others,
        "dedup_key": digest,
    }
    return Element(measured_at, reading, samples, row)


async def meter(
    conn: AsyncConnection,
    identity: str,
    connector_id: int,
    sent_transaction_id: int | None,
    data: list[Element],
    received_at: datetime,
    status: str | None,
) -> Outcome:
    """Store values whose transaction must be looked for: late ones, or with an id we do not expect."""
    outcome = Outcome()
    sent = await transactions.by_id(conn, identity, sent_transaction_id) if sent_transaction_id else None
    if sent is not None:
        await _go_on_with(conn, sent, data[-1].measured_at, received_at, status, outcome)
    elif sent_transaction_id and sent_transaction_id > 0:
        sent = await _open_or_adopted(
            conn, identity, connector_id, sent_transaction_id, data, received_at, status, outcome
        )
    for element in data:
        row = sent or await transactions.running_at(conn, identity, connector_id, element.measured_at)
        element.row["transaction_id"] = row["id"] if row is not None else None
        if row is not None and await _is_of(conn, row, element.measured_at):
            await transactions.raise_registers(conn, _registers(row["id"], [element]))
    await transactions.save_meter_values(conn, [element.row for element in data])
    return outcome


async def _is_of(conn: AsyncConnection, row: Row, measured_at: datetime) -> bool:
    """Measured before the next transaction on the connector: stations go on naming one that is over."""
    if row["stopped_at"] is None:
        return True
    follower = await transactions.successor(conn, row)
    return follower is None or measured_at <= follower["started_at"]


async def _go_on_with(
    conn: AsyncConnection,
    row: Row,
    measured_at: datetime,
    received_at: datetime,
    status: str | None,
    outcome: Outcome,
) -> None:
    """We took it for over or closed it as lost, but the station still charges and names it: it runs."""
    if status not in IN_SESSION or row["stop_received_at"] is not None:
        return
    is_lost = row["stopped_at"] is not None
    is_past = measured_at <= row["stopped_at"] if is_lost else is_historic(measured_at, received_at)
    if is_past or await transactions.successor(conn, row) is not None:
        return
    if is_lost:
        await transactions.reopen(conn, row["id"])
        row["stopped_at"] = None
    outcome.started.append(row)


async def _open_or_adopted(
    conn: AsyncConnection,
    identity: str,
    connector_id: int,
    sent_transaction_id: int,
    data: list[Element],
    received_at: datetime,
    status: str | None,
    outcome: Outcome,
) -> Row | None:
    """An id that we never gave: what runs on the connector, else a session begun under another central
    system, which is recorded from here on. Between sessions stations send ids that mean nothing."""
    if running := await transactions.open_on_connector(conn, identity, connector_id):
        return running[-1]
    read = next((e for e in data if e.reading.energy_wh is not None), None)
    if connector_id == 0 or read is None or status not in IN_SESSION:
        return None
    if is_historic(read.measured_at, received_at):
        return None
    adopted = await transactions.adopt(
        conn,
        sent_transaction_id,
        identity=identity,
        connector_id=connector_id,
        id_tag="",
        start_status="Accepted",
        start_id_tag_info={"status": "Accepted"},
        started_at=read.measured_at,
        meter_start_wh=read.reading.energy_wh,
        start_received_at=received_at,
    )
    outcome.started += [adopted] if adopted is not None else []
    return adopted


async def found_running(conn: AsyncConnection, identity: str, connector_id: int) -> list[Row]:
    """The connector is in a session: the newest transaction without a stop, if there is one, runs."""
    return (await transactions.open_on_connector(conn, identity, connector_id))[-1:]


async def close_lost(
    conn: AsyncConnection, identity: str, connector_id: int, free_at: datetime, received_at: datetime
) -> list[Row]:
    """The connector is free, so what ran on it is over, though no stop has come (yet)."""
    closed = []
    for row in await transactions.open_on_connector(conn, identity, connector_id):
        if CLOCK_NEVER_SET < free_at < row["started_at"]:
            continue  # free before it began: the message came late
        await transactions.close_as_lost(conn, row, max(received_at, row["started_at"]))
        closed.append(row)
    return closed


def _registers(transaction_id: int, data: list[Element]) -> list[tuple[int, float, datetime]]:
    return [
        (transaction_id, e.reading.energy_wh, e.measured_at) for e in data if e.reading.energy_wh is not None
    ]


def _time(text: str | None, otherwise: datetime) -> datetime:
    return (parse_time(text) if text else None) or otherwise


def _digest_by_time(at: datetime, text: bytes) -> str:
    """A digest that begins with the time: what comes at one time lies side by side in its index, and a commit
    touches few pages of it. As long as another."""
    return f"{int(at.timestamp()) & 0xFFFFFFFFFF:010x}{_digest(text)[:30]}"


def _digest(text: bytes) -> str:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _canonical(*parts: Any) -> bytes:
    """The same parts are the same text, in whatever order their fields come."""
    try:
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str).encode()
