"""A house with two boilers, a heat pump and a garage, as its owner describes it."""

from __future__ import annotations

from typing import Any

from central_backend import HandClock

from csms.domain.site import SiteConfig
from csms.services.events import EventBus
from csms.services.sites import Sites
from csms.storage.database import Database


def home(**changes: Any) -> SiteConfig:
    return SiteConfig.model_validate(
        {
            "site": {"id": "home", "name": "Sonnenweg 4", "timezone": "Europe/Zurich"},
            "circuit": [
                {"id": "main", "limit_a": [40, 40, 40]},
                {"id": "garage", "parent": "main", "limit_a": [63, 63, 63.5]},
            ],
            "meter": [
                {"id": "grid", "role": "grid", "driver": "modbus", "model": "eastron_sdm630", "host": "h"}
            ],
            "relay_module": [
                {"id": "io1", "driver": "modbus", "model": "waveshare_modbus_relay", "host": "h"}
            ],
            "appliance": [
                {
                    "id": "boiler",
                    "kind": "water_heater",
                    "circuit": "main",
                    "windows": [{"days": "mon-fri", "from": "02:00", "to": "05:00"}],
                    "steps": [
                        {"relays": ["io1/1"], "power_w": 1000},
                        {"relays": ["io1/2"], "power_w": 1000, "phases": ["L2"]},
                    ],
                },
                {
                    "id": "old-boiler",
                    "kind": "water_heater_no_neutral",
                    "circuit": "main",
                    "rated_power_w": 3000,
                    "relays": {"l1_l2": "io1/3", "l1_l3": "io1/4"},
                },
                {
                    "id": "pump",
                    "kind": "sg_ready",
                    "circuit": "main",
                    "relays": ["io1/5", "io1/6"],
                    "power_w": 2000,
                },
            ],
            "charge_point": [{"id": "CP1", "circuit": "garage", "connectors": [{"id": 1}, {"id": 2}]}],
            **changes,
        }
    )


async def reloaded(database: Database) -> Sites:
    sites = Sites(database, HandClock(), EventBus())
    await sites.start()
    return sites
