"""From the sun's position to the inverter's watts on each phase."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from drivers.device import PhaseTriple

SOLAR_CONSTANT_W_PER_M2 = 1361.0
GROUND_ALBEDO = 0.2
PERFORMANCE = 0.88


@dataclass(frozen=True, slots=True)
class SunPosition:
    """[rad]; azimuth from north over east."""

    elevation: float
    azimuth: float


def sun_position(at: datetime, latitude: float, longitude: float) -> SunPosition:
    """Within about a degree. Source: Spencer 1971 series for declination and equation of time."""
    utc = at.astimezone(UTC)
    hour = utc.hour + utc.minute / 60 + utc.second / 3600
    day = 2 * math.pi * (utc.timetuple().tm_yday - 1 + hour / 24) / 365
    declination = (
        0.006918 - 0.399912 * math.cos(day) + 0.070257 * math.sin(day)
        - 0.006758 * math.cos(2 * day) + 0.000907 * math.sin(2 * day)
    )  # fmt: skip
    equation_of_time_h = (229.18 / 60) * (
        0.000075 + 0.001868 * math.cos(day) - 0.032077 * math.sin(day)
        - 0.014615 * math.cos(2 * day) - 0.040849 * math.sin(2 * day)
    )  # fmt: skip
    hour_angle = math.radians(15 * (hour + longitude / 15 + equation_of_time_h - 12))
    phi = math.radians(latitude)
    sin_elevation = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(
        hour_angle
    )
    south = math.sin(phi) * math.cos(hour_angle) - math.cos(phi) * math.tan(declination)
    azimuth = math.atan2(math.sin(hour_angle), south) + math.pi
    return SunPosition(math.asin(sin_elevation), azimuth)


def clear_sky_w_per_m2(elevation: float) -> float:
    """Global irradiance on the level. Source: Haurwitz 1945."""
    sin_elevation = math.sin(elevation)
    return 1098 * sin_elevation * math.exp(-0.057 / sin_elevation) if sin_elevation > 0.01 else 0.0


def diffuse_share(clearness: float) -> float:
    """Part of the global irradiance that comes from the whole sky. Source: Erbs 1982."""
    k = clearness
    if k <= 0.22:
        return 1 - 0.09 * k
    if k <= 0.8:
        return 0.9511 - 0.1604 * k + 4.388 * k**2 - 16.638 * k**3 + 12.336 * k**4
    return 0.165


def plane_irradiance_w_per_m2(sun: SunPosition, transmission: float, tilt: float, azimuth: float) -> float:
    """Irradiance on a tilted plane [rad], isotropic sky."""
    horizontal = clear_sky_w_per_m2(sun.elevation) * transmission
    if horizontal <= 0:
        return 0.0
    height = math.sin(sun.elevation)
    diffuse = horizontal * diffuse_share(horizontal / (SOLAR_CONSTANT_W_PER_M2 * height))
    direct = (horizontal - diffuse) / max(height, 0.087)
    cos_incidence = height * math.cos(tilt) + math.cos(sun.elevation) * math.sin(tilt) * math.cos(
        sun.azimuth - azimuth
    )
    return (
        direct * max(0.0, cos_incidence)
        + diffuse * (1 + math.cos(tilt)) / 2
        + horizontal * GROUND_ALBEDO * (1 - math.cos(tilt)) / 2
    )


@dataclass(frozen=True, slots=True)
class Photovoltaics:
    """A roof and its inverter. [kWp, W, degrees; azimuth 180 = south]

    inverter_w: None = as large as the modules. phases: indices of the phases it feeds;
    None = all three from 4.6 kW on, else the first.
    """

    peak_kw: float
    latitude: float = 47.37
    longitude: float = 8.54
    tilt: float = 25.0
    azimuth: float = 180.0
    inverter_w: float | None = None
    phases: tuple[int, ...] | None = None

    def phase_power_w(self, at: datetime, transmission: float) -> PhaseTriple:
        """Negative while producing."""
        sun = sun_position(at, self.latitude, self.longitude)
        irradiance = plane_irradiance_w_per_m2(
            sun, transmission, math.radians(self.tilt), math.radians(self.azimuth)
        )
        limit_w = self.peak_kw * 1000 if self.inverter_w is None else self.inverter_w
        total_w = min(self.peak_kw * irradiance * PERFORMANCE, limit_w)
        phases = self.phases or ((0, 1, 2) if limit_w >= 4600 else (0,))
        l1, l2, l3 = (-total_w / len(phases) if i in phases and total_w > 0 else 0.0 for i in range(3))
        return l1, l2, l3
