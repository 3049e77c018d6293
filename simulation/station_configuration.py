"""A simulated station's configuration keys: what may be read, what may be written, what needs a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SUPPORTED_MEASURANDS = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Power.Offered",
    "Current.Import",
    "Current.Offered",
    "Voltage",
    "SoC",
)
GET_CONFIGURATION_MAX_KEYS = 50


@dataclass(frozen=True, slots=True)
class Key:
    """accepts: whether a written value is valid. needs_reboot: it is kept, but used only after a restart."""

    value: str
    accepts: Callable[[str], bool] | None = None
    needs_reboot: bool = False


def _count(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _flag(text: str) -> bool:
    return text.lower() in ("true", "false")


def _measurands(text: str) -> bool:
    return all(part in SUPPORTED_MEASURANDS for part in split_list(text))


def _rotation(text: str) -> bool:
    known = {"RST", "RTS", "SRT", "STR", "TRS", "TSR", "NotApplicable", "Unknown"}
    return all(part.partition(".")[2] in known for part in split_list(text))


def split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def standard_keys(connectors: int, rate_units: tuple[str, ...], limits: Mapping[str, int]) -> dict[str, Key]:
    """limits: the smart-charging numbers of this model. Source: OCPP 1.6 section 9."""
    fixed = {
        "ChargingScheduleAllowedChargingRateUnit": ",".join(rate_units),
        "ConnectorPhaseRotationMaxLength": str(connectors + 1),
        "GetConfigurationMaxKeys": str(GET_CONFIGURATION_MAX_KEYS),
        "MeterValuesSampledDataMaxLength": str(len(SUPPORTED_MEASURANDS)),
        "MeterValuesAlignedDataMaxLength": str(len(SUPPORTED_MEASURANDS)),
        "StopTxnSampledDataMaxLength": str(len(SUPPORTED_MEASURANDS)),
        "NumberOfConnectors": str(connectors),
        "ReserveConnectorZeroSupported": "false",
        "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger",
        "SupportedFeatureProfilesMaxLength": "3",
        "StopTxnAlignedData": "",
        "UnlockConnectorOnEVSideDisconnect": "true",
        **{name: str(value) for name, value in limits.items()},
    }
    rotation = ",".join(f"{n}.RST" for n in range(connectors + 1))
    return {name: Key(value) for name, value in fixed.items()} | {
        "AllowOfflineTxForUnknownId": Key("false", _flag),
        "AuthorizationCacheEnabled": Key("true", _flag),
        "AuthorizeRemoteTxRequests": Key("true", _flag),
        "ClockAlignedDataInterval": Key("0", _count),
        "ConnectionTimeOut": Key("120", _count),
        "ConnectorPhaseRotation": Key(rotation, _rotation),
        "HeartbeatInterval": Key("300", _count),
        "LocalAuthorizeOffline": Key("true", _flag),
        "LocalPreAuthorize": Key("false", _flag),
        "MeterValueSampleInterval": Key("60", _count),
        "MeterValuesAlignedData": Key("Energy.Active.Import.Register", _measurands),
        "MeterValuesSampledData": Key(
            "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Current.Offered,Voltage",
            _measurands,
        ),
        "ResetRetries": Key("3", _count),
        "StopTransactionOnEVSideDisconnect": Key("true", _flag),
        "StopTransactionOnInvalidId": Key("true", _flag),
        "StopTxnSampledData": Key("", _measurands),
        "TransactionMessageAttempts": Key("3", _count),
        "TransactionMessageRetryInterval": Key("30", _count),
        "WebSocketPingInterval": Key("30", _count, needs_reboot=True),
    }


class Configuration:
    """Key names are case-insensitive (CiString); values survive a restart."""

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = dict(keys)
        self._names = {name.lower(): name for name in keys}
        self._in_force = {name: key.value for name, key in keys.items()}
        self._stored = dict(self._in_force)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def text(self, name: str) -> str:
        return self._in_force[name]

    def number(self, name: str) -> int:
        return int(self._in_force[name])

    def flag(self, name: str) -> bool:
        return self._in_force[name].lower() == "true"

    def parts(self, name: str) -> list[str]:
        return split_list(self._in_force[name])

    def store(self, name: str, value: str) -> None:
        """Set from inside the station, whoever may write it from outside."""
        self._stored[name] = self._in_force[name] = value

    def add(self, name: str, value: str) -> None:
        """A key of the maker's own, to be read only."""
        self._keys[name] = Key(value)
        self._names[name.lower()] = name
        self.store(name, value)

    def change(self, name: str, value: str) -> str:
        """A ChangeConfiguration's status."""
        if name.lower() not in self._names:
            return "NotSupported"
        name = self._names[name.lower()]
        key = self._keys[name]
        if key.accepts is None or not key.accepts(value):
            return "Rejected"
        self._stored[name] = value
        if key.needs_reboot:
            return "RebootRequired"
        self._in_force[name] = value
        return "Accepted"

    def read(self, names: list[str]) -> dict[str, Any]:
        """A GetConfiguration's answer; no names = all."""
        found = [self._names[n.lower()] for n in names if n.lower() in self._names] if names else self._keys
        answer: dict[str, Any] = {
            "configurationKey": [
                {"key": n, "readonly": self._keys[n].accepts is None, "value": self._stored[n]} for n in found
            ]
        }
        unknown = [n for n in names if n.lower() not in self._names]
        return answer | ({"unknownKey": unknown} if unknown else {})

    def restart(self) -> None:
        self._in_force = dict(self._stored)
