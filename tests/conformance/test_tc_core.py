"""Core profile: the central system's cases 001 to 064 of the conformance tool."""

from __future__ import annotations

from octt_station import (
    BLOCKED_TAG,
    COLLEAGUE_TAG,
    EXPIRED_TAG,
    GROUP_TAG,
    INVALID_TAG,
    VALID_TAG,
    Connect,
    OcttStation,
    Operator,
    Payload,
    Refusal,
    ago,
)

# --- 001: cold boot ---


async def test_tc_001_cold_boot(connect: Connect, operator: Operator, identity: str) -> None:
    station = await connect()
    await station.boot(firmwareVersion="7.1.3")
    await station.heartbeat()
    shown = await operator.get(f"/charge-points/{identity}")
    assert (shown["vendor"], shown["model"], shown["firmware_version"]) == ("OCTT", "Story", "7.1.3")
    assert shown["serial_number"] == station.serial_number
    assert [(c["connector_id"], c["status"]) for c in shown["connectors"]] == [
        (0, "Available"),
        (1, "Available"),
        (2, "Available"),
    ]


# --- 003 to 007: a session begun at the station ---


async def test_tc_003_regular_session_plug_in_first(station: OcttStation, operator: Operator) -> None:
    await station.status("Preparing")
    await station.authorize()
    transaction_id = await station.start()
    await station.status("Charging")
    await station.meter_values(transaction_id, 1500)
    connector = await operator.connector(station.identity)
    assert connector["state"] == "charging"
    assert connector["transaction"]["id"] == transaction_id


async def test_tc_004_1_regular_session_identification_first(
    station: OcttStation, operator: Operator
) -> None:
    info = await station.authorize()
    assert info["parentIdTag"] == GROUP_TAG
    await station.status("Preparing")
    transaction_id = await station.start()
    await station.status("Charging")
    (transaction,) = await operator.transactions(station.identity)
    assert (transaction["id"], transaction["id_tag"]) == (transaction_id, VALID_TAG)


async def test_tc_004_2_identified_but_never_plugged_in(station: OcttStation, operator: Operator) -> None:
    await station.authorize()
    await station.status("Preparing")
    await station.status("Available")
    assert await operator.transactions(station.identity) == []
    assert (await operator.connector(station.identity))["state"] == "free"


async def test_tc_005_1_cable_pulled_on_the_vehicle_side(station: OcttStation, operator: Operator) -> None:
    transaction_id = await station.charge()
    await station.status("SuspendedEV")
    await station.stop(transaction_id, "EVDisconnected")
    await station.unplug()
    (transaction,) = await operator.transactions(station.identity)
    assert transaction["stop_reason"] == "EVDisconnected"
    assert transaction["energy_wh"] == 3200


async def test_tc_007_start_with_a_cached_id(station: OcttStation) -> None:
    await station.status("Preparing")
    await station.start()
    await station.status("Charging")


# --- 010 to 012: a session begun and ended from afar ---


async def test_tc_010_remote_start_cable_first(station: OcttStation, operator: Operator) -> None:
    await station.status("Preparing")
    asked = await _remote_start(station, operator)
    await station.authorize(asked["idTag"])
    await station.start(asked["idTag"], asked["connectorId"])
    await station.status("Charging")


async def test_tc_011_1_remote_start_before_the_cable(station: OcttStation, operator: Operator) -> None:
    asked = await _remote_start(station, operator)
    await station.authorize(asked["idTag"])
    await station.status("Preparing")
    await station.start(asked["idTag"], asked["connectorId"])
    await station.status("Charging")


async def test_tc_011_2_remote_start_and_no_cable(station: OcttStation, operator: Operator) -> None:
    asked = await _remote_start(station, operator)
    await station.authorize(asked["idTag"])
    await station.status("Preparing")
    await station.status("Available")
    assert await operator.transactions(station.identity) == []


async def test_tc_012_remote_stop(station: OcttStation, operator: Operator) -> None:
    await station.charge()
    running = (await operator.connector(station.identity))["transaction"]["id"]
    await operator.command(
        station, "RemoteStopTransaction", {"transactionId": running}, {"status": "Accepted"}
    )
    await station.stop(running, "Remote")
    await station.unplug()
    (transaction,) = await operator.transactions(station.identity)
    assert (transaction["id"], transaction["stop_reason"]) == (running, "Remote")


