"""Libraries that only some sites need: loaded when a device of such a site is read."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from drivers.device import DeviceConfigError

_MODULES = {"p1": "dsmr_parser", "mbus": "meterbus"}


def check_extra(driver: str) -> None:
    """Raises DeviceConfigError: the library of this driver is not installed."""
    if driver in _MODULES and importlib.util.find_spec(_MODULES[driver]) is None:
        raise _missing(driver)


def load(driver: str, module: str) -> ModuleType:
    """Raises DeviceConfigError."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise _missing(driver) from None


def _missing(driver: str) -> DeviceConfigError:
    return DeviceConfigError(
        "driver", driver, f"one that is installed: pip install 'helianthus[{driver}]' adds it,"
    )
