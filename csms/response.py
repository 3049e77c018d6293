"""How calmly a site answers a sky in motion: three presets. What each is worth: docs/tuning.md.

Chosen on the first seven of fifteen measured days, checked on the other eight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from csms.domain.site import ApplianceKind, ResponseName
from optimizer.model import Response

HEATS_ONLY: frozenset[ApplianceKind] = frozenset({"water_heater", "water_heater_no_neutral", "radiator"})
MOTOR_MIN_ON_S = 600.0


@dataclass(frozen=True, slots=True)
class Preset:
    """What a switching must be worth [W in the minute], and how long what is switched stays so [s].

    heater_min_on_s: of what only heats, where the site says nothing; a motor gets MOTOR_MIN_ON_S.
    """

    response: Response
    appliance_cost_w: float
    connector_cost_w: float
    connector_min_on_s: float
    connector_min_off_s: float
    heater_min_on_s: float

    def min_on_s(self, kind: ApplianceKind) -> float:
        return self.heater_min_on_s if kind in HEATS_ONLY else MOTOR_MIN_ON_S


PRESETS: Mapping[ResponseName, Preset] = {
    "calm": Preset(Response(1.5, 1.5, 120.0), 300.0, 1000.0, 600.0, 600.0, 600.0),
    "balanced": Preset(Response(0.0, 0.0, 60.0), 150.0, 500.0, 300.0, 180.0, 60.0),
    "eager": Preset(Response(0.0, 0.0, 60.0), 50.0, 300.0, 180.0, 120.0, 60.0),
}