async def _remote_start(station: OcttStation, operator: Operator, status: str = "Accepted") -> Payload:
    asked = {"idTag": VALID_TAG, "connectorId": 1}
    await operator.command(station, "RemoteStartTransaction", asked, {"status": status})
    return asked


# --- 013 and 014: reset ---


async def test_tc_013_hard_reset(station: OcttStation, operator: Operator, connect: Connect) -> None:
    await operator.command(station, "Reset", {"type": "Hard"}, {"status": "Accepted"})
    await station.lose_power()
    await (await connect()).boot()


async def test_tc_014_soft_reset(station: OcttStation, operator: Operator, connect: Connect) -> None:
    await operator.command(station, "Reset", {"type": "Soft"}, {"status": "Accepted"})
    await station.disconnect()
    await (await connect()).boot()


# --- 017 and 018: unlock ---


async def test_tc_017_1_unlock_without_a_session(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"})


async def test_tc_017_2_unlock_a_fixed_cable(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "UnlockConnector", {"connectorId": 1}, {"status": "NotSupported"})


async def test_tc_018_1_unlock_during_a_session(station: OcttStation, operator: Operator) -> None:
    transaction_id = await station.charge()
    await operator.command(station, "UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"})
    await station.stop(transaction_id, "UnlockCommand")
    await station.unplug()
    (transaction,) = await operator.transactions(station.identity)
    assert transaction["stop_reason"] == "UnlockCommand"


# --- 019 and 021: configuration ---

