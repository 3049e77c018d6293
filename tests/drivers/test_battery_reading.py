"""A battery's meter may tell how full it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drivers.device import ImplausibleReading
from drivers.fitted_meter import inverted
from drivers.reading import assemble
from drivers.registers import parse_meters

NOON = datetime(2026, 6, 21, 10, tzinfo=UTC)
BATTERY = {
    "accu": {
        "name": "Battery",
        "fc": 3,
        "words": "big",
        "max_regs": 10,
        "p_tot": [0, "int16", 1, "W"],
        "soc": [1, "uint16", 0.1, "%"],
        "source": "a test",
        "confidence": "C",
    }
}


def test_power_and_state_of_charge() -> None:
    model = parse_meters(BATTERY)["accu"]
    reading = inverted(assemble(model, {"p_tot": -1200.0, "soc": 63.5}, NOON))
    assert (reading.power_w, reading.soc_pct) == (1200, 63.5)
    assert assemble(model, {"p_tot": 0.0}, NOON).soc_pct is None


def test_a_state_of_charge_above_all_is_not_believed() -> None:
    model = parse_meters(BATTERY)["accu"]
    with pytest.raises(ImplausibleReading, match="state of charge reads 6554"):
        assemble(model, {"p_tot": 0.0, "soc": 6553.5}, NOON)
