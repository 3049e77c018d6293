"""The words of `csms device read` and `switch`, as the entry of a site file that they stand for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from csms.domain.device_config import MeterConfig, RelayModuleConfig
from csms.errors import CsmsError, InvalidInput
from csms.site_file import read_site_file
from drivers.catalogue import DRIVERS, Kind, meter_models, relay_models

Described = MeterConfig | RelayModuleConfig

_NOT_KEYS = ("site", "keys")
_OPTIONS = ("driver", "model", "port", "unit", "framing", "user", "password", "tls", "topic", "relays")


class DeviceWordsRefused(CsmsError):
    pass


@dataclass(frozen=True, slots=True)
class DeviceWords:
    """What is None was not said. host: an address; with `site`, a site file, the id of a device there.

    keys: further lines as they would stand in the site file, such as "invert = true".
    """

    host: str
    driver: str | None = None
    model: str | None = None
    port: int | None = None
    unit: int | None = None
    framing: str | None = None
    user: str | None = None
    password: str | None = None
    tls: bool | None = None
    topic: str | None = None
    relays: int | None = None
    keys: tuple[str, ...] = ()
    site: Path | None = None

    def said(self) -> dict[str, Any]:
        """The keys of a site file that were said."""
        names = [f.name for f in fields(self) if f.name not in _NOT_KEYS]
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def described(words: DeviceWords, only: Kind | None = None) -> list[Described]:
    """The device as a meter, as a relay module, or, of a Shelly, as both.

    Raises:
        InvalidInput: naming the option, what was given and what was expected.
        DeviceWordsRefused: something else that this driver needs.
        StartupError: the site file cannot be read.
    """
    if words.site is not None:
        return [_of_site_file(words, words.site, only)]
    entry = {"id": "device", "driver": "modbus", **words.said(), **_further_keys(words.keys)}
    found: list[Described] = []
    faults: list[ErrorDetails] = []
    for kind in _kinds(entry, only):
        try:
            found.append(_entry(kind, entry))
        except ValidationError as error:
            faults += error.errors()
    if not found:
        raise _refusal(faults[0], entry)
    return found


def _entry(kind: Kind, entry: Mapping[str, Any]) -> Described:
    if kind == "meter":
        return MeterConfig.model_validate({"role": "load", **entry})
    return RelayModuleConfig.model_validate(entry)


def _of_site_file(words: DeviceWords, file: Path, only: Kind | None) -> Described:
    said = [name for name in words.said() if name != "host"]
    if said or words.keys:
        name = said[0] if said else "set"
        raise InvalidInput(f"--{name}", getattr(words, name, words.keys), "nothing beside --site")
    site = read_site_file(file)
    devices: list[Described] = [*site.relay_module]
    if only is None:
        devices += site.meter
    for device in devices:
        if device.id == words.host:
            return device
    raise InvalidInput("DEVICE", words.host, f"one of {', '.join(device.id for device in devices)}")


def _further_keys(lines: tuple[str, ...]) -> dict[str, Any]:
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput("--set", "; ".join(lines), f"TOML such as 'invert = true' ({error})") from None


def _kinds(entry: Mapping[str, Any], only: Kind | None) -> list[Kind]:
    """As what the device may be looked at. Raises InvalidInput."""
    driver, model = entry["driver"], entry.get("model")
    asked: tuple[Kind, ...] = (only,) if only else ("meter", "relay_module")
    kinds = [kind for kind in asked if driver in DRIVERS[kind]]
    if not kinds:
        known = sorted({name for kind in asked for name in DRIVERS[kind]})
        raise InvalidInput("--driver", driver, f"one of {', '.join(known)}")
    if driver == "mqtt" and only is None:
        return ["relay_module" if {"switches", "inputs"} & entry.keys() else "meter"]
    if driver != "modbus":
        return kinds
    models = {"meter": meter_models(), "relay_module": relay_models()}
    if not (fitting := [kind for kind in kinds if model in models[kind]]):
        known = sorted(name for kind in kinds for name in models[kind])
        raise InvalidInput("--model", model, f"one of {', '.join(known)}")
    return fitting


def _refusal(fault: ErrorDetails, entry: Mapping[str, Any]) -> CsmsError:
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:  # a rule of the whole entry, and its driver's
        return DeviceWordsRefused(f"--driver {entry['driver']}: {message}")
    name = str(fault["loc"][0])
    option = f"--{name}" if name in _OPTIONS else ".".join(map(str, fault["loc"]))
    if name == "password":
        return InvalidInput(option, "…", "where it is: env:DEVICE_NAME, or file:NAME in /run/secrets,")
    if fault["type"] == "extra_forbidden":
        unfit = f"none with driver {entry['driver']}"
        return InvalidInput(option, fault["input"], unfit if name in _OPTIONS else "a key of the site file")
    return InvalidInput(option, fault["input"], message)