SETTINGS = [
    {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,SmartCharging"},
    {"key": "MeterValueSampleInterval", "readonly": False, "value": "30"},
]


async def test_tc_019_1_read_the_whole_configuration(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "GetConfiguration", {}, {"configurationKey": SETTINGS, "unknownKey": []})
    shown = await operator.get(f"/charge-points/{station.identity}")
    assert shown["configuration"] == {entry["key"]: entry["value"] for entry in SETTINGS}


async def test_tc_019_2_read_one_key(station: OcttStation, operator: Operator) -> None:
    asked = {"key": ["SupportedFeatureProfiles"]}
    await operator.command(station, "GetConfiguration", asked, {"configurationKey": SETTINGS[:1]})
    shown = await operator.get(f"/charge-points/{station.identity}")
    assert shown["configuration"]["SupportedFeatureProfiles"] == "Core,SmartCharging"


async def test_tc_021_change_the_configuration(station: OcttStation, operator: Operator) -> None:
    asked = {"key": "MeterValueSampleInterval", "value": "60"}
    await operator.command(station, "ChangeConfiguration", asked, {"status": "Accepted"})
    shown = await operator.get(f"/charge-points/{station.identity}")
    assert shown["configuration"]["MeterValueSampleInterval"] == "60"


# --- 023 and 024: a session that must not begin ---


async def test_tc_023_1_authorize_invalid(station: OcttStation) -> None:
    await station.status("Preparing")
    await station.authorize(INVALID_TAG, "Invalid")


async def test_tc_023_2_authorize_expired(station: OcttStation) -> None:
    await station.status("Preparing")
    await station.authorize(EXPIRED_TAG, "Expired")


async def test_tc_023_3_authorize_blocked(station: OcttStation) -> None:
    await station.status("Preparing")
    await station.authorize(BLOCKED_TAG, "Blocked")


async def test_tc_024_connector_lock_failure(station: OcttStation, operator: Operator) -> None:
    await station.status("Preparing")
    await station.authorize()
    await station.status("Faulted", error_code="ConnectorLockFailure")
    connector = await operator.connector(station.identity)
    assert (connector["state"], connector["error_code"]) == ("faulted", "ConnectorLockFailure")
    assert await operator.transactions(station.identity) == []


# --- 026 to 031: what the station refuses ---


async def test_tc_026_remote_start_rejected(station: OcttStation, operator: Operator) -> None:
    await _remote_start(station, operator, "Rejected")
    assert (await operator.connector(station.identity))["transaction"] is None
    assert await operator.transactions(station.identity) == []


async def test_tc_028_remote_stop_rejected(station: OcttStation, operator: Operator) -> None:
    transaction_id = await station.charge()
    asked = {"transactionId": transaction_id}
    await operator.command(station, "RemoteStopTransaction", asked, {"status": "Rejected"})
    assert (await operator.connector(station.identity))["transaction"]["id"] == transaction_id


async def test_tc_030_unlock_fails(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "UnlockConnector", {"connectorId": 1}, {"status": "UnlockFailed"})


async def test_tc_031_unlock_an_unknown_connector(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "UnlockConnector", {"connectorId": 9}, {"status": "NotSupported"})
    shown = await operator.get(f"/charge-points/{station.identity}")
    assert [c["connector_id"] for c in shown["connectors"]] == [0, 1, 2]


# --- 032 to 039: power and connection fail ---


async def test_tc_032_1_power_failure_ends_the_transaction_after_boot(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    transaction_id = await station.charge()
    await station.lose_power()
    back = await connect()
    await back.call("BootNotification", {"chargePointVendor": "OCTT", "chargePointModel": "Story"})
    await back.status("Available", 0)
    await back.status("Finishing")
    await back.stop(transaction_id, "PowerLoss", timestamp=ago(minutes=5))
    await back.status("Available")
    (transaction,) = await operator.transactions(station.identity)
    assert (transaction["stop_reason"], transaction["energy_wh"]) == ("PowerLoss", 3200)


async def test_tc_037_1_offline_start_with_a_valid_id(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    await station.lose_power()
    back = await connect()
    await back.status("Charging")
    transaction_id = await back.start(timestamp=ago(minutes=4))
    assert (await operator.connector(station.identity))["transaction"]["id"] == transaction_id


async def test_tc_037_3_offline_start_with_an_invalid_id(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    await station.lose_power()
    back = await connect()
    transaction_id = await back.start(INVALID_TAG, status="Invalid", timestamp=ago(minutes=4))
    await back.stop(transaction_id, "DeAuthorized")
    await back.unplug()
    (transaction,) = await operator.transactions(station.identity)
    assert (transaction["id_tag"], transaction["stop_reason"]) == (INVALID_TAG, "DeAuthorized")


async def test_tc_039_whole_transaction_offline(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    await station.lose_power()
    back = await connect()
    transaction_id = await back.start(timestamp=ago(minutes=30))
    await back.stop(transaction_id, "Local", timestamp=ago(minutes=10), idTag=COLLEAGUE_TAG)
    (transaction,) = await operator.transactions(station.identity)
    assert (transaction["stop_reason"], transaction["energy_wh"]) == ("Local", 3200)
    assert (await operator.connector(station.identity))["transaction"] is None


# --- 040 to 064 ---


async def test_tc_040_1_change_an_unknown_key(station: OcttStation, operator: Operator) -> None:
    asked = {"key": "NoSuchKey", "value": "1"}
    await operator.command(station, "ChangeConfiguration", asked, {"status": "NotSupported"})
    shown = await operator.get(f"/charge-points/{station.identity}")
    assert "NoSuchKey" not in shown["configuration"]


async def test_tc_040_2_change_to_an_invalid_value(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "GetConfiguration", {}, {"configurationKey": SETTINGS})
    asked = {"key": "MeterValueSampleInterval", "value": "-1"}
    await operator.command(station, "ChangeConfiguration", asked, {"status": "Rejected"})
    shown = await operator.get(f"/charge-points/{station.identity}")
    assert shown["configuration"]["MeterValueSampleInterval"] == "30"


async def test_tc_061_clear_the_cache(station: OcttStation, operator: Operator) -> None:
    await operator.command(station, "ClearCache", {}, {"status": "Accepted"})


async def test_tc_064_data_transfer_of_an_unknown_vendor(station: OcttStation) -> None:
    answer = await station.ask("DataTransfer", {"vendorId": "com.example.nobody", "messageId": "1"})
    assert not isinstance(answer, Refusal)
    assert answer["status"] in ("Rejected", "UnknownVendorId", "UnknownMessageId")
