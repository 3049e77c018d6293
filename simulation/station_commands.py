"""How a simulated station answers the central system: Core, SmartCharging and RemoteTrigger."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import fastjsonschema

from simulation.charging_schedule import Profile, clear, composite_periods, install, read_profile
from simulation.station_link import Answer, CallRefused

if TYPE_CHECKING:
    from simulation.charge_point import SimulatedChargePoint
    from simulation.station_model import StationModel

RULE_CODES = {
    "required": "ProtocolError",
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormationViolation",
}
UNIT_NAMES = {"A": "Current", "W": "Power"}


def answer_call(station: SimulatedChargePoint, action: str, payload: dict[str, Any] | None) -> Answer:
    """Raises CallRefused: not implemented, or the payload does not fit the schema."""
    handler = HANDLERS.get(action)
    if handler is None or action in station.model.lacks:
        raise CallRefused("NotImplemented", f"{action} is not implemented")
    payload = payload or {}
    try:
        _schema(action)(payload)
    except fastjsonschema.JsonSchemaValueException as fault:
        raise CallRefused(
            RULE_CODES.get(fault.rule or "", "PropertyConstraintViolation"), fault.message
        ) from fault
    return handler(station, payload)


@cache
def _schema(action: str) -> Callable[[Any], Any]:
    text = files("ocpp.v16").joinpath("schemas", f"{action}.json").read_text(encoding="utf-8-sig")
    schema: Callable[[Any], Any] = fastjsonschema.compile(_without_multiple_of(json.loads(text)))
    return schema


def _without_multiple_of(node: Any) -> Any:
    """Binary floats fail "multipleOf 0.1" for 8.1 A; a station rounds down to its own step anyway."""
    if isinstance(node, dict):
        return {k: _without_multiple_of(v) for k, v in node.items() if k != "multipleOf"}
    if isinstance(node, list):
        return [_without_multiple_of(v) for v in node]
    return node


def _get_configuration(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    return Answer(station.configuration.read(request.get("key", [])))


def _change_configuration(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    return Answer({"status": station.configuration.change(request["key"], request["value"])})


def _remote_start(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    free = (n for n, o in station.outlets.items() if station.is_available(n) and o.awaited_id_tag is None)
    connector_id: int = request.get("connectorId") or next(free, 0)
    known = connector_id in station.outlets and station.registered.is_set()
    if not known or not station.is_available(connector_id):
        return Answer({"status": "Rejected"})
    profile = None
    if (embedded := request.get("chargingProfile")) is not None:
        try:
            profile = read_profile(connector_id, embedded)
        except ValueError:
            return Answer({"status": "Rejected"})
        if profile.purpose != "TxProfile" or not _suits(station.model, profile):
            return Answer({"status": "Rejected"})

    async def start() -> None:
        id_tag = request["idTag"]
        must_ask = station.configuration.flag("AuthorizeRemoteTxRequests")
        if not must_ask or (await station.authorize(id_tag)).get("status") == "Accepted":
            station.offer_start(connector_id, id_tag, profile)

    return Answer({"status": "Accepted"}, start)


def _remote_stop(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    for connector_id, outlet in station.outlets.items():
        if outlet.transaction is not None and outlet.transaction.id == request["transactionId"]:

            async def stop(connector_id: int = connector_id) -> None:
                station.end(connector_id, "Remote")

            return Answer({"status": "Accepted"}, stop)
    return Answer({"status": "Rejected"})


def _reset(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    return Answer({"status": "Accepted"}, lambda: station.restart(request["type"]))


def _change_availability(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    connector_id, operative = request["connectorId"], request["type"] == "Operative"
    if connector_id != 0 and connector_id not in station.outlets:
        return Answer({"status": "Rejected"})
    if connector_id == 0:
        station.is_operative = operative
    chosen = [o for n, o in station.outlets.items() if connector_id in (0, n)]
    for outlet in chosen:
        outlet.becomes_inoperative = not operative and outlet.transaction is not None
        outlet.is_operative = operative or outlet.becomes_inoperative
    scheduled = any(outlet.becomes_inoperative for outlet in chosen)

    async def report() -> None:
        station.note_statuses()

    return Answer({"status": "Scheduled" if scheduled else "Accepted"}, report)


def _unlock(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    connector_id = request["connectorId"]
    if station.model.has_fixed_cable or connector_id not in station.outlets:
        return Answer({"status": "NotSupported"})

    async def release() -> None:
        station.end(connector_id, "UnlockCommand")

    return Answer({"status": "Unlocked"}, release)


def _clear_cache(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    station.id_tag_cache.clear()
    return Answer({"status": "Accepted"})


def _data_transfer(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    known = request["vendorId"] == station.model.vendor
    return Answer({"status": "UnknownMessageId" if known else "UnknownVendorId"})


def _trigger(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    message, connector_id = request["requestedMessage"], request.get("connectorId")
    if connector_id is not None and connector_id not in station.outlets and connector_id != 0:
        return Answer({"status": "Rejected"})
    chosen = list(station.outlets) if connector_id is None else [connector_id]

    async def send() -> None:
        match message:
            case "BootNotification":
                await station.boot()
            case "Heartbeat":
                await station.send_heartbeat()
            case "MeterValues":
                for n in (n for n in chosen if n != 0):
                    station.step(station.clock.now())
                    station.send_meter_values(n, "Trigger", "MeterValuesSampledData")
            case "StatusNotification":
                for n in [0, *chosen] if connector_id is None else chosen:
                    station.report_status(n)

    if message not in ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification"):
        return Answer({"status": "NotImplemented"})
    # E 3.40: a station that is accepted already does not boot again for the asking.
    if message == "BootNotification" and station.registered.is_set() and station.model.boots_unasked:
        return Answer({"status": "Rejected"})
    return Answer({"status": "Accepted"}, send)


def _suits(model: StationModel, profile: Profile) -> bool:
    return (
        0 <= profile.stack_level <= model.max_stack_level
        and len(profile.periods) <= model.max_periods
        and UNIT_NAMES[profile.unit] in model.rate_units
        and not model.rejects(profile)
    )


def _set_charging_profile(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    connector_id, payload = request["connectorId"], request["csChargingProfiles"]
    if connector_id != 0 and connector_id not in station.outlets:
        raise CallRefused("PropertyConstraintViolation", f"connectorId {connector_id} does not exist")
    unit = payload["chargingSchedule"]["chargingRateUnit"]
    if UNIT_NAMES[unit] not in station.model.rate_units:
        raise CallRefused("PropertyConstraintViolation", f"chargingRateUnit {unit} is not supported")
    try:
        profile = read_profile(connector_id, payload)
    except ValueError:
        return Answer({"status": "Rejected"})
    if not station.model.reads_number_phases:
        profile = replace(profile, periods=tuple(replace(p, phases=None) for p in profile.periods))
    installed = install(station.profiles, profile)
    match profile.purpose:
        case "ChargePointMaxProfile":
            fits = connector_id == 0
        case "TxProfile":
            running = station.running_transaction(connector_id)
            fits = running is not None and profile.transaction_id in (None, running.id)
        case "TxDefaultProfile":
            fits = True
    if not fits or len(installed) > station.model.max_profiles or not _suits(station.model, profile):
        return Answer({"status": "Rejected"})
    station.step(station.clock.now())
    station.profiles = installed
    return Answer({"status": "Accepted"})


def _clear_charging_profile(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    left = clear(station.profiles, request)
    found = len(left) < len(station.profiles)
    station.step(station.clock.now())
    station.profiles = left
    return Answer({"status": "Accepted" if found else "Unknown"})


def _get_composite_schedule(station: SimulatedChargePoint, request: dict[str, Any]) -> Answer:
    connector_id, model = request["connectorId"], station.model
    unit = request.get("chargingRateUnit", "A" if "Current" in model.rate_units else "W")
    if (connector_id != 0 and connector_id not in station.outlets) or UNIT_NAMES[
        unit
    ] not in model.rate_units:
        return Answer({"status": "Rejected"})
    outlets = station.outlets.values() if connector_id == 0 else [station.outlets[connector_id]]
    start = station.own_time(station.clock.now()).replace(microsecond=0)
    periods = composite_periods(
        station.profiles,
        connector_id,
        start,
        request["duration"],
        station.running_transaction(connector_id),
        model.voltage_v,
        sum(o.hardware.max_a for o in outlets),
    )
    phases = max(o.hardware.phases for o in outlets)
    factor = 1.0 if unit == "A" else model.voltage_v * phases
    schedule = {
        "duration": request["duration"],
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": p.start_s, "limit": round(p.limit * factor, 1)} for p in periods
        ],
    }
    return Answer(
        {
            "status": "Accepted",
            "connectorId": connector_id,
            "scheduleStart": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "chargingSchedule": schedule,
        }
    )


HANDLERS: dict[str, Callable[[SimulatedChargePoint, dict[str, Any]], Answer]] = {
    "ChangeAvailability": _change_availability,
    "ChangeConfiguration": _change_configuration,
    "ClearCache": _clear_cache,
    "ClearChargingProfile": _clear_charging_profile,
    "DataTransfer": _data_transfer,
    "GetCompositeSchedule": _get_composite_schedule,
    "GetConfiguration": _get_configuration,
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
    "Reset": _reset,
    "SetChargingProfile": _set_charging_profile,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
}
