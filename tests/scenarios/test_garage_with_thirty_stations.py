"""A 63 A breaker on a flat cable with thirty stations."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_site import car, running, site, station

PHASES = (["L1"], ["L2"], ["L3"], ["L1", "L2", "L3"])
CIRCUITS = [
    {"id": "main", "limit_a": [250, 250, 250]},
    {"id": "garage", "parent": "main", "limit_a": [63, 63, 63]},
]


@pytest.mark.parametrize("mode", ["full", "solar_only"])
async def test_a_zone_of_63_ampere_is_never_exceeded_on_any_phase(folder: Path, mode: str) -> None:
    points = [
        station(f"CP{n}", "garage", phases=PHASES[n % 4], mode=mode, max_a=32, safe_a=0) for n in range(30)
    ]
    async with running(site(charge_points=points, circuits=CIRCUITS), folder) as garage:
        for n in range(30):
            await garage.arrive(f"CP{n}", car(phases=len(PHASES[n % 4]), max_a=32), id_tag=f"badge{n}")
        most_a = [0.0, 0.0, 0.0]
        for sun_w in (5_000, 20_000, 60_000, 90_000, 30_000):
            garage.sun_w = sun_w
            await garage.minute()
            allowed = [0.0, 0.0, 0.0]
            for n in range(30):
                for phase in PHASES[n % 4]:
                    allowed[int(phase[1]) - 1] += garage.points[f"CP{n}"].limit_a(1)
            assert max(allowed) <= 63 + 1e-6, sun_w
            most_a = [max(pair) for pair in zip(most_a, allowed, strict=True)]
        assert min(most_a) > 55  # and the cable is used, where the sun or the mode asks for it
